"""Designs with equal probabilities, or independent draws: Bernoulli, simple random, stratified."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .._core.types import Bools, Floats, Ints
from ..errors import ArgumentError, DesignError, DesignWarning, number, one_of, tell, whole
from ..frames import Table
from ..frames.table import as_float
from .base import Design
from .counted import Counted
from .fixed_size import draw_alike, hold_sizes, stratum_sizes
from .given import check_size, codes_of, columns_in, cut, names_of, sizes_of
from .labelling import Labelling


@dataclass(frozen=True)
class Bernoulli(Design):
    """Each unit is drawn on its own, with a known probability (Poisson sampling when they differ).

    Parameters
    ----------
    probability : float, str or array_like of shape (N,)
        One probability for all, a column, or one value per row; in (0, 1].

    Examples
    --------
    >>> import karat as kt
    >>> sample = kt.Bernoulli(0.5).draw({"document": list(range(8))}, seed=0)
    >>> bool((sample.probability == 0.5).all())
    True
    """

    probability: Any

    def __post_init__(self) -> None:
        if not isinstance(self.probability, str) and np.ndim(self.probability) == 0:
            number("probability", self.probability, above=0, most=1, instead="a column, or one value per row")

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns the design reads."""
        return columns_in(self.probability)

    def restricted(self, rows: Bools | Ints, table: Table) -> Design:
        """The design for some of the rows."""
        return replace(self, probability=cut(self.probability, "Bernoulli(probability)", rows, table))

    def _values(self, table: Table) -> Floats:
        given = self.probability
        if not isinstance(given, str) and np.ndim(given) == 0:
            pi = np.full(table.n_rows, float(given))
            name = "probability"
        else:
            name = given if isinstance(given, str) else "probability"
            pi = as_float(table.values(given, "Bernoulli(probability)"), name, "inclusion probability")
        for bad, what in ((np.isnan(pi), "missing"), (pi <= 0, "zero or negative"), (pi > 1, "above 1")):
            if bad.any():
                first = int(np.flatnonzero(bad)[0])
                raise DesignError(
                    f"inclusion probability {name!r} is {what} in {int(bad.sum())} row(s), first at position {first} "
                    f"({pi[first]}); every unit needs a known probability in (0, 1]. Units that could never be drawn "
                    "must leave the frame."
                )
        return pi

    def select(self, table: Table, rng: np.random.Generator) -> Labelling:
        """Draw each unit with its probability."""
        pi = self._values(table)
        labelled = rng.random(len(pi)) < pi
        if not labelled.any():
            raise DesignError(f"no unit was drawn (expected {pi.sum():.2f}); raise the probabilities.")
        return Labelling(pi, labelled, fixed_size=False, description=self._describe(pi))

    def realised(self, table: Table, labelled: Bools) -> Labelling:
        """Check that gold and probabilities can go together."""
        pi = self._values(table)
        certain = (pi == 1) & ~labelled
        if certain.any():
            raise DesignError(
                f"{int(certain.sum())} row(s) have inclusion probability 1 but no gold, first at position "
                f"{int(np.flatnonzero(certain)[0])}; label them or correct the probability."
            )
        self._hold(float(pi.sum()), float((pi * (1 - pi)).sum()), int(labelled.sum()))
        return Labelling(pi, labelled, fixed_size=False, description=self._describe(pi))

    def counted(self, sizes: Ints, names: list[str], positions: Ints, stratum: Ints) -> Counted:
        """The draw from its gold rows and the number of all, where there is one probability."""
        pi, big_n = float(self.probability), int(sizes.sum())
        if pi == 1.0 and len(positions) < big_n:
            raise DesignError(f"{big_n - len(positions)} row(s) have inclusion probability 1 but no gold; label them.")
        self._hold(big_n * pi, big_n * pi * (1 - pi), len(positions))
        return Counted.of(positions, stratum, sizes, probability=pi, description=self._describe(np.array([pi])))

    @staticmethod
    def _hold(expected: float, variance: float, n: int) -> None:
        """Warn where far more or fewer rows are gold than expected."""
        spread = np.sqrt(variance)
        if abs(n - expected) > 5 * spread + 1e-6 * expected:
            tell(
                f"the inclusion probabilities add up to {expected:.1f}, but {n} rows are gold "
                f"(standard deviation {spread:.1f}); check that the probabilities are those of this draw.",
                DesignWarning,
            )

    @staticmethod
    def _describe(pi: Floats) -> str:
        if np.ptp(pi) == 0:
            return f"Bernoulli, probability {pi[0]:.4g}"
        return f"Bernoulli, probabilities {pi.min():.4g} to {pi.max():.4g}"


