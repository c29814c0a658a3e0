"""Fit the pilot again without some of its gold: how sure its figures are, and how fast its predictor learns."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._core.machine import followed
from .._core.types import Bools, Ints
from ..datasets import mask_gold
from ..designs import Drawn, Labelling, SimpleRandom
from ..errors import ArgumentError, KaratError, KaratWarning
from ..regression.entry_points import regress
from ..regression.reopen import reopen
from ..results import Result
from .forecast import LEARNING_RATE, Learning
from .pilot import Profile
from .schemes import simple_random

_FEWEST_GROUPS = 8
_HALVES = 3
_SPLITS = 2
"""Random splits in each fit of the jackknife: enough to see gold units differ."""

_FASTEST_LEARNING = 1.6
"""Squared error with half the gold over that with all of it, at most: noise beyond."""


@dataclass(frozen=True)
class Again:
    """The pilot's fit as a function of which gold units count; ``arguments`` are those of :func:`karat.regress`."""

    data: Any
    arguments: Mapping[str, Any]
    labelling: Labelling
    gold: tuple[str, ...]
    contrasts: object
    progress: bool | None = None

    @classmethod
    def of(cls, result: Result, data: object, contrasts: object, overrides: Mapping[str, Any]) -> Again:
        """Take up a fit again with the data it was made from, and the arguments that held values."""
        parts = result.parts
        assert parts is not None
        again = "kt.plan(fit, data, {}=...), or plan without data="
        given = {name: value for name, value in overrides.items() if name != "progress"}
        found = reopen(result, data, given, again, "pilot's fit", same_seed=False)
        if found is None:
            raise ArgumentError(
                "fits of durations (kt.rmst) and sums of fits cannot be fitted again from a table; plan without data, "
                "kt.plan(fit), which takes the predictor and the squared errors of the pilot as they are."
            )
        left = ("seed", "design", "labelled", "progress")
        arguments = {k: value for k, value in found.arguments.items() if k not in left}
        gold = tuple(str(name) for name in arguments["surrogates"])
        return cls(found.data, arguments, parts.units.labelling, gold, contrasts, overrides.get("progress"))

    def profile(self, labelled: Bools, seed: int, repeats: int | None = None) -> Profile | None:
        """The profile of the fit with part of the gold, or None where it cannot be fitted."""
        arguments = dict(self.arguments)
        if repeats is not None:
            arguments["repeats"] = min(repeats, int(arguments.get("repeats", repeats)))
        labelling = thinned(self.labelling, labelled)
        if labelling is None:
            return None
        data = mask_gold(self.data, labelled, list(self.gold))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", KaratWarning)
            try:
                fit = regress(
                    data=data, design=Drawn(SimpleRandom(), labelling), seed=seed, scores=True, compare=False,
                    **arguments,
                )  # fmt: skip
            except (KaratError, np.linalg.LinAlgError):
                return None
        return Profile.of(fit, self.contrasts)


def delete_groups(again: Again, groups: int, rng: np.random.Generator) -> tuple[Profile, ...]:
    """Profiles of the pilot without one random group of its labelling units each; empty if too few went through."""
    if type(again.labelling) is not Labelling:  # several waves: leaving units out would change later waves
        return ()
    group = _random_groups(again.labelling, groups, rng)
    kept = again.labelling.labelled
    found = []
    total = int(group.max()) + 1
    for g in followed(range(total), total, "refitting the pilot", again.progress):
        labelled = kept.copy()
        labelled[again.labelling.gold[group == g]] = False
        found.append(again.profile(labelled, int(rng.integers(2**31)), _SPLITS))
    fitted = tuple(profile for profile in found if profile is not None)
    return fitted if len(fitted) >= _FEWEST_GROUPS else ()


