"""First stages, and the Anderson-Rubin interval, which holds its level however weak the instruments are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..display.table import number, p_text, text_lines
from ..errors import KaratError

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats

WEAK = 10.0
"""Effective F below which the user is pointed to the Anderson-Rubin interval."""

_WORST_BIAS = 0.1
_LEVEL = 0.05


@dataclass(frozen=True, eq=False)
class Stage:
    """What the regressions of endogenous covariates and of the outcome on the instruments say.

    Parameters
    ----------
    endogenous, instruments : tuple of str, lengths K and q
    first : ndarray, shape (K, q)
        Coefficients of the instruments in the first stages.
    first_covariance : ndarray, shape (K, q, q)
    gram : ndarray, shape (q, q)
        Cross products of the instruments, exogenous covariates taken out.
    reduced : ndarray, shape (q,)
        Coefficients of the instruments in the regression of the outcome.
    joint : ndarray, shape (2q, 2q), or None
        Covariance of ``reduced`` and ``first`` with one endogenous covariate.
    df : float
        The smallest of these coefficients.
    alone : tuple of (ndarray, ndarray)
        With several endogenous covariates, for each: what of its first stage lies beyond those of the others, shape
        (q - K + 1,), and the covariance of that.
    """

    endogenous: tuple[str, ...]
    instruments: tuple[str, ...]
    first: Floats = field(repr=False)
    first_covariance: Floats = field(repr=False)
    gram: Floats = field(repr=False)
    reduced: Floats = field(repr=False)
    joint: Floats | None = field(repr=False)
    df: float
    alone: tuple[tuple[Floats, Floats], ...] = field(repr=False, default=())

    @property
    def conditional(self) -> dict[str, tuple[float, float]]:
        """F of each endogenous covariate with the others held (Sanderson and Windmeijer 2016), and its p-value."""
        from .tests import joint_test

        out = {}
        for name, (gap, covariance) in zip(self.endogenous, self.alone):
            out[name] = float("inf"), 0.0
            if covariance.any():
                f, _, _, p_value = joint_test(gap, covariance, lambda _: self.df)
                out[name] = f, p_value
        return out

    @property
    def effective(self) -> float:
        """Effective F of Montiel Olea and Pflueger (2013); not a number for several endogenous covariates."""
        if len(self.endogenous) > 1:
            return float("nan")
        pi = self.first[0]
        scale = float(np.trace(self.gram @ self.first_covariance[0]))
        return float(pi @ self.gram @ pi / scale) if scale > 0 else float("inf")

    @property
    def critical(self) -> float:
        """Effective F above which bias is below a tenth of its worst case, at 5 % (their simplified form)."""
        from scipy.stats import ncx2

        if len(self.endogenous) > 1 or not self.first_covariance.any():
            return float("nan")
        root = np.linalg.cholesky(self.gram)
        w = root.T @ self.first_covariance[0] @ root
        values, x = np.linalg.eigvalsh(w), 1.0 / _WORST_BIAS
        total = values.sum()
        k = total**2 * (1.0 + 2.0 * x) / ((values**2).sum() + 2.0 * x * total * values[-1])
        return float(ncx2.ppf(1.0 - _LEVEL, k, k * x) / k)


@dataclass(frozen=True, eq=False, repr=False)
class FirstStage:
    """The first stage of two-stage least squares, as :meth:`karat.Result.first_stage` gives it.

    Parameters
    ----------
    table : data frame
        One row for each endogenous covariate and instrument: coefficient, standard error, t, p.
    f : dict of str to float
        Robust F of the instruments, by endogenous covariate.
    p_value : dict of str to float
    effective_f : float
        Effective F (Montiel Olea and Pflueger 2013); not a number with several endogenous covariates.
    critical : float
        Effective F above which the bias is below a tenth of its worst case, at 5 %.
    df : float
        Denominator degrees of freedom of F.
    conditional_f : dict of str to float
        With several endogenous covariates, the robust F of what instruments tell of each while the others are held
        (Sanderson and Windmeijer 2016); of one it is the robust F.
    """

    table: pd.DataFrame
    f: dict[str, float]
    p_value: dict[str, float]
    effective_f: float
    critical: float
    df: float
    conditional_f: dict[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        head = ["Estimate", "Std. Error", "t", "p"]
        rows = [[number(b), number(se), f"{t:.2f}", p_text(p)] for b, se, t, p in self.table.to_numpy()]
        lines = ["First stage", *text_lines(head, [" on ".join(name) for name in self.table.index], rows), ""]
        lines += [f"{name}: robust F {value:.2f} (p {p_text(self.p_value[name])})" for name, value in self.f.items()]
        if np.isfinite(self.critical):
            above = f"above {self.critical:.1f} the bias is below 10 % of its worst case"
            lines.append(f"Effective F {self.effective_f:.2f}; {above}")
        elif len(self.f) > 1:
            held = ", ".join(f"{name} {value:.2f}" for name, value in self.conditional_f.items())
            lines.append(f"Conditional F, the other endogenous covariates held: {held}")
            lines.append("The effective F is for one endogenous covariate; there are several.")
        return "\n".join(lines)


Shape = Literal["interval", "two rays", "whole line", "empty", "several intervals"]


@dataclass(frozen=True, eq=False, repr=False)
class AndersonRubin:
    """Coefficients of the endogenous covariate that an Anderson-Rubin test does not reject.

    Parameters
    ----------
    name : str
    shape : {"interval", "two rays", "whole line", "empty", "several intervals"}
    intervals : tuple of (float, float)
        Parts of the confidence set, from left to right; infinite ends for rays.
    alpha : float
    """

    name: str
    shape: Shape
    intervals: tuple[tuple[float, float], ...]
    alpha: float

    def __contains__(self, value: float) -> bool:
        return any(low <= value <= high for low, high in self.intervals)

    def __repr__(self) -> str:
        listing = " or ".join(f"[{number(low)}, {number(high)}]" for low, high in self.intervals)
        said = {
            "empty": "no coefficient goes with these instruments, so they contradict each other",
            "whole line": "every coefficient goes with the data; the instruments tell nothing",
        }
        return f"Anderson-Rubin {100 * (1 - self.alpha):g}% for {self.name}: {said.get(self.shape, listing)}"


def stage_of(result: Any) -> Stage:
    """The stage a Result holds.

    Raises
    ------
    KaratError
        If there is none.
    """
    stage: Stage | None = result.stage
    if stage is not None:
        return stage
    if result.model != "iv":
        raise KaratError(f"a {result.title.lower()} has no first stage; kt.iv fits one.")
    raise KaratError(
        "this Result does not hold its first stage (it was read from JSON, or its covariance was changed); fit again "
        "with kt.iv and the covariance that is wanted."
    )


def first_stage(result: Any) -> FirstStage:
    """The first stage of a Result as a table."""
    import pandas as pd
    from scipy.stats import t

    from .tests import joint_test

    stage = stage_of(result)
    rows, f, p_value, rest = [], {}, {}, stage.df
    for name, pi, covariance in zip(stage.endogenous, stage.first, stage.first_covariance):
        se = np.sqrt(np.maximum(np.diag(covariance), 0.0))
        with np.errstate(divide="ignore"):
            rows += [(b, s, b / s, 2 * t.sf(abs(b / s), stage.df)) for b, s in zip(pi, se)]
        f[name], p_value[name] = float("inf"), 0.0
        if covariance.any():
            f[name], _, rest, p_value[name] = joint_test(pi, covariance, lambda _: stage.df)
    index = pd.MultiIndex.from_product([stage.endogenous, stage.instruments], names=["Endogenous", "Instrument"])
    table = pd.DataFrame(rows, index=index, columns=["Estimate", "Std. Error", "t value", "Pr(>|t|)"])
    conditional = {name: value for name, (value, _) in stage.conditional.items()} or dict(f)
    return FirstStage(table, f, p_value, stage.effective, stage.critical, rest, conditional)


def anderson_rubin(result: Any, alpha: float) -> AndersonRubin:
    """Invert the test that the reduced form is ``beta`` times the first stage.

    Times the determinant of its covariance the statistic is a polynomial in beta; its roots are the ends.
    """
    from scipy.stats import chi2, f

    stage = stage_of(result)
    if stage.joint is None:
        raise KaratError(
            f"the Anderson-Rubin interval is for one endogenous covariate, and {result.formula!r} has "
            f"{len(stage.endogenous)}; fit one at a time."
        )
    q, df = len(stage.instruments), max(stage.df, float(len(stage.instruments)))
    bound = float(chi2.isf(alpha, q)) if np.isinf(df) else float(df * q / (df - q + 1) * f.isf(alpha, q, df - q + 1))
    y, x = stage.reduced, stage.first[0]
    yy, yx, xx = stage.joint[:q, :q], stage.joint[:q, q:], stage.joint[q:, q:]
    unit = _unit(yy, xx)

    def excess(angle: Floats) -> Floats:
        """Statistic less its bound times the determinant at ``beta = unit tan(angle)``."""
        return np.array([_excess(np.cos(a), unit * np.sin(a), (y, x), (yy, yx, xx), bound)[0] for a in angle])

    ends = [unit * np.tan(a) for a in _roots(excess, q)]
    beyond = _excess(0.0, unit, (y, x), (yy, yx, xx), bound)[1] <= 0
    edges = [-np.inf, *sorted(ends), np.inf]
    parts: list[tuple[float, float]] = []
    for low, high in pairwise(edges):
        inside = beyond if not ends else _inside(low, high, unit, (y, x), (yy, yx, xx), bound)
        if inside and parts and parts[-1][1] == low:
            parts[-1] = (parts[-1][0], high)
        elif inside:
            parts.append((low, high))
    return AndersonRubin(stage.endogenous[0], _shape(parts), tuple(parts), alpha)


def _unit(yy: Floats, xx: Floats) -> float:
    size = float(np.trace(xx))
    return float(np.sqrt(np.trace(yy) / size)) if size > 0 and np.trace(yy) > 0 else 1.0


def _excess(
    c: float, s: float, pi: tuple[Floats, Floats], parts: tuple[Floats, Floats, Floats], bound: float
) -> tuple[float, float]:
    """Polynomial of the pair (c, s), and the statistic less its bound, for ``c pi_y - s pi_x``."""
    gap = c * pi[0] - s * pi[1]
    yy, yx, xx = parts
    covariance = c**2 * yy - c * s * (yx + yx.T) + s**2 * xx
    scale = np.sqrt(np.maximum(np.diag(yy), 0.0))
    scale[scale == 0] = 1.0
    gap, covariance = gap / scale, covariance / np.outer(scale, scale)
    values, vectors = np.linalg.eigh(covariance)
    own = vectors.T @ gap
    others = np.array([np.prod(np.delete(values, k)) for k in range(len(values))])
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = float(np.nansum(own**2 / values))
    return float(own**2 @ others - bound * np.prod(values)), statistic - bound


def _roots(excess: Callable[[Floats], Floats], q: int) -> list[float]:
    """Angles in (-pi/2, pi/2) where a form of degree 2q in (cos, sin) is 0, from its Fourier terms."""
    n = 2 * q + 1
    at = np.pi * np.arange(n) / n
    values = excess(at)
    terms = np.fft.fft(values) / n  # in exp(2 i angle), frequencies 0..q, -q..-1
    coefficients = np.concatenate([terms[q + 1 :], terms[: q + 1]])  # of z^0 .. z^2q, z = exp(2 i angle)
    size = np.abs(coefficients).max()
    if size == 0:
        return []
    found = np.roots(coefficients[::-1])
    near = found[np.abs(np.abs(found) - 1.0) < 1e-7]
    angles = np.angle(near) / 2.0
    return sorted(float(a) for a in angles if abs(abs(a) - np.pi / 2) > 1e-12)


def _inside(
    low: float, high: float, unit: float, pi: tuple[Floats, Floats], parts: tuple[Floats, Floats, Floats], bound: float
) -> bool:
    """Whether what lies between two ends is not rejected."""
    first, last = np.arctan(low / unit), np.arctan(high / unit)
    middle = (first + last) / 2.0
    return _excess(float(np.cos(middle)), float(unit * np.sin(middle)), pi, parts, bound)[1] <= 0


def _shape(parts: list[tuple[float, float]]) -> Shape:
    if not parts:
        return "empty"
    if len(parts) == 1:
        return "whole line" if np.isinf(parts[0]).all() else "interval"
    rays = len(parts) == 2 and np.isinf(parts[0][0]) and np.isinf(parts[1][1])
    return "two rays" if rays else "several intervals"
