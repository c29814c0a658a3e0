"""Whole clusters drawn: simple random, stratified, or with probabilities proportional to a size."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .._core.types import Bools, Floats, Ints
from ..errors import ArgumentError, DesignError, number, one_of
from ..frames import Table
from .base import Design
from .fixed_size import METHODS, draw_alike, draw_units, hold_sizes, stratum_sizes
from .given import codes_of, columns_in, cut, names_of, sizes_of
from .labelling import Labelling
from .unequal import probabilities, read_sizes


@dataclass(frozen=True)
class Clustered(Design):
    """Sample of whole clusters: every unit of a drawn cluster is labelled.

    Parameters
    ----------
    cluster : str
        Column that names the cluster (author, document, thread).
    n : int or mapping, optional
        Number of clusters to draw: in all, or stratum -> number. May be left out to read gold that is there.
    by : str or sequence of str, optional
        Strata of clusters; constant within a cluster.
    size : str or array_like of shape (N,), optional
        Draw clusters with probabilities proportional to this size, which must be the same in all rows of a
        cluster (for example its number of rows); by default all clusters of a stratum are alike.
    method : {"sampford", "systematic"}
        How clusters are drawn when there is a size, see :class:`karat.Unequal`.
    floor : float
        Smallest inclusion probability a cluster may have when there is a size.

    Examples
    --------
    >>> import karat as kt
    >>> sample = kt.Clustered("author", n=2).draw({"author": list("aabbccdd")}, seed=0)
    >>> len(sample.positions)
    4
    """

    cluster: str
    n: Any = None
    by: Any = field(default=None, kw_only=True)
    size: Any = field(default=None, kw_only=True)
    method: str = field(default="sampford", kw_only=True)
    floor: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.cluster, str):
            raise ArgumentError(f"Clustered(cluster={self.cluster!r}) must be the name of one column.")
        object.__setattr__(self, "n", sizes_of("n", self.n))
        if self.by is not None:
            object.__setattr__(self, "by", names_of("by", self.by))
        one_of("method", self.method, METHODS)
        object.__setattr__(self, "floor", number("floor", self.floor, least=0, below=1))
        if self.size is None and self.floor:
            raise ArgumentError("floor= bounds probabilities proportional to a size; give size=, or take floor= out.")

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns the design reads."""
        return columns_in(self.cluster, self.by, self.size)

    def restricted(self, rows: Bools | Ints, table: Table) -> Design:
        """The design for some of the rows."""
        return replace(self, size=cut(self.size, "Clustered(size)", rows, table))

    def select(self, table: Table, rng: np.random.Generator) -> Labelling:
        """Draw clusters."""
        frame = _Clusters.read(self, table)
        sizes = stratum_sizes("Clustered", self.n, frame.counts, frame.strata, frame.share, "clusters")
        if self.size is None:
            drawn = draw_alike(frame.stratum, sizes, rng)
        else:
            drawn = draw_units(frame.probability(sizes, self.floor), frame.stratum, self.method, rng)
        return self._labelling(frame, sizes, drawn)

    def realised(self, table: Table, labelled: Bools) -> Labelling:
        """Check that clusters are labelled whole or not at all, and as many as declared."""
        frame = _Clusters.read(self, table)
        rows, gold = np.bincount(frame.code), np.bincount(frame.code[labelled], minlength=len(frame.names))
        partial = np.flatnonzero((gold > 0) & (gold < rows))
        if len(partial):
            c = partial[0]
            raise DesignError(
                f"{len(partial)} cluster(s) are labelled in part (for example {frame.names[c]!r}: {gold[c]} of "
                f"{rows[c]} rows); "
                "a clustered design labels whole clusters. Label the rest, or describe the draw within clusters."
            )
        drawn = np.bincount(frame.stratum[gold > 0], minlength=len(frame.strata))
        hold_sizes("Clustered", self.n, drawn, frame.counts, frame.strata, "clusters")
        certain = np.flatnonzero((frame.probability(drawn, self.floor) == 1.0) & (gold == 0))
        if len(certain):
            raise DesignError(
                f"cluster {frame.names[certain[0]]!r} is so large that it is drawn with certainty but has no gold; "
                "label it, or correct size or floor."
            )
        return self._labelling(frame, drawn, gold > 0)

    def _labelling(self, frame: _Clusters, sizes: Ints, drawn: Bools) -> Labelling:
        labelled = drawn[frame.code]
        inside = "" if self.by is None else f" in {len(frame.strata):,} strata"
        how = "" if self.size is None else f" with unequal probabilities ({self.method})"
        return Labelling(
            frame.probability(sizes, self.floor)[frame.code],
            labelled,
            fixed_size=True,
            stratum=None if self.by is None else frame.stratum[frame.code],
            unit=frame.code,
            description=(
                f"clusters of {self.cluster} drawn whole{how}, {int(drawn.sum()):,} of {len(drawn):,}{inside} "
                f"({int(labelled.sum()):,} rows)"
            ),
        )


@dataclass(frozen=True)
class _Clusters:
    """Clusters of a table: code of each row; name, stratum and size of each cluster."""

    code: Ints
    names: list[str]
    stratum: Ints
    strata: list[str]
    size: Floats | None

    @classmethod
    def read(cls, design: Clustered, table: Table) -> _Clusters:
        code, names = codes_of(table, design.cluster, "Clustered(cluster)")
        first = np.unique(code, return_index=True)[1]
        stratum, strata = codes_of(table, design.by, "Clustered(by)")
        _constant(stratum, code, first, names, "stratum")
        size = None
        if design.size is not None:
            values = read_sizes(table, design.size, "Clustered(size)")
            _constant(values, code, first, names, "size")
            size = values[first]
        return cls(code, names, stratum[first], strata, size)

    @property
    def counts(self) -> Ints:
        """Clusters per stratum."""
        return np.bincount(self.stratum)

    @property
    def share(self) -> Floats:
        """How a total is shared out among strata: by clusters, or by their summed sizes."""
        weight = np.bincount(self.stratum, weights=self.size)
        return np.asarray(weight / weight.sum())

    def probability(self, sizes: Ints, floor: float) -> Floats:
        """Inclusion probability of each cluster."""
        if self.size is None:
            return np.asarray((sizes / self.counts)[self.stratum])
        return probabilities(self.size, self.stratum, sizes, self.strata, floor)


def _constant(values: Floats, code: Ints, first: Ints, names: list[str], what: str) -> None:
    differs = values != values[first][code]
    if differs.any():
        where = names[code[np.flatnonzero(differs)[0]]]
        raise DesignError(
            f"{what} changes within {int(np.unique(code[differs]).size)} cluster(s) (for example {where!r}); whole "
            f"clusters are drawn, so every row of one needs the same {what}."
        )
