"""Outcome regressions and propensities, cross-fitted on the augmented sample, and what each row contributes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import moments as models
from ..errors import ArgumentError, SeparationError
from ..estimate.augment import AugmentedSample, Units
from ..estimate.rows import Memory, Rows

if TYPE_CHECKING:
    from .._core.types import Bools, Floats, Ints
    from ..moments import Model

Solve = Callable[["Model", AugmentedSample], "Floats"]
"""Coefficients of a model on an augmented sample."""


@dataclass(frozen=True)
class Arm:
    """Rows of gold units or of all units, seen as treatment, covariates and outcome.

    Parameters
    ----------
    t : ndarray, shape (m,)
        Treatment, 0 or 1.
    z : ndarray, shape (m, k)
        Covariates with a column of ones.
    y : ndarray, shape (m,)
    position : ndarray of int, shape (m,)
        Unit of each row.
    share : ndarray, shape (m,), optional
        Probability of the labels that the row holds.
    arms : tuple of ndarray
        Outcomes that a model predicts under treatment and under control, shape (m,); or empty.
    """

    t: Floats
    z: Floats
    y: Floats
    position: Ints
    share: Floats | None = None
    arms: tuple[Floats, ...] = ()

    def under(self, a: int) -> Floats:
        """Covariates of the outcome regression of an arm: the model's prediction under that arm joins them."""
        return np.column_stack([self.z, self.arms[1 - a]]) if self.arms else self.z

    @property
    def of_outcome(self) -> Rows:
        """Rows of both outcome regressions at once: those of control, then those of treatment."""
        x = np.hstack([self.under(0) * (1.0 - self.t)[:, None], self.under(1) * self.t[:, None]])
        return Rows(x, self.y, None, self.share)

    @property
    def of_treatment(self) -> Rows:
        """Rows of the propensity model."""
        return Rows(self.z, self.t, None, self.share)


@dataclass(frozen=True)
class Fitted:
    """Outcome regressions and propensity at rows, each of shape (m,)."""

    treated: Floats
    control: Floats
    propensity: Floats


@dataclass(frozen=True)
class Nuisances:
    """How outcome regressions and propensities are fitted.

    Parameters
    ----------
    solve : callable
        Coefficients of karat's own regressions.
    units : Units
    names : tuple of str
        Columns of the covariates.
    known : ndarray, shape (N,), optional
        Propensities known by design.
    learners : tuple, optional
        scikit-learn estimators of outcome and treatment.
    observed : bool
        Whether treatment and covariates are known of every unit.
    clip : float
    """

    solve: Solve
    units: Units = field(repr=False)
    names: tuple[str, ...]
    known: Floats | None = field(repr=False, default=None)
    learners: tuple[Any, Any] | None = None
    observed: bool = False
    clip: float = 0.01

    def at(
        self, gold: Arm, predicted: tuple[Arm, ...], others: tuple[Arm, ...], folds: Ints
    ) -> tuple[list[Fitted], int]:
        """Nuisances of all rows, each fitted without the fold of its unit, and how many units were clipped.

        Others are not fitted to.
        """
        rows = [gold, *predicted, *others]
        out = [np.zeros((3, len(one.t))) for one in rows]
        for k in range(int(folds.max()) + 1):
            fitted = self._fit(gold, predicted, folds != k)
            for one, values in zip(rows, out):
                inside = folds[one.position] == k
                values[:, inside] = fitted(_some(one, inside))
        clipped: Ints = np.zeros(0, dtype=np.intp)
        found: list[Fitted] = []
        for one, (treated, control, propensity) in zip(rows, out):
            if self.known is not None:
                propensity = self.known[one.position]
            low = np.clip(propensity, self.clip, 1.0 - self.clip)
            if len(found) < len(rows) - len(others):
                clipped = np.union1d(clipped, one.position[low != propensity])
            found.append(Fitted(treated, control, low))
        return found, len(clipped)

    def _fit(self, gold: Arm, predicted: tuple[Arm, ...], train: Bools) -> Callable[[Arm], Floats]:
        if self.learners is not None:
            return self._learn(gold, predicted, train)
        weights = np.ones(len(train)) if self.units.weights is None else self.units.weights
        units = replace(self.units, weights=weights * train, cluster=None)
        both = tuple(f"{name} (arm {a})" for a in (0, 1) for name in (*self.names, *["prediction"] * bool(gold.arms)))
        outcome = self.solve(
            models.get("ols"),
            AugmentedSample(gold.of_outcome, Memory(tuple(one.of_outcome for one in predicted)), units, both),
        )
        treatment = np.zeros(gold.z.shape[1])
        if self.known is None:
            rows = AugmentedSample(
                gold.of_treatment, Memory(tuple(p.of_treatment for p in predicted)), units, self.names
            )
            try:
                treatment = self.solve(models.get("logit"), rows)
            except SeparationError as error:
                raise SeparationError(
                    f"treated and untreated do not overlap; in the model of propensities, whose outcome is the "
                    f"treatment, {error} Or give propensity= where it is known, or nuisance= with a penalty."
                ) from None
        half = len(outcome) // 2

        def fitted(rows: Arm) -> Floats:
            e = 1.0 / (1.0 + np.exp(-np.clip(rows.z @ treatment, -30.0, 30.0)))
            return np.stack([rows.under(1) @ outcome[half:], rows.under(0) @ outcome[:half], e])

        return fitted

    def _learn(self, gold: Arm, predicted: tuple[Arm, ...], train: Bools) -> Callable[[Arm], Floats]:
        """Learners see gold rows, each standing for as many units as its weight; treatments known of all units, all."""
        from sklearn.base import clone

        assert self.learners is not None
        weight, own = self.units.gold_weight, train[gold.position]
        arms = [clone(self.learners[0]) for _ in (0, 1)]
        for a, learner in enumerate(arms):
            some = own & (gold.t == a)
            learner.fit(gold.under(a)[some], gold.y[some], sample_weight=weight[some])
        treatment = clone(self.learners[1])
        if self.known is None:
            rows, own = (predicted[0], train) if self.observed and predicted else (gold, own)
            v = self.units.weights if rows is not gold else weight
            treatment.fit(rows.z[own], rows.t[own].astype(np.intp), sample_weight=None if v is None else v[own])

        def fitted(rows: Arm) -> Floats:
            e = np.full(len(rows.t), 0.5) if self.known is not None else treatment.predict_proba(rows.z)[:, 1]
            return np.stack([_mean(arms[1], rows.under(1)), _mean(arms[0], rows.under(0)), e])

        return fitted


