"""Fit one regression over many surrogates, with one gold set."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

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
from ..frames.order import seed_of_table
from ..regression.entry_points import regress
from ..regression.options import OPTIONS, MultiverseOptions
from .joint import equality, joint_covariance, max_t_critical
from .multiverse_result import Answers, Multiverse
from .universes import Universe, all_at_once, refuse_probabilities, universes_of

if TYPE_CHECKING:
    from .._core.types import Floats, ModelName
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
class _Fitted:
    """What is kept of a fit: the Result without scores, and influences on the terms compared."""

    result: Result
    psi: Floats
    error: Floats


@checked_arguments(MultiverseOptions, refused=_REFUSED)
def multiverse(
    formula: str,
    data: object,
    *,
    surrogates: Mapping[str, Any],
    model: ModelName = "ols",
    learners: Sequence[Any] | None = None,
    pair: str = "product",
    together: bool = True,
    terms: Sequence[str] | None = None,
    **options: Unpack[MultiverseOptions],
) -> Multiverse:
    """One regression over many surrogates, prompts or models, corrected with ONE gold set.

    Parameters
    ----------
    formula, data
        As in :func:`karat.regress`.
    surrogates : mapping
        Gold column -> its candidates: a list of columns (or of anything :func:`karat.regress` takes as a surrogate; a
        list within the list is a set used together), or a mapping from the name of a universe to a candidate.
    model : str
        Which regression: ``"ols"``, ``"logit"``, ``"probit"``, ``"poisson"``, ``"negative_binomial"``,
        ``"multinomial"``, ``"ordered"``, ``"ordered_probit"``, ``"gamma"``, ``"fractional"``, ``"beta"``,
        ``"quantile"``, ``"expectile"``, ``"huber"`` or ``"iv"``.
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
    **options
        As in :func:`karat.regress`: design, cluster, vcov, features, ... The seed gives the same folds in every
        universe; ``n_jobs`` universes are fitted at the same time.

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
    alpha = check_alpha(options.get("alpha", OPTIONS["alpha"].default))
    n_jobs = processes(options.get("n_jobs"))
    _refuse(options, learners)
    table = Table.read(data)
    refuse_probabilities(surrogates, table)
    universes = universes_of(surrogates, learners, pair)
    seed = seed_of_table(options.get("seed"), table, surrogates, model, formula)
    number = int(generator(seed).integers(2**31))
    common = dict(options) | {"seed": number, "scores": True, "n_jobs": None}
    learning = together and options.get("estimator", "dsl") == "dsl"
    everything = all_at_once(surrogates, learners) if learning else None
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
    model: ModelName,
    formula: str,
    table: Table,
    universe: Universe,
    common: Mapping[str, Any],
    terms: Sequence[str] | None,
) -> tuple[_Fitted, list[tuple[str, type[KaratWarning]]]]:
    """One universe, and what it warns of."""
    from ..results.revise import influence

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            options = dict(common) | ({"learner": universe.learner} if common.get("estimator") != "ppi" else {})
            result = regress(formula, table, model=model, surrogates=universe.surrogates, **options)
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
    universes: tuple[Universe, ...],
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
    naive, corrected, covariance, critical, equal, worth = {}, {}, {}, {}, {}, {}
    for k, term in enumerate(chosen):
        j = first.position(term)
        corrected[term] = Answers(*(np.array(v) for v in zip(*(_one(f.result, j) for f in many))))
        naive[term] = Answers(*(np.array(v) for v in zip(*(_column(f.result, "Surrogate only", j) for f in many))))
        answers = corrected[term]
        joint = joint_covariance(
            [f.psi[:, k] for f in many], [f.error[:, k] for f in many], first.parts.units, first.target,
            first.vcov_kind, answers.se**2,
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
