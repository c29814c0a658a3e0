"""Labels as they are written on the command line."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any

from ..errors import ArgumentError

FORMATS = {"both": ("csv", "label-studio"), "all": ("csv", "label-studio", "html")}


def add_format(parser: argparse.ArgumentParser, default: str) -> None:
    """Add ``--format`` to a parser."""
    parser.add_argument(
        "--format", choices=("csv", "label-studio", "html", *FORMATS), default=default,
        help="annotators' files; html: a page for each, which works offline; both: csv and label-studio "
        f"(default: {default})",
    )  # fmt: skip


def read_formats(given: str) -> tuple[str, ...]:
    """Formats for ``to_labelling``."""
    return FORMATS.get(given, (given,))


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
