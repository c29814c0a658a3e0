"""``regress``, from a formula and a table to a Result, and one function per model, which hands on to it.

A formula is code: functions in it are called, so a formula from somebody you do not trust must not be fitted. Column
names given by themselves (``by=``, ``surrogates=``, ...) are names and never run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from .._core.arguments import checked_arguments
from .._core.machine import single_threaded
from ..errors import ArgumentError
from ..frames import Table
from ..frames.batches import Batches, in_memory_or_batches
from ..frames.quoting import quote
from ..results import Result
from .group_means import without_gold, without_gold_in
from .instruments import INSTRUMENTED
from .levels import fit_levels
from .options import Arguments, FitOptions, RegressOptions
from .pipeline import PLAIN, close_fit, open_batches, open_fit
from .second_stage import SecondStage
from .surrogates import has_levels

if TYPE_CHECKING:
    from .._core.types import ModelName
    from ..results import Result


@checked_arguments(RegressOptions)
@single_threaded
def regress(
    formula: str, data: object, *, surrogates: Mapping[str, Any] | None = None, model: ModelName = "ols",
    **options: Unpack[RegressOptions],
) -> Result:  # fmt: skip
    """Regression in which some variables are known through surrogate labels, and through gold in a sample.

    Parameters
    ----------
    formula : str
        ``"outcome ~ covariates"`` (formulaic syntax; ``offset(x)`` adds an offset). A formula is code: do not fit one
        from somebody you do not trust. Names with spaces, dots or such stand in backticks.
        Linear regressions take fixed effects after a bar, ``"y ~ x | state + year"``; ``state^year`` is one effect for
        each combination (methods, section 8.2). So do Poisson and logistic ones where the outcome alone is labelled.
    data : data frame, source or Batches
        pandas, polars or pyarrow table, one row per unit; gold columns are missing where a unit was not labelled.
        Or a source: parquet files (path, pattern such as ``"corpus/*.parquet"``, list, folder), a pyarrow data set,
        a polars LazyFrame, a duckdb relation, a Dask DataFrame, of which the columns named in the call are read: up to
        10^6 rows into memory, more of them batch by batch (:class:`karat.Batches` says what can be fitted so). Units
        of :func:`karat.aggregate` have means of labelled documents among their variables.
    surrogates : mapping
        Gold column -> its surrogate(s): a column, a list of columns, an array of N values, or a
        mapping from class to probability column, or a :class:`karat.Cascade` where a stronger surrogate is there for
        some rows. Not for units of :func:`karat.aggregate`. Two labels may have gold in different rows (methods,
        section 1.4).
    model : str
        Which regression: ``"ols"``, ``"logit"``, ``"probit"``, ``"poisson"``, ``"negative_binomial"``,
        ``"multinomial"``, ``"ordered"``, ``"ordered_probit"``, ``"gamma"``, ``"fractional"``, ``"beta"``,
        ``"quantile"``, ``"expectile"``, ``"huber"`` or ``"iv"``.
    **options
        How to fit.

    Returns
    -------
    Result

    Raises
    ------
    KaratError
        One of its children, naming the argument or column at fault and how to correct it.

    References
    ----------
    Egami, Hinck, Stewart, Wei (2023), *Using imperfect surrogates for downstream inference*;
    Angelopoulos et al. (2023), *Prediction-powered inference*; Chen and Chen (2000).

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(2000, seed=1)
    >>> sample = kt.SimpleRandom(n=300).draw(corpus, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, sample, "hostile")
    >>> fit = kt.regress("outcome ~ hostile + length", labelled, model="ols",
    ...                  surrogates={"hostile": "hostile_llm"}, design=sample.design, seed=1)
    >>> fit.coef().index.tolist()
    ['Intercept', 'hostile', 'length']
    """
    if isinstance(data, SecondStage):
        if surrogates is not None:
            raise ArgumentError("surrogates= is about documents; give it to karat.aggregate, not to the regression.")
        return data._regress(formula, model, options)
    if surrogates is None:
        raise ArgumentError(f"{model}(): missing a required argument: 'surrogates'.")
    arguments = Arguments.of(model, formula, surrogates, options)
    data = in_memory_or_batches(data, arguments)
    if not isinstance(data, Batches) and has_levels(arguments, data):
        return fit_levels(arguments, data)
    steps = INSTRUMENTED if model == "iv" else PLAIN
    fit = open_batches(arguments, data) if isinstance(data, Batches) else open_fit(arguments, data, steps)
    return close_fit(fit, steps=steps, assumed=arguments.design is None)


@checked_arguments(FitOptions)
def ols(
    formula: str, data: object, *, surrogates: Mapping[str, Any] | None = None, **options: Unpack[FitOptions]
) -> Result:
    """Linear regression with surrogate labels.

    Parameters
    ----------
    formula, data, surrogates
        As in :func:`regress`.
    **options
        Everything else :func:`regress` takes: design, learner, vcov, cluster, weights, ...

    Returns
    -------
    Result

    Raises
    ------
    KaratError
        As :func:`regress`.

    References
    ----------
    Egami, Hinck, Stewart, Wei (2023).

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1000, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=200).draw(corpus, seed=1), "hostile")
    >>> kt.ols("outcome ~ hostile", labelled, surrogates={"hostile": "hostile_llm"}, seed=1).n_gold
    200
    """
    return regress(formula, data, model="ols", surrogates=surrogates, **options)


@checked_arguments(FitOptions)
def logit(
    formula: str, data: object, *, surrogates: Mapping[str, Any] | None = None, **options: Unpack[FitOptions]
) -> Result:
    """Logistic regression with surrogate labels; the outcome is 0 or 1.

    Parameters
    ----------
    formula, data, surrogates
        As in :func:`regress`. Fixed effects may stand after a bar where the outcome alone is labelled; small groups
        then put coefficients too far from 0, of which a warning says how much (methods, section 8.2).
    **options
        Everything else :func:`regress` takes.

    Returns
    -------
    Result

    Raises
    ------
    KaratError
        As :func:`regress`; :class:`~karat.errors.SeparationError` when no finite estimate exists.

    References
    ----------
    Egami, Hinck, Stewart, Wei (2023).

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1500, kind="logit", seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
    >>> kt.logit("outcome ~ hostile + length", labelled, surrogates={"hostile": "hostile_llm"}, seed=1).model
    'logit'
    """
    return regress(formula, data, model="logit", surrogates=surrogates, **options)


@checked_arguments(FitOptions)
def probit(
    formula: str, data: object, *, surrogates: Mapping[str, Any] | None = None, **options: Unpack[FitOptions]
) -> Result:
    """Probit regression with surrogate labels; the outcome is 0 or 1.

    Parameters
    ----------
    formula, data, surrogates
        As in :func:`regress`.
    **options
        Everything else :func:`regress` takes.

    Returns
    -------
    Result

    Raises
    ------
    KaratError
        As :func:`regress`.

    References
    ----------
    Egami, Hinck, Stewart, Wei (2023).

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1500, kind="logit", seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
    >>> kt.probit("outcome ~ hostile + length", labelled, surrogates={"hostile": "hostile_llm"}, seed=1).model
    'probit'
    """
    return regress(formula, data, model="probit", surrogates=surrogates, **options)


@checked_arguments(FitOptions)
def poisson(
    formula: str, data: object, *, surrogates: Mapping[str, Any] | None = None, **options: Unpack[FitOptions]
) -> Result:
    """Poisson regression (log link, robust covariance) with surrogate labels.

    Parameters
    ----------
    formula, data, surrogates
        As in :func:`regress`. Fixed effects may stand after a bar where the outcome alone is labelled (methods, section
        8.2).
    **options
        Everything else :func:`regress` takes.

    Returns
    -------
    Result

    Raises
    ------
    KaratError
        As :func:`regress`.

    References
    ----------
    Egami, Hinck, Stewart, Wei (2023).

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1500, kind="poisson", seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
    >>> kt.poisson("outcome ~ hostile + length", labelled, surrogates={"hostile": "hostile_llm"}, seed=1).model
    'poisson'
    """
    return regress(formula, data, model="poisson", surrogates=surrogates, **options)


@checked_arguments(FitOptions)
def multinomial(
    formula: str, data: object, *, surrogates: Mapping[str, Any], base: object = None, **options: Unpack[FitOptions]
) -> Result:
    """Multinomial logistic regression with surrogate labels; the outcome is a category.

    Parameters
    ----------
    formula : str
        ``"topic ~ x"``; the outcome is a column of text, categories or numbers that name classes.
    data, surrogates
        As in :func:`regress`.
    base : str or number, optional
        Class the others are compared with; by default the first one (in the order of an ordered column, else of
        the alphabet). ``"C(topic, contr.treatment('law')) ~ x"`` says the same within a formula.
    **options
        Everything else :func:`regress` takes.

    Returns
    -------
    Result
        Coefficients are log odds against the base, named ``"war: x"``. ``predict`` gives class probabilities.

    Raises
    ------
    KaratError
        As :func:`regress`; :class:`~karat.errors.SeparationError` when no finite estimate exists.

    References
    ----------
    McFadden (1974), *Conditional logit analysis of qualitative choice behavior*; Egami, Hinck, Stewart, Wei (2023).

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1500, kind="poisson", seed=1)
    >>> corpus["size"] = corpus["outcome"].clip(upper=2).map({0: "none", 1: "one", 2: "many"})
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
    >>> fit = kt.multinomial("size ~ hostile", labelled, surrogates={"hostile": "hostile_llm"}, base="none", seed=1)
    >>> fit.coef().index.tolist()
    ['many: Intercept', 'many: hostile', 'one: Intercept', 'one: hostile']
    """
    if base is not None and isinstance(formula, str) and "~" in formula:
        outcome, covariates = formula.split("~", 1)
        if "contr.treatment" in outcome:
            raise ArgumentError(f"base={base!r} and the outcome of {formula!r} both name a base; give one of them.")
        column = re.sub(r"^C\((.*)\)$", r"\1", outcome.strip())
        named = base.item() if isinstance(base, np.generic) else base
        formula = f"C({column}, contr.treatment({named!r})) ~{covariates}"
    return regress(formula, data, model="multinomial", surrogates=surrogates, **options)


@checked_arguments(FitOptions)
def mean(
    variable: str,
    data: object,
    *,
    surrogates: Mapping[str, Any],
    by: str | list[str] | None = None,
    **options: Unpack[FitOptions],
) -> Result:
    """Means and proportions, overall or by group, from surrogate labels.

    Parameters
    ----------
    variable : str
        Column, or an expression such as ``"I(topic == 'war')"`` for a proportion. An expression is code.
    data, surrogates
        As in :func:`regress`.
    by : str or list of str, optional
        Names of grouping columns; they may themselves be labelled variables.
    **options
        Everything else :func:`regress` takes.

    Returns
    -------
    Result
        One coefficient per group that holds gold; the others are named in a warning and in the result's notes.
        Intervals of shares are Clopper and Pearson's at the effective number of gold rows (Korn and Graubard 1998), and
        stay within 0 and 1. A standard error is never below that of one positive (or negative) gold row in the group.

    Raises
    ------
    KaratError
        As :func:`regress`.

    References
    ----------
    Angelopoulos et al. (2023) for the mean; Egami et al. (2023); Korn and Graubard (1998) for intervals of shares.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1500, kind="logit", seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
    >>> kt.mean("hostile", labelled, surrogates={"hostile": "hostile_llm"}, seed=1).coef().index.tolist()
    ['Mean']
    """
    data = in_memory_or_batches(data, (variable, by, surrogates, options))
    names = data.columns if isinstance(data, Batches) else (data := Table.read(data)).names
    if not isinstance(variable, str) or (variable not in names and "~" in variable):
        raise ArgumentError(f"variable={variable!r} must be a column or an expression; give groups with by=.")
    groups = [] if by is None else ([by] if isinstance(by, str) else by)
    if not isinstance(groups, (list, tuple)) or not all(isinstance(group, str) for group in groups):
        raise ArgumentError(f"by={by!r} is not allowed; give the name of a column, or a list of names.")
    outcome = quote(variable) if variable in names else variable
    quoted = [quote(group) for group in groups]
    right = "0 + " + ":".join(f"C({group})" for group in quoted) if groups else "1"
    if isinstance(data, Batches):
        empty, data = without_gold_in(data, groups, surrogates, options)
    else:
        empty = without_gold(Table.read(data), groups, surrogates, options)
    if empty is not None and empty.names and empty.weights is not None:
        options["weights"] = empty.weights
    if empty is not None and empty.crossed is not None:
        right = f"0 + C(karat_groups({', '.join(quoted)}))"
        options["context"] = {**(options.get("context") or {}), "karat_groups": empty.crossed}
    result = regress(f"{outcome} ~ {right}", data, model="mean", surrogates=surrogates, **options).as_means()
    return result if empty is None else empty.note(result)