@dataclass(frozen=True)
class SimpleRandom(Design):
    """Simple random sample without replacement.

    Parameters
    ----------
    n : int, optional
        Number of units to draw. To read gold that is already there, it may be left out.

    Examples
    --------
    >>> import karat as kt
    >>> kt.SimpleRandom(n=3).draw({"document": list(range(9))}, seed=0).positions
    array([0, 4, 8])
    """

    n: int | None = None

    def __post_init__(self) -> None:
        if self.n is not None:
            object.__setattr__(self, "n", whole("n", self.n, least=1, instead="or None to read gold that is there"))

    def select(self, table: Table, rng: np.random.Generator) -> Labelling:
        """Draw n units."""
        n = check_size(self.n, table.n_rows, "units")
        labelled = np.zeros(table.n_rows, dtype=bool)
        labelled[rng.choice(table.n_rows, size=n, replace=False)] = True
        return self._labelling(labelled)

    def realised(self, table: Table, labelled: Bools) -> Labelling:
        """Take the realised size, or hold it against the declared one."""
        self._hold(int(labelled.sum()))
        return self._labelling(labelled)

    def counted(self, sizes: Ints, names: list[str], positions: Ints, stratum: Ints) -> Counted:
        """The draw from its gold rows and the number of all."""
        self._hold(len(positions))
        return Counted.of(positions, stratum, sizes, description=self._describe(len(positions), int(sizes.sum())))

    def _hold(self, n: int) -> None:
        """Raise unless as many rows carry gold as were declared."""
        if self.n is not None and n != self.n:
            raise DesignError(
                f"SimpleRandom(n={self.n}) was declared but {n} rows carry gold; "
                + ("some drawn units came back without a label." if n < self.n else "more were labelled than drawn.")
                + " Correct n, or the gold column."
            )

    @classmethod
    def _labelling(cls, labelled: Bools) -> Labelling:
        n, big_n = int(labelled.sum()), len(labelled)
        return Labelling(np.full(big_n, n / big_n), labelled, fixed_size=True, description=cls._describe(n, big_n))

    @staticmethod
    def _describe(n: int, big_n: int) -> str:
        return f"simple random sample, {n:,} of {big_n:,}"


