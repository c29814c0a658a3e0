"""From figures to verdicts (ok, look, problem) and notes on small samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..checks.duplicates import Duplicates
    from ..checks.values import Balance, Checks
    from .estimates import Fitted

DOUBTFUL, WRONG = 0.01, 0.001
"""p-values below which a check is worth a look, or a problem: many checks are made of many fits."""

_MANY_UNANSWERED = 0.2
_HEAVY_WEIGHT, _LOW_KISH, _LOWEST_KISH = 20.0, 0.5, 0.2
_LARGE_SHIFT, _LARGEST_SHIFT, _LARGE_LEVERAGE = 1.0, 2.0, 0.5
_SPLIT_SHARE = 0.1
_FLAT_SLOPE, _STEEP_SLOPE = 0.5, 2.0


@dataclass(frozen=True)
class Finding:
    """One check.

    Parameters
    ----------
    check : str
        What was looked at.
    verdict : {"ok", "look", "problem", "unknown"}
    found : str
        Figures, in words.
    advice : str
        How to correct it; empty where nothing is amiss.
    """

    check: str
    verdict: str
    found: str
    advice: str = ""


def findings(fit: Fitted, copies: Duplicates | None = None, seen: tuple[int, int] | None = None) -> tuple[Finding, ...]:
    """All checks of a fit.

    Parameters
    ----------
    fit : Result
        With checks.
    copies : Duplicates, optional
    seen : (int, int), optional
        Rows of the fit that the labeller has seen, and gold rows among them.

    Returns
    -------
    tuple of Finding
    """
    checks = fit.checks
    assert checks is not None
    out = [_design(fit, checks), _weights(checks), *_balance(checks.balance), _sizes(fit)]
    out += [_influence(checks), *_answers(fit, checks), *_strata(checks), *_gold(fit), *_predictor(fit)]
    out += _censoring(checks)
    if copies is not None:
        out.append(_copies(copies))
    if seen is not None or "shown=" in fit.sampling.dropped:
        out.append(_shown(fit, seen))
    return tuple(out)


def short_form(fit: Fitted) -> str:
    """One line for the summary: problems by name, the number of checks otherwise."""
    if fit.checks is None:
        return ""
    found = findings(fit)
    bad = [f.check.lower() for f in found if f.verdict == "problem"]
    look = [f.check.lower() for f in found if f.verdict == "look"]
    parts = [f"PROBLEM: {', '.join(bad)}"] if bad else []
    parts += [f"look at: {', '.join(look)}"] if look else []
    balance = fit.checks.balance
    if balance is not None and not np.isnan(balance.p_value):
        parts.append(f"balance p {_p(balance.p_value)} ({balance.df} df)")
    return "; ".join(parts or ["nothing to correct"]) + " (details: karat.diagnose)"


def _design(fit: Fitted, checks: Checks) -> Finding:
    if checks.caution:
        return Finding("Design", "problem", checks.caution, "draw a sample with known probabilities.")
    if fit.sampling.assumed:
        return Finding(
            "Design", "look", f"{fit.sampling.design}: assumed, since no design was given",
            "pass design=; intervals are right only if gold was drawn that way.",
        )  # fmt: skip
    return Finding("Design", "ok", fit.sampling.design)


def _weights(checks: Checks) -> Finding:
    w = checks.weights
    if w.se > 0:
        found = f"{w.total:,.1f} for N = {w.expected:,} (design standard error {w.se:,.1f}, p {_p(w.p_value)})"
    else:
        found = f"{w.total:,.1f} for N = {w.expected:,} (fixed by the design)"
    advice = (
        "the probabilities are not those of this draw, or gold rows were lost or added; give the probabilities of "
        "the draw, over the whole frame."
    )
    return Finding("Sum of weights", _verdict(w.p_value), found, advice)


def _balance(balance: Balance | None) -> list[Finding]:
    if balance is None:
        return []
    worst = max(balance.rows, key=lambda r: abs(r.standardised))
    biggest = f"largest standardised difference {worst.standardised:+.2f} ({worst.name})"
    advice = (
        "gold is not a draw from the stated design on these variables: check how rows were chosen and whether labels "
        "went missing; if they did, see nonresponse= and karat.sensitivity."
    )
    if balance.impossible:
        return [Finding("Balance", "problem", f"gold differs where the design lets nothing differ; {biggest}", advice)]
    if np.isnan(balance.p_value):
        return [Finding("Balance", "ok" if balance.df == 0 else "unknown", f"{balance.remark}; {biggest}")]
    kind = (
        f"chi2({balance.df}) = {balance.statistic:.1f}" if np.isinf(balance.df_denominator) else f"F, {balance.df} df"
    )
    note = f"; {balance.remark}" if balance.remark else ""
    found = f"joint test {kind}, p {_p(balance.p_value)}; {biggest}{note}"
    return [Finding("Balance", _verdict(balance.p_value), found, advice)]


def _sizes(fit: Fitted) -> Finding:
    s = fit.sampling
    mean_weight = s.sum_of_weights / s.n_gold
    found = (
        f"smallest probability {s.smallest_probability:.3g}, largest weight {s.largest_weight:,.4g}, effective size "
        f"{s.kish:,.0f} of {s.n_gold:,} (Kish)"
    )
    share = s.kish / s.n_gold
    if share < _LOWEST_KISH:
        verdict = "problem"
    elif share < _LOW_KISH or s.largest_weight > _HEAVY_WEIGHT * mean_weight:
        verdict = "look"
    else:
        verdict = "ok"
    return Finding(
        "Unequal weights", verdict, found,
        "a few rows carry the estimate; raise the smallest probabilities when you draw again.",
    )  # fmt: skip


def _influence(checks: Checks) -> Finding:
    if not checks.influential:
        return Finding("Single gold rows", "ok", "no labelling error to speak of")
    top = checks.influential[0]
    found = (
        f"row {top.position} moves {top.coefficient} by {top.shift:+.2f} standard errors; largest leverage "
        f"{checks.largest_leverage:.2f}"
    )
    size = abs(top.shift)
    verdict = "problem" if size > _LARGEST_SHIFT else "ok"
    if verdict == "ok" and (size > _LARGE_SHIFT or checks.largest_leverage > _LARGE_LEVERAGE):
        verdict = "look"
    return Finding("Single gold rows", verdict, found, "read that document again; label more units like it.")


def _answers(fit: Fitted, checks: Checks) -> list[Finding]:
    if checks.caution:
        return []
    if not checks.recorded:
        return [Finding(
            "Non-response", "unknown", "which rows were drawn is not recorded, so missing labels cannot be seen",
            "pass design=sample.design, or sampled= the column of drawn rows.",
        )]  # fmt: skip
    lost = checks.n_drawn - fit.n_gold
    if not lost:
        return [Finding("Non-response", "ok", f"all {checks.n_drawn:,} rows drawn have their label")]
    share = lost / checks.n_drawn
    return [Finding(
        "Non-response", "problem" if share > _MANY_UNANSWERED else "look",
        f"{lost:,} of {checks.n_drawn:,} rows drawn have no label ({share:.1%}); taken as ignorable",
        "have them labelled; karat.sensitivity shows what they could do to the result.",
    )]  # fmt: skip


def _strata(checks: Checks) -> list[Finding]:
    if not checks.strata:
        return []
    single = [s for s in checks.strata if s.gold == 1 and s.units > 1]
    lost = [s for s in checks.strata if s.gold < s.drawn]
    smallest = min(checks.strata, key=lambda s: s.gold)
    found = f"{len(checks.strata):,} strata; fewest gold: {smallest.gold} of {smallest.units:,} in {smallest.name!r}"
    if lost:
        worst = max(lost, key=lambda s: s.drawn - s.gold)
        found += f"; short of the plan in {len(lost)}, most in {worst.name!r} ({worst.gold} of {worst.drawn} drawn)"
    verdict = "problem" if single else ("look" if lost or smallest.gold < 5 <= smallest.units else "ok")
    return [Finding("Strata", verdict, found, "label more in the small strata, or merge them.")]


def _censoring(checks: Checks) -> list[Finding]:
    if not checks.censoring:
        return []
    return [Finding("Censoring", "look", checks.censoring, "choose a smaller tau, or a coarser censoring model.")]


def _gold(fit: Fitted) -> list[Finding]:
    from .verdicts import small_sample_notes

    s = fit.sampling
    found = f"{s.n_gold:,} gold rows"
    if s.rarest_class is not None:
        found += f", {s.rarest_class:,} in the rarest class"
    if s.clusters:
        found += f", in {s.gold_clusters:,} of {s.clusters:,} clusters"
    notes = small_sample_notes(fit)
    return [Finding("Amount of gold", "look" if notes else "ok", found, "; ".join(notes) + "." if notes else "")]


def _predictor(fit: Fitted) -> list[Finding]:
    out = []
    for skill in fit.skill:
        found = f"{skill.learner}, out-of-fold R2 {skill.r_squared:.2f}"
        slope = skill.calibration
        found += "" if slope is None else f", calibration slope {slope:.2f}"
        odd = slope is not None and not _FLAT_SLOPE < slope < _STEEP_SLOPE
        verdict, advice = "ok", ""
        if skill.r_squared <= 0:
            verdict, advice = "look", "the surrogates say nothing; intervals are those of gold alone."
        elif odd:
            verdict, advice = (
                "look",
                "predictions are too steep or flat; try another learner. Intervals stay valid.",
            )
        out.append(Finding(f"Predictor of {skill.name}", verdict, found, advice))
    if fit.split_share is not None:
        out.append(
            Finding(
                "Random splits",
                "look" if fit.split_share > _SPLIT_SHARE else "ok",
                f"at most {100 * fit.split_share:.1f}% of a variance",
                "raise repeats=.",
            )
        )
    return out


def _copies(copies: Duplicates) -> Finding:
    found = (
        f"{copies.documents:,} documents occur more than once; {copies.gold_and_rest:,} gold rows have a copy without "
        f"gold, {copies.within_gold:,} a copy in the gold"
    )
    amiss = copies.gold_and_rest or copies.within_gold
    return Finding(
        "Copies", "look" if amiss else "ok", found,
        "a predictor may have seen the label of a copy: drop copies before drawing, or pass cluster= the document.",
    )  # fmt: skip


def _shown(fit: Fitted, seen: tuple[int, int] | None) -> Finding:
    gone = fit.sampling.dropped.get("shown=", 0)
    rows, gold = seen if seen is not None else (0, 0)
    found = f"{rows:,} rows of the fit were seen by the labeller, {gold:,} of them gold"
    if gone:
        found = f"{gone:,} rows seen by the labeller have left the frame" + (f"; {found}" if rows else "")
    return Finding(
        "Prompt rows", "problem" if gold else ("look" if rows else "ok"), found,
        "they must leave the frame: fit with shown=.",
    )  # fmt: skip


def _verdict(p_value: float) -> str:
    if np.isnan(p_value):
        return "unknown"
    return "problem" if p_value < WRONG else ("look" if p_value < DOUBTFUL else "ok")


def _p(value: float) -> str:
    return "< .001" if value < 0.001 else f"= {value:.3f}"


FEW_GOLD = 30
FEW_IN_CLASS = 10
FEW_CLUSTERS = 20
A_HANDFUL = 4.0
"""Below these a warning is given (docs/methods.md, section 9)."""


def small_sample_notes(result: Fitted) -> list[str]:
    """What is small about a fit, in words."""
    s: Any = result.sampling
    out = []
    if s.n_gold < FEW_GOLD:
        out.append(f"only {s.n_gold} gold rows; intervals rest on large-sample theory, label at least {FEW_GOLD}")
    if s.rarest_class is not None and s.rarest_class < FEW_IN_CLASS:
        out.append(
            f"the rarest gold class has {s.rarest_class} rows; label at least {FEW_IN_CLASS} (stratify by surrogate)"
        )
    if s.clusters and s.gold_clusters < FEW_CLUSTERS:
        out.append(f"only {s.gold_clusters} clusters hold gold; cluster intervals want at least {FEW_CLUSTERS}")
    if s.clusters and result.effective_clusters is not None:
        out += _handful(result)
    return out


def _handful(result: Fitted) -> list[str]:
    """Coefficients that a handful of clusters carry, or one alone."""
    assert result.effective_clusters is not None
    unknown = ~np.isfinite(np.diag(result.covariance))
    few = ~unknown & (result.effective_clusters < A_HANDFUL)
    out = []
    if few.any():
        listing = ", ".join(f"{n!r} ({result.effective_clusters[j]:.1f})" for j, n in enumerate(result.names) if few[j])
        out.append(
            f"few clusters carry {listing} (effective number in brackets); with fewer than {A_HANDFUL:g} intervals and "
            "tests are rough, so look for more clusters in which these covariates vary"
        )
    if unknown.any():
        listing = ", ".join(repr(n) for j, n in enumerate(result.names) if unknown[j])
        out.append(
            f"a single cluster identifies {listing}, so the data do not say how much it varies from cluster to "
            "cluster, and no standard error is given"
        )
    return out
