"""Samples of fixed size with probabilities proportional to a size."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .._core.types import Bools, Floats, Ints
from ..errors import DesignError, DesignWarning, number, one_of, tell
from ..frames import Table
from ..frames.table import as_float
from .base import Design
from .fixed_size import METHODS, draw_units, hold_sizes, proportional, stratum_sizes
from .given import codes_of, columns_in, cut, names_of, sizes_of
from .labelling import Labelling

_SMALL = 0.05
"""Share of the average probability below which a warning is given."""


@dataclass(frozen=True)
class Unequal(Design):
    """A fixed number of units, drawn without replacement with probabilities proportional to a size.

    Parameters
    ----------
    size : str or array_like of shape (N,)
        Column, or one value per row, of positive sizes. Probabilities from a plan are sizes too: those that add up to
        n, none above 1, are kept as they are.
    n : int or mapping, optional
        Number of units to draw: in all, or stratum -> number. May be left out where sizes are probabilities that
        add up to a whole number, and to read gold that is there.
    by : str or sequence of str, optional
        Strata; a total is shared out among them by their summed sizes, at least two each.
    method : {"sampford", "systematic"}
        Sampford's sample, or a systematic sample of units in random order. Both have the stated probabilities exactly.
    floor : float
        Smallest inclusion probability a unit may have; others give way. A weight is then at most ``1 / floor``.

    Notes
    -----
    Units whose probability would exceed 1 are drawn with certainty and the rest is shared out anew, until none is left.
    The variance is Hajek's approximation, see :meth:`karat.designs.Labelling.cross`.

    References
    ----------
    Sampford (1967); Hartley and Rao (1962); Hajek (1964); Tille (2006), *Sampling Algorithms*.

    Examples
    --------
    >>> import karat as kt
    >>> corpus = {"words": [10, 20, 30, 40, 500]}
    >>> sample = kt.Unequal("words", n=3).draw(corpus, seed=1)
    >>> sample.probability.round(6).tolist()
    [0.2, 0.4, 0.6, 0.8, 1.0]
    """

    size: Any
    n: Any = None
    by: Any = field(default=None, kw_only=True)
    method: str = field(default="sampford", kw_only=True)
    floor: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", sizes_of("n", self.n))
        if self.by is not None:
            object.__setattr__(self, "by", names_of("by", self.by))
        one_of("method", self.method, METHODS)
        object.__setattr__(self, "floor", number("floor", self.floor, least=0, below=1))

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns the design reads."""
        return columns_in(self.size, self.by)

    def restricted(self, rows: Bools | Ints, table: Table) -> Design:
        """The design for some of the rows."""
        return replace(self, size=cut(self.size, "Unequal(size)", rows, table))

    def select(self, table: Table, rng: np.random.Generator) -> Labelling:
        """Draw within each stratum."""
        size = read_sizes(table, self.size, "Unequal(size)")
        codes, names = codes_of(table, self.by, "Unequal(by)")
        n = self.n if self.n is not None else as_probabilities(size, codes, names)
        share = np.bincount(codes, weights=size) / size.sum()
        sizes = stratum_sizes("Unequal", n, np.bincount(codes), names, share, "units")
        pi = probabilities(size, codes, sizes, names, self.floor)
        average = float(pi.mean())
        if pi.min() < _SMALL * average:
            tell(
                f"the smallest inclusion probability is {pi.min():.3g}, a weight of {1 / pi.min():.0f} where the "
                f"average unit has {1 / average:.0f}: one such unit could decide the estimate. Give a floor, for "
                f"example floor={0.2 * average:.2g}.",
                DesignWarning,
            )
        return self._labelling(pi, codes, names, draw_units(pi, codes, self.method, rng))

    def realised(self, table: Table, labelled: Bools) -> Labelling:
        """Count gold per stratum and hold it against what was declared."""
        size = read_sizes(table, self.size, "Unequal(size)")
        codes, names = codes_of(table, self.by, "Unequal(by)")
        counts, drawn = np.bincount(codes), np.bincount(codes[labelled], minlength=len(names))
        hold_sizes("Unequal", self.n, drawn, counts, names, "rows")
        pi = probabilities(size, codes, drawn, names, self.floor)
        certain = (pi == 1) & ~labelled
        if certain.any():
            raise DesignError(
                f"{int(certain.sum())} row(s) are so large that they are drawn with certainty but have no gold, first "
                f"at position {int(np.flatnonzero(certain)[0])}; label them, or correct size or floor."
            )
        return self._labelling(pi, codes, names, labelled)

    def _labelling(self, pi: Floats, codes: Ints, names: list[str], labelled: Bools) -> Labelling:
        what = self.size if isinstance(self.size, str) else "size"
        inside = "" if self.by is None else f" in {len(names):,} strata"
        return Labelling(
            pi,
            labelled,
            fixed_size=True,
            stratum=None if self.by is None else codes,
            description=(
                f"unequal probabilities by {what} ({self.method}), {int(labelled.sum()):,} of {len(pi):,}{inside}, "
                f"probabilities {pi.min():.3g} to {pi.max():.3g}"
            ),
        )


def read_sizes(table: Table, given: Any, argument: str) -> Floats:
    """Sizes of all rows, checked to be positive. Raises DesignError if a size is missing, zero or negative."""
    name = given if isinstance(given, str) else "size"
    size = as_float(table.values(given, argument), name, "size")
    for bad, what in ((np.isnan(size), "missing"), (size <= 0, "zero or negative")):
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            raise DesignError(
                f"size {name!r} is {what} in {int(bad.sum())} row(s), first at position {first} ({size[first]}); every "
                "unit needs a positive size. Units that could never be drawn must leave the frame."
            )
    return size


def as_probabilities(size: Floats, stratum: Ints, names: list[str]) -> Any:
    """The sample size (in all, or by stratum) that sizes imply when they are probabilities."""
    total = np.bincount(stratum, weights=size)
    if size.max() > 1.0 or (np.abs(total - np.round(total)) > 1e-6 * np.maximum(total, 1.0)).any():
        raise DesignError(
            "to draw, Unequal needs n, the number of units to label; it may be left out only where sizes are "
            f"probabilities that add up to a whole number (here they add up to {size.sum():.6g}, largest "
            f"{size.max():.4g})."
        )
    if len(names) == 1:
        return round(float(total[0]))
    return {name: round(float(t)) for name, t in zip(names, total)}


def probabilities(size: Floats, stratum: Ints, sizes: Ints, names: list[str], floor: float) -> Floats:
    """Probabilities proportional to size within strata, shape (M,), of drawing ``sizes`` (S,) units in each."""
    pi = np.empty(len(size))
    for s, n in enumerate(sizes):
        inside = stratum == s
        if floor * (units := int(inside.sum())) > n:
            raise DesignError(
                f"floor={floor} for {units} units adds up to {floor * units:.1f}, more than the {n} to draw; lower "
                "the floor or raise n."
            )
        pi[inside] = proportional(size[inside], int(n), floor)
        certain = int((pi[inside] == 1.0).sum())
        if n - certain == 1:
            where = f" in stratum {names[s]!r}" if len(names) > 1 else ""
            raise DesignError(
                f"{certain} of the {n} units{where} are so large that they are drawn with certainty, which leaves one "
                "to chance and no variance; draw one more, or even the sizes out."
            )
    return pi
