"""Results as LaTeX and as JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, whole

if TYPE_CHECKING:
    from .result import Result

_FORMAT = "karat.result/1"
_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {
    c: "\\" + c for c in "&%$#_{}"
}


def to_latex(result: Result, caption: str | None, label: str | None, digits: int) -> str:
    """Coefficient table for LaTeX with booktabs.

    Parameters
    ----------
    result : Result
    caption, label : str or None
    digits : int
        Decimals, 0 or more.

    Returns
    -------
    str
    """
    digits = whole("digits", digits, least=0)
    table = result.tidy()
    low, high = table.columns[4], table.columns[5]
    lines = [r"\begin{table}", r"\centering"]
    if caption:
        lines.append(rf"\caption{{{escape(caption)}}}")
    if label:
        lines.append(rf"\label{{{label}}}")
    level = f"{100 * (1 - result.alpha):g}"
    lines += [
        r"\begin{tabular}{lrrrr}",
        r"\toprule",
        rf" & Estimate & Std.\ error & $p$ & {level}\% interval \\",
        r"\midrule",
    ]
    for name, row in table.iterrows():
        p = "$<$ 0.001" if row["Pr(>|t|)"] < 0.001 else f"{row['Pr(>|t|)']:.3f}"
        lines.append(
            f"{escape(str(name))} & {row['Estimate']:.{digits}f} & {row['Std. Error']:.{digits}f} & {p} & "
            rf"[{row[low]:.{digits}f}, {row[high]:.{digits}f}] \\"
        )
    s = result.sampling
    lines += [
        r"\midrule",
        rf"\multicolumn{{5}}{{l}}{{{escape(result.title)}; {s.n_units:,} units, {s.n_gold:,} gold; {escape(s.design)}; "
        rf"{escape(result.vcov_kind)}{' by ' + escape(result.cluster) if result.cluster else ''}}} \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines)


def escape(text: str) -> str:
    r"""Text that LaTeX prints as it is.

    Examples
    --------
    >>> escape("a_b & 5%")
    'a\\_b \\& 5\\%'
    """
    return "".join(_SPECIAL.get(c, c) for c in text)


def to_json(result: Result) -> str:
    """JSON text of a Result without influence scores and formula machinery."""
    content: dict[str, Any] = {"format": _FORMAT}
    for f in dataclasses.fields(result):
        if f.name not in ("spec", "parts", "call"):
            content[f.name] = _plain(getattr(result, f.name))
    return json.dumps(content, indent=1)


def from_json(text: str) -> Result:
    """Read :func:`to_json` back.

    Raises
    ------
    ArgumentError
        If the text is not such JSON.
    """
    from ..checks.values import Checks
    from ..predict import Skill
    from .comparison import Column, Comparison, Difference
    from .result import Result
    from .sampling import Sampling

    try:
        content = json.loads(text)
        if content.pop("format") != _FORMAT:
            raise KeyError("format")
        content["sampling"] = Sampling(**content["sampling"])
        content["checks"] = Checks.read(content.get("checks"))
        content["shares"] = _shares(content.get("shares"))
        content["skill"] = tuple(Skill(**s) for s in content["skill"])
        for name in ("theta", "covariance", "labelling_covariance", "df", "weight", "r_squared"):
            content[name] = _array(content[name])
        if content.get("effective_clusters") is not None:
            content["effective_clusters"] = _array(content["effective_clusters"])
        content["mixing"] = None if content["mixing"] is None else _array(content["mixing"])
        for name in ("names", "choice", "notes", "rows"):
            content[name] = tuple(content.get(name, ()))
        if (c := content["comparison"]) is not None:
            c["names"] = tuple(c["names"])
            c["columns"] = tuple(
                Column(
                    col["title"], _array(col["theta"]), _array(col["se"]), _array(col["df"]), _shares(col.get("shares"))
                )
                for col in c["columns"]
            )
            if (d := c["difference"]) is not None:
                numbers = {k: float(d[k]) for k in ("statistic", "p_value", "df") if k in d}
                c["difference"] = Difference(**d | numbers | {k: _array(d[k]) for k in ("gap", "se", "p_values")})
            content["comparison"] = Comparison(**c | {k: _array(c[k]) for k in ("effective_gold", "r_squared")})
        return Result(**content)
    except (KeyError, TypeError, ValueError) as error:
        raise ArgumentError(f"this is not the JSON of a karat Result ({error}); give what to_json() wrote.") from None


def _shares(content: Any) -> Any:
    from ..estimate.shares import Shares

    if content is None:
        return None
    return Shares(**{k: _array(v) if isinstance(v, list) else v for k, v in content.items()})


def _plain(value: Any) -> Any:
    """Values JSON can hold; infinities as text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        return [_plain(v) for v in value.tolist()]
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return "nan" if np.isnan(value) else ("inf" if value > 0 else "-inf")
    return value


def _array(value: Any) -> Any:
    return np.array(value, dtype=np.float64)
