"""Fit one regression over many surrogates, with one gold set."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.arguments import checked_arguments
from ..errors import (
    ArgumentError,
    KaratError,
    KaratWarning,
    SolverWarning,
    check_alpha,
    generator,
    one_of,
    processes,
    tell,
)
from ..frames import Table
from ..frames.seeds import seed_of_table
from ..regression.regress import regress
from .joint import equality, joint_covariance, max_t_critical
from .multiverse_result import Answers, Multiverse

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..results import Result

_SETS = "the multiverse sets it"
_REFUSED = {
    "compare": _SETS,
    "scores": _SETS,
    "progress": _SETS,
    "learner": "give learners=",
    "predictions": "predictions belong to one universe; give them as surrogates, with learners=[None]",
}


@dataclass(frozen=True)
class _Universe:
    """One choice of surrogates and learner."""

    name: str
    surrogates: dict[str, Any]
    learner: Any


@dataclass(frozen=True)
class _Fitted:
    """What is kept of a fit: the Result without scores, and influences on the terms compared."""

    result: Result
    psi: Floats
    error: Floats


@checked_arguments(regress, refused=_REFUSED)
def multiverse(
    formula: str,
    data: object,
    *,
    surrogates: Mapping[str, Any],
    model: str = "ols",
    learners: Sequence[Any] | None = None,
    pair: str = "product",
    together: bool = True,
    terms: Sequence[str] | None = None,
    alpha: float = 0.05,
    n_jobs: int | None = None,
    seed: int | np.random.Generator | None = None,
    **options: Any,
) -> Multiverse:
    """One regression over many surrogates, prompts or models, corrected with ONE gold set.

    Parameters
    ----------
    formula, data
        As in :func:`karat.regress`.
    surrogates : mapping
        Gold column -> its candidates: a list of columns (or of anything :func:`karat.regress` takes as a surrogate; a
        list within the list is a set used together), or a mapping from the name of a universe to a candidate.
    model : {"ols", "logit", "probit", "poisson", "multinomial"}
    learners : sequence, optional
        Learners to cross with the surrogates; by default ``"auto"`` alone.
    pair : {"product", "matched"}
        With several gold columns: every combination of candidates, or the first with the first and so on (by name where
        they have names).
    together : bool
        Also fit all candidates at once, the answer to prefer when none was named beforehand; needs a learner, so it is
        left out with ``estimator="ppi"``.
    terms : sequence of str, optional
        Coefficients compared; by default all but the intercept.
    alpha : float
        One minus the level of intervals.
    n_jobs : int, optional
        Universes fitted at the same time; None means one.
    seed : int or numpy.random.Generator, optional
        The same folds in every universe.
    **options
        Everything else :func:`karat.regress` takes: design, cluster, vcov, features, ...

    Returns
    -------
    Multiverse

    Raises
    ------
    ArgumentError
        If an argument is not allowed, or there are fewer than two universes.
    KaratError
        As :func:`karat.regress`, with the universe named.

    Notes
    -----
    Corrected answers rest on the same gold, so they are correlated; their joint covariance is made from stacked
    influence functions. From it come the test of equality (largest distance from the mean) and intervals that hold in
    all universes at once (max-t), which choosing a universe afterwards calls for. Memory: N numbers per universe and
    coefficient compared.

    References
    ----------
    Simonsohn, Simmons and Nelson (2020), *Specification curve analysis*; Steegen et al. (2016) for the multiverse;
    Montiel Olea and Plagborg-Moller (2019) for max-t.

    Examples
    --------
    >>> import karat as kt
    >>> corpus = kt.datasets.load("editorials")
    >>> sample = kt.SimpleRandom(n=400).draw(corpus, seed=1)
    >>> gold = kt.datasets.mask_gold(corpus, sample, "tone")
    >>> many = kt.multiverse("tone ~ war + words", gold, surrogates={"tone": ["tone_vader", "tone_afinn"]},
    ...                      design=sample.design, learners=["linear"], seed=1)
    >>> many.universes
    ('tone_vader', 'tone_afinn')
    """
    one_of("pair", pair, ("product", "matched"))
    check_alpha(alpha)
    n_jobs = processes(n_jobs)
    _refuse(options, learners)
    table = Table.read(data)
    _refuse_probabilities(surrogates, table)
    universes = _universes(surrogates, learners, pair)
    seed = seed_of_table(seed, table, surrogates, model, formula)
    number = int(generator(seed).integers(2**31))
    common = dict(options) | {"alpha": alpha, "seed": number, "scores": True}
    learning = together and options.get("estimator", "dsl") == "dsl"
    everything = _all_at_once(surrogates, learners) if learning else None
    jobs = [(model, formula, table, u, common, terms) for u in (*universes, *([everything] if everything else []))]
    fitted = _run(jobs, n_jobs)
    many = fitted[: len(universes)]
    return _collect(formula, universes, many, fitted[len(universes)] if everything else None, terms, alpha, number)


def _refuse(options: Mapping[str, Any], learners: object) -> None:
    if options.get("estimator", "dsl") not in ("dsl", "ppi"):
        raise ArgumentError(
            f"estimator={options['estimator']!r} corrects nothing; a multiverse compares corrected answers ('dsl' or "
            "'ppi')."
        )
    if options.get("combine", "mean") != "mean":
        raise ArgumentError("combine='median' has no influence functions, so answers cannot be compared; use 'mean'.")
    if options.get("estimator") == "ppi" and learners is not None:
        raise ArgumentError("estimator='ppi' uses no learner, so learners= would give the same universe several times.")


def _refuse_probabilities(surrogates: object, table: Table) -> None:
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


def _universes(surrogates: object, learners: Sequence[Any] | None, pair: str) -> tuple[_Universe, ...]:
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
        out.append(_Universe(name + tag, picks, learner))
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


def _all_at_once(surrogates: Mapping[str, Any], learners: Sequence[Any] | None) -> _Universe | None:
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
    return _Universe("all together", flat, learner)


def _run(jobs: list[tuple[Any, ...]], n_jobs: int | None) -> list[_Fitted]:
    """Fit all universes; warnings are given once, not once per universe."""
    if n_jobs is None or n_jobs == 1:
        found = [_fit(*job) for job in jobs]
    else:
        from joblib import Parallel, delayed

        found = Parallel(n_jobs=n_jobs)(delayed(_fit)(*job) for job in jobs)
    for message, category in dict.fromkeys(item for _, told in found for item in told):
        tell(message, category)
    return [fitted for fitted, _ in found]


def _fit(
    model: str, formula: str, table: Table, universe: _Universe, common: Mapping[str, Any], terms: Sequence[str] | None
) -> tuple[_Fitted, list[tuple[str, type[KaratWarning]]]]:
    """One universe, and what it warns of."""
    from ..results.revise import influence

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            options = dict(common) | ({"learner": universe.learner} if common.get("estimator") != "ppi" else {})
            result = regress(model, formula, table, surrogates=universe.surrogates, **options)
        except KaratError as wrong:
            raise type(wrong)(f"universe {universe.name!r}: {wrong}") from None
    told: list[tuple[str, type[KaratWarning]]] = []
    for w in caught:
        if issubclass(w.category, SolverWarning):
            told.append((f"universe {universe.name!r}: {w.message}", w.category))
        elif issubclass(w.category, KaratWarning):
            told.append((str(w.message), w.category))
    index = [result.position(term) for term in _terms(result, terms)]
    psi, error = influence(result, result.vcov_kind)
    return _Fitted(result, psi[:, index], error[:, index]), told


def _terms(result: Result, terms: Sequence[str] | None) -> tuple[str, ...]:
    chosen = tuple(terms) if terms is not None else tuple(n for n in result.names if n != "Intercept") or result.names
    if not chosen:
        raise ArgumentError("terms is empty; name at least one coefficient.")
    return chosen


def _collect(
    formula: str,
    universes: tuple[_Universe, ...],
    many: list[_Fitted],
    everything: _Fitted | None,
    terms: Sequence[str] | None,
    alpha: float,
    seed: int,
) -> Multiverse:
    """Put the fits side by side."""
    first = many[0].result
    assert first.parts is not None
    chosen = _terms(first, terms)
    parts = first.parts
    cluster = parts.cluster if first.vcov_kind.startswith("CRV") else None
    naive, corrected, covariance, critical, equal, worth = {}, {}, {}, {}, {}, {}
    for k, term in enumerate(chosen):
        j = first.position(term)
        corrected[term] = Answers(*(np.array(v) for v in zip(*(_one(f.result, j) for f in many))))
        naive[term] = Answers(*(np.array(v) for v in zip(*(_column(f.result, "Surrogate only", j) for f in many))))
        answers = corrected[term]
        joint = joint_covariance(
            [f.psi[:, k] for f in many], [f.error[:, k] for f in many], parts.labelling, first.target, cluster,
            answers.se**2,
        )  # fmt: skip
        df = float(answers.df.min())
        rng = np.random.default_rng([seed, k])
        covariance[term], critical[term] = joint, max_t_critical(joint, answers.df, alpha, rng)
        equal[term] = equality(answers.theta, joint, df, rng)
        worth[term] = np.array([f.result.effective_gold[j] for f in many])
    remarks = tuple(r for u, f in zip(universes, many) if (r := _remark(u.name, f.result)))
    return Multiverse(
        formula=first.formula,
        universes=tuple(u.name for u in universes),
        terms=chosen,
        naive=naive,
        corrected=corrected,
        gold={term: _column(first, "Gold only", first.position(term)) for term in chosen},
        together=None if everything is None else {t: _one(everything.result, first.position(t)) for t in chosen},
        covariance=covariance,
        critical=critical,
        equality=equal,
        effective_gold=worth,
        results=tuple(f.result.replace(parts=None) for f in many),
        remarks=remarks,
        n_units=first.n_units,
        n_gold=first.n_gold,
        alpha=alpha,
    )


def _remark(name: str, result: Result) -> str:
    """Why a universe has no naive answer, or why it is on another scale than gold."""
    comparison = result.comparison
    if comparison is None:
        return ""
    if comparison.remark:
        return f"{name}: {comparison.remark}"
    cautions = [c for c in comparison.cautions.get("Surrogate only", "").split("; ") if "standard deviation" in c]
    return f"{name}, naive: {'; '.join(cautions)}." if cautions else ""


def _one(result: Result, j: int) -> tuple[float, float, float]:
    return float(result.theta[j]), float(np.sqrt(max(result.covariance[j, j], 0.0))), float(result.df[j])


def _column(result: Result, title: str, j: int) -> tuple[float, float, float]:
    """Estimate, standard error and df of an estimator shown for comparison; NaN where there is none."""
    columns = result.comparison.columns if result.comparison is not None else ()
    found = next((c for c in columns if c.title == title), None)
    if found is None:
        return float("nan"), float("nan"), float("nan")
    return float(found.theta[j]), float(found.se[j]), float(found.df[j])
