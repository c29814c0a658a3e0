"""Samples of fixed size with unequal probabilities, and how a size is shared out among strata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._core.types import Bools, Floats, Ints
from ..errors import DesignError
from .frame import as_text
from .given import check_size
from .sizes import allocate

METHODS = ("sampford", "systematic")


def draw_units(pi: Floats, stratum: Ints, method: str, rng: np.random.Generator) -> Bools:
    """Draw a fixed number of units in each stratum with given probabilities, shape (M,).

    ``pi`` (M,): probabilities that add up to a whole number in each stratum; ``stratum`` (M,).
    """
    drawn = pi >= 1.0
    draw = sampford if method == "sampford" else systematic
    for s in np.unique(stratum[~drawn]):
        inside = np.flatnonzero((stratum == s) & (pi < 1.0))
        drawn[inside[draw(pi[inside], rng)]] = True
    return np.asarray(drawn)


def sampford(pi: Floats, rng: np.random.Generator) -> Bools:
    """Sampford's sample: fixed size, inclusion probabilities exactly as given, of high entropy, shape (M,).

    ``pi`` (M,): probabilities below 1 that add up to a whole number n.

    Notes
    -----
    A first unit is drawn with probability ``pi / n``, and a set of all units independently with ``pi``; both are drawn
    anew until the set has n - 1 members and not the first unit. A sample s then has probability proportional to
    ``prod_s pi / (1 - pi) sum_s (1 - pi)``, which is Sampford's. This takes about ``sqrt(2 pi sum pi (1 - pi))`` sets,
    however large n is; Sampford's own rejective form would take ``exp(n^2 / 2 N)``.

    References
    ----------
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

    References
    ----------
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
    """How many units are drawn in each stratum, shape (S,).

    ``owner``: name of the design, for messages; ``counts`` (S,): units there are; ``share`` (S,): how a total is shared
    out; ``what``: what is counted. Raises DesignError if a size is missing, not possible, or leaves a stratum without a
    variance.
    """
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
    """Raise unless the gold of each stratum agrees with the declared sizes, and no stratum is without.

    ``n``: as declared; ``drawn``, ``counts`` (S,): units with gold, and units there are.
    """
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
