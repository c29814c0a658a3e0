"""Alternative annotator test: whether a model may take the place of a human annotator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArgumentError, DataError, number
from ..tables.annotations import Annotations
from ..tables.codes import listed, name_of, objects, one_kind, positions, sorted_codes
from ..tables.read import as_annotations

if TYPE_CHECKING:
    import pandas as pd


_FEWEST_HUMANS, _FEWEST_ITEMS = 3, 30


@dataclass(frozen=True, eq=False)
class AlternativeAnnotator:
    """Outcome of the test; prints as a sentence.

    Parameters
    ----------
    winning_rate : float
        Share of the humans whom the model is shown to match, up to ``epsilon``.
    passes : bool
        Whether the winning rate is one half or more.
    advantage : float
        Probability that the model agrees with the others at least as well as a human, averaged over humans.
    epsilon : float
        How much worse the model may do, since it is cheaper.
    table : pandas.DataFrame
        One row per human: items, advantage of the model, of the human, p-value, whether rejected.
    left_out : tuple
        Humans with fewer than 30 shared items.
    """

    winning_rate: float
    passes: bool
    advantage: float
    epsilon: float
    table: pd.DataFrame = field(repr=False)
    left_out: tuple[Any, ...] = ()

    def __str__(self) -> str:
        verdict = "passes" if self.passes else "does not pass"
        return (
            f"alternative annotator test {verdict}: winning rate {self.winning_rate:.2f} over {len(self.table)} humans "
            f"at epsilon {self.epsilon:g}, mean advantage probability {self.advantage:.2f}"
        )


def alternative_annotator(
    humans: object, model: Mapping[Any, Any], *, epsilon: float = 0.15, alpha: float = 0.05, **columns: Any
) -> AlternativeAnnotator:
    """Test whether a model agrees with human annotators as well as they agree with each other.

    Parameters
    ----------
    humans : data frame or Annotations
        Long table of the labels of three humans or more.
    model : mapping
        Task -> label of the model.
    epsilon : float
        Cost-benefit margin: 0.2 for experts, 0.15 for skilled annotators, 0.1 for a crowd.
    alpha : float
        False discovery rate (Benjamini-Yekutieli).
    **columns
        How to read the table, see :func:`read_annotations`.

    Returns
    -------
    AlternativeAnnotator

    Raises
    ------
    DataError
        With fewer than three humans that share thirty items with others and the model.

    Notes
    -----
    For human j and item i, the alignment of a label is its agreement with the other humans on i. Where the model aligns
    at least as well as j, the model wins the comparison; and the other way round, so that ties are won by both. The
    test is of ``mean(win of human - win of model) >= epsilon``, one-sided, by t.

    References
    ----------
    Calderon, Reichart, Dror (2025), The alternative annotator test for LLM-as-a-judge, ACL.

    Examples
    --------
    >>> import numpy as np
    >>> import karat as kt
    >>> rng = np.random.default_rng(1)
    >>> truth = rng.integers(2, size=90)
    >>> said = [np.where(rng.random(90) < 0.8, truth, 1 - truth) for _ in range(3)]
    >>> rows = {"task": np.tile(np.arange(90), 3), "worker": np.repeat(list("abc"), 90), "label": np.concatenate(said)}
    >>> kt.labels.alternative_annotator(rows, dict(enumerate(truth))).passes
    True
    """
    import pandas as pd
    from scipy import stats

    number("epsilon", epsilon, least=0, below=1)
    number("alpha", alpha, above=0, below=1)
    coded = as_annotations(humans, columns, alternative_annotator)
    if coded.candidates is not None or coded.weight is not None or coded.anonymous:
        raise DataError(
            "the alternative annotator test compares labels of one class each, by name of the human; these are "
            "weighted, distributions, sets of classes, or counts."
        )
    counts = coded.counts
    answer = _model_codes(coded, model)
    rows, left_out = [], []
    for j, name in enumerate(coded.workers.tolist()):
        mine = coded.worker == j
        task, label = coded.task[mine], coded.label[mine]
        others = counts[task].sum(axis=1) - 1
        keep = (others > 0) & (answer[task] != -2)
        task, label, others = task[keep], label[keep], others[keep]
        if len(task) < _FEWEST_ITEMS:
            left_out.append(name)
            continue
        rest = counts[task]
        rest[np.arange(len(task)), label] -= 1
        human = rest[np.arange(len(task)), label] / others
        machine = np.where(answer[task] >= 0, rest[np.arange(len(task)), np.maximum(answer[task], 0)], 0) / others
        model_wins, human_wins = machine >= human - 1e-12, human >= machine - 1e-12
        gap = human_wins.astype(np.float64) - model_wins
        spread, size = gap.std(ddof=1), len(task)
        p = float(gap.mean() >= epsilon)
        if spread > 0:
            p = float(stats.t.cdf((gap.mean() - epsilon) / (spread / np.sqrt(size)), size - 1))
        rows.append((name, size, model_wins.mean(), human_wins.mean(), p))
    if len(rows) < _FEWEST_HUMANS:
        raise DataError(
            f"the alternative annotator test needs {_FEWEST_HUMANS} humans with {_FEWEST_ITEMS} items shared with "
            f"others and the model; there are {len(rows)}. Have more items labelled more than once."
        )
    table = pd.DataFrame(rows, columns=["human", "items", "model advantage", "human advantage", "p-value"])
    adjusted = stats.false_discovery_control(table["p-value"], method="by")
    table["rejected"] = adjusted < alpha
    rate = float(table["rejected"].mean())
    return AlternativeAnnotator(
        rate, rate >= 0.5, float(table["model advantage"].mean()), epsilon, table, tuple(left_out)
    )


def _model_codes(coded: Annotations, model: Mapping[Any, Any]) -> Any:
    """Class of the model's label on each task; -1 for a class that no human uses, -2 where there is none."""
    if not isinstance(model, Mapping):
        raise ArgumentError(f"model must map each task to the model's label; got {type(model).__name__}.")
    given = {name_of(t): v for t, v in model.items() if name_of(v) is not None}
    labels = objects(list(given.values()))
    one_kind([*coded.classes, *listed(sorted_codes(labels)[0])], "labels of the humans and of model")
    one_kind([*listed(coded.tasks), *given], "tasks of the humans and of model")
    answer = dict(zip(given, positions(labels, coded.classes)))
    return np.array([answer.get(t, -2) for t in listed(coded.tasks)])
