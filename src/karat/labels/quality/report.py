"""An audit as one HTML page, pictures inside."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from ...display.axes import BLUE, RED, SAND
from ...display.table import html_table

if TYPE_CHECKING:
    import pandas as pd

    from .auditing import Audit
    from .errors_by_design import Confusion, Differential

_STYLE = """
body { font-family: system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; font-size: .9rem; } td, th { padding: .2rem .6rem; text-align: right; }
tr:nth-child(even) { background: #f6f6f6; } img { max-width: 100%; } .note { color: #8a4b00; }
"""


def page(audit: Audit) -> str:
    """The whole page."""
    title = f"Audit of {audit.surrogate} against {audit.gold}"
    parts = [f"<h1>{html.escape(title)}</h1>", f"<p>{audit.n_gold:,} gold of {audit.n_units:,} units. "]
    parts.append(f"{html.escape(audit.design)}.</p>")
    parts += _confusion_part(audit) + _numeric_part(audit) + _differential_part(audit)
    if audit.calibration is not None:
        parts += ["<h2>Calibration</h2>", _score_line(audit), _picture(_draw_calibration, audit.calibration)]
        parts.append(_table(audit.calibration))
    if audit.gains is not None:
        parts += ["<h2>What the surrogate saves, by coefficient</h2>", _picture(_draw_gains, audit.gains)]
        parts.append(_table(audit.gains, index=True))
    if audit.alternative is not None:
        parts += ["<h2>Alternative annotator</h2>", f"<p>{html.escape(str(audit.alternative))}</p>"]
        parts.append(_table(audit.alternative.table))
    if len(audit.flagged):
        shown = ", ".join(map(str, audit.flagged[:50].tolist()))
        parts += ["<h2>Contradicted by the models</h2>", f"<p>{len(audit.flagged)} row(s): {shown}</p>"]
    if audit.review is not None:
        parts += ["<h2>Review next</h2>", f"<p>{int(audit.review.suspect.sum()):,} label(s) off the diagonal of the "]
        parts.append(
            "confident joint. Draw them with <code>review.design(n)</code>, so that probabilities stay known.</p>"
        )
        parts.append(_table(audit.review.table.head(20)))
    parts += [f'<p class="note">{html.escape(note)}</p>' for note in audit.notes]
    parts.append("<p>None of this makes a regression on the surrogate alone valid.</p>")
    body = "\n".join(parts)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>"
    )


def _confusion_part(audit: Audit) -> list[str]:
    found = audit.confusion
    if found is None:
        return []
    low, high = found.accuracy_interval
    return [
        "<h2>Confusion, weighted by the design</h2>",
        f"<p>Accuracy {found.accuracy:.3f} [{low:.3f}, {high:.3f}], Cohen kappa {found.kappa:.3f}.</p>",
        _picture(_draw_confusion, found),
        _table(found.table),
    ]


def _numeric_part(audit: Audit) -> list[str]:
    if audit.numeric is None:
        return []
    low, high = audit.numeric["bias_interval"]
    line = f"Bias {audit.numeric['bias']:.3f} [{low:.3f}, {high:.3f}], "
    line += f"root mean squared error {audit.numeric['rmse']:.3f}, "
    return ["<h2>Errors</h2>", f"<p>{line}correlation {audit.numeric['correlation']:.3f}.</p>"]


def _differential_part(audit: Audit) -> list[str]:
    found = audit.differential
    if found is None:
        return []
    return [
        "<h2>Does the error depend on the covariates?</h2>",
        f"<p>{html.escape(str(found))}</p>",
        _picture(_draw_differential, found),
        _table(found.table, index=True),
    ]


def _score_line(audit: Audit) -> str:
    if audit.scores is None:
        return ""
    cells = ", ".join(f"{name} {value:.3f}" for name, value in audit.scores.to_dict().items() if name != "n")
    return f"<p>{html.escape(cells)}.</p>"


def _table(frame: pd.DataFrame, index: bool = False) -> str:
    return html_table(frame, ".3f", "", index=index, border=0)


def _picture(draw: Any, content: Any) -> str:
    """A figure as an image inside the page."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 3.6), layout="constrained")
    draw(figure.subplots(), content)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img alt="{draw.__doc__}" src="data:image/png;base64,{data}">'


def _draw_confusion(ax: Any, found: Confusion) -> None:
    """Share of each gold class by surrogate class."""
    names = [str(c) for c in found.classes]
    ax.imshow(np.nan_to_num(found.recall), vmin=0, vmax=1, cmap="Blues", aspect="auto")
    for c in range(len(names)):
        for k in range(len(names)):
            value = found.recall[c, k]
            if np.isfinite(value):
                ax.text(k, c, f"{value:.2f}", ha="center", va="center", color="white" if value > 0.6 else "black")
    ax.set(xticks=range(len(names)), yticks=range(len(names)), xticklabels=names, yticklabels=names)
    ax.set(xlabel="Surrogate", ylabel="Gold")


def _draw_differential(ax: Any, found: Differential) -> None:
    """Coefficients of the error on the covariates."""
    place = np.arange(len(found.names) - 1)[::-1]
    ax.axvline(0, color="0.6", linewidth=1)
    ax.errorbar(found.estimate[1:], place, xerr=1.96 * found.se[1:], fmt="o", color=RED, capsize=2)
    ax.set(yticks=place, yticklabels=found.names[1:], xlabel="Change in error")


def _draw_calibration(ax: Any, table: pd.DataFrame) -> None:
    """Share correct by stated probability."""
    from .scoring import reliability_diagram

    reliability_diagram(table, ax)


def _draw_gains(ax: Any, table: pd.DataFrame) -> None:
    """Standard errors with and without the surrogate."""
    place = np.arange(len(table))[::-1]
    ax.barh(place + 0.2, table["se gold only"], height=0.38, color=SAND, label="gold only")
    ax.barh(place - 0.2, table["se with"], height=0.38, color=BLUE, label="with the surrogate")
    ax.set(yticks=place, yticklabels=[str(v) for v in table.index], xlabel="Standard error")
    ax.legend(frameon=False)
