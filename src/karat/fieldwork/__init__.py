"""From a drawn sample to the annotators' files, and back to gold columns."""

from __future__ import annotations

from .adjudicate import write_adjudication
from .collect import read_annotations, read_answers
from .gold import read_labels
from .handout import write_handout
from .questions import Question, read_questions

__all__ = [
    "Question", "read_annotations", "read_answers", "read_labels", "read_questions", "write_adjudication",
    "write_handout",
]  # fmt: skip
