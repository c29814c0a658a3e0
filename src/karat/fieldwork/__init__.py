"""From a drawn sample to the annotators' files, and back to gold columns."""

from __future__ import annotations

from .adjudicate import write_adjudication
from .collect import read_annotations, read_answers
from .gold import read_labels
from .handout import write_handout
from .questions import Question, read_questions
from .spans import Spans, read_spans

__all__ = [
    "Question", "Spans", "read_annotations", "read_answers", "read_labels", "read_questions", "read_spans",
    "write_adjudication", "write_handout",
]  # fmt: skip
