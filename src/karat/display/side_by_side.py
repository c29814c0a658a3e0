"""Estimates of several fits in columns: as text, HTML, LaTeX, Markdown, and in files of Word and Excel."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ArgumentError
from .table import escape_latex, html_document, html_notes, latex_table, markdown_table, text_lines

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats

_LONGEST_HEAD = 20
"""Columns whose names are longer than this have numbers above them."""


@dataclass(frozen=True, eq=False)
class SideBySide:
    """Estimates of several fits in columns, standard errors or intervals in brackets below.

    Prints as text, shows as HTML in a notebook; :meth:`save` writes any of its forms.

    Parameters
    ----------
    title : str
    heads : tuple of str, length m
        Names of the columns.
    names : tuple of str, length p
        Rows.
    estimates, errors : ndarray, shape (p, m)
        NaN where a column has no such row.
    facts : tuple of (str, tuple of str)
        Rows below the coefficients, a text for each column.
    remarks : tuple of str
    digits : int
        Decimals.
    bounds : (ndarray, ndarray), each of shape (p, m), optional
        Ends of intervals, which are shown in the place of standard errors.
    marks : tuple of tuple of str, optional
        What stands behind each estimate (stars), row by row.

    Examples
    --------
    >>> import numpy as np
    >>> table = SideBySide("", ("a", "b"), ("x",), np.array([[1.0, 2.0]]), np.array([[0.1, 0.2]]))
    >>> print(table.to_markdown())
    |  | a | b |
    | :-- | --: | --: |
    | x | 1.000 | 2.000 |
    |  | (0.100) | (0.200) |
    """

    title: str
    heads: tuple[str, ...]
    names: tuple[str, ...]
    estimates: Floats
    errors: Floats
    facts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    remarks: tuple[str, ...] = ()
    digits: int = 3
    bounds: tuple[Floats, Floats] | None = None
    marks: tuple[tuple[str, ...], ...] = ()

    @property
    def rows(self) -> tuple[list[str], list[list[str]]]:
        """Names and cells of all rows as texts."""
        names: list[str] = []
        cells: list[list[str]] = []
        for j, (name, estimates) in enumerate(zip(self.names, self.estimates)):
            names += [name, ""]
            marks = self.marks[j] if self.marks else [""] * len(estimates)
            cells.append(["" if np.isnan(b) else f"{b:.{self.digits}f}{mark}" for b, mark in zip(estimates, marks)])
            cells.append([self._below(j, k) for k in range(len(estimates))])
        return names + [name for name, _ in self.facts], cells + [list(told) for _, told in self.facts]

    def _below(self, j: int, k: int) -> str:
        """Standard error or interval of an estimate; nothing where there is none."""
        if self.bounds is None:
            se = self.errors[j, k]
            return "" if np.isnan(self.estimates[j, k]) or np.isnan(se) else f"({se:.{self.digits}f})"
        low, high = (bound[j, k] for bound in self.bounds)
        return "" if np.isnan(low) or np.isnan(high) else f"[{low:.{self.digits}f}, {high:.{self.digits}f}]"

    @property
    def shown_heads(self) -> tuple[str, ...]:
        """Heads of the columns: names of the fits, or numbers where a name is long."""
        numbered = any(len(head) > _LONGEST_HEAD for head in self.heads)
        return tuple(f"({k})" for k in range(1, len(self.heads) + 1)) if numbered else self.heads

    @property
    def notes(self) -> list[str]:
        """What numbers in the place of names stand for, and remarks."""
        key = [f"{shown} {head}" for shown, head in zip(self.shown_heads, self.heads) if shown != head]
        return [*key, *self.remarks]

    def __str__(self) -> str:
        names, cells = self.rows
        widths = [2 + max(map(len, column)) for column in zip(self.shown_heads, *cells)]
        lines = text_lines(self.shown_heads, names, cells, widths)
        above = [self.title, ""] if self.title else []
        return "\n".join([*above, *(line.rstrip() for line in lines), *(["", *self.notes] if self.notes else [])])

    __repr__ = __str__

    def frame(self) -> pd.DataFrame:
        """The cells as texts."""
        import pandas as pd

        names, cells = self.rows
        return pd.DataFrame(cells, index=names, columns=list(self.heads))

    def to_html(self) -> str:
        """The table as HTML: a ``<table>`` with its title, and notes below, for a page of your own."""
        names, cells = self.rows
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in self.shown_heads)
        lines = [
            f'<tr{" class=first" if at == 2 * len(self.names) else ""}><th scope="row">{escape(name)}</th>'
            + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>"
            for at, (name, line) in enumerate(zip(names, cells))
        ]  # fmt: skip
        title = f"<caption>{escape(self.title)}</caption>" if self.title else ""
        table = f'<table class="karat">{title}<thead><tr><td></td>{head}</tr></thead><tbody>'
        return "\n".join([table, *lines, "</tbody></table>"]) + html_notes(self.notes)

    _repr_html_ = to_html

    def to_latex(self, caption: str | None = None, label: str | None = None) -> str:
        """The table as LaTeX (booktabs), with notes below it."""
        names, cells = self.rows
        rows = [[escape_latex(cell) for cell in line] for line in cells]
        heads = [escape_latex(head) for head in self.shown_heads]
        rule = 2 * len(self.names) if self.facts else None
        return latex_table(
            names, heads, rows, "", caption or self.title, label or "", notes=self.notes, rule=rule
        )  # fmt: skip

    def to_markdown(self) -> str:
        """The table as Markdown."""
        return markdown_table(self.rows[0], self.shown_heads, self.rows[1])

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the table to a file whose ending says in which form.

        Parameters
        ----------
        path : str or path
            Ends in ``.txt``, ``.md``, ``.html``, ``.tex``, ``.docx`` (Word) or ``.xlsx`` (Excel, with numbers that can
            be calculated with). The last two need ``pip install 'karat[tables]'``.

        Returns
        -------
        Path
            Where it is.

        Raises
        ------
        ArgumentError
            If the ending is none of these.
        KaratError
            If the package that writes Word or Excel files is not installed.
        """
        target = Path(path)
        ending = target.suffix.lower()
        if ending == ".docx":
            from .office import to_word

            to_word(self, target)
        elif ending == ".xlsx":
            from .office import to_excel

            to_excel(self, target)
        elif ending in (".txt", ".md", ".html", ".tex"):
            notes = "".join(f"\n\n{note}" for note in self.notes)
            text = {
                ".txt": self.__str__,
                ".md": lambda: self.to_markdown() + notes,
                ".html": lambda: html_document(self.title or "Table", replace(self, title="").to_html()),
                ".tex": self.to_latex,
            }[ending]()
            target.write_text(text + "\n", encoding="utf-8")
        else:
            raise ArgumentError(f"path={str(path)!r} must end in .txt, .md, .html, .tex, .docx or .xlsx.")
        return target
