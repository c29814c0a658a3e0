"""Predicted rows of the augmented sample: labels put into the formula, from predictions or from surrogates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, FormulaError
from ..estimate.index import weighted
from ..estimate.rows import Rows
from ..frames.formula import row_by_row
from ..frames.kinds import is_number, is_text
from ..frames.table import as_float
from .design_matrix import Design, Prepared, with_columns

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..predict import Predictions
    from .variables import Label


LabelColumns = tuple[dict[str, Any], "Floats | None"]
"""Columns of labels that predicted rows hold in place of gold, and the share of each unit that has them."""


_LOOKED_AT = 400
"""Gold rows that show whether a function looks at more than its row."""


def refuse_other_labels(prepared: Prepared, design: Design) -> None:
    """Raise where a function of a labelled variable gives a row another value when other rows have other labels.

    Such a function, one of ``context=`` that subtracts a mean, say, means something else on gold rows and on predicted
    ones, which all hold one class.
    """
    rows = prepared.gold[:_LOOKED_AT]
    if row_by_row(prepared.parsed) or len(rows) < 2 or prepared.gold_rows is not None:
        return
    half, frame = (len(rows) + 1) // 2, prepared.frame.iloc[rows].reset_index(drop=True)
    found = []
    for others in (rows[half:], np.full(len(rows) - half, rows[0])):
        columns = {label.name: label.gold_column(np.r_[rows[:half], others]) for label in prepared.labels}
        table = with_columns(frame, columns, len(rows))
        try:
            x = design.spec.x(table, prepared.context) if design.observed is None else np.zeros((len(rows), 0))
            found.append(np.column_stack([x, design.spec.y(table, prepared.context)])[:half])
        except FormulaError:  # a function that takes all rows only
            return
    if not np.allclose(found[0], found[1], rtol=1e-9, atol=0.0):
        raise FormulaError(
            f"a function in {prepared.parsed.text!r} makes of a labelled variable what depends on the labels of other "
            "rows (its mean, say), whose gold is known in a sample only; use fixed numbers, as in I((x - 50) / 10)."
        )


def predicted_labels(prepared: Prepared, predictions: Predictions) -> list[LabelColumns]:
    """Labelled covariates of predicted rows, one entry per class combination."""
    joint = [label for label in prepared.labels if label.joint]
    out: list[LabelColumns] = []
    for c, combo in enumerate(predictions.combinations):
        columns: dict[str, Any] = {}
        for label in prepared.labels:
            if label.in_covariates:
                if label.joint:
                    columns[label.name] = label.column(label.classes[combo[joint.index(label)]], prepared.n_rows)
                else:
                    columns[label.name] = predictions.values[label.name][:, 0]
        out.append((columns, None if predictions.share is None else predictions.share[:, c]))
    return out


def predicted_rows(prepared: Prepared, design: Design, predictions: Predictions, imputation: str) -> tuple[Rows, ...]:
    """Predicted rows from cross-fitted predictions: one block per class combination, or their mean."""
    outcome = prepared.outcome_label
    blocks = []
    for c, (columns, share) in enumerate(predicted_labels(prepared, predictions)):
        x = _covariates(prepared, design, columns)
        if outcome is None:
            y = design.observed_y
        else:
            values = predictions.values[outcome.name]
            width = len(outcome.classes) - 1 if design.spec.classes else 1
            at = c * width if values.shape[1] > width else 0
            y = values[:, at] if width == 1 else values[:, at : at + width]
            y = _from_base(y, outcome, design.spec.classes)
        assert y is not None
        blocks.append(Rows(x, y, design.offset, share))
    return average_rows(tuple(blocks)) if imputation == "value" else tuple(blocks)


def _from_base(shares: Floats, label: Label, classes: tuple[Any, ...]) -> Floats:
    """Shares of all classes but the base, from those of all but the first in the label's order."""
    if not classes or classes == label.classes:
        return shares
    rest = shares.reshape(len(shares), -1)
    every = np.column_stack([1.0 - rest.sum(axis=1), rest])
    out: Floats = every[:, [label.classes.index(value) for value in classes[1:]]]
    return out[:, 0] if shares.ndim == 1 else out


def surrogate_labels(
    prepared: Prepared, given: Mapping[str, Any], imputation: str, averaged_over: frozenset[str] = frozenset()
) -> tuple[list[LabelColumns], set[str]]:
    """Labels of predicted rows where these are given, one entry per combination of the classes averaged over.

    Parameters
    ----------
    prepared : Prepared
    given : mapping of str to array
        For each label class probabilities of shape (N, K), or hard labels, numbers or scores of shape (N,).
    imputation : {"moment", "value"}
        Whether probabilities of 0/1 labels are averaged over in the moment, or plugged in.
    averaged_over : frozenset of str
        0/1 labels whose values are probabilities even where all of these are 0 or 1, as in some batch of a table.

    Returns
    -------
    list of (columns, share)
    set of str
        The labels averaged over.

    Raises
    ------
    DataError
        If a value cannot be used as the label.
    """
    plugged: dict[str, Any] = {}
    averaged: dict[str, Floats] = {}
    for label in prepared.labels:
        shares, values = _as_label(label, given[label.name], imputation, label.name not in averaged_over)
        if shares is not None:
            averaged[label.name] = shares
        else:
            plugged[label.name] = label.column(values, prepared.n_rows)
    blocks: list[LabelColumns] = [(dict(plugged), None)]
    for name, shares in averaged.items():
        label = next(label for label in prepared.labels if label.name == name)
        blocks = [
            (
                {**columns, name: label.column(value, prepared.n_rows)},
                shares[:, k] if share is None else share * shares[:, k],
            )
            for columns, share in blocks
            for k, value in enumerate(label.classes)
        ]
    return blocks, set(averaged)


