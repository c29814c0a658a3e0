"""Shares of all sites from sums within cells: the estimator of :mod:`karat.estimate.cells`, question by question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from ..estimate.cell_weights import far_from_gold, own_weights, paid, pick, pools
from ..estimate.cells import factors
from ..estimate.df import kurtosis_df
from ..estimate.rectify import FAR
from ..estimate.tune import UNITS_PER_WEIGHT, Tuning, gold_only, untuned
from ..grouped.cell_fits import refuse_no_gold
from .left_out import KINDS as LEFT_OUT

if TYPE_CHECKING:
    from .._core.types import Bools, Floats
    from .agreed_cells import Agreed
    from .rounds import Rounds

_MOST_SHARES = 1_500


@dataclass(frozen=True)
class Group:
    """Outcomes that share their weights, with what was chosen for them.

    Parameters
    ----------
    one, alone, theta : ndarray, shape (k, C)
        Means of weight 1, of gold alone, and with the chosen weights, before gold alone took cells.
    size : ndarray, shape (C,)
        What means are divided by.
    chosen : list of Tuning
        Of each outcome.
    told : dict or None
        The choice as sites need it; None where it is gold alone everywhere.
    """

    one: Floats
    alone: Floats
    theta: Floats
    size: Floats
    chosen: list[Tuning]
    told: dict[str, Any] | None


@dataclass(frozen=True)
class PooledShares:
    """Shares over all sites.

    Parameters
    ----------
    theta, alone : ndarray, shape (K, C)
    tunings : list of Tuning
    gold_alone : list of bool
        Outcomes for which gold alone was chosen everywhere.
    answer, first : mapping
        Sums of the last and of the first round.
    """

    theta: Floats
    alone: Floats
    tunings: list[Tuning]
    gold_alone: list[bool]
    answer: Mapping[str, Any]
    first: Mapping[str, Any]


def pooled_shares(rounds: Rounds, agreed: Agreed, whole: bool) -> PooledShares:
    """Means of all cells and classes, and sums of which their covariances are made."""
    settings, first = rounds.settings, rounds.ask({"kind": "start"})
    refuse_no_gold(np.repeat(np.arange(len(agreed.kept)), first["groups"]["count"].astype(int)), agreed.names)
    alone, count = first["gold"] / first["gold sizes"], len(agreed.kept)
    if alone.size > _MOST_SHARES:
        raise DataError(
            f"{alone.size:,} shares are more than sites send covariances of ({_MOST_SHARES:,}); take coarser groups or "
            "periods, or fewer classes."
        )
    sizes = {"sizes": first["sizes"], "gold sizes": first["gold sizes"]}
    each = [slice(0, len(alone))] if whole else [slice(k, k + 1) for k in range(len(alone))]
    groups: list[Group] = []
    question: dict[str, Any] = {**sizes, "alone": alone}
    if settings["estimator"] != "gold":
        groups = _groups(rounds, first, question, each)
        question["groups"] = {str(g): one.told for g, one in enumerate(groups) if one.told is not None}
    if settings["vcov"] in LEFT_OUT:
        question["corrected"] = _corrections(rounds, question, groups)
    answer = rounds.ask({"kind": "variance", **question})
    if not groups:
        every = [gold_only(count) for _ in alone]
        return PooledShares(alone, alone, every, [True] * len(alone), answer, first)
    theta = np.vstack([_settled(one) for one in groups])
    tunings = [chosen for one in groups for chosen in one.chosen]
    nothing = [one.told is None for one in groups for _ in one.chosen]
    return PooledShares(theta, alone, tunings, nothing, answer, first)


def _settled(group: Group) -> Floats:
    """Means, those of gold alone in the cells that chose it."""
    gold = np.array([choice == "gold" for choice in group.chosen[0].choice])
    return np.where(gold, group.alone, group.theta)


def _groups(
    rounds: Rounds, first: Mapping[str, Any], question: Mapping[str, Any], each: Sequence[slice]
) -> list[Group]:
    """What is chosen for the outcomes that share their weights."""
    sizes, alone, settings = first["sizes"], question["alone"], rounds.settings
    one = (first["everywhere"] + first["gold"] - first["back"]) / sizes
    none = np.zeros(len(sizes), dtype=bool)
    if settings["tuning"] is None:
        weights = [untuned(len(sizes)) for _ in one]
        return [_moved(first, at, one[at], alone[at], none, weights[at], {}) for at in each]
    asked = {**question, "one": one}
    found = rounds.ask({"kind": "scores", **asked})
    choices = [_Choice.of(found[str(g)], first, settings) for g in range(len(each))]
    told = {str(g): choice.told for g, choice in enumerate(choices)}
    variance = rounds.ask({"kind": "weights", **asked, "groups": told})
    out = []
    for g, (at, choice) in enumerate(zip(each, choices)):
        chosen = choice.chosen(variance[str(g)], settings)
        more = {"total": choice.total, "one": one[at], "pool": choice.pool}
        out.append(_moved(first, at, one[at], alone[at], choice.at_gold, chosen, more))
    return out


@dataclass(frozen=True)
class _Choice:
    """Which cells choose together, and where, from the scores of all sites.

    Parameters
    ----------
    pool, at_gold : ndarray, shape (C,)
    hh, size : ndarray, shape (C,)
        Variance of what stands for the labels, and the gold units that an estimated weight rests on.
    own, total : ndarray
        Of each pool, the weight with the smallest variance, and the squares that it rests on.
    errors : ndarray, shape (k, C)
        Gold units that carry the variance of each outcome.
    """

    pool: Any
    at_gold: Bools
    hh: Floats
    size: Floats
    own: Floats
    total: Floats
    errors: Floats

    @classmethod
    def of(cls, found: Mapping[str, Any], first: Mapping[str, Any], settings: Mapping[str, Any]) -> _Choice:
        """From the answer to the question for scores."""
        if found["negative"]:
            raise DataError(
                f"{int(found['negative'])} gold row(s) would take away from the labelling variance (a probability "
                "above 1); correct the probabilities of the design."
            )
        units = float(first["n_drawn_units"])

        def size_of(sums: Mapping[str, Any]) -> Floats:
            return np.clip(kurtosis_df(sums["second"], sums["fourth"]), 2.0, units)

        size = size_of(found["surrogate"]).min(axis=0)
        pool, at_gold = pools(size, settings["tuning"], UNITS_PER_WEIGHT), np.zeros(len(size), dtype=bool)
        if settings["tuning"] == "auto":
            at_gold = far_from_gold(found["one"], found["alone"], pool, FAR, True)
        mh, hh, known = (np.where(at_gold, found["start"][k], found["root"][k]) for k in ("mh", "hh", "known"))
        errors = np.where(at_gold, size_of(found["start"]["error"]), size_of(found["root"]["error"]))
        return cls(pool, at_gold, hh, size, own_weights(mh, hh, pool), np.bincount(pool, known), errors)

    @property
    def told(self) -> dict[str, Any]:
        """What sites need for variances under candidate weights."""
        return {"at gold": self.at_gold, "pool": self.pool, "own": self.own, "total": self.total}

    def chosen(self, variance: Mapping[str, Floats], settings: Mapping[str, Any]) -> list[Tuning]:
        """The weights, paid for by each outcome."""
        tuning, crossfitted = settings["tuning"], settings["crossfitted"]
        one = pick(variance, self.hh, self.own, self.size, self.pool, self.at_gold, tuning, crossfitted)
        return [paid(one, size) for size in self.errors]


def _moved(
    first: Mapping[str, Any], at: slice, one: Floats, alone: Floats, at_gold: Bools, chosen: list[Tuning],
    more: Mapping[str, Any],
) -> Group:  # fmt: skip
    """Means with their chosen weights, as :mod:`karat.estimate.cells` moves them."""
    choice, factor = chosen[0].choice, np.diag(chosen[0].coefficient_weights)
    if all(name == "gold" for name in choice):
        none = np.zeros((len(factor), len(factor)))
        return Group(one, alone, alone, first["gold sizes"], [replace(t, mixing=none) for t in chosen], None)
    every, gold = first["sizes"], first["gold sizes"]
    start, size = np.where(at_gold, alone, one), np.where(at_gold, gold, every)
    gap = (first["everywhere"][at] - start * every) - (first["back"][at] - start * gold)
    theta = start + (first["gold"][at] - start * gold + factor * gap) / size
    mixing = None if all(name == "one" for name in choice) else chosen[0].coefficient_weights
    told = {
        "at gold": at_gold, "factor": factor, "theta": theta, "choice": choice,
        "inflation": [t.inflation for t in chosen], **more,
    }  # fmt: skip
    return Group(one, alone, theta, size, [replace(t, mixing=mixing) for t in chosen], told)


def _corrections(rounds: Rounds, question: dict[str, Any], groups: Sequence[Group]) -> dict[str, Any]:
    """What HC2 and HC3 multiply left-out moments and errors by; it is put into what groups are told."""
    kind = rounds.settings["vcov"]
    if kind == "HC3" and not question.get("groups"):
        return {"kind": kind}
    found = rounds.ask({"kind": "left out", **question})
    for g, told in question.get("groups", {}).items():
        size, told["moments"], told["errors"] = groups[int(g)].size, [], []
        for k in range(len(groups[int(g)].chosen)):
            parts = [_squares(found[g][str(k)][which]) for which in ("moments", "errors")]
            moments, errors = factors(parts[0], parts[1], size)
            told["moments"].append(moments)
            told["errors"].append(None if errors is None else np.diag(errors))
    lengths = {name: found[name] for name in ("alone", "moment", "error")}
    return {"kind": kind, **({"lengths": lengths} if kind == "HC2" else {})}


def _squares(sums: Mapping[str, Any]) -> Any:
    whole, found = ((sums[key]["squares"], np.diag(sums[key]["plain"])) for key in ("whole", "found"))
    return sums["shown"], whole, found
