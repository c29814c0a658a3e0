"""A table and the file it comes from, so that what is made of it can be written with its columns as they were."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import KaratWarning, tell
from .files import Dialect, raw_cells, write_file

if TYPE_CHECKING:
    import pandas as pd


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
        text = Path(path).name.lower().endswith((".csv", ".csv.gz", ".tsv"))
        if self.dialect is None:
            return write_file(made, path)
        cells = raw_cells(self.path, self.dialect)
        rows = np.arange(len(self.table)) if rows is None else rows
        out = made.copy()
        for name in self.table.columns:
            written = cells[name].iloc[rows].reset_index(drop=True)
            if name not in made or not _same(made[name], self.table[name].iloc[rows]):
                continue
            if not text:
                _tell_lost(name, written, self.table[name], path)
                continue
            if self.dialect.decimal == "," and self.table[name].dtype.kind == "f":
                written = written.str.replace(",", ".", regex=False)
            out[name] = written.to_numpy(dtype=object)
        return write_file(out, path)


def _same(left: pd.Series[Any], right: pd.Series[Any]) -> bool:
    """Whether two columns hold the same values, whatever stands for missing ones."""
    gone = left.isna().to_numpy()
    if (gone != right.isna().to_numpy()).any():
        return False
    return bool((left.to_numpy(object)[~gone] == right.to_numpy(object)[~gone]).all())


def tell_missing(corpus: Corpus) -> None:
    """Say where words such as NA or None, in a column of texts, were read as missing values."""
    if corpus.dialect is None:
        return
    table = corpus.table
    texts = [str(name) for name in table if table[name].dtype.kind not in "biufcmM" and table[name].isna().any()]
    cells = raw_cells(corpus.path, corpus.dialect, texts) if texts else table
    for name in texts:
        words = cells[name][(table[name].isna() & (cells[name] != "")).to_numpy()]
        if len(words) and table[name].notna().any():
            tell(
                f"column {name!r} holds {words.iloc[0]!r} in {len(words)} row(s), which is read as missing; write "
                "another word if it is none.",
                KaratWarning,
            )


def _tell_lost(name: str, written: pd.Series[Any], read: pd.Series[Any], path: str | Path) -> None:
    """Say where numbers were written with zeros that a table of numbers does not keep."""
    if read.dtype.kind in "iuf" and written.map(lambda cell: bool(re.match(r"0\d", cell))).any():
        tell(
            f"column {name!r} holds numbers that begin with 0, which {str(path)!r} does not keep; write a .csv to have "
            "them as they are.",
            KaratWarning,
        )