@dataclass(frozen=True)
class Stratified(Design):
    """Simple random samples within strata.

    Parameters
    ----------
    by : str or sequence of str
        Columns whose combinations are the strata.
    n : int or mapping, optional
        Total number of units to draw, or a mapping from stratum to number (a stratum of
        several columns is named ``"a x b"``). May be left out to read gold that is there.
    allocation : {"proportional", "equal"}
        How a total is shared out: by stratum size, or the same for each. Every stratum gets
        at least two (or all it has).

    Examples
    --------
    >>> import karat as kt
    >>> corpus = {"party": ["a"] * 60 + ["b"] * 40}
    >>> sample = kt.Stratified("party", n=10).draw(corpus, seed=2)
    >>> sample.rows(corpus)["party"].value_counts().to_dict()
    {'a': 6, 'b': 4}
    """

    by: Any
    n: Any = None
    allocation: str = field(default="proportional", kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by", names_of("by", self.by))
        object.__setattr__(self, "n", sizes_of("n", self.n))
        one_of("allocation", self.allocation, ("proportional", "equal"))

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns the design reads."""
        return columns_in(self.by)

    def select(self, table: Table, rng: np.random.Generator) -> Labelling:
        """Draw within each stratum."""
        codes, names = codes_of(table, self.by, "Stratified(by)")
        counts = np.bincount(codes)
        equal = np.full(len(names), 1 / len(names))
        share = counts / counts.sum() if self.allocation == "proportional" else equal
        sizes = stratum_sizes("Stratified", self.n, counts, names, share, "units")
        return self._labelling(codes, names, draw_alike(codes, sizes, rng))

    def realised(self, table: Table, labelled: Bools) -> Labelling:
        """Count gold per stratum and hold it against what was declared."""
        codes, names = codes_of(table, self.by, "Stratified(by)")
        counts, drawn = np.bincount(codes), np.bincount(codes[labelled], minlength=len(names))
        hold_sizes("Stratified", self.n, drawn, counts, names, "rows")
        return self._labelling(codes, names, labelled)

    def counted(self, sizes: Ints, names: list[str], positions: Ints, stratum: Ints) -> Counted:
        """The draw from its gold rows and the sizes of strata."""
        hold_sizes("Stratified", self.n, np.bincount(stratum, minlength=len(names)), sizes, names, "rows")
        words = self._describe(len(positions), int(sizes.sum()), len(names))
        return Counted.of(positions, stratum, sizes, description=words, strata=tuple(names))

    def _describe(self, n: int, big_n: int, strata: int) -> str:
        return f"stratified by {' x '.join(self.columns)}, {n:,} of {big_n:,} in {strata:,} strata"

    def _labelling(self, codes: Ints, names: list[str], labelled: Bools) -> Labelling:
        counts, drawn = np.bincount(codes), np.bincount(codes[labelled], minlength=len(names))
        return Labelling(
            (drawn / counts)[codes], labelled, fixed_size=True, stratum=codes,
            description=self._describe(int(labelled.sum()), len(codes), len(names)),
            strata=tuple(names),
        )  # fmt: skip


def countable(design: Design) -> bool:
    """Whether a draw can be told by its gold rows and by counts: one probability in each stratum.

    Examples
    --------
    >>> countable(SimpleRandom()), countable(Bernoulli("p"))
    (True, False)
    """
    if isinstance(design, Bernoulli):
        return not isinstance(design.probability, str) and np.ndim(design.probability) == 0
    return isinstance(design, (SimpleRandom, Stratified))


def read_counts(design: Design, sizes: Ints, names: list[str], positions: Ints, stratum: Ints) -> Counted:
    """Read gold as a draw from its rows and from counts, where the other rows are not in memory.

    Parameters
    ----------
    design : Design
    sizes : ndarray of int, shape (S,)
        Rows of each stratum.
    names : list of str
        Of the strata.
    positions, stratum : ndarray of int, shape (n,)
        Where the gold rows stand among all, and their strata.

    Returns
    -------
    Counted

    Raises
    ------
    ArgumentError
        If the design must see all rows at once.
    DesignError
        If gold and design do not go together.

    Examples
    --------
    >>> import numpy as np
    >>> import karat as kt
    >>> draw = read_counts(kt.SimpleRandom(), np.array([1_000_000]), [""], np.arange(400), np.zeros(400, dtype=int))
    >>> draw.description
    'simple random sample, 400 of 1,000,000'
    """
    if not countable(design) or not isinstance(design, (Bernoulli, SimpleRandom, Stratified)):
        raise ArgumentError(
            f"design={design!r} must see all rows at once. A table that is read batch by batch takes "
            "kt.SimpleRandom(), kt.Stratified(...), or kt.Bernoulli(...) with one probability for all rows; for "
            "another design read the data into memory."
        )
    return design.counted(sizes, names, positions, stratum)
