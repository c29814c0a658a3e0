"""Summaries that print as text and as HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..display.table import html_page, html_table, number, p_text, text_lines
from .effects import model_of
from .verdicts import short_form, small_sample_notes

if TYPE_CHECKING:
    from .._core.types import Floats
    from .estimates import Fitted

_ESTIMATORS = {
    "dsl": "DSL (gold + cross-fitted surrogates)",
    "ppi": "PPI (gold + raw surrogate)",
    "gold": "gold labels only",
    "surrogate": "surrogate labels only (intervals are NOT valid)",
    "corrected": "unit means of gold and predictions, corrected for their noise",
}
_CHOICES = {
    "gold": "For {} the surrogates added nothing: the gold-only estimate is reported.",
    "coefficient": "For {} the predictions count with a weight chosen for each coefficient.",
    "scalar": "For {} the predictions count with one common weight.",
    "full": "For {} the predictions count with weights on the moments of all coefficients.",
}
"""What a choice of weights means; full weight on the predictions needs no words."""


class Summary:
    """A printable summary of a Result.

    Parameters
    ----------
    result : Result

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(2000, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
    >>> print(kt.ols("outcome ~ hostile + length", labelled, surrogates={"hostile": "hostile_llm"}, seed=1).summary())
    Linear regression: outcome ~ hostile + length
    ...
    """

    def __init__(self, result: Fitted) -> None:
        self.result = result

    def facts(self) -> list[tuple[str, str]]:
        """What is shown above the coefficients: pairs of name and value."""
        r = self.result
        s = r.sampling
        clusters = ""
        if s.clusters:
            effective = "" if r.effective_clusters is None else f", effectively {_range(r.effective_clusters)}"
            clusters = f", clusters of {r.cluster} ({s.clusters:,}, {s.gold_clusters:,} with gold{effective})"
        assumed = " (assumed: no design was given)" if s.assumed else ""
        out = [
            ("Estimator", _ESTIMATORS[r.estimator]),
            ("Units", self._units() + self._dropped()),
            ("Design", s.design + assumed),
            ("Target", "this corpus (finite population)" if r.target == "finite" else "superpopulation"),
            ("Covariance", r.vcov_kind + clusters),
        ]  # fmt: skip
        if s.effects:
            out.insert(2, ("Fixed effects", ", ".join(f"{name} ({n:,} groups)" for name, n in s.effects.items())))
        if r.estimator != "surrogate":
            out.append(
                (
                    "Gold weights",
                    f"smallest probability {s.smallest_probability:.3g}, largest weight {s.largest_weight:.3g}, "
                    f"effective size {s.kish:.0f} (Kish), sum {s.sum_of_weights:,.0f} for N = "
                    f"{s.documents or s.n_units:,}",
                )
            )
        for skill in r.skill:
            accuracy = "" if skill.accuracy is None else f", accuracy {skill.accuracy:.2f}"
            out.append(
                (
                    f"Predictor of {skill.name}",
                    f"{skill.learner}, out-of-fold R2 {skill.r_squared:.2f}{accuracy}",
                )
            )
        if r.skill and r.seed is not None:
            out.append(("Seed", str(r.seed)))
        if r.split_share is not None:
            out.append(("Random splits", f"at most {100 * r.split_share:.1f}% of a variance"))
        if r.estimator != "surrogate" and (checks := short_form(r)):
            out.append(("Checks", checks))
        return out + self.exponentials()

    def coefficient_lines(self) -> list[str]:
        """The coefficient table as text lines."""
        r = self.result
        table = r.tidy().loc[list(r.names)]
        show_gain = r.estimator in ("dsl", "ppi")
        head = ["Estimate", "Std. Error", "df", "t", "p", *table.columns[4:]] + (
            ["R2", "effective gold"] if show_gain else []
        )
        rows = []
        for j, (b, se, t, p, low, high) in enumerate(table.to_numpy()):
            df = f"{r.df[j]:,.0f}" if np.isfinite(r.df[j]) else "inf"
            gain = [f"{r.r_squared[j]:.2f}", f"{r.effective_gold[j]:,.0f}"] if show_gain else []
            rows.append([number(b), number(se), df, f"{t:.2f}", p_text(p), number(low), number(high), *gain])
        return text_lines(head, r.names, rows, [16 if name == "effective gold" else 11 for name in head])

    def exponentials(self) -> list[tuple[str, str]]:
        """Of coefficients that are logarithms: what they are called, with their intervals."""
        r, model = self.result, model_of(self.result)
        table, out = r.tidy(), []
        for name, words in (model.logarithms if model is not None else {}).items():
            value, low, high = (number(np.exp(v)) for v in table.loc[name].to_numpy()[[0, 4, 5]])
            out.append((words, f"{value}, {100 * (1 - r.alpha):.6g}% interval {low} to {high}"))
        return out

    def remarks(self) -> list[str]:
        """What the reader must know."""
        r = self.result
        out = []
        if r.estimator in ("dsl", "ppi"):
            for kind in dict.fromkeys(r.choice):
                if kind in _CHOICES:
                    out.append(_CHOICES[kind].format(", ".join(n for n, c in zip(r.names, r.choice) if c == kind)))
        if r.interval == "beta":
            out.append("Intervals of proportions are Clopper and Pearson's at the effective number of gold rows.")
        if r.estimator == "surrogate":
            out.append("Warning: labels are taken for the truth; do not report these intervals.")
        if r.checks is not None and r.checks.caution:
            out.append(f"Warning: {r.checks.caution}.")
        out += [note[0].upper() + note[1:] + "." for note in (*r.notes, *small_sample_notes(r))]
        return out

    def __str__(self) -> str:
        r = self.result
        lines = [f"{r.title}: {r.formula}"]
        lines += [f"  {name}: {value}" for name, value in self.facts()]
        lines += ["", *self.coefficient_lines()]
        if r.comparison is not None and len(r.comparison.columns) > 1:
            lines += ["", "Side by side, estimate (standard error):", *r.comparison.lines()]
        if remarks := self.remarks():
            lines += ["", *remarks]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        r = self.result
        table = r.tidy().loc[list(r.names)]
        if r.estimator in ("dsl", "ppi"):
            table["R2"] = r.r_squared
            table["effective gold"] = np.round(r.effective_gold)
        side = ""
        if r.comparison is not None and len(r.comparison.columns) > 1:
            side = "<p>Side by side</p>" + r.comparison._repr_html_()
        return html_page(f"{r.title}: {r.formula}", self.facts(), html_table(table) + side, self.remarks())

    def _units(self) -> str:
        s = self.result.sampling
        if s.documents:
            return f"{s.n_units:,}, made of {s.documents:,} documents ({s.n_gold:,} gold)"
        return f"{s.n_units:,} ({s.n_gold:,} gold)"

    def _dropped(self) -> str:
        sampling = self.result.sampling
        if not sampling.dropped:
            return ""
        named = {"shown=": "the prompt", "subset=": "subset=", "groups without gold": "groups without gold"}
        named |= {
            name: "being the only row in a fixed effect" for name in sampling.dropped if name.startswith("alone in ")
        }
        missing = {name: count for name, count in sampling.dropped.items() if name not in named}
        listing = ", ".join(f"{name}: {count:,}" for name, count in missing.items())
        reasons = [f"missing values ({listing})"] if missing else []
        reasons += [f"{text} ({sampling.dropped[name]:,})" for name, text in named.items() if name in sampling.dropped]
        return f"; {sampling.n_dropped:,} rows left out for {' and '.join(reasons)}"


def _range(values: Floats) -> str:
    low, high = f"{values.min():,.1f}", f"{values.max():,.1f}"
    return low if low == high else f"{low} to {high}"
