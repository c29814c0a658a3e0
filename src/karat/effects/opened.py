"""A fit opened again: its formula as a function of covariates, and who holds which labels."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import moments as models
from ..errors import ArgumentError, DataError, FormulaError, KaratWarning
from ..estimate import index
from ..frames.formula import row_by_row
from ..regression.design_matrix import with_columns
from ..regression.options import Arguments
from ..regression.pipeline import PLAIN, open_fit
from ..regression.predicted_rows import LabelColumns, predicted_labels, surrogate_labels
from ..regression.reopen import reopen
from ..regression.steps import estimated, given_labels
from ..regression.unseen import shown

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats, Ints
    from ..estimate.augment import AugmentedSample
    from ..estimate.infer import Parts
    from ..regression.pipeline import Opened
    from ..regression.unseen import Shown
    from ..regression.variables import Label
    from ..results import Result

_SAME = 1e-8


@dataclass(frozen=True)
class OpenedFit:
    """A fit with its data.

    Parameters
    ----------
    result : Result
    opened : Opened
    sample : AugmentedSample
    parts : Parts
        Influence of the units on the coefficients.
    labels : tuple of Label
        Labelled covariates.
    predicted : list of (columns, share)
        Labels of the predicted rows; empty where gold rows alone make up the fit.
    """

    result: Result
    opened: Opened = field(repr=False)
    sample: AugmentedSample = field(repr=False)
    parts: Parts = field(repr=False)
    labels: tuple[Label, ...] = field(repr=False)
    predicted: list[LabelColumns] = field(repr=False)

    @classmethod
    def of(cls, result: Result, data: object, given: Mapping[str, Any] | None) -> OpenedFit:
        """Open a fit again and hold its coefficients against those of the Result.

        Raises
        ------
        ArgumentError
            If the fit cannot be opened again, or values that it does not keep are missing.
        DataError
            If the data give other coefficients.
        """
        if result.model == "iv":
            raise ArgumentError(
                f"{result.formula!r} has instruments; its coefficients are the effects, and averages of predictions "
                "are not available for kt.iv. Read them off fit.tidy()."
            )
        if result.spec is not None and result.spec.parsed.effects and not models.fitted(result.model).linear:
            raise ArgumentError(
                f"{result.formula!r} has fixed effects, which are taken out and not estimated, and averages of a "
                f"{result.title.lower()} depend on them; read fit.ratios(), or write them as covariates, C(column)."
            )
        options, table = _call(result, data, {} if given is None else given)
        with warnings.catch_warnings():  # the fit itself has said it
            warnings.simplefilter("ignore", KaratWarning)
            opened = open_fit(options, table, PLAIN)
            sample = opened.sample
            estimate = estimated(opened.model, sample, options, opened.predicted is not None)
        names = opened.matrix.spec.names
        gap = np.full(1, np.inf)
        if names == result.names:
            gap = np.abs(estimate.theta - result.theta) / (np.abs(result.theta) + np.nan_to_num(result.se().to_numpy()))
        if not (gap <= _SAME).all():
            worst = f"; {names[int(gap.argmax())]!r} is off by {gap.max():.1g} of itself" if len(gap) > 1 else ""
            raise DataError(
                f"data do not give the coefficients of the fit {result.formula!r}{worst}. Give the table of the fit, "
                "its rows in their order and gold, surrogates and covariates as they were."
            )
        parts = PLAIN.parts(opened, sample, estimate) if result.parts is None else result.parts
        labels = tuple(label for label in opened.prepared.labels if label.in_covariates)
        fit = cls(result, opened, sample, parts, labels, _labels_of(opened) if labels else [])
        fit._refuse_whole_columns()
        return fit

    @property
    def n_units(self) -> int:
        """N."""
        return self.sample.units.n_units

    @property
    def gold(self) -> Ints:
        """Positions of the gold rows, shape (n,)."""
        return self.sample.units.gold

    @cached_property
    def shown(self) -> Shown | None:
        """What gold shows of wrong labels, where the fit allows for some that it may have missed."""
        unseen = self.parts.scores.unseen
        if unseen is None or not len(unseen):
            return None
        return shown(self.opened.prepared, self.sample)

    @property
    def covariates(self) -> list[str]:
        """Columns on the right of the formula, in its order."""
        parsed = self.opened.prepared.parsed
        right = parsed.code.partition("~")[2]

        def first(name: str) -> int:
            found = re.search(rf"(?<![\w.]){re.escape(parsed.written(name))}(?!\w)", right)
            return len(right) if found is None else found.start()

        return sorted(parsed.covariate_variables, key=first)

    def label(self, name: str) -> Label | None:
        """The labelled covariate of a name."""
        return next((label for label in self.labels if label.name == name), None)

    def gold_labels(self) -> dict[str, Any]:
        """Columns of gold labels of the gold rows."""
        return {label.name: label.gold_column(self.gold) for label in self.labels}

    def column(self, values: Any, name: str, n_rows: int) -> Any:
        """A column for the formula that holds one value throughout, or given numbers."""
        label = self.label(name)
        if label is not None:
            return label.column(values, n_rows)
        if isinstance(values, np.ndarray):
            return values
        if isinstance(values, str):
            return np.full(n_rows, values, dtype=object)
        return np.full(n_rows, float(values))

    def rows(self, where: Ints | None, columns: Mapping[str, Any]) -> pd.DataFrame:
        """Observed covariates of all units or of some, with columns put in."""
        frame = self.opened.prepared.frame
        if where is None:
            return with_columns(frame, columns, self.n_units)
        return with_columns(frame.iloc[where].reset_index(drop=True), columns, len(where))

    def mean(self, frame: pd.DataFrame) -> tuple[Floats, Floats, Floats]:
        """Design rows, expected outcomes, shape (m, K), and their slopes in the J predictors, shape (m, K, J).

        Raises
        ------
        DataError
            If a category is not one of the fit.
        """
        from formulaic.errors import DataMismatchWarning

        spec, context = self.opened.matrix.spec, self.opened.prepared.context
        with warnings.catch_warnings():
            warnings.simplefilter("error", DataMismatchWarning)
            try:
                x = spec.x(frame, context)
            except DataMismatchWarning as error:
                raise DataError(f"at= or variables=: {error} Give categories that were in the fit.") from None
        theta, m = self.result.theta, len(frame)
        eta = index.predictors(x, theta, spec.offset(frame, context), self.opened.model.first)
        mu, slope = self.opened.model.mean(eta.reshape(m, -1) if spec.classes else eta)
        return x, mu.reshape(m, -1), slope.reshape(m, -1, eta.size // m)

    def _refuse_whole_columns(self) -> None:
        """Raise where the formula looks at a whole column: changing it would change what the fit meant by it."""
        parsed = self.opened.prepared.parsed
        if row_by_row(parsed) and not parsed.offsets:
            return
        every = {label.name: label.column(_filler(label, self.n_units), self.n_units) for label in self.labels}
        frame = self.rows(None, every)
        half = np.arange(0, self.n_units, 2)
        whole, part = self.mean(frame), self.mean(frame.iloc[half].reset_index(drop=True))
        if not all(np.allclose(one[half], other, rtol=1e-9, atol=1e-12) for one, other in zip(whole, part)):
            raise FormulaError(
                f"{parsed.text!r} looks at a whole column, which means something else once values are changed; fit "
                "with center(x), scale(x) or fixed numbers."
            )


def _filler(label: Label, n_rows: int) -> Any:
    """Values of a label, every class among them."""
    if label.coded:
        return np.arange(n_rows) % len(label.classes)
    return np.resize(np.asarray(label.gold.dropna(), dtype=np.float64), n_rows)


def _call(result: Result, data: object, given: Mapping[str, Any]) -> tuple[Arguments, object]:
    """The arguments of a fit and its rows.

    Raises
    ------
    ArgumentError
        If there is nothing to open.
    """
    if result.model == "mean":
        raise ArgumentError("means and shares are averages already; there is nothing to average over units.")
    if result.estimator == "surrogate":
        raise ArgumentError("estimator='surrogate' takes labels for the truth, so that no average of it is valid.")
    found = reopen(result, data, given, "given={{'{}': ...}}")
    if found is None:
        raise ArgumentError(
            "this Result does not know the call it was made by (durations, unit means, or read from JSON), so it "
            "cannot be opened again; use a fit of kt.regress and its like."
        )
    arguments = {name: value for name, value in found.arguments.items() if name not in ("model", "formula")}
    if arguments.get("combine") == "median":
        raise ArgumentError("combine='median' has no single estimating equation; fit with combine='mean'.")
    surrogates = arguments.pop("surrogates")
    model, formula = found.arguments["model"], found.arguments["formula"]
    return Arguments.of(model, formula, surrogates, {**arguments, "compare": False}), found.data


def _labels_of(opened: Opened) -> list[LabelColumns]:
    """Labels of the predicted rows of all units."""
    prepared, options = opened.prepared, opened.options
    if not opened.blocks:
        return []
    if opened.predicted is not None:
        return predicted_labels(prepared, opened.predicted)
    labels = given_labels(prepared, options, options.predictions, opened.table)
    assert labels is not None
    return surrogate_labels(prepared, labels, options.imputation)[0]
