"""Are soft labels as sure as they may be? Against gold, or against votes that were held out."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArgumentError, DataError, whole
from ..aggregation.aggregate import recipe_for
from ..aggregation.cells import MANY_CLASSES
from ..aggregation.soft import SoftLabels
from ..tables.annotations import Annotations
from ..tables.codes import UNKNOWN
from ..tables.read import as_annotations
from .scoring import reliability, reliability_diagram, score

if TYPE_CHECKING:
    import pandas as pd

    from ..._core.types import Floats, Ints
    from ..aggregation.base import Aggregator

FEWEST = 10
_ROUNDS = 100


@dataclass(frozen=True, eq=False)
class Calibration:
    """How sure soft labels were, and how often they were right.

    Parameters
    ----------
    against : {"gold", "withheld gold", "held-out votes"}
        What they were held against.
    n : int
        Tasks with gold, or votes.
    log_loss : float
        Mean negative log probability of what came, after mixing with 1 % uniform.
    baseline : float
        The same for the shares of the classes over all, which know nothing of a task.
    ece : float
        Expected calibration error: mean distance of stated probability and share right, over bins.
    confidence, accuracy : float
        Mean probability of the most probable class, and how often it was right.
    table : pandas.DataFrame
        By bins of stated probability, as :func:`reliability` gives it.

    Examples
    --------
    >>> import karat as kt
    >>> votes = {"task": [1, 1, 2, 2], "worker": list("abab"), "label": list("xxxy")}
    >>> found = kt.labels.calibration(kt.labels.aggregate(votes, "vote_share"), {1: "x", 2: "y"})
    >>> found.against, found.n, found.confidence, found.accuracy
    ('gold', 2, 0.75, 0.75)
    """

    against: str
    n: int
    log_loss: float
    baseline: float
    ece: float
    confidence: float
    accuracy: float
    table: pd.DataFrame = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The figures by name, without the table."""
        return {name: value for name, value in asdict(self).items() if name != "table"}

    def plot(self, ax: Any = None, title: str | None = None) -> Any:
        """The reliability diagram; returns the matplotlib Axes."""
        ax = reliability_diagram(self.table, ax, title)
        if self.against == "held-out votes":
            ax.set(xlabel="probability of the answer thought most probable", ylabel="share of votes that gave it")
        return ax

    def __str__(self) -> str:
        gap = self.confidence - self.accuracy
        kind = "too sure" if gap > 0 else "too unsure"
        head = f"Calibration against {self.against} ({self.n:,})"
        return (
            f"{head}\n  log loss {self.log_loss:.3f} (shares of the classes alone: {self.baseline:.3f})\n"
            f"  stated probability {self.confidence:.3f}, right {self.accuracy:.3f}: {kind} by {abs(gap):.3f} on "
            f"average\n  expected calibration error {self.ece:.3f}\n"
            + self.table.to_string(index=False, float_format="{:.3f}".format)
        )


def calibration(
    labels: object,
    gold: Any = None,
    *,
    method: str | Aggregator | None = None,
    folds: int | None = None,
    n_bins: int = 10,
    **options: Any,
) -> Calibration:
    """Hold soft labels against gold, or a method against gold or votes that it did not see.

    Parameters
    ----------
    labels : SoftLabels, data frame or Annotations
        Soft labels are held against ``gold``. From a table of labels, they are made here: with gold, tasks whose gold
        was withheld are predicted; without, each vote from votes of other folds.
    gold : mapping, array_like or str, optional
        With SoftLabels as in :func:`score`; with a table a column or a mapping, as in :func:`read_annotations`.
    method : str or Aggregator, optional
        How soft labels are made from a table; by default the mean of seven.
    folds : int, optional
        For a table: parts that are predicted from the others, five by default.
    n_bins : int
        Bins of the table.
    **options
        For a table: everything else :func:`aggregate` takes.

    Returns
    -------
    Calibration

    Raises
    ------
    ArgumentError, DataError

    Notes
    -----
    A held-out vote is predicted through the truth, ``P(y) = sum_c p(c) E[c, y]``, E the confusion matrix of the average
    annotator, which is fitted to the held-out votes and takes up a part of what is too sure: compare methods by their
    log loss, and read a small calibration error against votes as no proof. That annotators err together does not show
    at all, for then the vote held out errs with them: only gold can tell. The interval of a bin takes votes as
    independent.

    Examples
    --------
    >>> import karat as kt
    >>> votes = {"task": [1, 1, 1, 2, 2, 2, 3, 3, 3], "worker": list("abc") * 3, "label": list("xxyyyyxxx")}
    >>> found = kt.labels.calibration(votes, method="vote_share")
    >>> found.against, found.n
    ('held-out votes', 9)
    """
    n_bins = whole("n_bins", n_bins, least=1)
    if isinstance(labels, SoftLabels):
        if gold is None or options or method is not None or folds is not None:
            raise ArgumentError(
                "soft labels are held against gold: give gold=, and no other arguments but n_bins; to hold a method "
                "against votes, give the table of labels."
            )
        p, truth = _against_gold(labels, gold)
        return _made("gold", p, truth, n_bins)
    method, folds = "mean" if method is None else method, whole("folds", 5 if folds is None else folds, least=2)
    own = ("members", "weights", "settings", "calibrate")
    how: dict[str, Any] = {name: options.pop(name) for name in own if name in options}
    if gold is not None:
        options["gold"] = gold
    coded = as_annotations(labels, options, calibration)
    if coded.gold is not None:
        return _made("withheld gold", *_from_gold(coded, folds, method, how), n_bins)
    return _made("held-out votes", *_from_votes(coded, folds, method, how), n_bins)


