"""Samples of fixed size: sizes and probabilities in proportion to something, shared out among strata, and drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._core.types import Bools, Floats, Ints
from ..errors import DesignError
from .frame import as_text
from .given import check_size

_SMALLEST = 1e-12
"""Size, relative to the largest, that one of 0 counts as, so that bounds can still be filled."""


def scaling(size: Floats, total: float, low: Floats | float = 0.0, high: Floats | float = 1.0) -> float:
    """Factor k with which ``clip(k size, low, high)`` adds up to a total.

    ``size`` (M,): positive; ``low``, ``high`` (M,). Raises DesignError if the bounds do not leave room for the total.

    >>> scaling(np.array([1.0, 1.0, 8.0]), 2.0)
    0.5
    """
    order = np.argsort(size, kind="stable")  # so that sums, to the last digit, do not depend on the order of rows
    size = size[order]
    low, high = (np.broadcast_to(bound, size.shape)[order] for bound in (low, high))
    least, most = float(low.sum()), float(high.sum())
    if not least - 1e-9 <= total <= most * (1.0 + 1e-12) + 1e-9:
        raise DesignError(
            f"n={total:g} does not fit the {len(size)} units or strata; give a number from {least:.6g} to {most:.6g}."
        )
    begins, ends = low / size, high / size
    kinks = np.unique(np.concatenate([begins, ends]))
    first, last = 0, len(kinks) - 1
    while last - first > 1:
        middle = (first + last) // 2
        if np.clip(kinks[middle] * size, low, high).sum() < total:
            first = middle
        else:
            last = middle
    free = (begins <= kinks[first]) & (ends >= kinks[last])
    if not free.any() or total >= most:
        return float(kinks[last])
    ended, waiting = ends <= kinks[first], begins >= kinks[last]
    return float((total - high[ended & ~free].sum() - low[waiting & ~free].sum()) / size[free].sum())


def proportional(size: Floats, total: float, low: Floats | float = 0.0, high: Floats | float = 1.0) -> Floats:
    """Numbers in proportion to a size that add up to a total, between bounds, shape (M,).

    With the default bounds these are inclusion probabilities: units at 1 are drawn with certainty, and the rest is
    shared out among the others. ``size`` (M,): not negative; ``low``, ``high`` (M,). Raises DesignError if the bounds
    do not leave room for the total.

    >>> proportional(np.array([1.0, 1.0, 2.0, 12.0]), 2)
    array([0.25, 0.25, 0.5 , 1.  ])
    >>> proportional(np.array([0.9, 0.1]), 10.0, np.array([2.0, 2.0]), np.array([50.0, 50.0]))
    array([8., 2.])
    """
    size = np.maximum(size, _SMALLEST * size.max())
    size = size / np.sort(size).mean()
    found = scaling(size, total, low, high) * size
    found = np.where(found >= np.multiply(high, 1.0 - 1e-12), high, np.maximum(found, low))
    return np.asarray(found)


def whole_sizes(size: Floats) -> Ints:
    """Whole numbers with the same sum, each the next lower or higher one; the largest remainders go up.

    >>> whole_sizes(np.array([3.2, 4.7, 2.1]))
    array([3, 5, 2])
    """
    lower = np.floor(size + 1e-9).astype(np.intp)
    missing = round(float(size.sum())) - int(lower.sum())
    lower[np.argsort(np.round(lower - size, 9), kind="stable")[:missing]] += 1
    return lower


def allocate(total: int, share: Floats, available: Ints) -> Ints:
    """Whole numbers that add up to a total, in proportion to shares, at least two each and at most what is there.

    >>> allocate(10, np.array([0.9, 0.1]), np.array([50, 50]))
    array([8, 2])
    """
    return whole_sizes(proportional(share, total, np.minimum(2.0, available), available.astype(np.float64)))


METHODS = ("sampford", "systematic")


def draw_alike(stratum: Ints, sizes: Ints, rng: np.random.Generator) -> Bools:
    """Draw so many units in each stratum, all alike, shape (M,)."""
    drawn = np.zeros(len(stratum), dtype=bool)
    for s, size in enumerate(sizes):
        drawn[rng.choice(np.flatnonzero(stratum == s), size=int(size), replace=False)] = True
    return drawn


def draw_units(pi: Floats, stratum: Ints, method: str, rng: np.random.Generator) -> Bools:
    """Draw units, shape (M,), with probabilities (M,) that add up to a whole number in each stratum."""
    drawn = pi >= 1.0
    draw = sampford if method == "sampford" else systematic
    for s in np.unique(stratum[~drawn]):
        inside = np.flatnonzero((stratum == s) & (pi < 1.0))
        drawn[inside[draw(pi[inside], rng)]] = True
    return np.asarray(drawn)


def sampford(pi: Floats, rng: np.random.Generator) -> Bools:
    """Sampford's sample: fixed size, inclusion probabilities exactly as given, of high entropy, shape (M,).

    ``pi`` (M,): probabilities below 1 that add up to a whole number n.

    A first unit is drawn with probability ``pi / n``, and a set of all units independently with ``pi``; both are drawn
    anew until the set has n - 1 members and not the first unit. A sample s then has probability proportional to
    ``prod_s pi / (1 - pi) sum_s (1 - pi)``, which is Sampford's. This takes about ``sqrt(2 pi sum pi (1 - pi))`` sets,
    however large n is; Sampford's own rejective form would take ``exp(n^2 / 2 N)``.

    Sampford (1967), *On sampling without replacement with unequal probabilities of selection*; Bondesson, Traat,
    Lundqvist (2006), *Pareto sampling versus Sampford and conditional Poisson sampling*.
    """
    n = _whole(pi)
    cumulated = np.cumsum(pi)
    for _ in range(1_000_000):
        drawn = rng.random(len(pi)) < pi
        if int(drawn.sum()) != n - 1:
            continue
        first = min(int(np.searchsorted(cumulated, rng.random() * cumulated[-1], side="right")), len(pi) - 1)
        if not drawn[first]:
            drawn[first] = True
            return drawn
    raise DesignError("no Sampford sample was found in a million tries; use method='systematic'.")


def systematic(pi: Floats, rng: np.random.Generator) -> Bools:
    """Systematic sample of units in random order: fixed size, inclusion probabilities exactly as given, shape (M,).

    ``pi`` (M,): probabilities that add up to a whole number.

    Goodman and Kish (1950), *Controlled selection: a technique in probability sampling*; Hartley and Rao (1962).
    """
    order = rng.permutation(len(pi))
    ends = np.cumsum(pi[order])
    ends[-1] = _whole(pi)
    passed = np.floor(np.append(0.0, ends) - rng.random())
    drawn = np.zeros(len(pi), dtype=bool)
    drawn[order] = np.diff(passed) > 0
    return drawn


def _whole(pi: Floats) -> int:
    total = float(pi.sum())
    if abs(total - round(total)) > 1e-6 * max(1.0, total):
        raise DesignError(
            f"probabilities add up to {total:.6g}; for a sample of fixed size they must add up to a whole number."
        )
    return round(total)


def stratum_sizes(owner: str, n: Any, counts: Ints, names: list[str], share: Floats, what: str) -> Ints:
    """How many of the ``counts`` (S,) units of each stratum are drawn; a total is shared out by ``share`` (S,)."""
    if isinstance(n, Mapping):
        asked = dict(zip(as_text(n), n.values()))
        unknown, left_out = sorted(set(asked) - set(names)), sorted(set(names) - set(asked))
        if unknown or left_out:
            raise DesignError(
                f"{owner}(n) must name every stratum: not in the data {unknown}, without a number {left_out}."
            )
        sizes = np.array([check_size(asked[s], int(c), f"{what} in stratum {s!r}") for s, c in zip(names, counts)])
        for s in np.flatnonzero((sizes == 1) & (counts > 1)):
            raise DesignError(
                f"stratum {names[s]!r} is given one of its {counts[s]} {what}, which leaves no variance; give it two "
                "or more, or merge it."
            )
        return sizes
    total = check_size(n, int(counts.sum()), what)
    lowest = int(np.minimum(2, counts).sum())
    if total < lowest:
        raise DesignError(
            f"n={total} is too small for {len(names)} {'stratum' if len(names) == 1 else 'strata'}: each needs two "
            "units "
            f"for a variance. Give n >= {lowest}" + (" or merge strata." if len(names) > 1 else ".")
        )
    return allocate(total, share, counts)


def hold_sizes(owner: str, n: Any, drawn: Ints, counts: Ints, names: list[str], what: str) -> None:
    """Raise unless the gold of each stratum, ``drawn`` (S,) of ``counts`` units, agrees with what was declared."""
    for s in np.flatnonzero(drawn == 0):
        where = f"stratum {names[s]!r} has" if len(names) > 1 else "the data have"
        raise DesignError(
            f"{where} {counts[s]} {what} and no gold, so its units had no chance to be drawn; "
            "label some, merge strata, or take the stratum out of the data."
        )
    if isinstance(n, Mapping):
        declared = stratum_sizes(owner, n, counts, names, counts / counts.sum(), what)
        for s in np.flatnonzero(declared != drawn):
            raise DesignError(
                f"stratum {names[s]!r}: {declared[s]} were to be drawn, {drawn[s]} carry gold; correct n or the gold."
            )
    elif n is not None and n != int(drawn.sum()):
        raise DesignError(
            f"{owner}(n={n}) was declared but {int(drawn.sum())} {what} carry gold; correct n or the gold."
        )
