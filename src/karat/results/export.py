"""Results as JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError

if TYPE_CHECKING:
    from .result import Result

_FORMAT = "karat.result/1"


def to_json(result: Result) -> str:
    """JSON text of a Result without influence scores and formula machinery."""
    content: dict[str, Any] = {"format": _FORMAT}
    for f in dataclasses.fields(result):
        if f.name not in ("spec", "parts", "call", "stage", "baseline", "withdrawal"):
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
        for name in ("theta", "covariance", "labelling_covariance", "df", "tuning_weight", "r_squared"):
            content[name] = _array(content[name])
        for name in ("lambda_matrix", "effective_clusters"):
            content[name] = None if content.get(name) is None else _array(content[name])
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
