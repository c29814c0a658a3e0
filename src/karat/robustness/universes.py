"""Which fits a multiverse holds: surrogates crossed with learners, each with a name."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ArgumentError
from ..frames import Table


@dataclass(frozen=True)
class Universe:
    """One choice of surrogates and learner."""

    name: str
    surrogates: dict[str, Any]
    learner: Any


def refuse_probabilities(surrogates: object, table: Table) -> None:
    """Raise where a mapping from class to probability would be taken for one from universe to candidate."""
    for label, candidates in surrogates.items() if isinstance(surrogates, Mapping) else ():
        if not isinstance(candidates, Mapping) or label not in table.columns:
            continue
        classes = {_class_name(c) for c in table.column(str(label), "surrogates").dropna().unique()}
        if {_class_name(key) for key in candidates} == classes:
            raise ArgumentError(
                f"surrogates[{label!r}] maps the classes of {label!r} to columns, which reads like the probabilities "
                "of one surrogate; put such a mapping into a list, as in "
                f"{{{label!r}: [{dict(candidates)!r}, ...]}}, or give the universes other names."
            )


def _class_name(value: Any) -> str:
    """A class as text, numbers alike whatever their type."""
    try:
        return repr(float(value))
    except (TypeError, ValueError):
        return str(value)


def universes_of(surrogates: object, learners: Sequence[Any] | None, pair: str) -> tuple[Universe, ...]:
    """All universes, named."""
    named = _named(surrogates)
    if learners is not None and (isinstance(learners, str) or not isinstance(learners, Sequence) or not len(learners)):
        raise ArgumentError(f"learners={learners!r} must be a list with at least one learner.")
    chosen: list[tuple[str, dict[str, Any]]] = []
    if pair == "matched":
        keys = [list(c) for c in named.values()]
        if len({len(k) for k in keys}) > 1:
            raise ArgumentError(
                f"pair='matched' needs as many candidates for each gold column; there are {[len(k) for k in keys]}."
            )
        same = all(set(k) == set(keys[0]) for k in keys)
        for position, key in enumerate(keys[0]):
            picks = {label: c[key] if same else list(c.values())[position] for label, c in named.items()}
            name = key if same else " + ".join(k[position] for k in keys)
            chosen.append((name, picks))
    else:
        for combination in itertools.product(*(c.items() for c in named.values())):
            chosen.append((" + ".join(n for n, _ in combination), dict(zip(named, (s for _, s in combination)))))
    out = []
    several = learners if learners is not None else ["auto"]
    for (name, picks), learner in itertools.product(chosen, several):
        tag = f" | {_learner_name(learner)}" if len(several) > 1 else ""
        out.append(Universe(name + tag, picks, learner))
    if len(out) < 2:
        raise ArgumentError("there is one universe only; give at least two surrogates, prompts or learners to compare.")
    names = [u.name for u in out]
    if repeated := sorted({n for n in names if names.count(n) > 1}):
        raise ArgumentError(
            f"two universes are called {repeated[0]!r}; name them with a mapping from name to surrogate."
        )
    return tuple(out)


def _named(surrogates: object) -> dict[str, dict[str, Any]]:
    """Gold column -> {name of candidate: candidate}."""
    if not isinstance(surrogates, Mapping) or not surrogates:
        raise ArgumentError(
            "surrogates must map each gold column to its candidates, for example {'tone': ['tone_a', 'tone_b']}; "
            f"got {type(surrogates).__name__}."
        )
    out: dict[str, dict[str, Any]] = {}
    for label, candidates in surrogates.items():
        if isinstance(candidates, Mapping):
            out[str(label)] = {str(k): v for k, v in candidates.items()}
            continue
        items = [candidates] if isinstance(candidates, str) or hasattr(candidates, "shape") else candidates
        if not isinstance(items, Sequence) or not len(items):
            raise ArgumentError(
                f"surrogates[{label!r}] must be a list of candidates, or a mapping from name to candidate."
            )
        names = [_candidate_name(item, k) for k, item in enumerate(items)]
        if len(set(names)) < len(names):
            raise ArgumentError(f"surrogates[{label!r}] names a candidate twice: {names}.")
        out[str(label)] = dict(zip(names, items))
    return out


def _candidate_name(item: object, position: int) -> str:
    if isinstance(item, str):
        return item
    if isinstance(item, (list, tuple)) and all(isinstance(i, str) for i in item):
        return ", ".join(item)
    if isinstance(item, Mapping):
        return f"probabilities {position + 1}"
    return str(getattr(item, "name", None) or f"surrogate {position + 1}")


def _learner_name(learner: object) -> str:
    return learner if isinstance(learner, str) else ("raw" if learner is None else type(learner).__name__)


def all_at_once(surrogates: Mapping[str, Any], learners: Sequence[Any] | None) -> Universe | None:
    """All candidates of each gold column in one predictor; None where no learner can use them all."""
    learner = "auto" if learners is None else next((item for item in learners if item is not None), None)
    if learner is None:
        return None
    flat = {}
    for label, candidates in _named(surrogates).items():
        items: list[Any] = []
        for item in candidates.values():
            items += list(item) if isinstance(item, (list, tuple)) else [item]
        flat[label] = items
    return Universe("all together", flat, learner)
