"""Tables and short reports as text, HTML, LaTeX and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape as escape_html
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

_LATEX = (
    {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {
        "<": r"\textless{}",
        ">": r"\textgreater{}",
    }
    | {c: "\\" + c for c in "&%$#_{}"}
)

_PHONE = '<meta name="viewport" content="width=device-width, initial-scale=1">'
_STYLE = """
body { font-family: system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; font-size: .9rem; } td, th { padding: .2rem .6rem; text-align: right; }
tr:nth-child(even) { background: #f6f6f6; } img { max-width: 100%; }
"""


def number(value: float) -> str:
    """Four decimals, or powers of ten where these say nothing."""
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e5 or value == 0 else f"{value:.3e}"


def p_text(value: float) -> str:
    """A p-value."""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def escape_latex(text: str) -> str:
    r"""Text that LaTeX prints as it is.

    Examples
    --------
    >>> escape_latex("a_b & 5%")
    'a\\_b \\& 5\\%'
    """
    return "".join(_LATEX.get(c, c) for c in text)


def text_lines(
    head: Sequence[str],
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    cell: int | Sequence[int] = 11,
    corner: str = "",
    width: int = 0,
) -> list[str]:
    """Lines of a table: names set left, cells set right, as wide as ``cell`` says for all or for each column."""
    width = width or max(12, *(len(n) for n in names)) + 2
    cells = [cell] * len(head) if isinstance(cell, int) else cell
    return [
        name.ljust(width) + "".join(c.rjust(w) for c, w in zip(line, cells))
        for name, line in zip((corner, *names), (head, *rows))
    ]


def text_table(frame: pd.DataFrame, digits: str = ".4g", missing: str = "NaN", formats: Any = None) -> list[str]:
    """A data frame of numbers as lines of text."""
    return str(frame.to_string(**_cells(digits, missing, formats))).splitlines()


def text_cells(frame: pd.DataFrame) -> list[str]:
    """A data frame of texts as lines of text, columns as wide as what they hold."""
    head, names = [str(c) for c in frame], [str(i) for i in frame.index]
    widths = [2 + max(map(len, (name, *frame[column]))) for name, column in zip(head, frame)]
    return text_lines(head, names, frame.to_numpy().tolist(), widths, width=max(map(len, names)))


def html_table(
    frame: pd.DataFrame, digits: str = ".4g", missing: str = "NaN", formats: Any = None, **options: Any
) -> str:
    """A data frame as HTML, with everything in it escaped."""
    return str(frame.to_html(**_cells(digits, missing, formats), **options))


def _cells(digits: str, missing: str, formats: Any) -> dict[str, Any]:
    """How pandas is to write the cells of a table."""
    return {"float_format": lambda value: format(value, digits), "na_rep": missing, "formatters": formats}


def html_page(
    title: str, facts: Sequence[tuple[str, str]], body: str, notes: Sequence[str], colours: Sequence[str] = ()
) -> str:
    """A heading, facts (with the colours of their names, if any), a body that is HTML already, and remarks."""
    listed = "".join(
        f"<tr><th style='text-align:left{colour and f';color:{colour}'}'>{escape_html(name)}</th>"
        f"<td style='text-align:left'>{_broken(value)}</td></tr>"
        for (name, value), colour in zip(facts, colours or [""] * len(facts))
    )
    above = f"<table>{listed}</table>" if listed else ""
    return f"<div><b>{escape_html(title)}</b>{above}{body}{html_notes(notes)}</div>"


def html_notes(notes: Sequence[str]) -> str:
    """Remarks, each a paragraph."""
    return "".join(f"<p>{_broken(note)}</p>" for note in notes)


def html_document(title: str, body: str) -> str:
    """A page of its own; the body is HTML already."""
    shown = escape_html(title)
    head = f'<head><meta charset="utf-8">{_PHONE}<title>{shown}</title><style>{_STYLE}</style></head>'
    return f'<!doctype html><html lang="en">{head}<body><h1>{shown}</h1>{body}</body></html>'


def _broken(text: str) -> str:
    """Text as HTML that keeps its lines."""
    return escape_html(text).replace("\n", "<br>")


def latex_table(
    names: Sequence[str], head: Sequence[str], rows: Sequence[Sequence[str]], foot: str, caption: str, label: str,
    *, notes: Sequence[str] = (), rule: int | None = None,
) -> str:  # fmt: skip
    """A booktabs table; names, foot and notes are escaped here, heads and cells are LaTeX already.

    ``rule``: a line stands above this row. Notes stand below the table, in paragraphs as wide as the text.
    """
    lines = [r"\begin{table}", r"\centering"]
    lines += [rf"\caption{{{escape_latex(caption)}}}"] if caption else []
    lines += [rf"\label{{{label}}}"] if label else []
    lines += [rf"\begin{{tabular}}{{l{'r' * len(head)}}}", r"\toprule", f" & {' & '.join(head)} \\\\", r"\midrule"]
    body = [f"{escape_latex(name)} & {' & '.join(cells)} \\\\" for name, cells in zip(names, rows)]
    lines += body if rule is None else [*body[:rule], r"\midrule", *body[rule:]]
    lines += [r"\midrule", rf"\multicolumn{{{len(head) + 1}}}{{l}}{{{escape_latex(foot)}}} \\"] if foot else []
    below = [rf"\par {escape_latex(note)}" for note in notes]
    if below:
        below = [r"\par\smallskip", r"\begin{minipage}{\linewidth}\footnotesize", *below, r"\end{minipage}"]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *below, r"\end{table}"])


def markdown_table(names: Sequence[str], head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table between pipes."""
    lines = [["", *head], [":--", *["--:"] * len(head)], *([name, *cells] for name, cells in zip(names, rows))]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


@dataclass(frozen=True, eq=False)
class Report:
    """A coefficient table with what must be said around it; prints as text, and as HTML in a notebook.

    Parameters
    ----------
    title : str
    about : str
        Sizes and methods, in a line.
    table : pandas.DataFrame
        Estimate, standard error, statistic, p-value and interval, one row per coefficient.
    remarks : tuple of str
    """

    title: str
    about: str
    table: pd.DataFrame
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        columns = list(self.table.columns)
        form = [number, number, "{:.2f}".format, p_text, number, number]
        cells = [
            ["" if np.isnan(v) else how(v) for how, v in zip(form, row)] for row in self.table.to_numpy(dtype=float)
        ]
        names = [str(name) for name in self.table.index]
        lines = [self.title, *([f"  {self.about}"] if self.about else []), ""]
        lines += text_lines(["Estimate", "Std. Error", "t", "p", *columns[4:]], names, cells)
        return "\n".join(lines + (["", *self.remarks] if self.remarks else []))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        notes = ([self.about] if self.about else []) + list(self.remarks)
        return html_page(self.title, (), html_table(self.table), notes)
