"""Labelling in batches until the interval is short enough: confidence sequences over successive fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.arguments import checked_arguments
from ..errors import ArgumentError, KaratError, check_alpha, number, whole
from ..results import Result
from ..results.combine import Combined
from ..results.estimates import Estimates, bounds_names
from .anytime import anytime_p, best_ratio, multiplier, planned_variance
from .successive import check_look, identity, warn_uninformative

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats, Ints
    from ..results.tests import TestResult


@dataclass(frozen=True)
class Decision:
    """Whether to stop labelling; prints as a sentence, and is true where labelling may stop.

    Parameters
    ----------
    stop : bool
    half_width : dict of str to float
        Half-widths of the coefficients asked about, now.
    target : dict of str to float
    expected_n : int or None
        Gold labels in all at which the targets should be met; None where not even all N would do.
    n_gold : int
    """

    stop: bool
    half_width: dict[str, float]
    target: dict[str, float]
    expected_n: int | None
    n_gold: int

    def __bool__(self) -> bool:
        return self.stop

    def __str__(self) -> str:
        parts = [f"{name} {self.half_width[name]:.4g} (target {t:.4g})" for name, t in self.target.items()]
        state = f"{self.n_gold} gold labels, half-widths: {', '.join(parts)}."
        if self.stop:
            return f"Stop. {state}"
        if self.expected_n is None:
            return f"The target will not be reached with all documents labelled. {state}"
        return f"Continue, to about {self.expected_n} gold labels in all. {state}"


@dataclass(frozen=True, eq=False)
class ConfidenceSequence(Estimates):
    """Intervals of successive fits that hold at all looks at once.

    Parameters
    ----------
    names : tuple of str
        The p coefficients.
    alpha : float
    planned : int
        Number of gold labels at which the boundary is tightest.
    n_units : int
    n_gold : ndarray of int, shape (K,)
        Gold labels at each look.
    theta, standard_error, df : ndarray, shape (K, p)
        Estimates, their standard errors, degrees of freedom.
    labelling_variance : ndarray, shape (K, p)
    clock : ndarray, shape (p,)
        Variance that one unit of the mixture's information represents; set at the first look and kept.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1000, seed=1)
    >>> sample = kt.SimpleRandom(200).draw(corpus, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, sample, "hostile")
    >>> fit = kt.ols("outcome ~ hostile", labelled, surrogates={"hostile": "hostile_llm"}, design=sample, seed=1)
    >>> sequence = kt.confidence_sequence(fit, planned=300)
    >>> [round(float(h / s), 2) for h, s in zip(sequence.half_width[0], sequence.standard_error[0])]
    [3.12, 3.15]
    """

    names: tuple[str, ...]
    alpha: float
    planned: int
    n_units: int
    n_gold: Ints
    theta: Floats = field(repr=False)
    standard_error: Floats = field(repr=False)
    df: Floats = field(repr=False)
    labelling_variance: Floats = field(repr=False)
    clock: Floats = field(repr=False)
    _last: tuple[Any, ...] = field(default=(), repr=False)

    @property
    def half_width(self) -> Floats:
        """Half-widths at each look, shape (K, p)."""
        return self._half_width(self.alpha)

    def _numbers(self) -> Combined:
        """The last look; covariances of coefficients are not kept from look to look."""
        covariance = np.full((len(self.names),) * 2, np.nan)
        np.fill_diagonal(covariance, self.standard_error[-1] ** 2)
        return Combined(self.names, self.theta[-1], covariance, self.df[-1], self.alpha)

    def _half_width(self, alpha: float) -> Floats:
        return self.standard_error * _by_t(multiplier(self.clock / self.standard_error**2, alpha), self.df)

    def confint(self, alpha: float | None = None, look: int = -1) -> pd.DataFrame:
        """Intervals at one look, the last by default, shape (p, 2).

        Another level than that of the sequence is as valid; ``planned`` is then not where the interval is tightest.
        """
        import pandas as pd

        level = self._level(alpha)
        theta, half = self.theta[look], self._half_width(level)[look]
        return pd.DataFrame(dict(zip(bounds_names(level), (theta - half, theta + half))), index=list(self.names))

    def pvalue(self, value: float = 0.0) -> pd.Series[Any]:
        """P-values of "the coefficient is ``value``", the smallest up to now, valid whenever they are read."""
        from scipy.stats import norm, t

        z = np.abs(self.theta - value) / self.standard_error
        z = norm.isf(np.maximum(t.sf(z, self.df), 1e-300))
        return self._series(anytime_p(z, self.clock / self.standard_error**2).min(axis=0), "Pr(anytime)")

    def tidy(self, style: str = "pyfixest", alpha: float | None = None) -> pd.DataFrame:
        """One row per look and coefficient: gold labels, estimate, standard error, interval, half-width.

        Parameters
        ----------
        style : {"pyfixest", "broom"}
            With "broom" the coefficient table of the last look.
        alpha : float, optional
        """
        import pandas as pd

        if style != "pyfixest":
            return super().tidy(style, alpha)
        (looks, p), level = self.theta.shape, self._level(alpha)
        half = self._half_width(level)
        low, high = bounds_names(level)
        return pd.DataFrame(
            {
                "n_gold": np.repeat(self.n_gold, p),
                "Coefficient": list(self.names) * looks,
                "Estimate": self.theta.ravel(),
                "Std. Error": self.standard_error.ravel(),
                low: (self.theta - half).ravel(),
                high: (self.theta + half).ravel(),
                "half_width": half.ravel(),
            }
        )

    def wald(self, hypothesis: object) -> TestResult:
        """Not for a sequence: a test of one look does not hold at all looks.

        Raises
        ------
        KaratError
            Always.
        """
        raise KaratError(
            "wald() of a confidence sequence would hold at one look only; read pvalue(), which holds at all looks, or "
            "test a single fit whose size was fixed beforehand with its own wald()."
        )

    def contrast(self, hypothesis: object, alpha: float | None = None) -> pd.DataFrame:
        """Not for a sequence, see :meth:`wald`."""
        raise KaratError(
            "contrast() of a confidence sequence would hold at one look only; refit with the contrast as a coefficient."
        )

    def delta(self, function: Any, alpha: float | None = None) -> pd.DataFrame:
        """Not for a sequence, see :meth:`wald`."""
        raise KaratError(
            "delta() of a confidence sequence would hold at one look only; use delta() of a single fit whose size was "
            "fixed beforehand."
        )

    def update(self, fit: Result) -> ConfidenceSequence:
        """The sequence with one more look.

        Parameters
        ----------
        fit : Result
            The same regression on the same corpus with more gold.

        Returns
        -------
        ConfidenceSequence

        Raises
        ------
        ArgumentError
            If it is another regression or corpus, or its gold does not contain that of the look before.
        """
        check_look(fit, self.n_gold[-1], self._last)
        warn_uninformative(fit, self._last)
        return replace(
            self,
            n_gold=np.append(self.n_gold, fit.n_gold),
            theta=np.vstack([self.theta, fit.theta]),
            standard_error=np.vstack([self.standard_error, np.sqrt(np.diag(fit.covariance))]),
            df=np.vstack([self.df, fit.df]),
            labelling_variance=np.vstack([self.labelling_variance, np.diag(fit.labelling_covariance)]),
            _last=identity(fit),
        )

    def decide(self, half_width: float | Mapping[str, float]) -> Decision:
        """Whether the intervals are short enough.

        Parameters
        ----------
        half_width : float or mapping
            Target for all coefficients, or coefficient -> target.

        Returns
        -------
        Decision

        Raises
        ------
        ArgumentError
            If a coefficient is not in the fits, or a target is not positive.
        """
        target = dict(half_width) if isinstance(half_width, Mapping) else dict.fromkeys(self.names, half_width)
        unknown = [name for name in target if name not in self.names]
        if unknown or not target:
            raise ArgumentError(f"half_width names {unknown}; the coefficients are {list(self.names)}.")
        index = [self.names.index(name) for name in target]
        wanted = np.array([number("half_width", t, above=0) for t in target.values()])
        now = self.half_width[-1, index]
        expected = int(self.n_gold[-1]) if (now <= wanted).all() else self._expected(index, wanted)
        found = dict(zip(target, now.tolist()))
        return Decision(bool((now <= wanted).all()), found, target, expected, int(self.n_gold[-1]))

    def _expected(self, index: Sequence[int], wanted: Floats) -> int | None:
        """Smallest n at which the half-widths, foreseen from the last look, meet the targets."""
        n, total, part = int(self.n_gold[-1]), self.standard_error[-1, index] ** 2, self.labelling_variance[-1, index]

        def met(planned: int) -> bool:
            variance = planned_variance(total, part, n, planned, self.n_units)
            ratio = self.clock[index] / np.where(variance > 0, variance, 1.0)
            half = np.where(variance > 0, np.sqrt(variance) * multiplier(ratio, self.alpha), 0.0)
            return bool((half <= wanted).all())

        low, high = n, self.n_units
        if not met(high):
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if met(middle) else (middle, high)
        return high

    @checked_arguments()
    def plot(self, terms: Sequence[str] | None = None, ax: Any = None) -> Any:
        """Intervals against the number of gold labels.

        Parameters
        ----------
        terms : sequence of str, optional
            Coefficients, by default all but the intercept.
        ax : matplotlib.axes.Axes or sequence of them, optional

        Returns
        -------
        ndarray of matplotlib.axes.Axes, one per coefficient
        """
        from .looks import sequence_plot

        shown = list(terms) if terms is not None else [n for n in self.names if n != "Intercept"] or list(self.names)
        unknown = [name for name in shown if name not in self.names]
        if unknown:
            raise ArgumentError(f"terms holds {unknown}; the coefficients are {list(self.names)}.")
        index = [self.names.index(name) for name in shown]
        half = self.half_width
        return sequence_plot(self.n_gold, self.theta[:, index], half[:, index], shown, self.alpha, ax)

    def _title(self) -> str:
        return "Confidence sequence"

    def _about(self) -> str:
        return f"{len(self.n_gold)} look(s), {self.n_gold[-1]} of {self.n_units} labelled, tightest at {self.planned}"

    def _remarks(self) -> tuple[str, ...]:
        return (f"{100 * (1 - self.alpha):g} % intervals that hold at all looks at once",)


def confidence_sequence(
    fits: Result | Sequence[Result], *, planned: int, alpha: float | None = None
) -> ConfidenceSequence:
    """Intervals that stay valid however often one looks and whenever one stops labelling.

    Label a batch, fit, look, and go on until the interval is short enough or leaves out what it is held against. An
    ordinary 95 % interval read after every batch keeps its level where width alone decides when to stop, and loses
    it where one may stop because of what it leaves out (.81 to .86 over nine looks in our simulations). These
    intervals are wider, and hold at all looks at once, whatever makes one stop.

    Parameters
    ----------
    fits : Result or sequence of Result
        The same regression after each batch, in time order. Gold of each look contains that of the look before:
        simple random (or stratified, with the same shares) batches through :meth:`karat.designs.Sample.next_wave`.
    planned : int
        Number of gold labels at which the intervals are to be tightest. It must be chosen before the first fit is
        looked at; any choice is valid.
    alpha : float, optional
        One minus the confidence level, by default that of the fits.

    Returns
    -------
    ConfidenceSequence
        ``decide(half_width)`` says whether to stop, ``update(fit)`` adds a look.

    Raises
    ------
    ArgumentError
        If the fits are not successive looks at one regression, or ``planned`` is not possible.

    Notes
    -----
    Half-width over standard error is ``sqrt((1 + 1/y) log((1 + y) / alpha^2))`` with y proportional to information
    (one over the variance), 8.2 at ``planned`` for alpha = .05 (3.04 standard errors), and turned into a t quantile.
    The guarantee is asymptotic, from the first look on: let that hold a hundred labels or so. It rests on
    increments of information being independent, which simple random and Bernoulli gold have; with waves whose
    probabilities were learnt it holds where later waves are at least as informative as their share, and a
    warning is given where one is clearly less.

    References
    ----------
    Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas (2024), *Time-uniform central limit theory and asymptotic
    confidence sequences*, Annals of Statistics; Robbins (1970); Chow and Robbins (1965) for stopping by width.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(2000, seed=1)
    >>> sample, fits = kt.SimpleRandom(100).draw(corpus, seed=1), []
    >>> for batch in range(3):
    ...     if batch:
    ...         sample = sample.next_wave(kt.SimpleRandom(100), corpus, seed=batch)
    ...     labelled = kt.datasets.mask_gold(corpus, sample, "hostile")
    ...     fits.append(kt.ols("outcome ~ hostile", labelled, surrogates={"hostile": "hostile_llm"},
    ...                        design=sample.design, seed=1))
    >>> sequence = kt.confidence_sequence(fits, planned=400)
    >>> bool(sequence.decide({"hostile": 0.05}))
    False
    """
    looks = [fits] if isinstance(fits, Result) else list(fits)
    if not looks:
        raise ArgumentError("fits is empty; give the fit of each look, in time order.")
    first = looks[0]
    check_look(first, 0, ())
    level = first.alpha if alpha is None else check_alpha(alpha)
    planned = whole("planned", planned, least=1, most=first.n_units - 1, instead="the number of gold labels")
    if first.n_gold >= first.n_units:
        raise ArgumentError("all rows are gold at the first look; there is nothing left to label.")
    total, part = np.diag(first.covariance), np.diag(first.labelling_covariance)
    at_plan = planned_variance(total, part, first.n_gold, int(planned), first.n_units)
    sequence = ConfidenceSequence(
        first.names, level, int(planned), first.n_units, np.array([first.n_gold]), first.theta[None, :],
        np.sqrt(total)[None, :], first.df[None, :], part[None, :], best_ratio(level) * at_plan, identity(first),
    )  # fmt: skip
    for fit in looks[1:]:
        sequence = sequence.update(fit)
    return sequence


def _by_t(boundary: Floats, df: Floats) -> Floats:
    """The quantile of t with the tail that the boundary has under the normal."""
    from scipy.stats import norm, t

    return np.asarray(np.where(np.isfinite(df), t.isf(norm.sf(boundary), np.maximum(df, 1.0)), boundary))
