"""CSV files that people open in spreadsheet programs: cells that cannot be taken for formulas, texts of any length."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError
from ..frames.files import decoded, separator_of

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = "=+-@\t\r"
"""First characters that make a spreadsheet program take a cell for a formula, or drop them."""


def escape(text: str) -> str:
    """A text as a cell that no spreadsheet program runs: with an apostrophe before a formula's first character.

    Texts that start with an apostrophe get a second one, so that :func:`unescape` gives every text back exactly.

    Examples
    --------
    >>> escape("=1+1"), escape("'tis"), escape("1+1")
    ("'=1+1", "''tis", '1+1')
    """
    return f"'{text}" if text.startswith(("'", *_FORMULA)) else text


def unescape(cell: str) -> str:
    """The text of a cell that :func:`escape` wrote; cells that it cannot have written are kept as they are.

    Examples
    --------
    >>> unescape("'=1+1"), unescape("''tis"), unescape("'tis")
    ('=1+1', "'tis", "'tis")
    """
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(("'", *_FORMULA)) else cell


def sheet(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """A CSV file with a byte order mark, so that spreadsheet programs read it as Unicode."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerows([escape(cell) for cell in row] for row in (header, *rows))
    return out.getvalue().encode("utf-8-sig", "replace")


def read_sheet(path: Path) -> pd.DataFrame:
    """A CSV file as texts, whatever a spreadsheet program made of its separators and encoding.

    Cells are as they were before :func:`sheet` escaped them, empty ones empty texts.
    """
    import pandas as pd

    text = decoded(path.read_bytes()).lstrip("\r\n")
    try:
        table = pd.read_csv(
            io.StringIO(text), sep=separator_of(text), header=None, dtype=str, keep_default_na=False, index_col=False
        )
    except ValueError as error:
        raise DataError(f"{path.name} cannot be read as a table ({str(error).strip()}).") from None
    table = table.fillna("").map(unescape)
    header = [name.strip() for name in table.iloc[0]]
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise DataError(f"{path.name} has two columns named {twice[0]!r}; remove or rename one.")
    table = table.iloc[1:].reset_index(drop=True)
    return table.set_axis(header, axis=1)