def learn(again: Again, whole: Profile, rng: np.random.Generator) -> Learning:
    """How fast the predictor learns, from fits on random halves of the pilot.

    The ratio of squared errors in halves to those in the whole is the median over figures of its mean over halves,
    since one predictor serves them all.
    """
    if (
        type(again.labelling) is not Labelling
        or whole.reporting.estimator != "dsl"
        or again.arguments.get("predictions") is not None
    ):
        return Learning(0.0, whole.n_gold)
    if again.arguments.get("learner", "auto") is None:
        return Learning(0.0, whole.n_gold)
    found = [
        mean_square(profile)
        for labelled in followed(_halves(again.labelling, rng), 2 * _HALVES, "halves of the pilot", again.progress)
        if (profile := again.profile(labelled, int(rng.integers(2**31)))) is not None
    ]
    if len(found) < _HALVES:
        return Learning(0.0, whole.n_gold)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.mean(found, axis=0) / mean_square(whole)
    ratio = float(np.median(ratios[np.isfinite(ratios)])) if np.isfinite(ratios).any() else 1.0
    return Learning(excess_of(ratio, 2.0), whole.n_gold)


def excess_of(ratio: float, times: float) -> float:
    """Excess in the pilot if squared errors with ``times`` less gold are ``ratio`` times as large.

    >>> round(excess_of(1.1, 2.0), 3)
    0.058
    """
    steps = times**LEARNING_RATE
    ratio = float(np.clip(ratio, 1.0, min(_FASTEST_LEARNING, 0.9 * steps)))
    return (ratio - 1.0) / (steps - ratio)


def thinned(labelling: Labelling, labelled: Bools) -> Labelling | None:
    """The draw seen as one of fewer units: probabilities times the share kept in each stratum.

    None where a stratum keeps fewer than two units although it was not labelled throughout.
    """
    stratum = np.zeros(len(labelled), dtype=np.intp) if labelling.stratum is None else labelling.stratum
    unit = np.arange(len(labelled)) if labelling.unit is None else labelling.unit
    before = _count(stratum, unit, labelling.labelled)
    after = _count(stratum, unit, labelled)
    if (after < np.minimum(2, before)).any():
        return None
    share = np.divide(after, before, out=np.ones(len(before)), where=before > 0)
    return replace(labelling, probability=labelling.probability * share[stratum], labelled=labelled)


def _count(stratum: Ints, unit: Ints, labelled: Bools) -> Any:
    _, first = np.unique(unit[labelled], return_index=True)
    return np.bincount(stratum[labelled][first], minlength=int(stratum.max()) + 1).astype(np.float64)


def _random_groups(labelling: Labelling, groups: int, rng: np.random.Generator) -> Ints:
    """Group of each gold row: labelling units dealt out at random, stratum by stratum."""
    gold = labelling.gold
    unit = np.arange(len(gold)) if labelling.unit is None else np.unique(labelling.unit[gold], return_inverse=True)[1]
    _, first = np.unique(unit, return_index=True)
    stratum = np.zeros(len(first), dtype=np.intp) if labelling.stratum is None else labelling.stratum[gold][first]
    order = np.lexsort((rng.random(len(first)), stratum))
    dealt = np.empty(len(first), dtype=np.intp)
    dealt[order] = np.arange(len(first)) % min(groups, len(first))
    return dealt[unit]


def _halves(labelling: Labelling, rng: np.random.Generator) -> Iterator[Bools]:
    for _ in range(_HALVES):
        group = _random_groups(labelling, 2, rng)
        for side in (0, 1):
            labelled = np.zeros(len(labelling.labelled), dtype=bool)
            labelled[labelling.gold[group == side]] = True
            yield labelled


def mean_square(profile: Profile) -> Any:
    """Variance of labelling errors under simple random sampling, times a constant, shape (q,)."""
    spread = simple_random(profile.n_units).spread(profile, 0.5 * profile.n_units, 1.0, np.ones(profile.n_gold))
    return (profile.weight[:, None] * spread).sum(axis=0)
