"""``ate``: average effects of a treatment by doubly robust contributions, with labels that are known in a sample."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np

from .._core.arguments import checked_arguments
from .._core.machine import single_threaded
from .._core.types import ColumnLike
from ..errors import ArgumentError, DataError, KaratError, PositivityWarning, number, one_of, tell
from ..estimate.plugged import surrogate_estimate
from ..estimate.rows import Memory, Rows
from ..frames import Table
from ..frames.quoting import quote
from ..frames.table import as_float
from ..predict import row_order
from ..regression.comparison_fits import Naive
from ..regression.options import Arguments, FitOptions
from ..regression.pipeline import Opened, Steps, close_fit, open_fit
from ..regression.predicted_rows import average_rows, surrogate_rows
from ..regression.steps import estimated, folds_of, parts_of
from ..regression.unseen import Shown, other_rows
from ..regression.unseen import shown as wrong_labels
from ..regression.variables import read_labels
from ..results import Result
from .nuisances import Arm, Nuisances, contribution, learners_of, without_surrogates

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
    from ..estimate.augment import AugmentedSample
    from ..estimate.covariance import Meat
    from ..estimate.infer import Parts
    from ..estimate.rectify import Estimate
    from ..frames.formula import Parsed
    from ..regression.variables import Label

_TITLES = {"ate": "Average treatment effect", "att": "Average effect on the treated"}


@checked_arguments(
    FitOptions,
    refused={
        "target": "effects are those of the population; the draw of treatments is part of the error in any corpus",
        "combine": "contributions are averaged over the splits",
    },
)
@single_threaded
def ate(
    formula: str,
    data: object,
    *,
    covariates: str | Sequence[str] | None = None,
    surrogates: Mapping[str, Any] | None = None,
    propensity: float | ColumnLike | None = None,
    arms: Sequence[str] | None = None,
    effect: Literal["ate", "att"] = "ate",
    nuisance: object = None,
    clip: float = 0.01,
    **options: Unpack[FitOptions],
) -> Result:
    """Average effect of a treatment, doubly robust, where outcome, treatment or confounders are labelled in a sample.

    The estimate is right if, given the covariates, treatment is as good as random, and either the outcome regressions
    or the propensity model is right; labels may err as they like.

    Parameters
    ----------
    formula : str
        ``"outcome ~ treatment"``. The treatment is 0 or 1, or one of two categories (the later is the treatment).
    data : data frame
        One row per unit; gold columns are missing where a unit was not labelled.
    covariates : str or list of str, optional
        Confounders: a formula (``"age + tone"``) or columns. They enter outcome regressions and propensity model.
    surrogates : mapping, optional
        As in :func:`karat.regress`; of outcome, treatment or confounders. Without any all rows whose outcome is there
        are gold.
    propensity : float, str or array_like, optional
        Probability of treatment where an experiment has set it; by default a logistic regression.
    arms : (str, str), optional
        Columns of the outcomes that a model predicts for the unit under treatment and under control. They join the
        outcome regressions of their arms, and stand for the surrogate of a labelled outcome that has no other.
    effect : {"ate", "att"}
        Average over all units, or over the treated.
    nuisance : scikit-learn estimator or pair of these, optional
        Regression of the outcome, and classifier of the treatment (needed unless ``propensity`` is given). By default
        a linear regression in each arm and a logistic regression, both made as karat makes them.
    clip : float
        Propensities below it, and above one minus it, are moved there, with a warning.
    **options
        As in :func:`karat.regress`. ``folds`` and ``repeats`` also cross-fit the outcome regressions and propensities.

    Returns
    -------
    Result
        One coefficient, ``"ATE"`` or ``"ATT"``.

    Raises
    ------
    KaratError
        One of its children, naming the argument or column at fault and how to correct it.

    Warns
    -----
    PositivityWarning
        If propensities were clipped.

    References
    ----------
    Robins, Rotnitzky and Zhao (1994); Chernozhukov et al. (2018), *Double/debiased machine learning for treatment and
    structural parameters*; Egami et al. (2023); Broska, Howes and van Loon (2025), *The mixed subjects design*.

    Examples
    --------
    >>> import numpy as np, pandas as pd, karat as kt
    >>> rng = np.random.default_rng(1)
    >>> age = rng.normal(size=1000)
    >>> sent = (rng.random(1000) < 0.5).astype(float)
    >>> polite = (rng.random(1000) < 0.4 + 0.2 * sent).astype(float)
    >>> posts = pd.DataFrame({"age": age, "sent": sent, "polite": polite})
    >>> posts["llm"] = np.where(rng.random(1000) < 0.1, 1 - polite, polite)
    >>> posts.loc[rng.permutation(1000)[200:], "polite"] = np.nan
    >>> fit = kt.ate("polite ~ sent", posts, covariates="age", surrogates={"polite": "llm"}, propensity=0.5, seed=1)
    >>> fit.coef().index.tolist()
    ['ATE']
    """
    one_of("effect", effect, tuple(_TITLES))
    number("clip", clip, above=0.0, below=0.5)
    table = Table.read(data)
    outcome, treatment, text = _formula(formula, covariates, table)
    paired = _arms(arms, table)
    if paired and surrogates is not None and outcome in table.names and outcome not in surrogates:
        labelled_outcome = bool(table.column(outcome, "formula").isna().any())
        surrogates = {**surrogates, outcome: _assigned(paired, table, treatment)} if labelled_outcome else surrogates
    elif paired and surrogates is None and bool(table.column(outcome, "formula").isna().any()):
        surrogates = {outcome: _assigned(paired, table, treatment)}
    if not surrogates:
        options = without_surrogates(options)
    arguments = Arguments.of("ols", text, surrogates or {}, options)
    fit = open_fit(arguments, table, _Opening())
    built = _Contributions.of(fit, treatment, paired, table, propensity, effect, nuisance, clip)
    assumed = arguments.design is None and not fit.prepared.units.labelling.labelled.all()
    return close_fit(built.fit, steps=_Closing(built), assumed=assumed)


def _formula(formula: object, covariates: object, table: Table) -> tuple[str, str, str]:
    """Outcome, treatment (a column), and the formula of all variables."""
    if not isinstance(formula, str) or formula.count("~") != 1 or "|" in formula:
        raise ArgumentError(f"formula={formula!r} must read 'outcome ~ treatment'; give confounders as covariates=.")
    outcome, treatment = (part.strip() for part in formula.split("~"))
    column = treatment.strip("`")
    if column not in table.names:
        raise ArgumentError(
            f"formula={formula!r} must have one column on the right, the treatment; {treatment!r} is not one. Give "
            "confounders as covariates=, and put a treatment that is computed into a column."
        )
    if covariates is None:
        return outcome.strip("`"), column, f"{outcome} ~ {quote(column)}"
    if isinstance(covariates, (list, tuple)) and all(isinstance(name, str) for name in covariates):
        table.require(covariates, "covariates")
        covariates = " + ".join(quote(name) for name in covariates) or "1"
    if not isinstance(covariates, str) or "~" in covariates.strip().lstrip("~") or "|" in covariates:
        raise ArgumentError(
            f"covariates={covariates!r} must be a formula without fixed effects, such as 'age + tone', or column names."
        )
    if re.search(rf"(?<![\w.`]){re.escape(column)}(?![\w.])", covariates) or quote(column) in covariates.split():
        raise ArgumentError(f"covariates={covariates!r} has the treatment {column!r} in it; take it out.")
    return outcome.strip("`"), column, f"{outcome} ~ {quote(column)} + {covariates.strip().lstrip('~')}"


def _arms(arms: object, table: Table) -> tuple[Floats, ...]:
    """Predictions under treatment and control for all rows of the data."""
    if arms is None:
        return ()
    if not isinstance(arms, (list, tuple)) or len(arms) != 2 or not all(isinstance(name, str) for name in arms):
        raise ArgumentError(f"arms={arms!r} must name two columns: predictions under treatment, then under control.")
    table.require(arms, "arms")
    out = tuple(as_float(table.values(name, "arms"), name, "prediction") for name in arms)
    for name, values in zip(arms, out):
        if not np.isfinite(values).all():
            raise DataError(f"arms: {name!r} is missing in {int((~np.isfinite(values)).sum())} row(s); fill it.")
    return out


def _assigned(arms: tuple[Floats, ...], table: Table, treatment: str) -> Floats:
    """The prediction under the arm that each unit is in."""
    values = as_float(table.values(treatment, "formula"), treatment, "treatment")
    return np.where(values == 1.0, arms[0], arms[1])


class _Opening(Steps[Opened]):
    """Without surrogates the outcome is its own label: rows that have it are gold."""

    takes_effects = False

    def labels(self, parsed: Parsed, table: Table, options: Arguments) -> tuple[Label, ...]:
        outcome = min(parsed.outcome_variables)
        return read_labels(parsed, table, options.surrogates or {outcome: np.zeros(table.n_rows)})

    def word(self, options: Arguments) -> str:
        return "ate"


@dataclass(frozen=True)
class _Contributions:
    """Rows turned into contributions to the effect, and how the same is done for surrogates alone."""

    opened: Opened = field(repr=False)
    column: int
    arms: tuple[Floats, ...] = field(repr=False)
    nuisances: Nuisances = field(repr=False)
    folds: Ints = field(repr=False)
    effect: str
    fit: Opened = field(repr=False, default=None)  # type: ignore[assignment]
    n_clipped: int = 0
    shown: Shown | None = None
    moved: Floats | None = field(repr=False, default=None)

    @classmethod
    def of(
        cls, fit: Opened, treatment: str, arms: tuple[Floats, ...], table: Table, propensity: object, effect: str,
        nuisance: object, clip: float,
    ) -> _Contributions:  # fmt: skip
        units, matrix = fit.prepared.units, fit.matrix
        j = _treatment_column(fit, treatment)
        known = None if propensity is None else _known(propensity, table, fit)
        options, crossfitted = fit.options, fit.predicted is not None
        nuisances = Nuisances(
            lambda model, sample: estimated(model, sample, options, crossfitted).theta, units,
            tuple(name for k, name in enumerate(matrix.spec.columns) if k != j), known,
            learners_of(nuisance, known), matrix.observed is not None, clip,
        )  # fmt: skip
        folds = _folds(fit, j, table)
        found = cls(fit, j, tuple(units.of_units(one) for one in arms), nuisances, folds, effect)
        shown = wrong_labels(fit.prepared, fit.sample)
        others = () if shown is None or shown.least == 0 else tuple(other_rows(shown, fit.prepared, matrix))
        sample, moved, clipped = found.turned(fit.sample, nuisances, others)
        spec = replace(matrix.spec, names=(effect.upper(),), columns=(effect.upper(),))
        turned = replace(matrix, spec=spec, gold=sample.gold, observed=None, observed_y=None, offset=None)
        predicted = None if fit.predicted is None else replace(fit.predicted, splits=())
        blocks = sample.predicted.rows if isinstance(sample.predicted, Memory) else ()
        own = replace(fit, matrix=turned, blocks=blocks, predicted=predicted)
        return replace(found, fit=own, n_clipped=clipped, shown=shown, moved=moved)

    def arm(self, rows: Rows, position: Ints) -> Arm:
        """Rows of the formula as treatment, covariates and outcome."""
        others = np.delete(rows.x, self.column, axis=1)
        arms = tuple(one[position] for one in self.arms)
        return Arm(rows.x[:, self.column], others, rows.y, position, rows.share, arms)

    def turned(
        self, sample: AugmentedSample, nuisances: Nuisances, others: tuple[tuple[float, Rows], ...] = ()
    ) -> tuple[AugmentedSample, Floats | None, int]:
        """The augmented sample of contributions, averaged over splits, and the number of units clipped.

        Between them, what contributions move by if gold labels are others: the nuisances, which an effect does not
        feel to first order, stay as they are.
        """
        assert isinstance(sample.predicted, Memory)
        units = sample.units
        gold = self.arm(sample.gold, units.gold)
        predicted = tuple(self.arm(rows, np.arange(units.n_units)) for rows in sample.predicted.rows)
        changed = tuple(self.arm(rows, units.gold) for _, rows in others)
        every = (gold, *predicted, *changed)
        psi, clipped = [np.zeros(len(one.t)) for one in every], 0
        for s in range(self.folds.shape[1]):
            found, n = nuisances.at(gold, predicted, changed, self.folds[:, s])
            clipped = max(clipped, n)
            for total, one, at in zip(psi, every, found):
                total += contribution(one, at, self.effect) / self.folds.shape[1]

        def with_outcome(values: list[Floats]) -> AugmentedSample:
            rows = [Rows(np.ones((len(y), 1)), y, None, one.share) for one, y in zip((gold, *predicted), values)]
            return replace(sample, gold=rows[0], predicted=Memory(tuple(rows[1:])), names=(self.effect.upper(),))

        if self.effect == "att":
            ols = self.opened.model
            share = nuisances.solve(ols, with_outcome([one.t for one in every]))[0]
            value = nuisances.solve(ols, with_outcome(psi))[0] / share
            psi = [value + (part - one.t * value) / share for part, one in zip(psi, every)]
        moved = [counts * (one - psi[0]) for (counts, _), one in zip(others, psi[1 + len(predicted) :])]
        return with_outcome(psi), np.array(moved) if others else None, clipped


def _treatment_column(fit: Opened, treatment: str) -> int:
    """Where the treatment stands in the design matrix.

    Raises
    ------
    ArgumentError, DataError
        If it is not one column of 0 and 1.
    """
    matrix = fit.matrix
    named = [j for j, name in enumerate(matrix.spec.columns) if _is_treatment(name, treatment)]
    if len(named) != 1 or "Intercept" not in matrix.spec.columns:
        raise ArgumentError(
            f"treatment {treatment!r} must be one column with two values, next to a constant, and no part of "
            f"covariates=; the columns are {list(matrix.spec.columns)}."
        )
    j = named[0]
    for rows in (matrix.gold, *fit.blocks):
        if not np.isin(rows.x[:, j], (0.0, 1.0)).all() and fit.options.imputation == "moment":
            raise DataError(f"treatment {treatment!r} must be 0 or 1 in every row; recode it.")
    if fit.options.imputation == "value" and matrix.observed is None:
        raise ArgumentError("imputation='value' has no row that holds one treatment; use imputation='moment'.")
    if len(np.unique(matrix.gold.x[:, j])) < 2:
        raise DataError(f"treatment {treatment!r} has one value in all gold rows; label units of both arms.")
    return j


def _folds(fit: Opened, j: int, table: Table) -> Ints:
    """Folds balanced on gold treatments, dealt out in an order that follows from what the rows hold."""
    units, matrix = fit.prepared.units, fit.matrix
    whole = average_rows(fit.blocks)[0] if fit.blocks else None
    gold = np.full((units.n_units, matrix.gold.x.shape[1] + 1), np.nan)
    gold[units.gold] = np.column_stack([matrix.gold.x, matrix.gold.y])
    parts = [gold] if whole is None else [gold, whole.x, whole.y]
    cluster = () if units.cluster is None else tuple(np.atleast_2d(units.cluster.T))
    order = row_order(parts, (*cluster, units.labelling.unit, units.labelling.stratum))
    return folds_of(fit.prepared, fit.options, [_Classes(matrix.gold.x[:, j])], table, fit.rng, order)


def _is_treatment(column: str, treatment: str) -> bool:
    """Whether a column of the design is that of the treatment."""
    return column == treatment or (column.startswith(f"{treatment}[T.") and ":" not in column)


@dataclass(frozen=True)
class _Classes:
    """Gold treatments, by which folds are balanced."""

    values: Floats
    n_classes: int = 2


def _known(propensity: object, table: Table, fit: Opened) -> Floats:
    units = fit.prepared.units
    if isinstance(propensity, (int, float)):
        values = np.full(units.n_units, float(propensity))
    else:
        given = table.values(propensity, "propensity")
        name = propensity if isinstance(propensity, str) else "propensity"
        values = np.asarray(units.of_units(as_float(given, name, "probability")))
    if not ((values > 0.0) & (values < 1.0)).all():
        raise DataError("propensity must lie between 0 and 1, both excluded, in every row; leave other rows out.")
    return values


@dataclass(frozen=True)
class _Closing(Steps[Opened]):
    """Surrogates alone by the same contributions; what is said of propensities."""

    built: _Contributions

    def parts(self, fit: Opened, sample: AugmentedSample, estimate: Estimate) -> Parts:
        parts, shown, moved = parts_of(fit.model, sample, estimate, fit.options), self.built.shown, self.built.moved
        if shown is None or parts.scores.gold_alone or fit.options.estimator == "surrogate":
            return parts
        unseen = np.zeros((0, 1))
        if moved is not None:
            weight = shown.scale * shown.root * sample.units.gold_analysis_weight
            unseen = (moved * weight).reshape(-1, 1) @ np.linalg.inv(parts.curvature)
        return replace(parts, scores=replace(parts.scores, unseen=unseen))

    def naive(self, fit: Opened, sample: AugmentedSample) -> Naive | str:
        opened, options = self.built.opened, fit.options.replace(estimator="surrogate")
        try:
            given = {label.name: label.surrogates[0].values for label in opened.prepared.labels}
            rows = surrogate_rows(opened.prepared, opened.matrix, given, "moment")
            nuisances = replace(
                self.built.nuisances, learners=None,
                solve=lambda model, sample: surrogate_estimate(model, sample).theta,
            )  # fmt: skip
            alone, _, _ = self.built.turned(replace(opened.sample, predicted=Memory(rows)), nuisances)
            estimate = surrogate_estimate(fit.model, alone)
        except (KaratError, np.linalg.LinAlgError) as error:
            return f"Surrogate only is not shown: {error}"
        return Naive(estimate.theta, parts_of(fit.model, alone, estimate, options))

    def finish(
        self, result: Result, fit: Opened, sample: AugmentedSample, estimate: Estimate, parts: Parts,
        naive: Naive | str, meat: Meat,
    ) -> Result:  # fmt: skip
        result = super().finish(result, fit, sample, estimate, parts, naive, meat)
        built = self.built
        how = "known by design" if built.nuisances.known is not None else "cross-fitted"
        notes = [f"doubly robust contributions; outcome regressions cross-fitted, propensities {how}"]
        if built.n_clipped:
            notes.append(
                f"propensities of {built.n_clipped} unit(s) were moved to between {built.nuisances.clip:g} and "
                f"{1 - built.nuisances.clip:g}: treated and untreated hardly overlap there"
            )
            tell(notes[-1], PositivityWarning)
        title = f"{_TITLES[built.effect]} (AIPW)"
        return result.replace(call=None, spec=None, title=title, notes=(*result.notes, *notes))
