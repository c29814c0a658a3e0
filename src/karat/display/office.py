"""Tables of estimates in files of Word and Excel."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.optional import optional

if TYPE_CHECKING:
    from .side_by_side import SideBySide


def to_word(table: SideBySide, path: Path) -> None:
    """A Word document with the table: its title above, notes below, lines as journals have them."""
    docx = optional("docx", "Word files", "'karat[tables]'", "python-docx")
    document = docx.Document()
    document.core_properties.author, document.core_properties.title = "", table.title
    if table.title:
        document.add_paragraph().add_run(table.title).bold = True
    names, cells = table.rows
    lines = [["", *table.shown_heads], *([name, *line] for name, line in zip(names, cells))]
    grid = document.add_table(rows=len(lines), cols=len(lines[0]))
    first_fact = 1 + 2 * len(table.names)
    for at, (line, row) in enumerate(zip(lines, grid.rows)):
        edges = {"top": at in (0, first_fact), "bottom": at in (0, len(lines) - 1)}
        for text, cell in zip(line, row.cells):
            _write(docx, cell, text, left=cell is row.cells[0])
            _lines(docx, cell, [edge for edge, drawn in edges.items() if drawn])
    _repeat(docx, grid.rows[0])
    for note in table.notes:
        document.add_paragraph().add_run(note).font.size = docx.shared.Pt(8)
    document.save(str(path))


def _write(docx: Any, cell: Any, text: str, *, left: bool) -> None:
    paragraph = cell.paragraphs[0]
    paragraph.add_run(text).font.size = docx.shared.Pt(9)
    paragraph.paragraph_format.space_after = docx.shared.Pt(0)
    sides = importlib.import_module("docx.enum.text").WD_ALIGN_PARAGRAPH
    paragraph.alignment = sides.LEFT if left else sides.CENTER


def _element(docx: Any, name: str, **values: str) -> Any:
    """An element of a Word file with its attributes."""
    made = docx.oxml.OxmlElement(name)
    for key, value in values.items():
        made.set(docx.oxml.ns.qn(f"w:{key}"), value)
    return made


def _lines(docx: Any, cell: Any, edges: list[str]) -> None:
    """Lines above or below a cell."""
    if edges:
        borders = _element(docx, "w:tcBorders")
        for edge in edges:
            borders.append(_element(docx, f"w:{edge}", val="single", sz="6", space="0", color="auto"))
        cell._tc.get_or_add_tcPr().append(borders)


def _repeat(docx: Any, row: Any) -> None:
    """Tell Word and screen readers that a row heads the columns."""
    row._tr.get_or_add_trPr().append(_element(docx, "w:tblHeader", val="true"))


def to_excel(table: SideBySide, path: Path) -> None:
    """A workbook with the table; estimates and standard errors are numbers, shown as the table shows them."""
    openpyxl = optional("openpyxl", "Excel files", "'karat[tables]'")
    styles = importlib.import_module("openpyxl.styles")
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Table"
    row = 1
    if table.title:
        sheet.cell(1, 1, table.title).font = styles.Font(bold=True)
        row = 3
    start = row
    for at, head in enumerate(table.heads, 2):
        cell = sheet.cell(row, at, head)
        cell.font, cell.alignment = styles.Font(bold=True), styles.Alignment(horizontal="right", wrap_text=True)
    for j, name in enumerate(table.names):
        row += 2
        sheet.cell(row - 1, 1, name)
        for k, value in enumerate(table.estimates[j], 2):
            _numbers(sheet, table, (j, k - 2), (row - 1, k), float(value))
    line = styles.Border(top=styles.Side(style="thin"))
    for at in range(1, len(table.heads) + 2):
        sheet.cell(start + 1, at).border = line
        sheet.cell(row + 1, at).border = line
    for name, told in table.facts:
        row += 1
        sheet.cell(row, 1, name)
        for at, text in enumerate(told, 2):
            cell = sheet.cell(row, at, _count(text))
            cell.number_format, cell.alignment = "#,##0", styles.Alignment(horizontal="right", wrap_text=True)
    for note in table.remarks:
        row += 1
        sheet.cell(row + 1, 1, note).font = styles.Font(italic=True, size=9)
    sheet.column_dimensions["A"].width = max([12, *(len(name) + 2 for name in table.names)])
    for at in range(2, len(table.heads) + 2):
        sheet.column_dimensions[openpyxl.utils.get_column_letter(at)].width = 18
    book.save(path)


def _numbers(sheet: Any, table: SideBySide, at: tuple[int, int], place: tuple[int, int], value: float) -> None:
    """An estimate, and below it the standard error (a number in brackets) or the interval (a text)."""
    if np.isnan(value):
        return
    decimals = "0." + "0" * table.digits if table.digits else "0"
    mark = table.marks[at[0]][at[1]] if table.marks else ""
    sheet.cell(*place, value).number_format = decimals + (f'"{mark}"' if mark else "")
    cell = sheet.cell(place[0] + 1, place[1])
    if table.bounds is None and not np.isnan(table.errors[at]):
        cell.value, cell.number_format = float(table.errors[at]), f'"("{decimals}")"'
    elif table.bounds is not None:
        cell.value = table._below(*at)
        cell.alignment = importlib.import_module("openpyxl.styles").Alignment(horizontal="right")


def _count(text: str) -> int | str:
    """A count as a number, anything else as it is."""
    plain = text.replace(",", "")
    return int(plain) if plain.isdigit() else text
