"""Estimates for every group, those with little or no gold among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from .._core.arguments import checked_arguments
from .._core.machine import needs, single_threaded
from ..errors import ArgumentError, DataError, DesignError, KaratWarning, SmallSampleWarning, tell
from ..estimate.rows import in_memory
from ..frames import Table
from ..frames.batches import Batches
from ..frames.kinds import is_number, is_text
from ..frames.quoting import quote
from ..regression.options import Arguments, FitOptions
from ..regression.pipeline import Opened, Steps, open_fit
from ..results.tests import TestResult
from .axes import group_codes, name_of, refuse_names
from .composite import Areas, Composite, composite
from .direct import direct_estimates
from .small_groups_result import TABLE, SmallGroups

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats, Ints

_LEAST_GROUPS = 8
"""Groups with gold below which their differences from the model cannot be learnt."""

_LEAST_FREEDOM = 10
"""Gold rows beyond the first of their group below which errors within groups cannot be learnt."""

_PER_SLOPE = 5
"""Groups with gold that each coefficient of the model needs, where the slope of the mean predictions is one of them."""

_SETTLED = "small_groups makes its own model and intervals of groups"


@checked_arguments(
    FitOptions,
    refused=dict.fromkeys(
        ("vcov", "cluster", "df", "tuning", "imputation", "combine", "estimator", "compare", "scores"), _SETTLED
    ),
    defaults={"target": "finite"},
)
@single_threaded
def small_groups(
    variable: str,
    data: object,
    *,
    by: str | list[str],
    surrogates: Mapping[str, Any],
    covariates: str | list[str] | None = None,
    **options: Unpack[FitOptions],
) -> SmallGroups:
    """Means or shares of every group, also of those with two gold labels or none.

    Each estimate is a composite of the gold-corrected mean of the group and a model of all groups, in which the mean
    prediction of a group and covariates predict its true mean. How much the groups differ from the model is learnt
    from the gold of all groups, differences in the surrogate's error rates included; a group with much gold is left
    nearly as it is, and of a group without gold the model alone speaks, which is marked.

    Parameters
    ----------
    variable : str
        Column, or an expression such as ``"I(topic == 'war')"``. A column of text or categories gives the shares of
        all classes, which add up to 1.
    data, surrogates
        As in :func:`karat.regress`.
    by : str or list of str
        Grouping columns; several make cells.
    covariates : str or list of str, optional
        Columns (or ``"~ a + log(b)"``) of groups or of units, known for all rows. Units' values feed the learner, and
        their means in the groups the model.
    **options
        As in :func:`karat.mean`; ``target="finite"``, the documents of each group at hand, is the default here.

    Returns
    -------
    SmallGroups
        Estimates in the order of the groups; ``tidy`` shows what each is made of, ``confint(kind=)`` which intervals
        hold for what.

    Raises
    ------
    KaratError
        As :func:`karat.mean`; for whole clusters drawn for gold, and where fewer than eight groups hold gold.

    References
    ----------
    Fay and Herriot (1979); Prasad and Rao (1990); Morris (1983) for the uniform prior of the between variance;
    Armstrong, Kolesar, Plagborg-Moller (2022) for robust intervals. Formulas: docs/methods.md, section 10.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(4000, kind="logit", seed=1)
    >>> corpus["month"] = [f"{i % 40:02d}" for i in range(4000)]
    >>> sample = kt.SimpleRandom(n=200).draw(corpus, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, sample, "hostile")
    >>> fit = kt.small_groups(
    ...     "hostile", labelled, by="month", surrogates={"hostile": "hostile_llm"}, design=sample.design, seed=1)
    >>> len(fit.names), fit.tidy().columns[:3].tolist()
    (40, ['month', 'documents', 'gold'])
    """
    if isinstance(data, Batches):
        raise ArgumentError("small_groups needs all rows at once; give a data frame, not karat.Batches.")
    table = Table.read(data)
    if not isinstance(variable, str) or (variable not in table.names and "~" in variable):
        raise ArgumentError(f"variable={variable!r} must be a column or an expression; give groups with by=.")
    groups = [by] if isinstance(by, str) else by
    if not isinstance(groups, (list, tuple)) or not groups or not all(isinstance(name, str) for name in groups):
        raise ArgumentError(f"by={by!r} is not allowed; give the name of a column, or a list of names.")
    refuse_names(groups, TABLE)
    right = _right_side(covariates, surrogates)
    if labelled := [name for name in groups if name in surrogates]:
        raise ArgumentError(
            f"by names {labelled[0]!r}, whose gold is known in a sample only, so that other rows have no group; "
            "group by a column known for all rows, or use kt.mean(by=)."
        )
    model = "multinomial" if variable in table.names and _has_classes(table, variable) else "mean"
    outcome = quote(variable) if variable in table.names else variable
    options.setdefault("target", "finite")
    arguments = Arguments.of(model, f"{outcome} ~ {right}", surrogates, {**options, "compare": False})
    fit = open_fit(arguments, table, _ByGroup(list(groups)))
    return _close(fit, variable, _Grouping.of(fit, list(groups)))


class _ByGroup(Steps[Opened]):
    """Rows of different groups are not exchangeable, though the formula does not name the groups."""

    def __init__(self, by: Sequence[str]) -> None:
        self.by = by

    def groups(self, fit: Opened) -> Ints:
        """Group of each row."""
        return np.asarray(fit.prepared.units.of_units(group_codes(fit.table.pandas(self.by, "by"))))


def _right_side(covariates: object, surrogates: Mapping[str, Any]) -> str:
    """Covariates as the right side of a formula."""
    if covariates is None:
        return "1"
    if isinstance(covariates, str) and "~" in covariates:
        return "1 + " + covariates.partition("~")[2].strip()
    names = [covariates] if isinstance(covariates, str) else covariates
    if not isinstance(names, (list, tuple)) or not names or not all(isinstance(name, str) for name in names):
        raise ArgumentError(f"covariates={covariates!r} is not allowed; give columns, or a formula such as '~ a + b'.")
    if isinstance(surrogates, Mapping) and (labelled := [name for name in names if name in surrogates]):
        raise ArgumentError(f"covariates names {labelled[0]!r}, which is labelled; give columns known for all rows.")
    return " + ".join(["1", *map(quote, names)])


def _has_classes(table: Table, variable: str) -> bool:
    """Whether a column holds classes rather than numbers."""
    import pandas as pd

    if isinstance(table.column(variable, "variable").dtype, pd.CategoricalDtype):
        return True
    present = table.column(variable, "variable").dropna()
    return is_text(present, variable, "gold") and not all(map(is_number, present))


class _Grouping:
    """Groups of the rows of a fit: code of each row (-1 where a column is missing), columns and name of each group."""

    def __init__(self, codes: Ints, levels: pd.DataFrame) -> None:
        self.codes, self.levels = codes, levels
        self.names = tuple(name_of(row, tuple(levels.columns)) for row in levels.itertuples(index=False, name=None))

    @classmethod
    def of(cls, fit: Opened, by: Sequence[str]) -> _Grouping:
        """Read the grouping columns."""
        frame = fit.prepared.units.of_units(fit.table.pandas(list(by), "by")).reset_index(drop=True)
        codes = group_codes(frame)
        if (codes < 0).any() and fit.options.missing == "raise":
            raise DataError(
                f"by: {int((codes < 0).sum())} row(s) have no group; fill the column(s), or use missing='drop'."
            )
        present, first = np.unique(codes, return_index=True)
        return cls(codes, frame.iloc[first[present >= 0]].reset_index(drop=True))


def _close(fit: Opened, variable: str, grouping: _Grouping) -> SmallGroups:
    """From an opened fit and its groups to estimates."""
    sample, labelling = fit.sample, fit.prepared.units.labelling
    if labelling.census or not sample.predicted:
        raise ArgumentError("every row has its gold label, so that nothing is left to estimate; take plain means.")
    if labelling.unit is not None or fit.prepared.units.cluster is not None:
        raise DesignError(
            "small_groups needs rows drawn one by one: whole clusters drawn for gold share errors that it does not "
            "model. Use kt.mean(by=) for groups with enough clusters."
        )
    if fit.matrix.observed is None:
        raise ArgumentError("covariates= uses a labelled variable; give columns known for all rows.")
    rows = in_memory(sample.predicted, "small_groups")[0]
    y, predicted = (part.reshape(len(part), -1).astype(np.float64) for part in (sample.gold.y, rows.y))
    classes = fit.matrix.spec.classes
    if classes:
        y, predicted = (np.column_stack([1.0 - part.sum(axis=1), part]) for part in (y, predicted))
    v = np.ones(len(grouping.codes)) if fit.prepared.units.weights is None else fit.prepared.units.weights
    inside = (grouping.codes >= 0) & (v > 0)
    if (none := np.bincount(grouping.codes[inside], minlength=len(grouping.names)) == 0).any():
        name = grouping.names[int(np.argmax(none))]
        raise DataError(f"the weights of all documents of {name} are 0; leave the group out with subset=, or weigh it.")
    held = inside[labelling.gold]
    position = np.cumsum(inside) - 1
    n_groups, codes, v = len(grouping.names), grouping.codes[inside], v[inside]
    needs(40.0 * n_groups**2 * y.shape[1], f"{n_groups:,} groups", "merge groups, or estimate some at a time")
    areas = direct_estimates(
        y[held], predicted[inside], codes, position[labelling.gold[held]], labelling.weight[held], v, n_groups
    )
    covariates = _means(fit.matrix.observed[inside, 1:], codes, v, n_groups)
    found = composite(areas, covariates, free=_slope_is_free(areas, covariates.shape[1]))
    lost = int((grouping.codes < 0).sum())
    return _result(fit, variable, grouping, areas, found, np.bincount(codes, minlength=n_groups), lost)


def _means(x: Floats, codes: Ints, v: Floats, n_groups: int) -> Floats:
    """Means of covariates in groups, each centred and scaled over groups, shape (D, q)."""
    total = np.bincount(codes, v, n_groups)
    found = np.empty((n_groups, x.shape[1]))
    for j, column in enumerate(x.T):
        found[:, j] = np.bincount(codes, v * column, n_groups) / total
    found = found - found.mean(axis=0)
    size = found.std(axis=0)
    return np.asarray(found / np.where(size > 0, size, 1.0))


def _slope_is_free(areas: Areas, n_covariates: int) -> bool:
    """Whether there are groups enough to estimate slopes of the mean predictions.

    Raises
    ------
    DataError
        If there are too few groups for any model, or hardly two gold rows in any.
    """
    with_gold, k = int(areas.has_gold.sum()), areas.direct.shape[1]
    least = max(_LEAST_GROUPS, _PER_SLOPE * (1 + n_covariates) if n_covariates else 0)
    if with_gold < least:
        more = f" (with {n_covariates} column(s) of covariates)" if n_covariates else ""
        raise DataError(
            f"{with_gold} group(s) hold gold; how much groups differ from a model can be learnt from {least} or "
            f"more{more}. Use kt.mean(by=), which takes each group by itself, or finer groups."
        )
    if np.maximum(areas.count - 1.0, 0.0).sum() < _LEAST_FREEDOM:
        raise DataError(
            "hardly any group holds two gold rows, so that errors within groups cannot be separated from differences "
            f"between groups; at least {_LEAST_FREEDOM} gold rows beyond the first of a group are needed. Label more, "
            "or merge groups."
        )
    return with_gold >= _PER_SLOPE * (max(k, 2) + n_covariates)


def _result(
    fit: Opened, variable: str, grouping: _Grouping, areas: Areas, found: Composite, documents: Ints, lost: int
) -> SmallGroups:  # fmt: skip
    """Everything class by class, group by group."""
    import pandas as pd
    from scipy.stats import chi2

    classes = fit.matrix.spec.classes
    k, d = areas.direct.shape[1], len(documents)
    shares = bool(classes) or bool(np.isin(fit.sample.gold.y, (0.0, 1.0)).all())
    theta, model = (within(part) if shares else part for part in (found.theta, found.model))
    population = np.zeros((d, k))
    if fit.options.target == "superpopulation":
        spread = theta * (1.0 - theta) if shares else areas.residual + areas.predicted.var(axis=0)
        population = spread / areas.size[:, None]
    covariance = np.full((k * d, k * d), np.nan)
    for j in range(k):
        at = slice(j * d, (j + 1) * d)
        covariance[at, at] = found.covariance[j] + np.diag(population[:, j])
    grid = pd.concat([grouping.levels] * k, ignore_index=True)
    names = grouping.names
    if classes:
        grid.insert(len(grid.columns), "class", np.repeat(np.array(classes, dtype=object), d))
        names = tuple(f"{value}: {name}" for value in classes for name in grouping.names)
    has = np.tile(areas.has_gold, k)
    direct_se = np.sqrt(np.where(np.isinf(areas.own), np.nan, areas.own) + population)
    p_value = float(chi2.sf(found.statistic, found.freedom))
    result = SmallGroups(
        names=names, theta=flat(theta), covariance=covariance, df=np.full(k * d, np.inf), alpha=fit.options.alpha,
        variable=variable, grid=grid, documents=np.tile(documents, k), gold=np.tile(areas.count.astype(np.intp), k),
        direct=np.where(has, flat(areas.direct), np.nan), direct_se=flat(direct_se), model_estimate=flat(model),
        weight=np.tile(found.weight, k), cautious=flat(found.cautious + population),
        bias=flat(found.bias), between=flat(found.between), likely=flat(found.likely), weighed=flat(found.weighed),
        residual=flat(areas.residual), population=flat(population), slope=found.slope,
        heterogeneity=TestResult(
            found.statistic / found.freedom, p_value, round(found.freedom), np.inf,
            "groups differ from the model by chance alone",
        ),
        n_gold=int(areas.count.sum()), target=fit.options.target, are_shares=shares,
        notes=_notes(fit, areas, lost), formula=f"{variable} by {' and '.join(grouping.levels.columns)}",
        seed=None if isinstance(fit.seed, np.random.Generator) else int(fit.seed),
        skill=() if fit.predicted is None else fit.predicted.skill,
    )  # fmt: skip
    for note in result.notes:
        tell(note, SmallSampleWarning if "gold" in note else KaratWarning)
    return result


def within(shares: Floats) -> Floats:
    """Shares kept within 0 and 1; those of classes add up to 1."""
    kept = np.clip(shares, 0.0, 1.0)
    return kept if kept.shape[1] == 1 else np.asarray(kept / kept.sum(axis=1, keepdims=True))


def flat(values: Floats) -> Floats:
    """Class by class, group by group."""
    return np.asarray(values.T.ravel())


def _notes(fit: Opened, areas: Areas, lost: int) -> tuple[str, ...]:
    notes = list(fit.prepared.notes)
    if fit.options.design is None:
        notes.append("the gold is taken for a simple random sample, since design= was not given")
    if caution := fit.prepared.units.labelling.caution:
        notes.append(caution)
    if lost:
        notes.append(f"{lost:,} row(s) without a group are left out")
    return tuple(notes)
