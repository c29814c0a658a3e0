"""What a fit gives back."""

from .fits import Fits
from .result import Result
from .sampling import Sampling

__all__ = ["Fits", "Result", "Sampling"]
