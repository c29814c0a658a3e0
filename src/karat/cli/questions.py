"""Labels as they are written on the command line."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any

from ..errors import ArgumentError

RETURNED = "tables (.csv, .xlsx), files that pages saved and exports of labelling tools (.json, .jsonl), or folders"


def add_format(parser: argparse.ArgumentParser, default: str) -> None:
    """Add ``--format`` to a parser."""
    parser.add_argument(
        "--format", default=default, metavar="NAMES",
        help="annotators' files: html (a page for each, which works offline), csv, xlsx, label-studio, argilla, "
        "doccano, prodigy, potato; several as html,xlsx; both is csv,label-studio; all is csv,label-studio,html "
        f"(default: {default})",
    )  # fmt: skip


def read_formats(given: str) -> tuple[str, ...]:
    """Formats for ``to_labelling``.

    Examples
    --------
    >>> read_formats("both"), read_formats("html, xlsx")
    (('csv', 'label-studio'), ('html', 'xlsx'))
    """
    from ..fieldwork.handout import FORMATS

    names = _SETS.get(given) or tuple(name.strip() for name in given.split(","))
    if odd := [name for name in names if name not in FORMATS]:
        raise ArgumentError(f"--format {odd[0]!r} is not known; choose of {', '.join(FORMATS)}, or both, or all.")
    return names


_SETS = {"both": ("csv", "label-studio"), "all": ("csv", "label-studio", "html")}


def add_label(parser: argparse.ArgumentParser, *, needed: str) -> None:
    """Add ``--label`` and ``--codebook`` to a parser."""
    parser.add_argument(
        "--label", action="append", default=[], metavar="NAME=SPEC",
        help="gold column and what may be answered: hostile=no,yes or tone=number:-4:4 or clarity=rating:5, "
        "care=scale:1:7, topic=several:law,war (any number of them) or "
        f"comment=text; may be repeated ({needed})",
    )  # fmt: skip
    parser.add_argument(
        "--codebook", action="append", default=[], metavar="FILE",
        help="a codebook (.json or .yaml) with the question, its codes and what they mean; may be repeated",
    )  # fmt: skip


def read_label(given: Sequence[str], codebooks: Sequence[str] = ()) -> dict[str, Any]:
    """Labels for ``to_labelling``.

    Examples
    --------
    >>> read_label(["hostile=0,1", "tone=number"])
    {'hostile': [0, 1], 'tone': 'number'}
    """
    out: dict[str, Any] = {}
    for item in given:
        name, equals, spec = (part.strip() for part in item.partition("="))
        if not equals or not name or not spec:
            raise ArgumentError(f"--label {item!r} must be NAME=SPEC, for example hostile=no,yes or tone=number:-4:4.")
        if name in out:
            raise ArgumentError(f"--label names {name!r} twice.")
        if "," not in spec or spec.startswith("several:"):
            out[name] = spec
            continue
        classes = [c.strip() for c in spec.split(",")]
        whole = all(re.fullmatch(r"-?[0-9]+", c) for c in classes)
        values: list[Any] = [int(c) for c in classes] if whole else classes
        if "" in values or len(set(values)) < len(values):
            raise ArgumentError(f"--label {item!r} has a blank class, or names one twice; name each class once.")
        out[name] = values
    for path in codebooks:
        from ..annotate import read_codebook

        book = read_codebook(path)
        if book.name in out:
            raise ArgumentError(f"--codebook {path!r} is about {book.name!r}, which is named already; give it once.")
        out[book.name] = book
    return out


def add_people(parser: argparse._ActionsContainer) -> None:
    """Add options that say whose answers files hold, and in which columns."""
    add = parser.add_argument
    add("--annotator", action="append", default=[], metavar="FILE=NAME", help="who filled a file; may be repeated")
    add("--duplicates", choices=("raise", "last"), default="raise", help="one person labelled a document twice")
    add("--column", action="append", default=[], metavar="ROLE=COLUMN",
        help="column of a table that holds document, annotator, status, note or a label; may be repeated")  # fmt: skip
    add("--coder", action="append", default=[], metavar="NAME=COLUMN",
        help="column of a coder, in tables with one for each (one label); may be repeated")  # fmt: skip


def read_people(options: argparse.Namespace) -> dict[str, Any]:
    """Arguments of ``read_answers`` and ``read_labels``."""
    pairs = {name: _pairs(name, getattr(options, name)) for name in ("annotator", "column", "coder")}
    return {
        "annotators": pairs["annotator"], "duplicates": options.duplicates, "columns": pairs["column"] or None,
        "coders": pairs["coder"] or None,
    }  # fmt: skip


def _pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    """What was written as LEFT=RIGHT; a file's name may hold an equals sign, its annotator's not."""
    shape = {"annotator": "FILE=NAME", "column": "ROLE=COLUMN", "coder": "NAME=COLUMN"}[option]
    out: dict[str, str] = {}
    for item in given:
        left, equals, right = item.rpartition("=") if option == "annotator" else item.partition("=")
        if not equals or not left or not right.strip():
            raise ArgumentError(f"--{option} {item!r} must be {shape}, neither of them blank.")
        if left in out:
            what = "the file " if option == "annotator" else ""
            raise ArgumentError(f"--{option} names {what}{left!r} twice; name it once.")
        out[left] = right.strip()
    return out
