"""Wrong labels that no gold label shows: a floor under the labelling variance where predictions are nearly perfect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..estimate.totals import row_scores
from ..estimate.within import within
from .design_matrix import gold_rows

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..estimate.augment import AugmentedSample
    from ..estimate.infer import Parts
    from ..estimate.rows import Rows
    from ..moments import Model
    from .design_matrix import Design, Prepared
    from .variables import Label

RULE_OF_THREE = (3.0 / 1.96) ** 2
"""Wrong labels, of none seen, whose standard error times 1.96 is the upper limit of the rule of three."""

ENOUGH = 7.0
"""Wrong gold labels from which the labelling variance is taken as gold shows it."""


def with_unseen(
    parts: Parts, model: Model, prepared: Prepared, design: Design, sample: AugmentedSample, theta: Floats
) -> Parts:
    """Parts of a covariance with wrong labels that gold may have missed.

    Where no gold label is wrong, errors are 0 and so is the labelling variance, while up to 3 in n labels may be wrong
    elsewhere (rule of three). The variance of a coefficient is therefore at least what 2.34 wrong labels among n gold
    rows would tell: ``p sum s_i c_i^2`` with ``p = 2.34 / n``, s the spread of weights and c what another class of the
    gold label would move. This least variance fades to nothing as gold shows from 2.34 to 7 wrong labels.

    Parameters
    ----------
    parts : Parts
    model : Model
    prepared : Prepared
    design : Design
        With gold rows in the user's columns.
    sample : AugmentedSample
    theta : ndarray, shape (q,)

    Returns
    -------
    Parts
        The same where labels are numbers, for gold alone, with instruments and imputed outcomes, and where gold rows
        are supposed that have no label; for shares, whose intervals allow for it by themselves.

    References
    ----------
    Hanley and Lippman-Hand (1983), *If nothing goes wrong, is everything all right?*, JAMA 249.
    """
    scores = parts.scores
    known = scores.gold_alone or sample.instruments is not None or sample.panel is not None
    found = None if known else shown(prepared, sample)
    if found is None:
        return parts
    unseen = np.zeros_like(scores.error[:0])
    if found.least > 0 and model.name != "mean":
        inverse = np.linalg.inv(parts.curvature)
        unseen = found.scale * moved(found, model, prepared, design, sample, theta, inverse)
    return replace(parts, scores=replace(scores, unseen=unseen))


@dataclass(frozen=True)
class Shown:
    """What gold rows show of wrong labels.

    Parameters
    ----------
    labels : tuple of Label
        Those with classes.
    root : ndarray, shape (n,)
        Root of the spread of the weight of each gold row.
    wrong : float
        Spread of the weights of wrong labels.
    """

    labels: tuple[Label, ...]
    root: Floats
    wrong: float

    @property
    def size(self) -> int:
        """Gold rows drawn by chance."""
        return int((self.root > 0).sum())

    @property
    def spread(self) -> float:
        """Total spread of their weights."""
        return float(self.root @ self.root)

    @property
    def least(self) -> float:
        """Wrong labels for which the labelling variance must allow."""
        return wrong_labels(self.size, self.spread, self.wrong)

    @property
    def scale(self) -> float:
        """Root of the probability of such a label."""
        return float(np.sqrt(self.least / self.size))


def wrong_labels(size: float, spread: float, wrong: float) -> float:
    """2.34 where gold shows no more, 0 where it shows 7."""
    found = size * wrong / spread
    return float(RULE_OF_THREE * np.clip((ENOUGH - found) / (ENOUGH - RULE_OF_THREE), 0.0, 1.0))


def shown(prepared: Prepared, sample: AugmentedSample) -> Shown | None:
    """What gold rows show of wrong labels; None where nothing can be told."""
    units = sample.units
    labels = tuple(label for label in prepared.labels if len(label.classes) > 1)
    root = np.sqrt(np.maximum(units.labelling.spread, 0.0))
    if not labels or not root.any():
        return None
    rows = within(sample, "all")
    if len(rows.gold.y) != len(prepared.gold):
        return None
    outcome = prepared.outcome_label
    right = _right(rows.gold, rows.predicted.at(units.gold), outcome is not None and not outcome.classes)
    return Shown(labels, root, float(root**2 @ (1.0 - right)))


def moved(
    found: Shown, model: Model, prepared: Prepared, design: Design, sample: AugmentedSample, theta: Floats,
    inverse: Floats,
) -> Floats:  # fmt: skip
    """What other classes of the gold labels would move, times the root of the spread of the weights.

    ``inverse`` is that of the curvature. Shape (m, p): label by label, class by class, a row for each gold row.
    """
    own, plain, weight = within(sample, "all").gold, gold_rows(prepared, design), sample.units.gold_analysis_weight

    def influence(some: Rows) -> Floats:
        return (row_scores(model, theta, (some,))[0] * (weight * found.root)[:, None]) @ inverse.T

    before, out = influence(own), []
    for counts, other in other_rows(found, prepared, design):
        out.append(counts * (influence(_moved(own, other.x - plain.x, other.y - plain.y)) - before))
    return np.concatenate(out)


def other_rows(found: Shown, prepared: Prepared, design: Design) -> Iterator[tuple[float, Rows]]:
    """Gold rows with each class of each label, and the root of what one of several classes counts."""
    for label in found.labels:
        for value in label.classes:
            yield label.counts, gold_rows(_as_if(prepared, label, value), design)


def allowed_for(n: int) -> str:
    """What a result says of it, with n gold rows."""
    return (
        f"next to no gold label is wrong; intervals allow for wrong labels that gold may have missed (with none seen, "
        f"up to 3 in {n:,}): methods, section 9"
    )


def _right(gold: Rows, predicted: tuple[Rows, ...], numbers: bool) -> Floats:
    """Share of the predicted rows of each gold unit that have its gold labels, shape (n,).

    Outcomes are measured in their range among gold rows; a labelled outcome of ``numbers`` is right or wrong.
    """
    out, size = np.zeros(len(gold.y)), np.ptp(gold.y, axis=0)
    for rows in predicted:
        apart = (np.abs(rows.y - gold.y) / np.where(size > 0, size, 1.0)).reshape(len(out), -1).max(axis=1)
        apart = np.where(apart > 1e-9, 1.0, 0.0) if numbers else apart
        share = np.ones(len(out)) if rows.share is None else rows.share
        out += share * np.isclose(rows.x, gold.x, 1e-9, 1e-9).all(axis=1) * np.maximum(1.0 - apart, 0.0)
    return np.clip(out, 0.0, 1.0)


def _moved(rows: Rows, x: Floats, y: Floats) -> Rows:
    """Rows of other labels: fixed effects, where taken out, stay as they are."""
    return replace(rows, x=rows.x + x, y=rows.y + y, left=None if rows.left is None else rows.left + x)


def _as_if(prepared: Prepared, label: Label, value: object) -> Prepared:
    """All gold rows with one class of a label."""
    gold = label.gold.copy()
    gold.iloc[prepared.gold] = value
    changed = tuple(replace(one, gold=gold) if one is label else one for one in prepared.labels)
    return replace(prepared, labels=changed)
