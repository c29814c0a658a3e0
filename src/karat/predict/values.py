"""Labels to learn, how much each gold row counts, predictions of them, and how good they are."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .._core.types import Floats, Ints


@dataclass(frozen=True)
class SurrogateLabels:
    """Surrogate labels of all units, for learners that learn from them before gold.

    Parameters
    ----------
    values : ndarray, shape (N, S)
        Class distributions, or numbers of one or several surrogates; missing is not a number.
    classes : bool
        Whether they are class distributions.
    """

    values: Floats = field(repr=False)
    classes: bool


@dataclass(frozen=True)
class Target:
    """One label to learn.

    Parameters
    ----------
    name : str
    values : ndarray, shape (n,)
        Gold values: numbers, or class codes from 0.
    n_classes : int
        0 for a number.
    joint : bool
        Whether the predicted rows run over its classes (a categorical covariate).
    given_joint : bool
        Whether it is predicted given the joint labels before it (the outcome).
    surrogate : SurrogateLabels, optional
        Its surrogates in all units, where the learner is pre-trained on them.

    Examples
    --------
    >>> import numpy as np
    >>> from karat.predict import Target
    >>> Target("tone", np.array([0.5, 1.0]), n_classes=0).name
    'tone'
    """

    name: str
    values: Floats
    n_classes: int = 0
    joint: bool = False
    given_joint: bool = False
    surrogate: SurrogateLabels | None = None

    def ordered(self, order: Ints, gold: Ints) -> Target:
        """The same label with all rows, and gold among themselves, in another order."""
        surrogate = self.surrogate
        if surrogate is not None:
            surrogate = replace(surrogate, values=surrogate.values[order])
        return replace(self, values=self.values[gold], surrogate=surrogate)


@dataclass(frozen=True)
class Skill:
    """How well a label was predicted out of fold.

    Parameters
    ----------
    name : str
        Label.
    learner : str
        Learner used.
    r_squared : float
        Share of squared error removed against the weighted mean (for classes: of the Brier score).
    accuracy : float or None
        Weighted share of gold rows whose most probable class is right; None for numbers.
    calibration : float or None
        Weighted slope of gold on its out-of-fold prediction (for classes: of the indicators of all classes, each
        centred); 1 when predictions are calibrated, None when they do not vary.

    Examples
    --------
    >>> import numpy as np
    >>> import karat as kt
    >>> tone = np.where(np.arange(80) < 40, np.arange(80) % 7, np.nan)
    >>> table = {"tone": tone, "model": np.arange(80) % 7}
    >>> fit = kt.ols("tone ~ 1", table, surrogates={"tone": "model"}, seed=1)
    >>> fit.skill[0].name, round(fit.skill[0].r_squared, 2)
    ('tone', 1.0)
    """

    name: str
    learner: str
    r_squared: float
    accuracy: float | None
    calibration: float | None = None


@dataclass(frozen=True)
class Predictions:
    """Predicted labels of all units, averaged over splits.

    Parameters
    ----------
    combinations : tuple of tuple of int
        Class codes of the joint labels, one tuple per block of predicted rows.
    share : ndarray, shape (N, C), or None
        Probability of each combination; None when there is one.
    values : dict of str to ndarray, shape (N, C) or (N, 1)
        Expected value of each label that is not joint, given the combination; of K classes the probabilities of all but
        the first, shape (N, C (K - 1)), those of a combination side by side.
    splits : tuple of Predictions
        The same split by split, when kept.
    skill : tuple of Skill

    Examples
    --------
    >>> import numpy as np
    >>> from karat.predict import Predictions
    >>> Predictions(((),), None, {"tone": np.array([[0.2], [0.7]])}).values["tone"].ravel().tolist()
    [0.2, 0.7]
    """

    combinations: tuple[tuple[int, ...], ...]
    share: Floats | None
    values: dict[str, Floats]
    splits: tuple[Predictions, ...] = field(default=(), repr=False)
    skill: tuple[Skill, ...] = ()

    def taken(self, rows: Ints) -> Predictions:
        """Predictions of some units, or of all in another order."""
        return replace(
            self,
            share=None if self.share is None else self.share[rows],
            values={name: values[rows] for name, values in self.values.items()},
            splits=tuple(split.taken(rows) for split in self.splits),
        )


def loss_weights(probability: Floats) -> Floats | None:
    """Weights of gold rows in the learner's loss: ``(1 - pi) / pi^2``, cut at its .9 quantile.

    Parameters
    ----------
    probability : ndarray, shape (n,)
        Inclusion probabilities of the gold rows.

    Returns
    -------
    ndarray, shape (n,), or None
        None when all are equal. Rows drawn with certainty keep a twentieth of the mean weight.

    Examples
    --------
    >>> loss_weights(np.array([0.5, 0.5])) is None
    True
    """
    return capped_weights((1.0 - probability) / probability**2)


def capped_weights(spread: Floats) -> Floats | None:
    """Weights of gold rows in the learner's loss: what each adds to the labelling variance, cut at the .9 quantile.

    Parameters
    ----------
    spread : ndarray, shape (n,)
        Labelling variance per squared error, see :attr:`karat.designs.Labelling.spread`.

    Returns
    -------
    ndarray, shape (n,), or None
        None when all are equal. Rows drawn with certainty keep a twentieth of the mean weight.

    Examples
    --------
    >>> capped_weights(np.array([2.0, 6.0, 6.0])).round(2).tolist()
    [0.43, 1.29, 1.29]
    """
    if np.ptp(spread) == 0:
        return None
    weight = np.minimum(spread, np.quantile(spread, 0.9))
    if weight.max() <= 0:
        return None
    weight = np.maximum(weight, 0.05 * weight.mean())
    return weight / weight.mean()


class Sums:
    """Running sums over splits."""

    def __init__(self, n_rows: int, n_combos: int, names: list[str]) -> None:
        self.count = np.zeros(n_rows)
        self.share = np.zeros((n_rows, n_combos))
        self.values: dict[str, Any] = dict.fromkeys(names)

    def add(self, rows: Ints, share: Floats, values: dict[str, Floats]) -> None:
        """Add the predictions of some rows."""
        self.count[rows] += 1.0
        self.share[rows] += share
        for name, value in values.items():
            if self.values[name] is None:
                self.values[name] = np.zeros((len(self.count), value.shape[1]))
            several, rest = divmod(value.shape[1], share.shape[1])
            self.values[name][rows] += value if rest else value * np.repeat(share, several, axis=1)

    def mean(self, combos: tuple[tuple[int, ...], ...]) -> Predictions:
        """Average: shares plainly, values weighted by the share of their combination."""
        count = self.count[:, None]
        values = {}
        for name, total in self.values.items():
            several, rest = divmod(total.shape[1], self.share.shape[1])
            if not rest:
                share = np.repeat(self.share, several, axis=1)
                with np.errstate(divide="ignore", invalid="ignore"):
                    values[name] = np.where(share > 0, total / share, 0.0)
            else:
                values[name] = total / count
        return Predictions(combos, None if len(combos) == 1 else self.share / count, values)


def loss_of(target: Target, predicted: Floats, values: Floats) -> Floats:
    """Squared error of numbers, Brier score of classes."""
    if target.n_classes:
        actual = np.eye(target.n_classes)[values.astype(np.intp)]
        out: Floats = ((predicted - actual) ** 2).sum(axis=1)
        return out
    return (predicted - values) ** 2


def name_of(candidate: Any) -> str:
    """Printable name of a candidate."""
    return candidate if isinstance(candidate, str) else getattr(candidate, "title", type(candidate).__name__)


def skills(
    targets: tuple[Target, ...], chosen: tuple[Any, ...], mean: Predictions, gold: Ints, weight: Floats
) -> tuple[Skill, ...]:
    """Skill of each label, given the true classes of the labels before it."""
    out = []
    joint = [t for t in targets if t.joint]
    codes = np.column_stack([t.values for t in joint]).astype(np.intp) if joint else None
    actual = np.zeros(len(gold), dtype=np.intp)
    if codes is not None:
        actual = np.ravel_multi_index(tuple(codes.T), tuple(t.n_classes for t in joint))
    for target, candidate in zip(targets, chosen):
        if target.joint:
            assert mean.share is not None
            position = joint.index(target)
            marginal = np.zeros((len(gold), target.n_classes))
            for c, combo in enumerate(mean.combinations):
                marginal[:, combo[position]] += mean.share[gold, c]
            predicted = marginal
        else:
            value = mean.values[target.name][gold].reshape(len(gold), -1, max(target.n_classes - 1, 1))
            predicted = value[np.arange(len(gold)), actual if value.shape[1] > 1 else 0]
            predicted = (
                np.column_stack([1.0 - predicted.sum(axis=1), predicted]) if target.n_classes else predicted[:, 0]
            )
        loss = np.average(loss_of(target, predicted, target.values), weights=weight)
        if target.n_classes:
            shares = (
                np.bincount(target.values.astype(np.intp), weights=weight, minlength=target.n_classes) / weight.sum()
            )
            base = 1.0 - (shares**2).sum()
            hit = predicted.argmax(axis=1) == target.values
            accuracy: float | None = float(np.average(hit, weights=weight))
        else:
            base = np.average((target.values - np.average(target.values, weights=weight)) ** 2, weights=weight)
            accuracy = None
        r_squared = float(1.0 - loss / base) if base > 0 else 0.0
        slope = _calibration(target, predicted, weight)
        out.append(Skill(target.name, name_of(candidate), r_squared, accuracy, slope))
    return tuple(out)


def _calibration(target: Target, predicted: Floats, weight: Floats) -> float | None:
    """Slope of gold on its prediction, class by class about their means."""
    if target.n_classes:
        actual = np.eye(target.n_classes)[target.values.astype(np.intp)]
    else:
        actual, predicted = target.values[:, None], predicted[:, None]
    share = weight / weight.sum()
    centred = predicted - share @ predicted
    spread = float(share @ (centred**2).sum(axis=1))
    if spread <= 1e-12:
        return None
    return float(share @ (centred * actual).sum(axis=1)) / spread
