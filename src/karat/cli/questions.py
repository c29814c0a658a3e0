"""Labels as they are written on the command line."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any

from ..errors import ArgumentError


def add_label(parser: argparse.ArgumentParser, *, needed: str) -> None:
    """Add ``--label`` to a parser."""
    parser.add_argument(
        "--label", action="append", default=[], metavar="NAME=SPEC",
        help="gold column and what may be answered: hostile=no,yes or tone=number:-4:4 or clarity=rating:5 or "
        f"comment=text; may be repeated ({needed})",
    )  # fmt: skip


def read_label(given: Sequence[str]) -> dict[str, Any]:
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
        if "," not in spec:
            out[name] = spec
            continue
        classes = [c.strip() for c in spec.split(",")]
        whole = all(re.fullmatch(r"-?[0-9]+", c) for c in classes)
        values: list[Any] = [int(c) for c in classes] if whole else classes
        if "" in values or len(set(values)) < len(values):
            raise ArgumentError(f"--label {item!r} has a blank class, or names one twice; name each class once.")
        out[name] = values
    return out
