"""The table of all documents, as it is named on the command line."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..errors import ArgumentError

if TYPE_CHECKING:
    import pandas as pd

_SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", ",": ",", ";": ";", "\t": "\t", "\\t": "\t"}
_DECIMALS = {"point": ".", "comma": ",", ".": ".", ",": ","}


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add ``--sep`` and ``--decimal`` to a parser."""
    parser.add_argument(
        "--sep", metavar="comma|semicolon|tab",
        help="what separates columns of the corpus, if it is a CSV file (default: what its first line holds most of)",
    )  # fmt: skip
    parser.add_argument(
        "--decimal", metavar="point|comma",
        help="its decimal mark (default: a comma where columns hold nothing but numbers with a comma, else a point)",
    )  # fmt: skip


def read_corpus(options: argparse.Namespace) -> pd.DataFrame:
    """The table of all documents.

    Raises
    ------
    ArgumentError
        If it cannot be read, or an option is not one of those there are.
    """
    from ..frames.files import read_file

    settings = {}
    for name, known in (("sep", _SEPARATORS), ("decimal", _DECIMALS)):
        given = getattr(options, name)
        if given is not None and given not in known:
            words = [word for word in known if word.isalpha()]
            raise ArgumentError(f"--{name} {given!r} is not allowed; choose one of {', '.join(words)}.")
        settings[name] = None if given is None else known[given]
    return read_file(options.corpus, **settings)
