"""What labels that are missing could do to the result."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from .._core.arguments import checked_arguments
from .._core.machine import single_threaded
from ..display.axes import AMBER, BLUE, RED, axes, plain
from ..display.table import html_notes, html_page, html_table, text_table
from ..errors import ArgumentError, KaratWarning, check_alpha, generator
from ..frames import Table
from ..frames.order import seed_of_table
from ..regression.entry_points import regress
from ..regression.options import Arguments, RegressOptions
from ..regression.pipeline import drawn_of, pieces
from .bounds import Bound, is_sharp, limits_of, worst_cases
from .tilting import Curve, Flip, Tilting, tilt_variable

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats, ModelName
    from ..frames.formula import Parsed
    from ..results import Result

_POINTS = 25
_REFUSED = {
    "subset": "answers outside it say how answering depends on what is observed; give weights= of 0 outside, which is "
    "the same"
}


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """How far a result depends on labels that are missing.

    Parameters
    ----------
    fit : Result
        The regression under the assumption that answers are ignorable (or the propensity model right).
    n_drawn, n_answered : int
    convenience : bool
        Whether nobody drew the gold, so that all other rows count as unanswered.
    terms : tuple of str
        Coefficients looked at.
    bounds : tuple of Bound
        Worst cases; empty when not asked for.
    sharp : bool
        Whether the bounds are exact, rather than a local optimum.
    limits : dict of str to (float, float)
        Numeric labels: smallest and largest value thought possible.
    curve : Curve
    flips : tuple of Flip
    alpha : float
    """

    fit: Result = field(repr=False)
    n_drawn: int
    n_answered: int
    convenience: bool
    terms: tuple[str, ...]
    bounds: tuple[Bound, ...]
    sharp: bool
    limits: Mapping[str, tuple[float, float]]
    curve: Curve = field(repr=False)
    flips: tuple[Flip, ...]
    alpha: float

    def tidy(self) -> pd.DataFrame:
        """One row per coefficient: estimate, worst cases with their interval, and the gammas that flip it."""
        import pandas as pd

        index = [self.fit.position(term) for term in self.terms]
        table = pd.DataFrame(
            {"Estimate": self.fit.theta[index], "Std. Error": self.fit.se()[list(self.terms)].to_numpy()},
            index=pd.Index(self.terms, name="Coefficient"),
        )
        if self.bounds:
            table["Lowest"] = [b.low for b in self.bounds]
            table["Highest"] = [b.high for b in self.bounds]
            table[f"{100 * self.alpha / 2:.6g}%"] = [b.interval[0] for b in self.bounds]
            table[f"{100 * (1 - self.alpha / 2):.6g}%"] = [b.interval[1] for b in self.bounds]
        for what in ("sign", "significance"):
            table[f"gamma, {what}"] = [f.gamma for f in self.flips if f.what == what]
        return table

    def tilted(self) -> pd.DataFrame:
        """Coefficients over gamma, in long form, with intervals and the label mean that gamma implies."""
        import pandas as pd
        from scipy.stats import t

        c, frames = self.curve, []
        for term in self.terms:
            j = self.fit.position(term)
            half = t.isf(self.alpha / 2, c.df[:, j]) * c.se[:, j]
            frames.append(
                pd.DataFrame(
                    {
                        "Coefficient": term,
                        "gamma": c.gamma,
                        "Estimate": c.theta[:, j],
                        "Std. Error": c.se[:, j],
                        f"{100 * self.alpha / 2:.6g}%": c.theta[:, j] - half,
                        f"{100 * (1 - self.alpha / 2):.6g}%": c.theta[:, j] + half,
                        "mean among unanswered": c.silent_mean,
                    }
                )
            )
        return pd.concat(frames, ignore_index=True)

    def plot(self, term: str | None = None, ax: Any = None, title: str | None = None) -> Any:
        """A coefficient over gamma with its interval, and its worst cases.

        Parameters
        ----------
        term : str, optional
            By default the first coefficient that is not an intercept.
        ax : matplotlib Axes, optional
        title : str, optional

        Returns
        -------
        matplotlib.axes.Axes
        """
        chosen = term if term is not None else next((t for t in self.terms if t != "Intercept"), self.terms[0])
        if chosen not in self.terms:
            raise ArgumentError(f"there is no coefficient {chosen!r}; there are {list(self.terms)}.")
        return _tilt_plot(self, chosen, ax=ax, title=title)

    def lines(self) -> list[str]:
        """The report as text lines."""
        lost = self.n_drawn - self.n_answered
        if self.convenience:
            head = f"Nobody drew the gold: {self.n_answered:,} of {self.n_drawn:,} rows are labelled."
        else:
            head = f"{lost:,} of the {self.n_drawn:,} rows drawn have no label ({lost / self.n_drawn:.1%})."
        lines = [f"Sensitivity of {self.fit.formula} to missing labels", head, ""]
        table = self.tidy().rename(columns=_SHORT)
        lines += [*text_table(table, missing="none"), ""]
        if self.bounds:
            limits = "".join(f"; {n} between {low:g} and {high:g}" for n, (low, high) in self.limits.items())
            kind = "sharp" if self.sharp else "the largest found by a search, not proven sharp"
            lines.append(
                f"Lowest and highest: estimates over all labels rows without answers could have ({kind}{limits}); "
                f"the {100 * (1 - self.alpha):g}% interval around them holds whatever these labels are."
            )
        largest = float(np.abs(self.curve.gamma).max())
        lines.append(
            f"gamma: odds of non-response times exp(gamma) per unit of {self.curve.f}; shown is the value nearest to 0 "
            f"at which the estimate changes sign, or significance at {self.alpha:g}; none up to {largest:g}."
        )
        for f in self.flips:
            if not np.isnan(f.gamma) and f.name != "Intercept":
                lines.append(
                    f"  {f.name}, {f.what}: gamma {f.gamma:+.2f}, where {self.curve.f} averages {f.silent_mean:.2f} "
                    f"among rows without an answer ({f.answered_mean:.2f} among labelled ones)."
                )
        return lines

    def summary(self) -> str:
        """The report as text."""
        return str(self)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        title, head, *rest = self.lines()
        notes = rest[rest.index("", 1) + 1 :]
        return html_page(title, (), html_notes([head]) + html_table(self.tidy(), missing="none"), notes)


_SHORT = {"Std. Error": "se", "gamma, sign": "gamma:sign", "gamma, significance": "gamma:signif."}


@checked_arguments(RegressOptions, refused=_REFUSED, defaults={"nonresponse": "ignorable"})
@single_threaded
def sensitivity(
    formula: str,
    data: object,
    *,
    surrogates: Mapping[str, Any],
    model: ModelName = "ols",
    tilt: object = None,
    gamma: float | Sequence[float] = 3.0,
    limits: Mapping[str, Any] | None = None,
    bounds: bool = True,
    terms: Sequence[str] | None = None,
    **options: Unpack[RegressOptions],
) -> Sensitivity:
    """What labels that are missing could do to a regression: worst cases, and tilted answers.

    Parameters
    ----------
    formula, data, surrogates, model
        As in :func:`karat.regress`.
    tilt : str, mapping or array_like, optional
        What answering depends on beyond the observed variables: a labelled variable, ``{variable: class}``, or values
        for each row. By default the labelled outcome, else the first labelled covariate. Numbers are taken in standard
        deviations.
    gamma : float or sequence of float
        Largest gamma looked at on either side of 0, or the values themselves.
    limits : mapping, optional
        Numeric label -> (smallest, largest possible value), for the worst cases; by default those seen in gold.
    bounds : bool
        Work out worst cases.
    terms : sequence of str, optional
        Coefficients to look at; all by default.
    **options
        Everything else :func:`karat.regress` takes: design, sampled, nonresponse ("ignorable" by
        default here), learner, vcov, ...

    Returns
    -------
    Sensitivity

    Raises
    ------
    ArgumentError
        If no label is missing, or an argument is not allowed.
    KaratError
        As :func:`karat.regress`.

    Notes
    -----
    Rows drawn but not labelled are those without an answer; with ``design=karat.Propensity(...)`` all rows without
    gold are. Worst cases take design weights for all rows drawn and need no model of answering; they are sharp where
    only the outcome of a linear regression is labelled, as it is. Tilts multiply the odds of non-response by
    ``exp(gamma f)`` and calibrate them anew. Predictions, and the weight given to them, stay those of the fit.

    References
    ----------
    Manski (2003), *Partial Identification of Probability Distributions*; Imbens and Manski (2004), equation 7;
    Scharfstein, Rotnitzky and Robins (1999) for the tilt.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(2000, seed=1)
    >>> sample = kt.SimpleRandom(n=300).draw(corpus, seed=1)
    >>> answered = sample.labelled & (np.arange(2000) % 8 > 0)
    >>> gold = kt.datasets.mask_gold(corpus, answered, "hostile")
    >>> found = kt.sensitivity("outcome ~ hostile + length", gold, surrogates={"hostile": "hostile_llm"},
    ...                        design=sample.design, seed=1)
    >>> bool(found.tidy().loc["hostile", "Lowest"] > 0)
    True
    """
    from ..designs import Propensity

    grid = _grid(gamma)
    table = Table.read(data)
    given: dict[str, Any] = dict(options)
    convenience = isinstance(given.get("design"), Propensity)
    if not convenience:
        given.setdefault("nonresponse", "ignorable")
    seed = seed_of_table(given.get("seed"), table, surrogates, model, formula)
    given["seed"] = int(generator(seed).integers(2**31))
    arguments = Arguments.of(model, formula, surrogates, given)
    with warnings.catch_warnings():  # the fit itself says it
        warnings.simplefilter("ignore", KaratWarning)
        taken = pieces(arguments, data)
    if bounds:
        _refuse_bounds(taken.prepared.parsed)
    first = drawn_of(taken.prepared.units.labelling)
    fit = regress(formula, data, surrogates=surrogates, model=model, **given)
    chosen = tuple(terms) if terms is not None else fit.names
    for term in chosen:
        fit.position(term)
    if not chosen:
        raise ArgumentError("terms is empty; name at least one coefficient.")
    level = check_alpha(arguments.alpha)
    name, f = tilt_variable(taken, tilt, table)
    allowed = {label.name for label in taken.prepared.labels if not label.classes}
    if unknown := sorted(set(limits or {}) - allowed):
        raise ArgumentError(f"limits names {unknown[0]!r}, which is not a numeric label; there are {sorted(allowed)}.")
    spans = {x.name: limits_of(x, limits or {}) for x in taken.prepared.labels if not x.classes} if bounds else {}
    tilting = Tilting(taken, f)
    curve = tilting.curve(name, grid)
    everything = tilting.flips(curve, fit.names, level)
    return Sensitivity(
        fit=fit,
        n_drawn=first.n_gold,
        n_answered=fit.n_gold,
        convenience=convenience,
        terms=chosen,
        bounds=worst_cases(taken, chosen, limits or {}, level) if bounds else (),
        sharp=is_sharp(taken),
        limits=spans,
        curve=curve,
        flips=tuple(f for term in chosen for f in everything if f.name == term),
        alpha=level,
    )


def _grid(gamma: object) -> Floats:
    """Values of gamma, 0 among them."""
    try:
        values = np.atleast_1d(np.asarray(gamma, dtype=np.float64))
    except (TypeError, ValueError):
        values = np.array([np.nan])
    if values.ndim != 1 or not np.isfinite(values).all() or not len(values) or (np.abs(values) > 50).any():
        raise ArgumentError(f"gamma={gamma!r} is not allowed; give a positive number (up to 50) or a list of numbers.")
    if len(values) == 1 and np.ndim(gamma) == 0:  # type: ignore[arg-type]
        if values[0] <= 0:
            raise ArgumentError(f"gamma={gamma!r} is not allowed; the largest gamma must be positive.")
        return np.linspace(-values[0], values[0], _POINTS)
    return np.unique(np.concatenate([values, [0.0]]))


def _refuse_bounds(parsed: Parsed) -> None:
    """Raise where every missing label moves more than its own row."""
    if parsed.endogenous:
        raise ArgumentError(
            "bounds=True is not available with instruments, since every missing label moves the first stage; use "
            "bounds=False."
        )
    if parsed.effects:
        raise ArgumentError(
            "bounds=True is not available with fixed effects after a bar, since every missing label moves the effects "
            "of its group; use bounds=False, or write the effects as covariates, C(column)."
        )


def _tilt_plot(found: Sensitivity, term: str, *, ax: Any = None, title: str | None = None) -> Any:
    """A coefficient over gamma with its interval; worst cases as a band, flips as marks."""
    from scipy.stats import t

    curve, j = found.curve, found.fit.position(term)
    ax = axes(ax, (7.0, 4.2))
    half = t.isf(found.alpha / 2, curve.df[:, j]) * curve.se[:, j]
    theta = curve.theta[:, j]
    bound = next((b for b in found.bounds if b.name == term), None)
    if bound is not None:
        ax.axhspan(bound.low, bound.high, color="0.93", zorder=0, label="worst cases, any labels")
    ax.fill_between(curve.gamma, theta - half, theta + half, color=BLUE, alpha=0.18, linewidth=0)
    level = f"{100 * (1 - found.alpha):g}% interval"
    ax.plot(curve.gamma, theta, color=BLUE, linewidth=2, label=f"estimate and {level}")
    ax.axhline(0.0, color="0.4", linewidth=0.9)
    ax.axvline(0.0, color="0.75", linewidth=0.8, linestyle=(0, (3, 2)))
    for flip in found.flips:
        if flip.name == term and not np.isnan(flip.gamma):
            colour = RED if flip.what == "sign" else AMBER
            ax.axvline(flip.gamma, color=colour, linewidth=1.2, linestyle=":", label=f"{flip.what} changes")
    ax.set_xlabel(f"gamma: log odds of non-response per unit of {curve.f}")
    fit = found.fit
    ax.set_ylabel(fit.quantity if len(fit.names) == 1 else f"{fit.quantity} of {term}")
    kind = "unlabelled rows" if found.convenience else "rows drawn but not labelled"
    plain(ax, title if title is not None else f"If {kind} differ: {term}")
    ax.set_xlim(curve.gamma.min(), curve.gamma.max())
    near = np.abs(curve.gamma) <= 0.5 * np.abs(curve.gamma).max()
    shown = np.concatenate([theta, (theta - half)[near], (theta + half)[near], [0.0]])
    if bound is not None:
        shown = np.concatenate([shown, [bound.low, bound.high]])
    low, high = np.nanmin(shown), np.nanmax(shown)
    ax.set_ylim(low - 0.06 * (high - low), high + 0.25 * (high - low))
    upper = ax.secondary_xaxis("top", functions=(lambda g: g, lambda g: g))
    ticks = np.linspace(curve.gamma.min(), curve.gamma.max(), 5)
    known = np.isfinite(curve.silent_mean)
    means = np.interp(ticks, curve.gamma[known], curve.silent_mean[known])
    upper.set_xticks(ticks, [f"{m:.2g}" for m in means])
    upper.set_xlabel(f"mean of {curve.f} among them", fontsize=9)
    upper.spines["top"].set_visible(False)
    ax.legend(frameon=False, fontsize=9)
    return ax
