"""What a fit gives back."""

from .result import Result, Sampling

__all__ = ["Result", "Sampling"]
