"""How gold was drawn: Bernoulli, simple random, stratified, clustered."""

from __future__ import annotations

from .base import Design, Drawn, Sample
from .labelling import Labelling
from .probability import Bernoulli, Clustered, SimpleRandom, Stratified
from .propensity import Propensity, with_answers
from .response import Response

__all__ = [
    "Bernoulli",
    "Clustered",
    "Design",
    "Drawn",
    "Labelling",
    "Propensity",
    "Response",
    "Sample",
    "SimpleRandom",
    "Stratified",
    "resolve",
    "with_answers",
]


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
