"""From labels and gold of a study to an estimate: whose rows may enter as what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ProtocolError
from ..frames import Table

if TYPE_CHECKING:
    from .._core.types import Bools
    from .panel import Panel
    from .result import Annotation


def fit(
    study: Any, function: Any, formula: Any, labels: Annotation | Panel, data: object, options: dict[str, Any]
) -> Any:
    """See :meth:`Study.fit`."""
    study.check(labels)
    if "design" in options:
        raise ProtocolError(
            "design is that of the study, in which development rows are not taken for a random sample; leave it out."
        )
    joined, design = labels.join(data, drop_shown=False), study.inference
    if labels.shown.any():
        shown = labels.shown & design.design.aligned(Table.read(data)).labelled & ~develops(study, data)
        if shown.any():
            raise ProtocolError(f"the prompt shows {int(shown.sum())} rows that are for inference.")
        design = design.subgroup(joined, (~labels.shown).tolist())
        joined = labels.join(data)
    given = dict(options.pop("surrogates", {}))
    of_labels = {k: v for book, part in zip(study.books, labels.parts) for k, v in part.surrogates(book.name).items()}
    if len(of_labels) > 1:  # of several gold columns those that are asked about
        said = " ".join(_texts((formula, options)))
        named = [gold for gold in of_labels if re.search(rf"(?<!\w){re.escape(gold)}(?!\w)", said)]
        of_labels = {gold: of_labels[gold] for gold in named or of_labels}
    told = {gold: column if isinstance(column, list) else [column] for gold, column in of_labels.items()}
    for gold, columns in told.items():
        more = given.pop(gold, [])
        columns += [more] if isinstance(more, (str, Mapping)) else list(more)
    surrogates = {**told, **given}
    return function(formula, joined, surrogates=surrogates, design=design.design, **options)


def _texts(given: Any) -> Iterator[str]:
    """All texts in an argument, however they are nested."""
    if isinstance(given, str):
        yield given
    elif isinstance(given, (Mapping, list, tuple)):
        for one in (*given, *given.values()) if isinstance(given, Mapping) else given:
            yield from _texts(one)


def develops(study: Any, data: object) -> Bools:
    """Development rows in the order of a table."""
    rows: Bools = study.development.design.aligned(Table.read(data)).labelled
    return rows


def refuse_shown(study: Any, data: object, text: str) -> None:
    """Raise where a prompt shows rows from which estimates are made."""
    table = Table.read(data)
    rows = study.inference.design.aligned(table).labelled & ~develops(study, data)
    texts = np.asarray(table.column(text, "text"), dtype=object)[rows]
    shown = [t for t in texts.tolist() if isinstance(t, str) and study._locked().question.why_shown(t)]
    if shown:
        raise ProtocolError(
            f"the prompt shows {len(shown)} texts of the inference part (first: {shown[0][:60]!r}); take examples "
            "from the development rows, or from texts outside the sample."
        )
