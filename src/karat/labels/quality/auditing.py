"""One look at how good surrogate labels are, before they are trusted with anything."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArgumentError, DataError, KaratError, generator
from ...frames import Table
from ...frames.kinds import is_number
from ...frames.table import as_float
from ..aggregation.base import one_hot
from ..tables.codes import classes_in, listed, objects, positions, sorted_codes
from ..tables.read import declared_order, distributions
from ..tables.row_labels import Soft
from .alternative import AlternativeAnnotator, alternative_annotator
from .errors_by_design import confusion, differential, numeric_errors
from .report import Audit
from .review import ensemble_flags, rank_for_review
from .scoring import reliability, score

if TYPE_CHECKING:
    import pandas as pd

    from ..._core.types import Array, Bools, DesignLike, Floats, Ints, ModelName
    from ...designs import Labelling

_MOST_CLASSES = 12


def audit(
    data: object,
    gold: str,
    surrogate: str,
    design: DesignLike = None,
    *,
    covariates: Sequence[str] | None = None,
    formula: str | None = None,
    model: ModelName = "ols",
    probabilities: Mapping[Any, str] | None = None,
    models: Sequence[str] | None = None,
    humans: object = None,
    id: str | None = None,
    cluster: str | None = None,
    epsilon: float = 0.15,
    cutoff: float = 0.8,
    seed: int | None = 0,
) -> Audit:
    """Audit surrogate labels against a gold sample drawn with known probabilities.

    Parameters
    ----------
    data : data frame
        One row per unit; gold missing where not labelled.
    gold, surrogate : str
        Columns.
    design : Design, Sample, float, str, array_like or None
        How the gold was drawn, as for :func:`karat.regress`.
    covariates : sequence of str, optional
        Columns that errors may depend on: the variables of the regression, its outcome included.
    formula : str, optional
        A regression that uses ``gold``; gives R-squared and savings by coefficient.
    model : str
        Model of the formula.
    probabilities : mapping, optional
        Class -> column of class probabilities that belong to the surrogate.
    models : sequence of str, optional
        Columns with the labels of several models, for flags.
    humans : data frame, optional
        Long table (task, worker, label) of human annotators, for the alternative annotator test.
    id : str, optional
        Column that holds the task names of ``humans``.
    cluster : str, optional
        Rows of one cluster may err together.
    epsilon : float
        Margin of the alternative annotator test.
    cutoff : float
        Confidence from which the ensemble of models contradicts a label.
    seed : int, optional
        For the regression.

    Returns
    -------
    Audit

    Raises
    ------
    ArgumentError, DataError, DesignError

    References
    ----------
    Egami, Hinck, Stewart, Wei (2023); Northcutt, Jiang, Chuang (2021); Calderon, Reichart, Dror (2025).

    Examples
    --------
    >>> import karat as kt
    >>> corpus, _ = kt.datasets.simulate(1000, seed=1)
    >>> sample = kt.SimpleRandom(n=200).draw(corpus, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, sample, "hostile")
    >>> int(kt.labels.audit(labelled, "hostile", "hostile_llm", sample.design).confusion.counts.sum())
    200
    """
    from ... import designs

    table = Table.read(data)
    if gold == surrogate:
        raise ArgumentError(f"gold and surrogate are the same column {gold!r}; name the column of the surrogate.")
    generator(seed)
    truth, label = column_of_labels(table, gold, "gold"), column_of_labels(table, surrogate, "surrogate")
    labelled = np.asarray(truth.notna(), dtype=bool)
    if not labelled.any():
        raise DataError(f"column {gold!r} (gold) is empty; an audit needs gold labels of a sample.")
    if label.isna().any():
        raise DataError(
            f"column {surrogate!r} (surrogate) has {int(label.isna().sum())} missing value(s) (blank ones count); fill "
            "them."
        )
    labelling = designs.resolve(design).realised(table, labelled)
    groups = clusters_of(table, cluster, labelled)
    notes: list[str] = []
    if design is None:
        notes.append("no design was given: a simple random sample of the realised size is assumed")
    order = declared_order(table, gold) or declared_order(table, surrogate) or ()
    parts: dict[str, Any] = label_parts(truth, label, order, labelled, labelling, groups, gold, surrogate)
    classes = parts.pop("classes")
    error, what = parts.pop("error"), parts.pop("what")
    if covariates:
        x, names = covariates_of(table, covariates, labelled)
        parts["differential"] = differential(error, x, names, what, labelling, groups)
    if probabilities is not None:
        parts |= _probability_parts(table, probabilities, truth, label, labelling, labelled, surrogate)
    if formula is not None:
        parts["gains"] = _gains(data, gold, surrogate, formula, model, design, cluster, seed, notes)
    if humans is not None:
        parts["alternative"] = _alternative(humans, table, id, label, epsilon, notes)
    if models is not None:
        parts["flagged"] = _flags(table, models, label, classes, cutoff)
    return Audit(gold, surrogate, int(labelled.sum()), table.n_rows, labelling.description, notes=tuple(notes), **parts)


def label_parts(
    truth: Any,
    label: Any,
    order: tuple[Any, ...],
    labelled: Bools,
    labelling: Labelling,
    groups: Ints | None,
    gold: str,
    surrogate: str,
) -> dict[str, Any]:
    """Errors of classes or of numbers."""
    found = classes_in(truth, label, what=f"columns {gold!r} (gold) and {surrogate!r} (surrogate)")
    numeric = all(map(is_number, found))
    if len(found) > _MOST_CLASSES and not numeric:
        raise DataError(
            f"{gold!r} and {surrogate!r} hold {len(found)} different values; an audit of classes takes up to "
            f"{_MOST_CLASSES}. Merge classes, or recode to numbers."
        )
    if numeric and len(found) > _MOST_CLASSES:
        g, s = truth[labelled].to_numpy(dtype=np.float64), label[labelled].to_numpy(dtype=np.float64)
        return {
            "numeric": numeric_errors(g, s, labelling, groups), "error": s - g,
            "what": f"{surrogate} minus {gold}", "classes": (),
        }  # fmt: skip
    classes = tuple(c for c in order if c in set(found)) if set(found) <= set(order) else found
    g, s = (positions(v[labelled], classes) for v in (truth, label))
    signed = numeric or len(classes) == 2
    of = "" if numeric else f"share of {classes[-1]!r}, "
    step = np.array([float(c) for c in classes]) if numeric else np.arange(len(classes), dtype=np.float64)
    return {
        "confusion": confusion(g, s, classes, labelling, groups),
        "error": step[s] - step[g] if signed else (s != g).astype(np.float64),
        "what": f"{of}{surrogate} minus {gold}" if signed else f"{surrogate} is not {gold}",
        "classes": classes,
    }


def _probability_parts(
    table: Table,
    probabilities: Mapping[Any, str],
    truth: Any,
    label: Any,
    labelling: Labelling,
    labelled: Bools,
    surrogate: str,
) -> dict[str, Any]:
    soft: Soft | None = distributions(table, probabilities, None)
    assert soft is not None
    if not soft.given.all():
        raise DataError(f"probabilities has {int((~soft.given).sum())} row(s) with missing values; fill them.")
    gold: Array = np.asarray(truth, dtype=object)
    weights = np.zeros(len(gold))
    weights[labelled] = labelling.weight
    codes = positions(label, soft.classes)
    if (codes < 0).any():
        raise DataError(f"column {surrogate!r} holds classes that probabilities does not name ({list(soft.classes)}).")
    return {
        "scores": score(soft.values, gold, classes=soft.classes, weights=weights),
        "calibration": reliability(soft.values, gold, classes=soft.classes, weights=weights),
        "review": rank_for_review(soft.values, codes, soft.classes),
    }


def _gains(
    data: object, gold: str, surrogate: str, formula: str, model: ModelName, design: DesignLike, cluster: str | None,
    seed: int | None, notes: list[str],
) -> pd.DataFrame:  # fmt: skip
    import pandas as pd

    from ...regression.entry_points import regress

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = regress(
            formula, data, model=model, surrogates={gold: surrogate}, design=design, cluster=cluster, seed=seed
        )
        alone = regress(
            formula, data, model=model, surrogates={gold: surrogate}, design=design, cluster=cluster, estimator="gold",
            compare=False, seed=seed,
        )  # fmt: skip
    notes += dict.fromkeys(str(w.message) for w in caught)
    return pd.DataFrame(
        {
            "R2": np.asarray(fit.r_squared),
            "se with": np.asarray(fit.se()),
            "se gold only": np.asarray(alone.se()),
            "effective gold": np.asarray(fit.effective_gold),
        },
        index=list(fit.names),
    )


def _alternative(
    humans: object, table: Table, id: str | None, label: Any, epsilon: float, notes: list[str]
) -> AlternativeAnnotator | None:
    if id is None:
        raise ArgumentError("humans= needs id=, the column that holds the task names of the human labels.")
    names = table.column(id, "id").tolist()
    model = dict(zip(names, label.tolist()))
    if len(model) < len(names):
        raise DataError(
            f"column {id!r} (id) must name every row differently; {len(names) - len(model)} name(s) repeat."
        )
    try:
        return alternative_annotator(humans, model, epsilon=epsilon)
    except KaratError as reason:
        notes.append(f"no alternative annotator test: {reason}")
        return None


def _flags(table: Table, models: Sequence[str], label: Any, classes: tuple[Any, ...], cutoff: float) -> Ints:
    if not classes:
        raise ArgumentError("models= flags labels that are classes; these are numbers.")
    if isinstance(models, str) or not isinstance(models, Sequence) or len(models) < 2:
        raise ArgumentError(f"models={models!r}: name two columns or more.")
    layers = []
    for name in models:
        codes = positions(column_of_labels(table, name, "models"), classes)
        if (codes < 0).any():
            raise DataError(f"column {name!r} (models) holds labels that are not among {list(classes)}; recode it.")
        layers.append(one_hot(codes, len(classes)))
    return np.flatnonzero(ensemble_flags(np.stack(layers), positions(label, classes), cutoff)[0])


def column_of_labels(table: Table, column: str, role: str) -> pd.Series[Any]:
    """A column of labels as names, None where missing or blank."""
    import pandas as pd

    names, code = sorted_codes(table.as_given(column, role), f"column {column!r} ({role})")
    return pd.Series(objects([*listed(names), None])[code]).infer_objects()


def covariates_of(table: Table, names: Sequence[str], labelled: Bools) -> tuple[Floats, tuple[str, ...]]:
    """Covariates of the gold rows as numbers; text becomes indicators, the first level left out."""
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise ArgumentError(f"covariates={names!r} is not allowed; give a list of columns.")
    import pandas as pd

    columns: list[Array] = []
    wide: list[str] = []
    for name in names:
        values = table.column(name, "covariates")[labelled]
        if pd.api.types.is_numeric_dtype(values.dtype) and values.notna().all():
            columns.append(as_float(values, name, "covariate"))
            wide.append(str(name))
            continue
        levels, code = sorted_codes(values, f"column {name!r} (covariates)")
        if (code < 0).any():
            raise DataError(f"covariate {name!r} has {int((code < 0).sum())} missing value(s) on gold rows; fill them.")
        kinds = listed(levels)
        order = declared_order(table, name)
        if not isinstance(values.dtype, pd.CategoricalDtype) and all(map(is_number, kinds)):
            columns.append(np.array(kinds, dtype=np.float64)[code])
            wide.append(str(name))
            continue
        if not all(isinstance(v, (str, numbers.Real)) for v in kinds):
            raise DataError(f"covariate {name!r} holds {type(kinds[0]).__name__} values; give numbers or text.")
        if len(columns) + len(kinds) >= len(code):
            raise DataError(
                f"covariate {name!r} has {len(kinds)} levels on {len(code)} gold rows; merge levels, or drop it."
            )
        kept = [v for v in order or kinds if v in set(kinds)][1:]
        columns += [code == kinds.index(v) for v in kept]
        wide += [f"{name}_{v}" for v in kept]
    return np.column_stack([np.asarray(c, dtype=np.float64) for c in columns]), tuple(wide)


def clusters_of(table: Table, cluster: str | None, labelled: Bools) -> Ints | None:
    """Codes of the clusters of the gold rows."""
    if cluster is None:
        return None
    codes = sorted_codes(table.as_given(cluster, "cluster")[labelled], f"column {cluster!r} (cluster)")[1]
    if (codes < 0).any():
        raise DataError(f"column {cluster!r} (cluster) has {int((codes < 0).sum())} missing value(s) on gold rows.")
    return codes