def learners_of(nuisance: object, known: object) -> tuple[Any, Any] | None:
    """Estimators of outcome and treatment; None for karat's own.

    Raises
    ------
    ArgumentError
    """
    if nuisance is None:
        return None
    pair = nuisance if isinstance(nuisance, (list, tuple)) else (nuisance, None if known is None else nuisance)
    if len(pair) != 2 or not hasattr(pair[0], "fit") or (known is None and not hasattr(pair[1], "predict_proba")):
        raise ArgumentError(
            f"nuisance={nuisance!r} must be a pair of scikit-learn estimators, a regression of the outcome and a "
            "classifier of the treatment (of which a known propensity= needs the first alone)."
        )
    return pair[0], pair[0] if pair[1] is None else pair[1]


def without_surrogates(options: Any) -> Any:
    """Options of a fit whose rows with an outcome are all the gold there is.

    Raises
    ------
    ArgumentError
        If options ask for surrogates.
    """
    if options.get("estimator", "gold") != "gold" or options.get("compare", False):
        raise ArgumentError(
            "without surrogates= there is gold alone; leave out estimator= and compare=, or give surrogates=."
        )
    return {**options, "estimator": "gold", "compare": False}


def _some(rows: Arm, at: Bools) -> Arm:
    return replace(
        rows, t=rows.t[at], z=rows.z[at], y=rows.y[at], position=rows.position[at], share=None,
        arms=tuple(one[at] for one in rows.arms),
    )  # fmt: skip


def _mean(learner: Any, x: Floats) -> Floats:
    """Expected outcome: a classifier of 0 and 1 gives probabilities."""
    if not hasattr(learner, "predict_proba"):
        return np.asarray(learner.predict(x), dtype=np.float64)
    return np.asarray(learner.predict_proba(x) @ np.asarray(learner.classes_, dtype=np.float64))


def contribution(rows: Arm, at: Fitted, effect: str) -> Floats:
    """What each row contributes to the effect (of the treated: to its numerator), shape (m,).

    Parameters
    ----------
    rows : Arm
    at : Fitted
    effect : {"ate", "att"}

    Returns
    -------
    ndarray, shape (m,)

    References
    ----------
    Robins, Rotnitzky and Zhao (1994); Chernozhukov et al. (2018), *Double/debiased machine learning*, section 5.1.

    Examples
    --------
    >>> import numpy as np
    >>> one = Arm(np.array([1.0, 0.0]), np.ones((2, 1)), np.array([3.0, 1.0]), np.arange(2))
    >>> contribution(one, Fitted(np.full(2, 2.0), np.full(2, 1.0), np.full(2, 0.5)), "ate")
    array([3., 1.])
    """
    t, y, e = rows.t, rows.y, at.propensity
    if effect == "att":
        return np.asarray((t - (1.0 - t) * e / (1.0 - e)) * (y - at.control))
    return np.asarray(at.treated - at.control + t * (y - at.treated) / e - (1.0 - t) * (y - at.control) / (1.0 - e))
