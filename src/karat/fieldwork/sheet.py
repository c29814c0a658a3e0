"""CSV files that people open in spreadsheet programs: cells that cannot be taken for formulas, texts of any length."""

from __future__ import annotations

import csv
import importlib.util
import io
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ArgumentError, DataError
from ..frames.files import decoded, separator_of

if TYPE_CHECKING:
    import pandas as pd

_LONGEST_CELL, _LONGEST_LIST = 32_767, 255
"""Characters that Excel takes in a cell, and in a list of allowed answers."""
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
"""Characters that no Excel file can hold."""
_EPOCH = datetime(2000, 1, 1)
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
    return _headed(table, path.name)


def _headed(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """A table whose first row is its header."""
    header = [str(cell).strip() for cell in table.iloc[0]]
    twice = sorted({cell for cell in header if cell and header.count(cell) > 1})
    if twice:
        raise DataError(f"{name} has two columns named {twice[0]!r}; remove or rename one.")
    return table.iloc[1:].reset_index(drop=True).set_axis(header, axis=1)


def workbook(header: Sequence[str], rows: Sequence[Sequence[str]], choices: Mapping[str, Sequence[str]]) -> bytes:
    """An Excel file: texts that no program runs, columns that offer the allowed answers.

    Raises
    ------
    ArgumentError
        If the package is not there, or a text is longer than a cell.
    """
    _need_openpyxl()
    from openpyxl import Workbook
    from openpyxl.styles import Alignment, Font
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    book = Workbook()
    page = book.active
    page.title, page.freeze_panes = "answers", "B2"
    for i, row in enumerate((header, *rows), start=1):
        for j, text in enumerate(row, start=1):
            if len(text) > _LONGEST_CELL:
                raise ArgumentError(
                    f"formats holds 'xlsx', whose cells take {_LONGEST_CELL:,} characters; a text in column "
                    f"{header[j - 1]!r} has {len(text):,}. Take csv or another format."
                )
            cell = page.cell(i, j, _CONTROL.sub(" ", text))
            cell.data_type = "s"  # never a formula
            cell.number_format = "@" if i > 1 and not text and header[j - 1] in choices else "General"
            cell.alignment, cell.font = Alignment(wrap_text=True, vertical="top"), Font(bold=i == 1)
    for j, name in enumerate(header, start=1):
        letter = get_column_letter(j)
        page.column_dimensions[letter].width = 80 if name == "text" else 16
        allowed = ",".join(choices.get(name, ()))
        if allowed and len(allowed) < _LONGEST_LIST and not any("," in c or '"' in c for c in choices[name]):
            rule = DataValidation("list", formula1=f'"{allowed}"', allow_blank=True)
            page.add_data_validation(rule)
            rule.add(f"{letter}2:{letter}{len(rows) + 1}")
    book.properties.created = book.properties.modified = _EPOCH
    out = io.BytesIO()
    book.save(out)
    return _without_time(out.getvalue())


def _without_time(raw: bytes) -> bytes:
    """The same archive with one time in it, so that the same answers are the same file."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename == "docProps/core.xml":
                content = re.sub(rb"(<dcterms:modified[^>]*>)[^<]*", rb"\g<1>2000-01-01T00:00:00Z", content)
            new.writestr(zipfile.ZipInfo(entry.filename, (2000, 1, 1, 0, 0, 0)), content)
    return out.getvalue()


def read_workbook(path: Path) -> pd.DataFrame:
    """The first page of an Excel file as texts."""
    _need_openpyxl()
    import pandas as pd

    try:
        table = pd.read_excel(path, header=None, dtype=str, keep_default_na=False, na_filter=False, engine="openpyxl")
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path.name} cannot be read as an Excel file ({str(error).strip()[:200]}).") from None
    if table.empty:
        raise DataError(f"{path.name} cannot be read as a table (its first page is empty).")
    return _headed(table.fillna("").astype(str), path.name)


def _need_openpyxl() -> None:
    if importlib.util.find_spec("openpyxl") is None:
        raise ArgumentError("Excel files need the package openpyxl: pip install 'karat[excel]'; or take CSV.")
