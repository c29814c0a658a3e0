"""One look at how good surrogate labels are, before they are trusted with anything."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArgumentError, DataError, KaratError, generator
from ...frames.kinds import is_number
from ..aggregation.base import one_hot
from ..tables.audit_columns import clusters_of, covariates_of, labels_of
from ..tables.codes import classes_in, positions
from ..tables.read import declared_order, distributions
from ..tables.row_labels import Soft
from .alternative import AlternativeAnnotator, alternative_annotator
from .errors_by_design import Confusion, Differential, confusion, differential, numeric_errors
from .review import Review, ensemble_flags, rank_for_review
from .scoring import Scores, reliability, score

if TYPE_CHECKING:
    import pandas as pd

    from ..._core.types import Array, Bools, DesignLike, Ints, ModelName
    from ...designs import Labelling
    from ...frames import Table

_MOST_CLASSES = 12


@dataclass(frozen=True, eq=False)
class Audit:
    """Quality of surrogate labels against a gold sample; prints as text, and as one HTML page.

    Parameters
    ----------
    gold, surrogate : str
        Columns.
    n_gold, n_units : int
    design : str
        How the gold was drawn.
    confusion : Confusion or None
        For labels that are classes.
    numeric : dict or None
        For labels that are numbers: bias, root mean squared error, correlation, slope.
    differential : Differential or None
        Whether errors depend on the covariates.
    scores : Scores or None
        Of the class probabilities, weighted by the design.
    calibration : pandas.DataFrame or None
        Reliability table of the class probabilities.
    gains : pandas.DataFrame or None
        For each coefficient of the formula: R-squared of the surrogate, standard error with and without it, effective
        number of gold labels.
    alternative : AlternativeAnnotator or None
    flagged : ndarray of int
        Rows that the ensemble of models contradicts with confidence.
    review : Review or None
        What to look at next.
    notes : tuple of str
        What could not be had, and why.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, _ = kt.datasets.simulate(1000, seed=1)
    >>> sample = kt.SimpleRandom(n=200).draw(corpus, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, sample, "hostile")
    >>> report = kt.labels.audit(labelled, "hostile", "hostile_llm", sample.design, covariates=["outcome", "length"])
    >>> report.differential.joint_pvalue < 0.05
    True
    """

    gold: str
    surrogate: str
    n_gold: int
    n_units: int
    design: str
    confusion: Confusion | None = None
    numeric: dict[str, Any] | None = None
    differential: Differential | None = None
    scores: Scores | None = None
    calibration: pd.DataFrame | None = field(default=None, repr=False)
    gains: pd.DataFrame | None = field(default=None, repr=False)
    alternative: AlternativeAnnotator | None = field(default=None, repr=False)
    flagged: Ints = field(default_factory=lambda: np.empty(0, dtype=np.intp), repr=False)
    review: Review | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [
            f"Audit of {self.surrogate} against {self.gold}: {self.n_gold} gold of {self.n_units} units, {self.design}"
        ]
        if self.confusion is not None:
            low, high = self.confusion.accuracy_interval
            lines.append(
                f"  accuracy {self.confusion.accuracy:.3f} [{low:.3f}, {high:.3f}], Cohen kappa "
                f"{self.confusion.kappa:.3f}"
            )
            for c, name in enumerate(self.confusion.classes):
                low, high = self.confusion.recall_interval[c, c]
                lines.append(f"  recall of {name}: {self.confusion.recall[c, c]:.3f} [{low:.3f}, {high:.3f}]")
        if self.numeric is not None:
            low, high = self.numeric["bias_interval"]
            lines.append(
                f"  bias {self.numeric['bias']:.3f} [{low:.3f}, {high:.3f}], root mean squared error "
                f"{self.numeric['rmse']:.3f}, correlation {self.numeric['correlation']:.3f}"
            )
        if self.differential is not None:
            lines.append(f"  {self.differential}")
        if self.scores is not None:
            lines.append(
                f"  probabilities: negative log likelihood {self.scores.nll:.3f}, Brier {self.scores.brier:.3f}, "
                f"calibration error {self.scores.ece:.3f}"
            )
        if self.gains is not None:
            lines += [
                "  what the surrogate saves:",
                *("    " + row for row in self.gains.round(3).to_string().split("\n")),
            ]
        if self.alternative is not None:
            lines.append(f"  {self.alternative}")
        if len(self.flagged):
            lines.append(f"  {len(self.flagged)} label(s) contradicted by the ensemble of models")
        if self.review is not None:
            lines.append(
                f"  {int(self.review.suspect.sum())} label(s) off the diagonal of the confident joint: review first"
            )
        lines += [f"  note: {note}" for note in self.notes]
        lines.append(
            "  None of this makes a regression on the surrogate alone valid; give it to surrogates= with the gold."
        )
        return "\n".join(lines)

    def summary(self) -> str:
        """The audit as text."""
        return str(self)

    def to_html(self, path: Any = None) -> str:
        """The audit as one HTML page with pictures inside.

        Parameters
        ----------
        path : str or path, optional
            Where to write it.

        Returns
        -------
        str
        """
        from .report import page

        text = page(self)
        if path is not None:
            from pathlib import Path

            Path(path).write_text(text, encoding="utf-8")
        return text

    def _repr_html_(self) -> str:
        return self.to_html()


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
    from ...frames import Table

    table = Table.read(data)
    if gold == surrogate:
        raise ArgumentError(f"gold and surrogate are the same column {gold!r}; name the column of the surrogate.")
    generator(seed)
    truth, label = labels_of(table, gold, "gold"), labels_of(table, surrogate, "surrogate")
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
    parts: dict[str, Any] = _label_parts(truth, label, order, labelled, labelling, groups, gold, surrogate)
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


def _label_parts(
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
            f"{_MOST_CLASSES}. "
            "Merge classes, or recode to numbers."
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
        codes = positions(labels_of(table, name, "models"), classes)
        if (codes < 0).any():
            raise DataError(f"column {name!r} (models) holds labels that are not among {list(classes)}; recode it.")
        layers.append(one_hot(codes, len(classes)))
    return np.flatnonzero(ensemble_flags(np.stack(layers), positions(label, classes), cutoff)[0])
