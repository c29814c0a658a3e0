"""From a long table of labels to soft labels."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..._core.machine import needs
from ...errors import ArgumentError, KaratWarning, number
from ..tables.codes import objects, shown
from ..tables.read import as_annotations
from ..tables.render import backend_of
from .base import Aggregator
from .dawid_skene import DawidSkene, OneCoin
from .glad import GLAD
from .mace import MACE
from .recipe import POOLS, Recipe, settle
from .soft import SoftLabels
from .toptwo import TopTwo
from .votes import MajorityVote, Softmax, VoteShare, Wawa, ZeroBasedSkill

if TYPE_CHECKING:
    from ..._core.types import Array
    from ..tables.annotations import Annotations

METHODS: dict[str, type[Aggregator]] = {
    c.name: c for c in (MajorityVote, VoteShare, Softmax, DawidSkene, OneCoin, MACE, GLAD, Wawa, ZeroBasedSkill, TopTwo)
}
"""Every single method by name."""

SEVEN = ("vote_share", "softmax", "dawid_skene", "mace", "glad", "wawa", "zero_based_skill")
"""Members of the default mean."""


def aggregate(
    annotations: object,
    method: str | Aggregator = "mean",
    *,
    members: Sequence[str | Aggregator] | None = None,
    weights: Mapping[str, float] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    calibrate: str | None = "auto",
    keep_members: bool = False,
    **columns: Any,
) -> SoftLabels:
    """Turn the labels of several annotators or models into a distribution over classes for every task.

    Parameters
    ----------
    annotations : data frame or Annotations
        Long table, one row per label: by default columns ``task``, ``worker``, ``label``.
    method : str or Aggregator
        ``"mean"`` (of seven methods, the default), ``"jensen_shannon"``, ``"log_pool"`` or ``"weighted"`` pool
        ``members``; ``"majority"``, ``"vote_share"``, ``"softmax"``, ``"dawid_skene"``, ``"one_coin"``, ``"mace"``,
        ``"glad"``, ``"wawa"``, ``"zero_based_skill"``, ``"top_two"`` are single methods; or an aggregator object.
    members : sequence of str or Aggregator, optional
        Methods to pool; by default vote share, softmax, Dawid-Skene, MACE, GLAD, Wawa, zero-based skill.
    weights : mapping of str to float, optional
        For ``"weighted"``: weight of each member by name.
    settings : mapping, optional
        Method -> settings of its class, for example ``{"dawid_skene": {"smoothing": 0.1}}``.
    calibrate : {"auto", "votes", "gold"} or None
        How sure the probabilities may be. ``"votes"``: methods that model annotators (Dawid-Skene, one-coin, MACE,
        GLAD, TopTwo) are tempered by the effective number of votes, vote shares are shrunk, and the two kinds are
        weighed in a pool by how well each vote is predicted from the others. ``"gold"``: besides, a temperature and
        these weights are learnt from gold tasks (ten or more, a random part of all) whose gold was withheld, in three
        folds. None: as the methods are defined. ``"auto"`` (the default): pools by gold where ten tasks have it, else
        by votes; single methods None.
    keep_members : bool
        Keep the probabilities of each member, as its method gives them, in ``SoftLabels.members``.
    **columns
        How to read the table: ``task``, ``worker``, ``label``, ``classes``, ``tasks``, ``gold``, ``weight``,
        ``negated``, ``probabilities``, ``log_probabilities``, ``abstain``, ``missing``, ``duplicates``; see
        :func:`read_annotations`.

    Returns
    -------
    SoftLabels

    Raises
    ------
    ArgumentError
        If a method or setting is not known.
    DataError
        If the labels cannot be used; the message says why and how to correct it.

    Notes
    -----
    A task without any label keeps its row: counting methods give it the uniform distribution, Dawid-Skene
    its class prior; ``n_labels`` is 0 and a warning is given.

    In a calibrated pool Dawid-Skene has ``shrink="auto"`` unless ``settings`` names it. What was chosen stands in
    ``SoftLabels.confidence``; the formulas are in the methods, section 6.2.

    References
    ----------
    Wright and Augenstein (2024), Aggregating soft labels from crowd annotations improves uncertainty estimation
    under distribution shift, for the mean.

    Examples
    --------
    >>> import karat as kt
    >>> votes = {
    ...     "task": [1, 1, 1, 2, 2, 2, 3, 3, 3],
    ...     "worker": list("abcabcabc"),
    ...     "label": ["pro", "pro", "anti", "anti", "anti", "anti", "pro", "pro", "pro"],
    ... }
    >>> soft = kt.labels.aggregate(votes)
    >>> soft.hard().tolist()
    ['pro', 'anti', 'pro']
    >>> soft.probabilities.shape
    (3, 2)
    """
    coded = as_annotations(annotations, columns, aggregate)
    recipe = recipe_for(coded, method, members=members, weights=weights, settings=settings, calibrate=calibrate)
    made, models, pool = recipe.made(coded), recipe.models, recipe.pool
    probabilities = coded.clamp(made.probabilities())
    late = [m for m in models if not getattr(m, "converged_", True)]
    notes = coded.notes + tuple(f"{m.name} stopped after {m.n_iter_} rounds before it settled" for m in late)
    bare = int((coded.n_labels == 0).sum())
    if bare:
        warnings.warn(
            f"{bare} task(s) have no label (first: {shown(coded.tasks[coded.n_labels == 0][0])}); they keep a row "
            "with the prior distribution and n_labels 0.",
            KaratWarning,
            stacklevel=2,
        )
    return SoftLabels(
        coded.tasks, coded.classes, probabilities, coded.n_labels, method if isinstance(method, str) else method.name,
        coded.workers, coded.worker_labels, skills={m.name: m.skills_ for m in models if hasattr(m, "skills_")},
        confusion=next((m.confusion_ for m in models if hasattr(m, "confusion_")), None),
        members={m.name: p for m, p in zip(models, made.raw)} if keep_members and pool else {},
        extras={} if pool else _extras(models[0]), notes=notes, confidence=made.figures(),
        id_column=str(columns.get("task", "task")), backend=backend_of(annotations),
    )  # fmt: skip


def recipe_for(
    coded: Annotations,
    method: str | Aggregator,
    *,
    members: Sequence[str | Aggregator] | None = None,
    weights: Mapping[str, float] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    calibrate: str | None = "auto",
) -> Recipe:
    """The methods wanted for these labels, how they are pooled and calibrated; arguments as in :func:`aggregate`."""
    models = _models(method, members, settings or {})
    pool = method if isinstance(method, str) and method in POOLS else None
    how = settle(calibrate, models, pool, coded)
    if pool is not None and how is not None and not (settings or {}).get("dawid_skene"):
        for model, given in zip(models, members or SEVEN):
            if given == "dawid_skene":
                model.set_params(shrink="auto")
    _check_weights(method, weights, [m.name for m in models])
    needs(
        8.0 * ((3 if how else 2) * len(models) + 2) * coded.n_tasks * coded.n_classes,
        f"probabilities of {coded.n_tasks:,} tasks and {coded.n_classes:,} classes by {len(models)} method(s)",
        "merge rare classes, or name fewer members",
    )
    return Recipe(models, pool, weights, how)


def make(name: str, settings: Mapping[str, Any] | None = None) -> Aggregator:
    """An aggregator by name."""
    if name not in METHODS:
        allowed = ", ".join(map(repr, (*POOLS, *METHODS)))
        raise ArgumentError(f"method={name!r} is not known; choose one of {allowed}.")
    if not isinstance(settings or {}, Mapping):
        raise ArgumentError(f"settings of {name!r} must map setting to value; got {settings!r}.")
    return METHODS[name]().set_params(**(settings or {}))


def _models(
    method: str | Aggregator, members: Sequence[str | Aggregator] | None, settings: Mapping[str, Mapping[str, Any]]
) -> list[Aggregator]:
    if not isinstance(settings, Mapping):
        raise ArgumentError(f"settings must map a method to its settings; got {settings!r}.")
    if not isinstance(method, (str, Aggregator)):
        raise ArgumentError(f"method={method!r} is not allowed; give the name of a method, or an aggregator object.")
    if isinstance(members, str):
        raise ArgumentError(f"members={members!r} is a text; give a list, for example [{members!r}].")
    if method not in POOLS:
        if members is not None:
            raise ArgumentError(f"members belong to the pools {', '.join(map(repr, POOLS))}, not to method={method!r}.")
        wanted: list[str | Aggregator] = [method]
    else:
        wanted = list(SEVEN if members is None else members)
        if not wanted:
            raise ArgumentError("members is empty; name at least one method to pool.")
    strange = [w for w in wanted if not isinstance(w, (str, Aggregator))]
    if strange:
        raise ArgumentError(f"members holds {strange[0]!r}; name methods, or give aggregator objects.")
    names = [w if isinstance(w, str) else w.name for w in wanted]
    if len(set(names)) < len(names):
        raise ArgumentError(f"members {names} names a method twice; name each once.")
    stray = set(settings) - set(names)
    if stray:
        raise ArgumentError(f"settings names {sorted(stray)}, which is not among the methods used ({names}).")
    return [make(w, settings.get(w)) if isinstance(w, str) else w for w in wanted]


def _check_weights(method: object, weights: Mapping[str, float] | None, names: list[str]) -> None:
    if method != "weighted":
        if weights is not None:
            raise ArgumentError("weights belong to method='weighted'.")
        return
    if not isinstance(weights, Mapping) or set(weights) != set(names):
        raise ArgumentError(f"method='weighted' needs weights, one number for each of {names}; got {weights!r}.")
    for name, value in weights.items():
        number(f"weights[{name!r}]", value, least=0)


def _extras(model: Aggregator) -> dict[str, Array]:
    if isinstance(model, TopTwo):
        return {"second": objects(model.classes_)[model.second_], "confusion": model.confusion_}
    if isinstance(model, GLAD):
        return {"easiness": model.easiness_}
    return {}
