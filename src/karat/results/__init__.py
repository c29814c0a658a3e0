"""What a fit gives back."""

from .result import Result
from .sampling import Sampling

__all__ = ["Result", "Sampling"]