def _made(against: str, p: Floats, truth: Ints, n_bins: int) -> Calibration:
    names = range(p.shape[1])
    scores = score(p, truth, classes=names, n_bins=n_bins)
    overall = np.bincount(truth, minlength=p.shape[1]) / len(truth)
    base = score(np.tile(overall, (len(truth), 1)), truth, classes=names, n_bins=n_bins)
    table = reliability(p, truth, classes=names, n_bins=n_bins)
    return Calibration(
        against, len(truth), scores.nll, base.nll, scores.ece, float(p.max(axis=1).mean()), scores.accuracy, table
    )


def _against_gold(soft: SoftLabels, gold: Any) -> tuple[Floats, Ints]:
    from .scoring import _with_gold

    p, truth, _ = _with_gold(soft, gold, None, None)
    return p, truth


def _fitted(coded: Annotations, method: str | Aggregator, how: dict[str, Any]) -> Floats:
    return coded.clamp(recipe_for(coded, method, **how).made(coded).probabilities())


def _from_gold(coded: Annotations, folds: int, method: str | Aggregator, how: dict[str, Any]) -> tuple[Floats, Ints]:
    """Probabilities of gold tasks whose gold was withheld, and the gold."""
    assert coded.gold is not None
    rows = np.flatnonzero((coded.gold >= 0) & (coded.n_labels > 0))
    if len(rows) < FEWEST:
        raise DataError(f"{len(rows)} task(s) with labels have gold; {FEWEST} or more are needed to judge calibration.")
    out = np.empty((len(rows), coded.n_classes))
    fold = np.empty(len(rows), dtype=np.intp)
    fold[np.argsort(coded.gold[rows], kind="stable")] = np.arange(len(rows)) % folds
    for f in range(min(folds, len(rows))):
        hidden = coded.gold.copy()
        hidden[rows[fold == f]] = UNKNOWN
        out[fold == f] = _fitted(coded.with_gold(hidden), method, how)[rows[fold == f]]
    return out, coded.gold[rows]


def _from_votes(coded: Annotations, folds: int, method: str | Aggregator, how: dict[str, Any]) -> tuple[Floats, Ints]:
    """Predicted distribution of held-out votes, and the votes."""
    plain = coded.folded()
    if coded.n_classes > MANY_CLASSES:
        raise DataError(
            f"with more than {MANY_CLASSES} classes ({coded.n_classes}) calibration needs gold; give gold=."
        )
    if coded.anonymous or plain.weight is not None:
        raise DataError(
            "calibration against votes needs one class a label, of named workers, without weights; give gold=."
        )
    rank = np.arange(len(plain.task)) - np.searchsorted(plain.task, plain.task)
    fold = (rank + plain.task) % folds
    p = np.empty((len(fold), coded.n_classes))
    there = np.zeros(len(fold), dtype=bool)
    for f in range(folds):
        rest, out = fold != f, fold == f
        if not out.any() or not rest.any():
            continue
        part = Annotations(
            plain.tasks, plain.workers, plain.classes, plain.task[rest], plain.worker[rest], plain.label[rest]
        )
        p[out] = _fitted(part, method, how)[plain.task[out]]
        there[out] = part.n_labels[plain.task[out]] > 0
    if not there.any():
        raise DataError("no task has two labels, so that no vote can be predicted from the others; give gold=.")
    votes = plain.label[there].astype(np.intp)
    return _through(p[there], votes), votes


def _through(p: Floats, votes: Ints) -> Floats:
    """Distribution of each vote given class probabilities, through the confusion matrix that suits all best (EM)."""
    k = p.shape[1]
    matrix = np.full((k, k), 0.3 / (k - 1))
    np.fill_diagonal(matrix, 0.7)
    for _ in range(_ROUNDS):
        joint = p * matrix[:, votes].T
        joint /= np.maximum(joint.sum(axis=1, keepdims=True), 1e-300)
        counts = np.stack([np.bincount(votes, column, minlength=k) for column in joint.T]) + 0.5
        matrix = counts / counts.sum(axis=1, keepdims=True)
    return np.asarray(p @ matrix)