def surrogate_rows(
    prepared: Prepared,
    design: Design,
    given: Mapping[str, Any],
    imputation: str,
    averaged_over: frozenset[str] = frozenset(),
) -> tuple[Rows, ...]:
    """Rows with given labels put in: the surrogates themselves, or predictions from outside.

    Parameters
    ----------
    prepared : Prepared
    design : Design
    given, imputation, averaged_over
        As in :func:`surrogate_labels`; with "value" labels are plugged in at their expectation.

    Returns
    -------
    tuple of Rows

    Raises
    ------
    DataError
        If a value cannot be used as the label.
    """
    rows = []
    blocks, averaged = surrogate_labels(prepared, given, imputation, averaged_over)
    for columns, share in blocks:
        x = _covariates(prepared, design, columns)
        y = design.observed_y
        if y is None:
            y = design.spec.y(with_columns(prepared.frame, columns, prepared.n_rows), prepared.context)
        rows.append(Rows(x, y, design.offset, share))
    outcome = prepared.outcome_label
    linear_only = averaged <= ({outcome.name} if outcome else set())
    return average_rows(tuple(rows)) if imputation == "value" or linear_only else tuple(rows)


def average_rows(blocks: tuple[Rows, ...]) -> tuple[Rows, ...]:
    """One row per unit: design row and outcome averaged over class combinations."""
    if len(blocks) == 1 and blocks[0].share is None:
        return blocks
    x = np.zeros_like(blocks[0].x)
    y = np.zeros_like(blocks[0].y)
    for rows in blocks:
        share = np.ones(len(y)) if rows.share is None else rows.share
        x += share[:, None] * rows.x
        y += weighted(rows.y, share)
    return (Rows(x, y, blocks[0].offset),)


def _as_label(label: Label, values: Any, imputation: str, may_be_hard: bool) -> tuple[Floats | None, Any]:
    """Class shares (N, K), or values to plug in (N,); where they may be hard, 0 and 1 are taken for labels."""
    array = np.asarray(values)
    if array.ndim == 2:
        if array.shape[1] != len(label.classes):
            raise DataError(
                f"{label.name!r} was given {array.shape[1]} columns for {len(label.classes)} classes "
                f"({list(label.classes)}); give one probability per gold class."
            )
        shares = array.astype(np.float64)
        if not np.isfinite(shares).all() or (np.abs(shares.sum(axis=1) - 1.0) > 1e-4).any():
            raise DataError(
                f"the class probabilities of {label.name!r} must be finite and add up to 1 in every row; correct the "
                "rows that do not."
            )
        return shares, None
    missing = _missing(values)
    if missing:
        raise DataError(
            f"the surrogate of {label.name!r} is missing in {missing} row(s), and without a learner it must be "
            f"there for "
            "every unit; fill it, or choose a learner (which copes with missing surrogates)."
        )
    if not label.classes:
        return None, as_float(values, label.name, "surrogate of")
    if not label.coded:
        number = as_float(values, label.name, "surrogate of")
        hard = may_be_hard and bool(np.isin(number, (0.0, 1.0)).all())
        if hard or imputation == "value":
            return None, number
        if number.min() < 0 or number.max() > 1:
            raise DataError(
                f"the surrogate of the 0/1 label {label.name!r} runs from {number.min():.3g} to "
                f"{number.max():.3g}; as a "
                "label or a probability it must lie in [0, 1]. Recode it, use imputation='value', or choose a learner."
            )
        return np.column_stack([1.0 - number, number]), None
    import pandas as pd

    if is_number(label.classes[0]) and not is_text(array, label.name, "surrogate of"):
        values = as_float(values, label.name, "surrogate of")
    codes = pd.Index(list(label.classes)).get_indexer(pd.Index(np.asarray(values)))
    if (codes < 0).any():
        stranger = np.asarray(values)[codes < 0][0]
        raise DataError(
            f"the surrogate of {label.name!r} holds {stranger!r}, which is not a gold class "
            f"({list(label.classes)}); recode it, or choose a learner and pass it as features=."
        )
    return None, codes.astype(np.intp)


def _covariates(prepared: Prepared, design: Design, columns: dict[str, Any]) -> Floats:
    if design.observed is not None:
        return design.observed
    return design.spec.x(with_columns(prepared.frame, columns, prepared.n_rows), prepared.context)


def _missing(values: Any) -> int:
    import pandas as pd

    return int(pd.isna(values).sum())
