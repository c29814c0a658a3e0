"""Read the checks of a fit out: what was looked at, the verdict, and how to correct it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.arguments import checked_arguments
from ..checks.duplicates import Duplicates, document_codes, duplicates, shown_rows
from ..display.axes import AMBER, GREEN, GREY, RED
from ..display.table import html_page, html_table, text_lines
from ..errors import ArgumentError, KaratError
from ..frames import Table
from ..results.verdicts import Finding, findings, short_form

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Bools
    from ..checks.values import Balance
    from ..results import Result

__all__ = ["Diagnosis", "Finding", "diagnose", "short_form"]

_MARKS = {"ok": "ok", "look": "LOOK", "problem": "PROBLEM", "unknown": "?"}
_MOST = 25
_COLOURS = {"ok": GREEN, "look": AMBER, "problem": RED, "unknown": GREY}


@dataclass(frozen=True)
class Diagnosis:
    """What the checks of a fit found.

    Parameters
    ----------
    title : str
    findings : tuple of Finding
    balance : Balance or None

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(2000, seed=1)
    >>> sample = kt.SimpleRandom(n=300).draw(corpus, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, sample, "hostile")
    >>> fit = kt.ols("outcome ~ hostile + length", labelled, surrogates={"hostile": "hostile_llm"},
    ...              design=sample.design, seed=1)
    >>> kt.diagnose(fit).problems
    ()
    """

    title: str
    findings: tuple[Finding, ...]
    balance: Balance | None = field(repr=False, default=None)

    @property
    def problems(self) -> tuple[Finding, ...]:
        """Findings with the verdict "problem"."""
        return tuple(f for f in self.findings if f.verdict == "problem")

    @property
    def ok(self) -> bool:
        """Whether nothing is worse than worth a look."""
        return not self.problems

    def tidy(self) -> pd.DataFrame:
        """One row per check: verdict, what was found, how to correct it."""
        import pandas as pd

        columns = {
            "Verdict": [f.verdict for f in self.findings],
            "Found": [f.found for f in self.findings],
            "To correct": [f.advice for f in self.findings],
        }
        return pd.DataFrame(columns, index=pd.Index([f.check for f in self.findings], name="Check"))

    def plot(self, ax: Any = None, title: str | None = None) -> Any:
        """Love plot: standardised differences between weighted gold and frame, with their 95 % band.

        Parameters
        ----------
        ax : matplotlib Axes, optional
        title : str, optional

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        KaratError
            If there is no balance to show, or matplotlib is not installed.
        """
        from ..checks.plots import love_plot

        if self.balance is None:
            raise KaratError("there is no balance to plot: every row is gold, or no variable is known for all rows.")
        return love_plot(self.balance, ax=ax, title=title)

    def __str__(self) -> str:
        width = max(len(f.check) for f in self.findings) + 2
        lines = [f"Checks of {self.title}"]
        for f in self.findings:
            lines.append(f"  {_MARKS[f.verdict]:<9}{f.check:<{width}}{f.found}")
            if f.advice and f.verdict != "ok":
                lines.append(" " * (width + 11) + f"-> {f.advice}")
        if self.balance is not None:
            lines += ["", "Balance of weighted gold against the frame", *balance_lines(self.balance)]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        facts, colours = [], []
        for f in self.findings:
            advice = f"\n-> {f.advice}" if f.advice and f.verdict != "ok" else ""
            facts.append((f"{f.check}: {f.verdict}", f.found + advice))
            colours.append(_COLOURS[f.verdict])
        table = "" if self.balance is None else html_table(self.balance.tidy(), ".3g")
        return html_page(f"Checks of {self.title}", facts, table, (), colours)


@checked_arguments()
def diagnose(
    fit: Result, data: object = None, *, text: str | None = None, shown: object = None, labelled: object = None
) -> Diagnosis:
    """Check the gold sample of a fit.

    Parameters
    ----------
    fit : Result
    data : data frame, optional
        The table of the fit, for the checks that need documents.
    text : str, optional
        Column with the texts (or ids of documents): counts copies between gold and the rest.
    shown : str, array_like or mapping, optional
        Rows the labeller has seen (examples in the prompt, training texts): a true/false column or array, or
        ``{"text": [documents shown]}``.
    labelled : str or array_like, optional
        True where a row is gold; needed with ``text`` or ``shown`` only if the fit has not kept its scores.

    Returns
    -------
    Diagnosis

    Raises
    ------
    ArgumentError
        If ``fit`` is not a Result, or an argument needs ``data``.
    KaratError
        If the Result has no checks (it was read from an older file).

    References
    ----------
    Saerndal, Swensson, Wretman (1992), section 2.8; Kish (1965) for the effective size; Hansen and Bowers (2008),
    *Covariate balance in simple, stratified and clustered comparative studies*, for the joint test.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(2000, seed=1)
    >>> sample = kt.SimpleRandom(n=300).draw(corpus, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, sample, "hostile")
    >>> fit = kt.ols("outcome ~ hostile + length", labelled, surrogates={"hostile": "hostile_llm"},
    ...              design=sample.design, seed=1)
    >>> kt.diagnose(fit, corpus, text="document").tidy().loc["Copies", "Verdict"]
    'ok'
    """
    from ..results import Result

    if not isinstance(fit, Result):
        raise ArgumentError(f"diagnose wants the Result of a fit; got {type(fit).__name__}.")
    if fit.estimator == "corrected":
        raise KaratError(
            "a regression on unit means has no checks of its own; diagnose a fit on the documents, such as kt.mean of "
            "the label."
        )
    if fit.checks is None:
        raise KaratError("this Result holds no checks; fit again with this version of karat.")
    if data is None and (text is not None or shown is not None or labelled is not None):
        raise ArgumentError("text=, shown= and labelled= need data=, the table of the fit.")
    copies: Duplicates | None = None
    seen: tuple[int, int] | None = None
    if data is not None:
        if text is None and shown is None:
            raise ArgumentError("data= was given without text= or shown=; name the column of documents.")
        table = Table.read(data)
        is_gold = _gold_rows(fit, table, labelled)
        if text is not None:
            copies = duplicates(document_codes(table.column(text, "text")), is_gold)
        if shown is not None:
            marked = shown_rows(shown, table) & _used(fit, table)
            seen = int(marked.sum()), int((marked & is_gold).sum())
    found = findings(fit, copies, seen)
    return Diagnosis(f"{fit.title.lower()} {fit.formula!r}", found, fit.checks.balance)


def _gold_rows(fit: Result, table: Table, given: object) -> Bools:
    """Gold rows of the data, shape (N,)."""
    from ..frames.table import as_float

    if given is not None:
        values = as_float(
            table.values(given, "labelled"), given if isinstance(given, str) else "labelled", "indicator of gold"
        )
        if not np.isin(values, (0.0, 1.0)).all():
            raise ArgumentError("labelled= must be true/false (or 1/0) in every row.")
        return np.asarray(values == 1.0)
    if fit.parts is None:
        raise ArgumentError("this fit has not kept which rows are gold; pass labelled=, or fit with scores=True.")
    used = _used(fit, table)
    out = np.zeros(table.n_rows, dtype=bool)
    out[np.flatnonzero(used)[fit.parts.units.gold]] = True
    return out


def _used(fit: Result, table: Table) -> Bools:
    """Rows of the data the fit used, shape (N,)."""
    whole = fit.n_units + fit.sampling.n_dropped
    if table.n_rows != whole:
        raise ArgumentError(f"data has {table.n_rows} rows, the fit was made on {whole}; pass the same table.")
    if fit.parts is None and fit.sampling.n_dropped:
        raise ArgumentError(
            f"this fit left out {fit.sampling.n_dropped:,} row(s) and has not kept which; fit with scores=True, or "
            "pass data= (and fit) without them."
        )
    if fit.parts is None or fit.parts.units.kept is None:
        return np.ones(table.n_rows, dtype=bool)
    return fit.parts.units.kept


def balance_lines(balance: Balance) -> list[str]:
    """The balance table as text, largest standardised differences first."""
    order: Sequence[Any] = sorted(balance.rows, key=lambda r: -abs(r.standardised))
    rows = []
    for r in order[:_MOST]:
        p = "by design" if np.isnan(r.p_value) else f"{r.p_value:.3f}"
        rows.append([f"{r.frame_mean:.4g}", f"{r.gold_mean:.4g}", f"{r.standardised:+.3f}", p])
    head = ["frame", "weighted gold", "std. diff.", "p"]
    lines = ["  " + line for line in text_lines(head, [r.name for r in order[:_MOST]], rows, 15, "variable")]
    if len(order) > _MOST:
        lines.append(f"  ... {len(order) - _MOST} more, all closer; .balance.tidy() has them")
    return lines
