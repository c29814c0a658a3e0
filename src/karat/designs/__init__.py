"""How gold was drawn: Bernoulli, simple random, stratified, clustered, unequal probabilities, waves."""

from __future__ import annotations

from .base import Design, Drawn, Sample
from .clustered import Clustered
from .counted import Counted
from .frame import FrameRecord
from .labelling import Labelling
from .probability import Bernoulli, SimpleRandom, Stratified, read_counts
from .propensity import Propensity, read_draw, with_answers
from .response import Response
from .sequential import SequentialLabelling, Wave
from .store import read_sample
from .unequal import Unequal
from .waves import Waves

__all__ = [
    "Bernoulli", "Clustered", "Counted", "Design", "Drawn", "FrameRecord", "Labelling", "Propensity", "Response",
    "Sample", "SequentialLabelling", "SimpleRandom", "Stratified", "Unequal", "Wave", "Waves", "read_counts",
    "read_draw", "read_sample", "resolve", "with_answers",
]  # fmt: skip


def resolve(design: object) -> Design:
    """Turn what a user may pass as ``design=`` into a design.

    Parameters
    ----------
    design : Design, Sample, float, str, array_like or None
        A float, column or array is a Bernoulli probability; None a simple random sample of
        the realised size.

    Returns
    -------
    Design

    Examples
    --------
    >>> resolve(None)
    SimpleRandom(n=None)
    """
    if design is None:
        return SimpleRandom()
    if isinstance(design, Design):
        return design
    if isinstance(design, Sample):
        return design.design
    return Bernoulli(design)
