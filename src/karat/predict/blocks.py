"""Blocks of many features, such as texts: they join a guess only where, out of fold, it gets better with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..frames.matrices import Block, Features
from . import learners
from .values import Target

if TYPE_CHECKING:
    from .._core.types import Floats, Ints

_SIGNALS = np.array([2.0, 1.0, 0.5, 0.25, 0.12, 0.06, 0.03])
"""Variance that a block explains over the variance it leaves: penalties from which one is chosen out of fold."""

GAIN = 1.0
"""Standard errors by which the out-of-fold loss must fall for a block to be used."""

_MOST = 300
"""Directions of a block that are used: of more columns the leading ones of rows that stand evenly among all."""

_ROWS = 2_000
MANY_SURROGATES = 12
"""Columns of surrogates beyond which what they have in common is the base, and each of them one of a block."""

_APART, _MOST_COMMON = 1.5, 5
_INNER = 5


@dataclass(frozen=True)
class Blocked:
    """A learner of the base features that blocks of features may correct.

    Parameters
    ----------
    base : str
        Name of the learner.
    columns : tuple of int
        Features the base sees; further columns, of labels that were learnt before, are the base's too.
    blocks : tuple of Block
    n_features : int
    used : tuple of str
        Blocks that lower the loss where all gold rows are learnt from.
    """

    base: str
    columns: tuple[int, ...]
    blocks: tuple[Block, ...]
    n_features: int
    used: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, base: str, features: Joined, target: Target, x: Floats, fold: Ints, weight: Floats | None, seed: int
    ) -> Blocked:
        """With the blocks of some features, told by which of them help on all gold rows ``x``."""
        columns = features.common if base == "calibration" else features.base
        plan = cls(base, columns, features.blocks, x.shape[1])
        fitted = learners.fit_label(target, plan, x, target.values, weight, seed, inner=fold)
        if isinstance(fitted, int):
            return plan
        used = (block.name for block, found in zip(plan.blocks, fitted.corrections_) if found is not None)
        return replace(plan, used=tuple(used))

    @property
    def title(self) -> str:
        """Printable name."""
        return " + ".join([self.base, *self.used])

    def built(self, n_classes: int, seed: int, inner: Ints | None) -> BlockedLearner:
        """A fresh estimator; ``inner`` (m,): folds of the rows it will be fitted on, clusters whole."""
        return BlockedLearner(self, n_classes, seed, inner)


@dataclass(frozen=True)
class Joined(Features):
    """Features as learners with blocks see them.

    Parameters
    ----------
    base : tuple of int
        Columns in no block.
    common : tuple of int
        Those of them that come from surrogates: what these have in common where they are many, which then are a block.
    """

    base: tuple[int, ...] = ()
    common: tuple[int, ...] = ()

    def few(self, most: int) -> tuple[int, ...]:
        """Columns of the base, and of each block in turn that leaves no more than ``most`` of them."""
        out = self.base
        for block in self.blocks:
            if len(out) + block.stop - block.start <= most:
                out = (*out, *range(block.start, block.stop))
        return out


def goes_by_blocks(learner: object) -> bool:
    """Whether a learner takes blocks of features only where they pay, as ``"auto"`` does."""
    return isinstance(learner, str) and learner == "auto"


def in_blocks(features: Features, learner: object) -> bool:
    """Whether a learner sees blocks: where there are any, or many surrogates."""
    return goes_by_blocks(learner) and bool(features.blocks or _many(features))


def _many(features: Features) -> bool:
    return len(features.surrogate) > MANY_SURROGATES


def joined(features: Features, scaled: Floats, gold: Ints) -> Joined:
    """Features as learners with blocks see them: scaled, wide blocks told by fewer directions.

    Parameters
    ----------
    features : Features
    scaled : ndarray, shape (N, f)
        Its columns with mean 0 and standard deviation 1; those of blocks are changed.
    gold : ndarray of int, shape (n,)

    Notes
    -----
    A ridge regression on no more rows than directions kept is the same in the span of the gold rows; with more gold
    rows the directions are those in which all rows vary most: of texts the 2,000 different ones that come first in an
    order that follows from what they say. Neither looks at a label.
    """
    at = features.blocks[0].start if features.blocks else scaled.shape[1]
    parts, blocks = [scaled[:, :at]], []
    base, common = tuple(range(at)), features.surrogate
    for block in features.blocks:
        part = scaled[:, block.start : block.stop]
        shown = None
        if block.alike:
            part[:] = features.matrix[:, block.start : block.stop]
            centre = part.mean(axis=0)
            part -= centre
            size = max(float(np.sqrt(np.mean(part**2))), 1e-300)
            part /= size
            shown = None if block.shown is None else (block.shown - centre) / size
        if part.shape[1] > _MOST:
            part = part @ _directions(_rows_that_show(part, gold, shown))
        parts.append(part)
        blocks.append(block._replace(start=at, stop=at + part.shape[1], shown=None))
        at += part.shape[1]
    if _many(features):  # they stand first
        blocks.insert(0, Block("each surrogate", 0, len(common)))
        parts.append(_common(scaled[:, : len(common)]))
        base = (*base[len(common) :], *range(at, at + parts[-1].shape[1]))
        common = base[-parts[-1].shape[1] :]
    in_place = at == scaled.shape[1] and not _many(features)
    matrix = scaled if in_place else np.hstack(parts)
    return Joined(matrix, tuple(map(str, range(matrix.shape[1]))), features.surrogate, tuple(blocks), base, common)


def _rows_that_show(part: Floats, gold: Ints, shown: Floats | None) -> Floats:
    """Rows that show in which directions a wide block varies."""
    if len(gold) <= _MOST:
        return np.asarray(part[gold])
    if shown is not None:
        return shown
    return np.asarray(part[np.unique(np.linspace(0, len(part) - 1, _ROWS).astype(np.intp))])


def turned(
    features: Features, gold: Floats, shown: Sequence[Floats | None]
) -> tuple[Joined, tuple[Floats | None, ...]]:
    """The same for gold rows alone, and what turns each block, so that other rows can be turned as they come.

    Parameters
    ----------
    features : Features
        Of texts in blocks.
    gold : ndarray, shape (n, f)
        Gold rows, scaled.
    shown : sequence of ndarray or None
        Rows that show in which directions each block varies, scaled.
    """
    at = features.blocks[0].start
    parts, blocks, turns, base = [gold[:, :at]], [], [], tuple(range(at))
    for block, rows in zip(features.blocks, shown):
        part = gold[:, block.start : block.stop]
        turn = _directions(_rows_that_show(part, np.arange(len(part)), rows)) if part.shape[1] > _MOST else None
        turns.append(turn)
        parts.append(part if turn is None else part @ turn)
        blocks.append(block._replace(start=at, stop=at + parts[-1].shape[1], shown=None))
        at += parts[-1].shape[1]
    matrix = np.hstack(parts)
    names = tuple(map(str, range(at)))
    return Joined(matrix, names, features.surrogate, tuple(blocks), base, features.surrogate), tuple(turns)


def _common(surrogates: Floats) -> Floats:
    """What many surrogates have in common: directions in which they vary by far more than in most, scaled."""
    values, directions = np.linalg.eigh(surrogates.T @ surrogates)
    count = int((values > _APART * np.quantile(values, 0.75)).sum())
    out = surrogates @ directions[:, -min(max(count, 1), _MOST_COMMON) :]
    return np.asarray(out / np.maximum(out.std(axis=0), 1e-300))


def _directions(rows: Floats) -> Floats:
    """Directions of most variation, shape (b, k), of at most as many rows, or of the leading ones."""
    if len(rows) <= _MOST:
        return np.asarray(np.linalg.svd(rows, full_matrices=False)[2].T)
    from sklearn.utils.extmath import randomized_svd

    return np.asarray(randomized_svd(rows, _MOST, n_iter=2, random_state=0)[2].T)


class BlockedLearner:
    """The base, and for each block that lowers the loss a ridge regression of what is left on it.

    Within the rows it is fitted on, the base is predicted out of fold; what is left of the label is regressed on
    these predictions (no penalty) and the block (a penalty chosen out of fold, in closed form). A block whose gain in
    squared error out of fold is not larger than its standard error is not used at all.
    """

    def __init__(self, plan: Blocked, n_classes: int, seed: int, inner: Ints | None) -> None:
        self.plan, self.n_classes, self.seed, self.inner = plan, n_classes, seed, inner

    def fit(self, x: Floats, y: Any, sample_weight: Floats | None = None) -> BlockedLearner:
        """Fit on (m, f) features and (m,) labels."""
        target = Target("the label", np.asarray(y, dtype=np.float64), self.n_classes)
        base, n = self._base(x), len(x)
        self.base_ = self._fit_base(target, base, np.arange(n), sample_weight)
        self.corrections_: list[Correction | None] = []
        if not self.plan.blocks:
            return self
        folds = self._folds(n)
        guess: Floats = np.empty((n, max(self.n_classes, 1)))
        for k in np.unique(folds):
            out = np.flatnonzero(folds == k)
            fitted = self._fit_base(target, base, np.flatnonzero(folds != k), sample_weight)
            guess[out] = _two(learners.predict_label(fitted, target, base[out]))
        actual = np.eye(self.n_classes)[target.values.astype(np.intp)] if self.n_classes else target.values[:, None]
        weight = np.ones(n) if sample_weight is None else sample_weight / np.mean(sample_weight)
        for block in self.plan.blocks:
            found = correction(guess, x[:, block.start : block.stop], actual, weight, folds)
            self.corrections_.append(found)
            guess = guess if found is None else found.out_of_fold
        return self

    def predict(self, x: Floats) -> Floats:
        """Numbers (m,)."""
        return np.asarray(self._corrected(x)[:, 0])

    def predict_proba(self, x: Floats) -> Floats:
        """Class probabilities (m, K)."""
        share = np.clip(self._corrected(x), 0.0, 1.0)
        return np.asarray(share / share.sum(axis=1, keepdims=True))

    def _corrected(self, x: Floats) -> Floats:
        target = Target("the label", np.empty(0), self.n_classes)
        guess = _two(learners.predict_label(self.base_, target, self._base(x)))
        for block, found in zip(self.plan.blocks, self.corrections_):
            guess = guess if found is None else found(guess, x[:, block.start : block.stop])
        return guess

    def _base(self, x: Floats) -> Floats:
        return x[:, [*self.plan.columns, *range(self.plan.n_features, x.shape[1])]]

    def _fit_base(self, target: Target, base: Floats, rows: Ints, weight: Floats | None) -> Any:
        weight = None if weight is None else weight[rows]
        return learners.fit_label(target, self.plan.base, base[rows], target.values[rows], weight, self.seed)

    def _folds(self, n: int) -> Ints:
        """Folds of the training rows: those they have anyway, so that clusters stay whole; else new ones."""
        if self.inner is not None and len(np.unique(self.inner)) > 2:
            return self.inner
        return np.asarray(np.random.default_rng(self.seed).permutation(n) % min(_INNER, n))


def _two(values: Floats) -> Floats:
    return values if values.ndim == 2 else values[:, None]


@dataclass(frozen=True)
class Correction:
    """What a block adds to a guess: ``guess + (1, guess) slope + block coefficient``."""

    slope: Floats
    coefficient: Floats
    out_of_fold: Floats

    def __call__(self, guess: Floats, block: Floats) -> Floats:
        """The corrected guess (m, q)."""
        return np.asarray(guess + known(guess) @ self.slope + block @ self.coefficient)


def known(guess: Floats) -> Floats:
    """A constant and the guess, of classes all but the first."""
    columns = guess[:, 1:] if guess.shape[1] > 1 else guess
    return np.column_stack([np.ones(len(guess)), columns])


def correction(guess: Floats, block: Floats, actual: Floats, weight: Floats, folds: Ints) -> Correction | None:
    """The ridge regression of what a guess leaves on a block, or None where it does not pay.

    Parameters
    ----------
    guess : ndarray, shape (m, q)
        Out of fold.
    block : ndarray, shape (m, b)
    actual : ndarray, shape (m, q)
    weight : ndarray, shape (m,)
    folds : ndarray of int, shape (m,)
    """
    root = np.sqrt(weight)[:, None]
    left = root * (actual - guess)
    base, r = np.linalg.qr(root * known(guess))
    if np.abs(np.diag(r)).min() < 1e-8 * max(np.abs(np.diag(r)).max(), 1.0):  # the guess is a constant
        base, r = np.linalg.qr(root)
    z = root * block
    inner = base.T @ z
    z = z - base @ inner
    u, s, vt = np.linalg.svd(z, full_matrices=False) if z.shape[1] <= len(z) else _wide(z)
    total = float((s**2).sum())
    rest = left - base @ (base.T @ left)
    loss, values = [], []
    for signal in (0.0, *_SIGNALS):
        shrunk = np.zeros_like(s) if signal == 0 or total == 0 else s**2 / (s**2 + total / len(z) / signal)
        error = _out_of_fold(rest, np.hstack([base, u * np.sqrt(shrunk)]), u, shrunk, folds)
        values.append(error)
        loss.append(float((error**2).sum()))
    best = int(np.argmin(loss))
    if best == 0:
        return None
    before = min((float((left**2).sum()), left), (loss[0], values[0]), key=lambda pair: pair[0])[1]
    gain = (before**2).sum(axis=1) - (values[best] ** 2).sum(axis=1)
    if gain.sum() <= GAIN * np.sqrt(len(gain)) * gain.std():
        return None
    penalty = total / len(z) / _SIGNALS[best - 1]
    coefficient = vt.T @ ((s / (s**2 + penalty))[:, None] * (u.T @ rest))
    slope = np.linalg.solve(r, base.T @ left - inner @ coefficient)
    if len(slope) < known(guess).shape[1]:
        slope = np.vstack([slope, np.zeros((known(guess).shape[1] - len(slope), slope.shape[1]))])
    return Correction(slope, coefficient, actual - values[best] / root)


def _wide(z: Floats) -> tuple[Floats, Floats, Floats]:
    """Singular value decomposition of a matrix with more columns than rows, from the products of its rows."""
    values, u = np.linalg.eigh(z @ z.T)
    keep = values > 1e-10 * values[-1]
    s = np.sqrt(values[keep])
    return u[:, keep], s, (u[:, keep] / s).T @ z


def _out_of_fold(rest: Floats, hat: Floats, u: Floats, shrunk: Floats, folds: Ints) -> Floats:
    """Errors of rows predicted without their fold: ``(I - H_kk)^-1`` times the errors within (H = hat hat')."""
    error = rest - u @ (shrunk[:, None] * (u.T @ rest))
    out = np.empty_like(error)
    for k in np.unique(folds):
        rows = np.flatnonzero(folds == k)
        h = hat[rows] @ hat[rows].T
        out[rows] = np.linalg.solve(np.eye(len(rows)) - h, error[rows])
    return out
