"""Counts and weights of a gold sample."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sampling:
    """Counts and weights of the gold sample.

    Parameters
    ----------
    design : str
        How gold was drawn, in words.
    assumed : bool
        Whether the design was assumed because none was given.
    n_units, n_gold : int
        Rows used, and gold among them.
    dropped : dict of str to int
        Missing values that made rows be left out, by column.
    n_dropped : int
        Rows left out.
    smallest_probability, largest_weight : float
        Among gold rows.
    kish : float
        Kish's effective number of gold rows, ``(sum w)^2 / sum w^2``.
    sum_of_weights : float
        Inverse probabilities added up; estimates N.
    clusters, gold_clusters : int
        Analysis clusters, and those that hold gold; 0 without clusters.
    rarest_class : int or None
        Gold rows in the rarest class of a categorical label; None when no label has classes.
    binary_outcome : bool
        Whether the gold outcome is 0 or 1 throughout.
    documents : int
        Documents that the units are made of, of which ``n_gold`` are gold; 0 where rows themselves are labelled.
    effects : dict of str to int
        Fixed effects that were taken out, and their groups.
    """

    design: str
    assumed: bool
    n_units: int
    n_gold: int
    dropped: dict[str, int]
    n_dropped: int
    smallest_probability: float
    largest_weight: float
    kish: float
    sum_of_weights: float
    clusters: int = 0
    gold_clusters: int = 0
    rarest_class: int | None = None
    binary_outcome: bool = False
    documents: int = 0
    effects: dict[str, int] = field(default_factory=dict)
