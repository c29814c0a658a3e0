"""A page about a fit: what was asked, what came, how gold was drawn, what was checked, what to write about it."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Sequence
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING, Any

import numpy as np

from .._version import __version__
from ..checks.plots import love_plot
from ..display.page import Block, Part, page, picture_block
from ..display.table import html_table, number, p_text
from ..errors import ArgumentError
from .methods_text import methods_text, surrogates_of
from .plots import coefplot
from .summary import Summary
from .tables import table
from .verdicts import findings

if TYPE_CHECKING:
    from .result import Result

_LIBRARIES = ("numpy", "scipy", "pandas", "scikit-learn", "statsmodels", "formulaic", "narwhals", "torch")
_GROUPS = re.compile(r"(?:0 \+ )?C\((\w+)\)")
_MOST_ROWS = 25
"""Coefficients drawn in a plot, at most."""


def report(
    fit: Result, path: str | os.PathLike[str], title: str | None, question: str | None, study: Any, diagnosis: Any,
    sensitivity: Any,
) -> Path:  # fmt: skip
    """Write the page; see :meth:`karat.Result.report`."""
    target = Path(path)
    if target.suffix.lower() not in (".html", ".htm"):
        raise ArgumentError(f"path={str(path)!r} must end in .html.")
    protocol = _protocol(study)
    _same_kind("diagnosis", diagnosis, "findings", "karat.diagnose(fit)")
    _same_kind("sensitivity", sensitivity, "tilted", "karat.sensitivity(formula, data, ...)")
    paragraphs, references = methods_text(fit)
    parts = [
        Part("Question", _question(fit, question)),
        Part("Estimates", _estimates(fit)),
        *_compared(fit),
        Part("How the gold was drawn", [Block("facts", Summary(fit).facts())]),
        Part("Checks", _checks(fit, diagnosis)),
        Part("Sensitivity", _sensitivity(fit, sensitivity)),
        Part("Text for a methods section", [Block("paste", paragraphs), Block("list", references)]),
        Part("Versions and settings", _versions(fit, protocol)),
    ]
    made = f"Made by karat {__version__} on {datetime.date.today().isoformat()}. {fit._about()}."
    target.write_text(page(title or f"{fit.title}: {fit.formula}", made, parts), encoding="utf-8")
    return target


def _protocol(study: Any) -> str:
    """The hash of a protocol, of a study or by itself."""
    if study is None:
        return ""
    found = getattr(study, "protocol", study)
    if found is None:
        raise ArgumentError("study= has no protocol yet; lay it down with study.lock(...) first.")
    if not isinstance(getattr(found, "hash", None), str):
        raise ArgumentError(f"study= must be a karat.annotate.Study or its protocol; got {type(study).__name__}.")
    return str(found.hash)


def _same_kind(argument: str, given: Any, has: str, made_by: str) -> None:
    if given is not None and not hasattr(given, has):
        raise ArgumentError(f"{argument}= must be what {made_by} gives; got {type(given).__name__}.")


def _question(fit: Result, question: str | None) -> list[Block]:
    """The formula in words, and what is known of whom."""
    outcome, _, right = (part.strip() for part in fit.formula.partition("~"))
    covariates, _, effects = (part.strip() for part in right.partition("|"))
    asked = f"How is {outcome} related to {covariates.replace(' + ', ', ')}?"
    if covariates in ("", "1"):
        asked = f"What is the mean of {outcome}?"
    elif fit.model == "mean":
        groups = _GROUPS.sub(r"\1", covariates)
        asked = f"What is the mean of {outcome} in each group of {groups}?"
    lines = [question] if question else []
    lines.append(asked + (f" With fixed effects: {effects}." if effects else ""))
    for name, columns in surrogates_of(fit).items():
        from_all = (
            f"surrogate labels of all units ({', '.join(columns)})" if columns else "surrogate labels of all units"
        )
        if fit.estimator == "gold":
            lines.append(f"{name} is a label: gold labels of a sample are used.")
        elif fit.estimator == "surrogate":
            lines.append(f"{name} is a label: {from_all} are taken for the truth.")
        else:
            lines.append(f"{name} is a label: known from gold labels of a sample, and from {from_all}.")
    what = "these units and no others" if fit.target == "finite" else "the population that these units come from"
    lines.append(f"The answer is about {what}. Model: {fit.title}.")
    return [Block("text", lines)]


def _estimates(fit: Result) -> list[Block]:
    """The coefficients as a table, remarks, and a plot."""
    found = fit.tidy()
    level = f"{100 * (1 - fit.alpha):g} % interval"
    gain = fit.estimator in ("dsl", "ppi")
    effective = dict(zip(fit.names, fit.effective_gold)) if gain else {}
    heads = ["", "Estimate", "Std. error", level, "p", *(["Effective gold"] if gain else [])]
    lines = []
    for name, (b, se, _, p, low, high) in zip(found.index, found.to_numpy(dtype=float)):
        shown = [number(b), number(se), f"{number(low)} to {number(high)}", p_text(p)]
        cells = ["" if np.isnan(value) else text for value, text in zip((b, se, low, p), shown)]
        if gain:
            size = effective.get(name, np.nan)
            cells.append(f"{min(size, fit.n_units):,.0f}" if np.isfinite(size) else "")
        lines.append((str(name), cells))
    blocks = [Block("html", html=_html_rows(heads, lines)), *_coefficients_drawn(fit)]
    if gain:
        blocks.append(
            Block("text", ["Effective gold: how many gold labels alone would have given the same labelling variance."])
        )
    return [*blocks, Block("text", Summary(fit).remarks())]


def _html_rows(heads: Sequence[str], lines: Sequence[tuple[str, Sequence[str]]]) -> str:
    above = "".join(f'<th scope="col">{escape(head)}</th>' if head else "<td></td>" for head in heads)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>'
        for name, cells in lines
    )
    return f'<table class="data"><thead><tr>{above}</tr></thead><tbody>{body}</tbody></table>'


def _coefficients_drawn(fit: Result) -> list[Block]:
    """A plot of the coefficients with their intervals; nothing where none has one."""
    bounds = fit.confint().loc[list(fit.names)].to_numpy(dtype=float)
    known = np.isfinite(bounds).all(axis=1)
    every = [name for name, fine in zip(fit.names, known) if fine]
    terms = ([name for name in every if name != "Intercept"] or every)[:_MOST_ROWS]
    if not terms:
        return []
    series = 1 if fit.comparison is None else len(fit.comparison.columns)
    level = f"{100 * (1 - fit.alpha):g} %"
    at = [fit.names.index(name) for name in terms]
    told = "; ".join(f"{fit.names[j]} {fit.theta[j]:.3g} ({bounds[j, 0]:.3g} to {bounds[j, 1]:.3g})" for j in at)
    left = f" The first {len(terms)} of {len(every)}." if len(terms) < len(every) and len(terms) == _MOST_ROWS else ""
    return [
        picture_block(
            lambda axes: coefplot(fit, terms, ax=axes, title=""),
            (5.6, 1.6 + len(terms) * (0.2 * series + 0.25)),
            f"Estimates with {level} intervals.{left}",
            f"Plot of estimates with {level} intervals: {told}.",
        )
    ]


def _compared(fit: Result) -> list[Part]:
    """Estimators side by side, with the test of their difference."""
    found = fit.comparison
    if found is None or len(found.columns) < 2:
        return []
    side = table(fit.compare(), under="interval", title="")
    return [Part("Estimators side by side", [Block("html", html=side.to_html()), Block("text", found.notes()[:1])])]


def _checks(fit: Result, diagnosis: Any) -> list[Block]:
    """Verdicts, the balance of weighted gold against all units, and its plot."""
    if fit.checks is None and diagnosis is None:
        return [Block("text", ["This fit holds no checks of its gold sample."])]
    found = findings(fit) if diagnosis is None else diagnosis.findings
    balance = (
        fit.checks.balance if diagnosis is None and fit.checks is not None else getattr(diagnosis, "balance", None)
    )
    blocks = [Block("checks", found)]
    if balance is None:
        return blocks
    frame = balance.tidy()
    drawn = min(len(balance.rows), 40)
    worst = max(balance.rows, key=lambda r: abs(r.standardised))
    blocks.append(
        picture_block(
            lambda axes: love_plot(balance, ax=axes, title=""), (5.6, 1.5 + 0.27 * drawn),
            "Means of weighted gold less those of all units, in standard deviations; grey: what chance does in 95 % of "
            "draws.",
            f"Plot of the balance of {drawn} variables; the largest difference is {worst.standardised:+.2f} standard "
            f"deviations ({worst.name}).",
        )
    )  # fmt: skip
    return [
        *blocks,
        Block("html", html=html_table(frame.rename_axis(None), ".3g", missing="", border=0, classes="data")),
    ]


def _sensitivity(fit: Result, sensitivity: Any) -> list[Block]:
    """What missing labels could do, if asked; otherwise how to ask."""
    if sensitivity is None:
        if fit.estimator == "surrogate":
            return [Block("text", ["Intervals of surrogates alone are not valid; there is nothing to be sensitive."])]
        lines = ["No analysis of missing gold labels was given to this report."]
        asked = next((f for f in findings(fit) if f.check == "Non-response"), None) if fit.checks is not None else None
        if asked is not None and asked.verdict == "ok":
            lines = [f"Missing labels: {asked.found}, so that no analysis of non-response is needed."]
        return [Block("text", lines)]
    told = sensitivity.lines()
    notes = [line.strip() for line in told[told.index("", 3) + 1 :] if line.strip()] if "" in told[3:] else []
    terms = [term for term in sensitivity.terms if term != "Intercept"] or list(sensitivity.terms)
    return [
        Block("text", [told[1]]),
        Block("html", html=html_table(sensitivity.tidy().rename_axis(None), missing="none", border=0, classes="data")),
        Block("text", notes),
        picture_block(
            lambda axes: sensitivity.plot(terms[0], ax=axes, title=""), (5.6, 3.6),
            f"{terms[0]}, over how strongly missing labels depend on what they would have been.",
            f"Plot of the coefficient of {terms[0]} over gamma, the dependence of non-response on the label.",
        ),
    ]  # fmt: skip


def _versions(fit: Result, protocol: str) -> list[Block]:
    """Versions of what was used, the hash of the protocol, and the settings that a Result remembers."""
    facts = [("Protocol (hash)", protocol)] if protocol else []
    facts += [("karat", __version__), ("Python", python_version())]
    for name in _LIBRARIES:
        try:
            facts.append((name, version(name)))
        except PackageNotFoundError:
            continue
    facts += [("Seed", str(fit.seed))] if fit.seed is not None else []
    if fit.call is not None:
        told = {name: value for name, value in fit.call.arguments.items() if value is not None and name != "seed"}
        facts.append(("Settings", ", ".join(f"{name}={value!r}" for name, value in told.items())))
        if fit.call.left_out:
            facts.append(("Settings not kept", ", ".join(fit.call.left_out)))
    return [Block("facts", facts)]
