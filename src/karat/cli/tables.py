"""The table of all documents, as it is named on the command line, and tables that are written beside it."""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, KaratWarning, tell

if TYPE_CHECKING:
    import pandas as pd

    from ..frames.files import Dialect

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


@dataclass(frozen=True)
class Corpus:
    """The table of all documents, and how its file is written."""

    table: pd.DataFrame
    path: Path
    dialect: Dialect | None

    def write(self, made: pd.DataFrame, path: str | Path, rows: Any = None) -> None:
        """Write a table made of this one, with its columns as they are written in the file: ``007`` stays ``007``.

        Parameters
        ----------
        made : pandas.DataFrame
            Rows of this table with further columns, or with columns that were filled in.
        path : str or Path
        rows : array of int, optional
            Which rows; by default all.
        """
        import numpy as np

        from ..frames.files import raw_cells, write_file

        text = Path(path).name.lower().endswith((".csv", ".csv.gz", ".tsv"))
        if self.dialect is None:
            return write_file(made, path)
        cells = raw_cells(self.path, self.dialect)
        rows = np.arange(len(self.table)) if rows is None else rows
        out = made.copy()
        for name in self.table.columns:
            written = cells[name].iloc[rows].reset_index(drop=True)
            if name not in made or not made[name].reset_index(drop=True).equals(
                self.table[name].iloc[rows].reset_index(drop=True)
            ):
                continue
            if not text:
                _tell_lost(name, written, self.table[name], path)
                continue
            if self.dialect.decimal == "," and self.table[name].dtype.kind == "f":
                written = written.str.replace(",", ".", regex=False)
            out[name] = written.to_numpy(dtype=object)
        return write_file(out, path)


def _tell_lost(name: str, written: pd.Series[Any], read: pd.Series[Any], path: str | Path) -> None:
    """Say where numbers were written with zeros that a table of numbers does not keep."""
    if read.dtype.kind in "iuf" and written.map(lambda cell: bool(re.match(r"0\d", cell))).any():
        tell(
            f"column {name!r} holds numbers that begin with 0, which {str(path)!r} does not keep; write a .csv to have "
            "them as they are.",
            KaratWarning,
        )


def open_corpus(options: argparse.Namespace, name: str = "corpus") -> Corpus:
    """The table of all documents; what is not usual about its file is said.

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
    return Corpus(table, path, dialect)


def read_corpus(options: argparse.Namespace) -> pd.DataFrame:
    """The table of all documents alone, as :func:`open_corpus` reads it."""
    return open_corpus(options).table
