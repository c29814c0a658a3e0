"""A model's passages held against those of people, over documents that were drawn by design."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..designs import Labelling, Sample
from ..errors import ArgumentError, DataError
from ..fieldwork.spans import Spans, covered
from ..labels.quality.errors_by_design import intervals, ratio

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats
    from .span_result import SpanAnnotation

Places = list[tuple[int, int]]
WAYS = ("exact", "overlapping", "characters")


def agreement(labels: SpanAnnotation, gold: Spans, sample: Sample | None, least: float) -> pd.DataFrame:
    """See :meth:`SpanAnnotation.agreement`."""
    import pandas as pd

    if not isinstance(gold, Spans):
        raise ArgumentError(f"gold is a {type(gold).__name__}; give what read_spans gives.")
    people: dict[str, list[str]] = {}
    for document, annotator in gold.seen:
        people.setdefault(document, []).append(annotator)
    names, labelling = _documents(labels, people, sample)
    ours, theirs = _places(labels.spans(least)), _places(gold)
    out = []
    for label in map(str, labels.classes):
        tallies = np.zeros((len(names), len(WAYS), 4))
        for row, name in enumerate(names):
            mine = ours.get((name, labels.worker, label), [])
            tallies[row] = np.mean([_tally(mine, theirs.get((name, who, label), [])) for who in people[name]], axis=0)
        for k, way in enumerate(WAYS):
            out.append({"label": label, "way": way, **_figures(tallies[:, k], labelling)})
    return pd.DataFrame(out).set_index(["label", "way"])


def _places(spans: Spans) -> dict[tuple[str, str, str], Places]:
    """Passages by document, annotator and label."""
    out: dict[tuple[str, str, str], Places] = {}
    columns = (spans.table[name].tolist() for name in ("document", "annotator", "label", "start", "end"))
    for *key, start, end in zip(*columns):
        out.setdefault(tuple(key), []).append((start, end))
    return out


def _documents(
    labels: SpanAnnotation, people: dict[str, list[str]], sample: Sample | None
) -> tuple[list[str], Labelling]:
    """Documents with gold in the order of the rows, and how they came to have it."""
    names = [str(labels._id(i)) for i in range(len(labels.ids))]
    if len(set(names)) < len(names):
        raise DataError("two rows have the same id, so passages cannot be assigned to rows; label with id=.")
    here = np.array([name in people for name in names])
    if not here.any():
        raise DataError(
            f"gold has the document {next(iter(people), 'none')!r} and so on, the labels {names[0]!r}, and none is in "
            "both; label with id= as gold names documents."
        )
    silent = [name for name, marks, known in zip(names, labels.marks, here) if known and marks is None]
    if silent:
        raise DataError(f"the document {silent[0]!r} has gold and no answer of the model ({len(silent)} in all).")
    known = [name for name, found in zip(names, here) if found]
    if sample is None:  # every document stands for itself
        return known, Labelling(np.ones(len(known)), np.ones(len(known), dtype=bool), fixed_size=False)
    if not isinstance(sample, Sample):
        raise ArgumentError(f"sample is a {type(sample).__name__}; give the Sample by which documents were drawn.")
    if len(sample.labelled) != len(names):
        raise DataError(f"sample was drawn from {len(sample.labelled)} rows, {len(names)} were labelled.")
    for odd, why in (
        (
            here & ~sample.labelled,
            "has gold and was not drawn; leave it out, or label the rows in the order of the draw",
        ),
        (
            sample.labelled & ~here,
            "was drawn and no person is known to have seen it; gold needs those without passages too",
        ),
    ):
        if odd.any():
            raise DataError(f"the document {names[int(np.flatnonzero(odd)[0])]!r} {why} ({int(odd.sum())} in all).")
    return known, sample.labelling


def _figures(tally: Floats, labelling: Labelling) -> dict[str, float]:
    """Precision, recall and F1 from tallies of documents: ours right, theirs found, ours, theirs."""
    above = np.column_stack([tally[:, 0], tally[:, 1], tally[:, 0] + tally[:, 1]])
    below = np.column_stack([tally[:, 2], tally[:, 3], tally[:, 2] + tally[:, 3]])
    values, covariance = ratio(above, below, labelling)
    ends = intervals(values, covariance, below, labelling.weight)
    out: dict[str, float] = {}
    for k, name in enumerate(("precision", "recall", "f1")):
        out |= {name: float(values[k]), f"{name} 2.5%": float(ends[k, 0]), f"{name} 97.5%": float(ends[k, 1])}
    return out | {"ours": float(tally[:, 2].sum()), "gold": float(tally[:, 3].sum())}


def _tally(mine: Places, theirs: Places) -> list[list[float]]:
    """For each way to count: ours that are right, theirs that are found, ours, theirs."""
    same = len(set(mine) & set(theirs))
    met = [
        sum(any(a < d and c < b for c, d in other) for a, b in one) for one, other in ((mine, theirs), (theirs, mine))
    ]
    m, t, both = covered(mine), covered(theirs), covered([*mine, *theirs])
    return [
        [same, same, len(mine), len(theirs)],
        [*met, len(mine), len(theirs)],
        [m + t - both, m + t - both, m, t],
    ]
