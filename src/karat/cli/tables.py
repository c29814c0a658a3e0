"""The table of all documents, as it is named on the command line."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ArgumentError
from ..frames.corpus import Corpus, tell_missing
from ..frames.files import raw_cells

if TYPE_CHECKING:
    import pandas as pd

    from ..designs import Sample

_SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|", "\\t": "\t"}
_DECIMALS = {"point": ".", "comma": ",", ".": ".", ",": ","}
ENDINGS = ".csv, .csv.gz, .tsv, .json, .jsonl, .parquet, .xlsx"


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add ``--sep``, ``--decimal`` and ``--encoding`` to a parser."""
    parser.add_argument(
        "--sep", metavar="comma|semicolon|tab|bar",
        help="what separates columns of the corpus, if it is a CSV file: a word or a character (default: what its "
        "first line holds most of)",
    )  # fmt: skip
    parser.add_argument(
        "--decimal", metavar="point|comma",
        help="its decimal mark (default: a comma where columns hold nothing but numbers with a comma, else a point)",
    )  # fmt: skip
    parser.add_argument(
        "--encoding", metavar="NAME",
        help="its encoding, such as cp1251 (default: what its first bytes say, else UTF-8, else Western European)",
    )  # fmt: skip


def open_corpus(options: argparse.Namespace, name: str = "corpus", sample: Sample | None = None) -> Corpus:
    """The table of all documents; what is not usual about its file is said.

    ``sample``: drawn from it; columns that were texts then, such as ids like 0001, are read as texts again.

    Raises
    ------
    ArgumentError
        If it cannot be read, or an option is not one of those there are.
    """
    from ..frames.files import read_said

    sep, decimal = options.sep, options.decimal
    if sep is not None:
        sep = _SEPARATORS.get(sep, sep)
        if len(sep) != 1:
            raise ArgumentError(f"--sep {sep!r} is not allowed; give one character, or comma, semicolon, tab or bar.")
    if decimal is not None and decimal not in _DECIMALS:
        raise ArgumentError(f"--decimal {decimal!r} is not allowed; choose point or comma.")
    path = Path(getattr(options, name))
    table, dialect = read_said(path, sep=sep, decimal=_DECIMALS.get(decimal or ""), encoding=options.encoding)
    if dialect is not None and not dialect.plain and sep is None:
        print(f"read {path}: {len(table)} rows, {table.shape[1]} columns; {dialect}", file=sys.stderr)
    corpus = _as_drawn(Corpus(table, path, dialect), sample)
    tell_missing(corpus)
    return corpus


def _as_drawn(corpus: Corpus, sample: Sample | None) -> Corpus:
    """The table with its numbers as texts where the sample was drawn from texts."""
    record = getattr(sample and sample.design, "frame", None)
    if corpus.dialect is None or record is None:
        return corpus
    numbers = [name for name in record.columns if name in corpus.table and corpus.table[name].dtype.kind in "iuf"]
    cells = raw_cells(corpus.path, corpus.dialect, numbers) if numbers else corpus.table
    cells = cells.mask(cells == "")
    texts = [name for name in numbers if record.as_written(name, corpus.table[name], cells[name])]
    return replace(corpus, table=corpus.table.assign(**{name: cells[name].astype(object) for name in texts}))


def read_corpus(options: argparse.Namespace, sample: Sample | None = None) -> pd.DataFrame:
    """The table of all documents alone, as :func:`open_corpus` reads it."""
    return open_corpus(options, sample=sample).table
