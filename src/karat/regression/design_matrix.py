"""From columns and predictions to the rows of the augmented sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.machine import needs
from ..designs.domain import within
from ..errors import ArgumentError, DataError, DesignWarning, FormulaError, one_of, tell
from ..estimate.augment import Units
from ..estimate.clusters import cluster_codes, count, named
from ..estimate.rows import Rows
from ..frames.formula import Parsed, refuse_stateful, row_by_row
from ..frames.kinds import is_number
from ..frames.lookups import refuse_out_of_reach
from ..frames.matrices import MatrixSpec, least_columns
from ..frames.quoting import quote
from ..frames.table import as_float
from .fixed_effects import drop_alike, drop_singletons, read_effects
from .variables import Label, classes_of, compare_presence, restrict

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Bools, Floats, Ints
    from ..designs import Labelling
    from ..frames import Table
    from ..moments import Model


@dataclass(frozen=True)
class Prepared:
    """Everything read from the data, on the rows that are used.

    Parameters
    ----------
    parsed : Parsed
    labels : tuple of Label
    frame : pandas.DataFrame
        Observed columns of the formula, N rows.
    units : Units
        Which rows these are, how gold was drawn among them, their weights and clusters.
    dropped : dict of str to int
        Rows left out, by the column that was missing.
    context : mapping or None
    notes : tuple of str
        What must be said of the data.
    gold_rows : ndarray of int, shape (n,), or None
        Where frame and labels hold the gold rows, if they hold some of the units only.
    """

    parsed: Parsed
    labels: tuple[Label, ...]
    frame: pd.DataFrame = field(repr=False)
    units: Units
    dropped: dict[str, int]
    context: Mapping[str, Any] | None = field(repr=False)
    notes: tuple[str, ...] = ()
    gold_rows: Ints | None = field(repr=False, default=None)

    @property
    def gold(self) -> Ints:
        """Where frame and labels hold the gold rows, shape (n,)."""
        return self.units.gold if self.gold_rows is None else self.gold_rows

    @property
    def n_rows(self) -> int:
        """N."""
        return self.units.n_units

    @property
    def outcome_label(self) -> Label | None:
        """The labelled outcome, if the outcome is labelled."""
        return next((label for label in self.labels if label.in_outcome), None)


def prepare(
    table: Table,
    parsed: Parsed,
    labels: tuple[Label, ...],
    labelling: Labelling,
    *,
    weights: object,
    cluster: object,
    missing: str,
    context: Mapping[str, Any] | None,
    shown: Bools | None = None,
    subset: object = None,
    model: Model | None = None,
) -> Prepared:
    """Read the observed columns, and leave out (or refuse) rows where one is missing.

    ``shown`` marks rows the labeller has seen, which leave too; ``labelling`` is that of the others. Rows outside
    ``subset`` leave last: the draw stays the one from all rows, and what is missing there does not matter. The model
    tells which groups of fixed effects tell nothing of coefficients; these leave where all outcomes are known.

    Raises
    ------
    DataError
        With ``missing="raise"``, or when no gold row is left, or for negative weights.
    """
    one_of("missing", missing, ("drop", "raise"))
    refuse_stateful(parsed, [label.name for label in labels])
    observed = sorted(parsed.variables - {label.name for label in labels})
    frame = table.pandas(observed, "formula")
    v = analysis_weights(table, weights)
    clusters = None if cluster is None else read_clusters(table, cluster)
    absent = {name: frame[name].isna().to_numpy() for name in observed}
    if v is not None:
        absent["weights="] = np.isnan(v)
    if clusters is not None:
        absent["cluster="] = clusters.isna().any(axis=1).to_numpy()
    inside = None if subset is None else _inside(table, subset)
    if inside is not None:
        absent = {name: mask & inside for name, mask in absent.items()}
    dropped = {name: int(mask.sum()) for name, mask in absent.items() if mask.any()}
    complete = _complete(absent, dropped, missing, table.n_rows)
    there = np.ones(table.n_rows, dtype=bool) if shown is None else ~shown
    among = there if inside is None else there & inside
    if parsed.effects:
        drop_singletons(parsed, frame, complete, among, dropped)
    if parsed.effects and model is not None and not model.linear:
        drop_alike(parsed, frame, labels, labelling.labelled, there, among, complete, v, model, dropped)
    kept = complete & there if inside is None else complete & there & inside
    if not kept.all():
        if not (kept[there] & labelling.labelled).any():
            raise DataError(_why_none(dropped, shown, inside))
        dropped |= {"shown=": int(shown.sum())} if shown is not None and shown.any() else {}
        labelling = labelling.keep(complete[there])
        if inside is not None:
            dropped |= {"subset=": int((complete & there & ~inside).sum())}
            labelling = within(labelling, inside[complete & there])
        frame = frame[kept].reset_index(drop=True)
        labels = tuple(restrict(label, kept) for label in labels)
        v = None if v is None else v[kept]
        clusters = None if clusters is None else clusters[kept]
    codes = None if clusters is None else cluster_codes(clusters)
    if codes is not None and min(count(codes)) == 1:
        raise DataError("cluster holds a single cluster; a cluster covariance needs at least two.")
    notes = compare_presence(labels, labelling.labelled, labelling.weight)
    for note in notes:
        tell(note, DesignWarning)
    name = "" if clusters is None else named(list(clusters.columns))
    effects = read_effects(parsed, frame) if parsed.effects else None
    units = Units(labelling, v, codes, name, None if kept.all() else kept, effects)
    return Prepared(parsed, labels, frame, units, dropped, context, notes)


def _inside(table: Table, subset: object) -> Bools:
    """Rows of the subpopulation, shape (N,)."""
    inside = table.marked(subset, "subset")
    if not inside.any():
        raise DataError(f"subset={subset if isinstance(subset, str) else 'values'!r} is true in no row.")
    return inside


def _complete(absent: Mapping[str, Bools], dropped: Mapping[str, int], missing: str, n_rows: int) -> Bools:
    """Rows where nothing is absent, shape (N,); an error where missing values are not to be dropped."""
    if missing == "raise" and dropped:
        raise missing_values(dropped)
    return np.asarray(~np.logical_or.reduce([*absent.values(), np.zeros(n_rows, dtype=bool)]))


def missing_values(dropped: Mapping[str, int]) -> DataError:
    """What is raised where values are missing and rows are not to be left out."""
    return DataError(
        f"values are missing in {_listed(dropped)}; fill them, or use missing='drop' to leave those rows out."
    )


def _why_none(dropped: Mapping[str, int], shown: Bools | None, inside: Bools | None) -> str:
    """What is said where no gold row is left."""
    gone = [f"rows {name} (a value with a single row)" for name in dropped if name.startswith("alone in ")]
    missing = {name: count for name, count in dropped.items() if not name.startswith("alone in ")}
    gone += [f"rows with missing values in {_listed(missing)}"] if missing else []
    gone += ["rows of shown="] if shown is not None and shown.any() else []
    gone += ["rows outside subset="] if inside is not None else []
    return f"no gold row is left without {' and '.join(gone)}; label others{', or fill the values' * bool(missing)}."


def _listed(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{name!r} ({count})" for name, count in dropped.items())


@dataclass(frozen=True)
class Design:
    """Design matrices of the gold rows and the recipe for predicted rows.

    Parameters
    ----------
    spec : MatrixSpec
    gold : Rows
    observed : ndarray or None
        Design matrix of all units when no covariate is labelled, shape (N, p).
    observed_y : ndarray or None
        Outcome of all units when it is not labelled, shape (N,); of a category (N, K - 1).
    offset : ndarray or None
    """

    spec: MatrixSpec
    gold: Rows
    observed: Floats | None = field(repr=False)
    observed_y: Floats | None = field(repr=False)
    offset: Floats | None = field(repr=False)


def matrices(prepared: Prepared, regression: Model | None = None) -> Design:
    """Evaluate the formula: levels from all rows, gold rows at their gold labels.

    ``regression`` names the coefficients; without one they are the columns.
    """
    labels, frame, context = prepared.labels, prepared.frame, prepared.context
    gold_rows = prepared.units.gold
    n_rows = prepared.n_rows
    covariates = [label for label in labels if label.in_covariates]
    filler = {label.name: _filler(label, n_rows) for label in labels}
    learned = with_columns(frame, filler, n_rows)
    if (least := least_columns(prepared.parsed, learned)) > len(gold_rows):
        raise DataError(
            f"there are {len(gold_rows)} gold rows for at least {least} coefficients; label more units or drop "
            "covariates (a column with a category for nearly every row is an identifier, not a covariate)."
        )
    needs(16.0 * n_rows * least, f"{n_rows:,} rows with {least:,} or more coefficients", "merge or drop covariates")
    ordered = regression is not None and regression.in_order
    classes = outcome_classes(prepared, ordered) if prepared.parsed.categories else ()
    spec, x = MatrixSpec.learn(prepared.parsed, learned, context, classes)
    if regression is not None:
        own = tuple(spec.columns[j] for j in spec.right) or spec.columns
        names = regression.names(own, classes)
        if twice := [name for name in names if names.count(name) > 1]:
            raise FormulaError(
                f"two coefficients of {prepared.parsed.text!r} would be called {twice[0]!r}; rename the column."
            )
        spec = replace(spec, names=names)
    gold_x, gold_y = _gold_matrices(prepared, spec, None if covariates else x)
    offset = spec.offset(learned, context)
    if classes and offset is not None and (regression is None or regression.first is None):
        raise FormulaError(
            f"offset() in {prepared.parsed.text!r}: a categorical outcome has one linear predictor for each class, "
            "and an offset does not say for which; use it as a covariate, or take it out."
        )
    offset_labels = [label.name for label in covariates if label.name in prepared.parsed.offset_variables]
    if offset_labels:
        raise ArgumentError(
            f"the offset uses the labelled variable {offset_labels[0]!r}; an offset must be observed for all."
        )
    gold = Rows(gold_x, gold_y, None if offset is None else offset[gold_rows])
    outcome_observed = prepared.outcome_label is None
    return Design(
        spec,
        gold,
        None if covariates else x,
        spec.y(learned, context) if outcome_observed else None,
        offset,
    )


def outcome_classes(prepared: Prepared, ordered: bool = False) -> tuple[Any, ...]:
    """Classes of an outcome that is a category, its base first.

    Raises
    ------
    DataError
        If these are no categories, or a class has no gold row; if they must be ``ordered``, and nothing says how.
    """
    name, base, label = prepared.parsed.outcome, prepared.parsed.base, prepared.outcome_label
    if label is None:
        observed = prepared.frame[name]
        classes, _ = classes_of(name, observed, prepared.parsed)
        gold = observed.iloc[prepared.units.gold]
    else:
        classes, gold = label.classes, label.gold.iloc[prepared.units.gold]
    if any(is_number(value) and value != round(value) for value in classes):
        raise DataError(f"the outcome {name!r} holds numbers with fractions; it must hold categories, so recode it.")
    if len(classes) < 2:
        raise DataError(f"the outcome {name!r} has only the class {list(classes)}; it needs two. Label more units.")
    if ordered:
        _refuse_no_order(prepared.parsed, gold, classes)
    present = set(gold.unique().tolist())
    if absent := [value for value in classes if value not in present]:
        raise DataError(
            f"class(es) {absent} of the outcome {name!r} have no gold row, so their coefficients cannot be learnt; "
            "label units that have them (stratify by surrogate), merge classes, or drop unused categories."
        )
    if base is None:
        return classes
    if base not in classes:
        raise ArgumentError(f"base={base!r} is not a class of {name!r}; there are {list(classes)}.")
    return (base, *(value for value in classes if value != base))


def _refuse_no_order(parsed: Parsed, gold: pd.Series[Any], classes: tuple[Any, ...]) -> None:
    """Raise where nothing says which class is the lowest."""
    name = parsed.outcome
    if parsed.base is not None:
        raise FormulaError(f"the outcome of {parsed.text!r} has an order and no base; take contr.treatment() out.")
    stated = parsed.levels is not None or all(map(is_number, classes)) or getattr(gold.dtype, "ordered", False)
    if not stated:
        raise DataError(
            f"nothing says in which order the classes {list(classes)} of the outcome {name!r} stand; give levels=[...] "
            f"from the lowest to the highest, in a formula C({quote(name)}, levels=[...]), or make it an ordered "
            f"column: data[{name!r}] = pd.Categorical(data[{name!r}], categories=[...], ordered=True)."
        )


def with_columns(frame: pd.DataFrame, columns: Mapping[str, Any], n_rows: int) -> pd.DataFrame:
    """A frame with columns put in; a frame without columns takes its length from ``n_rows``."""
    import pandas as pd

    if not len(frame.columns):
        return pd.DataFrame(dict(columns), index=pd.RangeIndex(n_rows))
    return frame.assign(**columns)


def gold_rows(prepared: Prepared, design: Design) -> Rows:
    """Gold rows at the labels that are gold in ``prepared``, in the user's columns."""
    x, y = _gold_matrices(prepared, design.spec, None)
    return Rows(x, y, design.gold.offset)


def _gold_matrices(prepared: Prepared, spec: MatrixSpec, observed: Floats | None) -> tuple[Floats, Floats]:
    """Design matrix and outcome of the gold rows at their gold labels.

    Where the formula calls functions, gold is put into the whole frame and its rows taken afterwards: a transform such
    as ``x - x.mean()`` of an observed variable must mean the same on gold and on predicted rows.
    """
    labels, frame, context = prepared.labels, prepared.frame, prepared.context
    rows = prepared.gold
    if row_by_row(prepared.parsed):
        columns = {label.name: label.gold_column(rows) for label in labels}
        gold = with_columns(frame.iloc[rows].reset_index(drop=True), columns, len(rows))
        return (spec.x(gold, context) if observed is None else observed[rows]), spec.y(gold, context)
    columns = {label.name: _gold_among(label, rows) for label in labels}
    whole = with_columns(frame, columns, len(labels[0].gold))
    x = spec.x(whole, context) if observed is None else observed
    return x[rows], spec.y(whole, context)[rows]


def _gold_among(label: Label, gold_rows: Ints) -> Any:
    """A column with gold at the gold rows and fillers elsewhere."""
    out, gold = _filler(label, len(label.gold)).copy(), label.gold_column(gold_rows)
    out[gold_rows] = gold
    return out


def _filler(label: Label, n_rows: int) -> Any:
    """Values from which levels can be learnt: every class turns up."""
    import pandas as pd

    if label.coded:
        return pd.Categorical.from_codes(np.arange(n_rows) % len(label.classes), categories=pd.Index(label.classes))
    if label.classes:
        return (np.arange(n_rows) % 2).astype(np.float64)
    return np.resize(as_float(label.gold.dropna(), label.name, "gold"), n_rows)


def analysis_weights(table: Table, weights: object) -> Floats | None:
    """Analysis weights of all rows, shape (N,); None where none are given."""
    if weights is None:
        return None
    v = as_float(table.values(weights, "weights"), weights if isinstance(weights, str) else "weights", "weights")
    if (v < 0).any():
        raise DataError(
            f"weights are negative in {int((v < 0).sum())} row(s), first at position {int(np.flatnonzero(v < 0)[0])}; "
            "analysis weights must be 0 or more."
        )
    if not (v > 0).any():
        raise DataError("weights are zero in every row; at least one must be positive.")
    refuse_out_of_reach(v[~np.isnan(v)], "weights")
    return v


def read_clusters(table: Table, cluster: object) -> pd.DataFrame:
    """Analysis clusters, one column for each way of clustering."""
    import pandas as pd

    if isinstance(cluster, (list, tuple)) and all(isinstance(c, str) for c in cluster) and len(cluster) != table.n_rows:
        if len(set(cluster)) != len(cluster) or len(cluster) not in (1, 2):
            raise ArgumentError(
                f"cluster={list(cluster)!r} must name one column, or two different ones for clusters of two ways."
            )
        return pd.DataFrame({name: table.values(name, "cluster") for name in cluster})
    values = table.values(cluster, "cluster")
    if values.ndim > 2 or (values.ndim == 2 and values.shape[1] not in (1, 2)):
        raise ArgumentError(f"cluster has shape {values.shape}; give one column, or two for clusters of two ways.")
    if values.ndim == 2:
        return pd.DataFrame(
            values, columns=[str(c) for c in getattr(cluster, "columns", range(1, values.shape[1] + 1))]
        )
    return pd.DataFrame({cluster if isinstance(cluster, str) else "cluster": values})
