"""What an event study hands out: effects by time since treatment, tests, bands and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import numpy as np

from ..display.axes import BLUE, GREY, axes, plain
from ..errors import KaratError, generator, whole
from ..frames.order import seed_of_result
from ..results import Result
from ..results.effects import Effects
from ..results.simultaneous import bands, normal_maxima

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats
    from ..results.tests import TestResult


@dataclass(frozen=True, eq=False, repr=False)
class EventStudy(Effects):
    """Effects by time since treatment, compared with a reference before it, and their average over treated rows.

    Parameters
    ----------
    names, theta, covariance, labelling_covariance, df, alpha, title, about, grid
        As of :class:`karat.results.effects.Effects`; ``grid`` holds the time since treatment.
    reference : int
        Time since treatment that others are compared with.
    by_cohort : Result
        The regression, with a coefficient for each cohort and time since treatment.
    matrix : ndarray, shape (k, p)
        What its coefficients are multiplied by.
    before : Result, optional
        With imputation the regression that effects before treatment come from.
    untested : str
        Why there are none.

    Examples
    --------
    >>> import numpy as np, pandas as pd, karat as kt
    >>> rng = np.random.default_rng(1)
    >>> panel = pd.DataFrame({"who": np.repeat(np.arange(60), 5), "year": np.tile(np.arange(5), 60)})
    >>> panel["law"] = panel["who"].map(lambda k: [2, 3, np.nan][k % 3])
    >>> panel["tone"] = (panel["year"] >= panel["law"]) + rng.normal(size=300)
    >>> kt.event_study("tone", panel, unit="who", time="year", cohort="law").pretrends().df_numerator
    2
    """

    quantity: ClassVar[str] = "effect"

    reference: int = -1
    by_cohort: Result | None = field(repr=False, default=None)
    matrix: Floats = field(repr=False, default_factory=lambda: np.zeros((0, 0)))
    before: Result | None = field(repr=False, default=None)
    untested: str = field(repr=False, default="")

    def only(self, names: Sequence[str], title: str) -> EventStudy:
        """Some of the rows."""
        at = [self.names.index(name) for name in names]
        square = np.ix_(at, at)
        return replace(
            self, names=tuple(names), theta=self.theta[at], covariance=self.covariance[square],
            labelling_covariance=self.labelling_covariance[square], df=self.df[at], grid=self.grid.iloc[at],
            title=title,
        )  # fmt: skip

    def pretrends(self) -> TestResult:
        """Test that all effects before the reference and between it and treatment are 0.

        Returns
        -------
        TestResult

        Raises
        ------
        KaratError
            If there is no time before treatment but the reference.
        """
        before = np.flatnonzero(self.grid["time"].to_numpy() < 0)
        if not len(before) and self.untested:
            raise KaratError(f"{self.untested}.")
        if not len(before):
            raise KaratError("there is no time before treatment but the reference, so no trend can be tested.")
        found = self.wald(np.eye(len(self.names))[before])
        return replace(found, hypothesis=f"no effect at times {', '.join(self.names[k] for k in before)}")

    def compare(self) -> NoReturn:
        """Refused: effects are averaged over cohorts after the fit; ``by_cohort.compare()`` compares its coefficients.

        Raises
        ------
        KaratError
        """
        raise KaratError(
            "an event study averages over cohorts after the fit, so there is nothing to compare; .by_cohort.compare() "
            "sets the coefficients of cohorts beside those of gold alone and of surrogates alone."
        )

    def simultaneous(self, alpha: float | None = None, *, draws: int = 10_000, seed: Any = None) -> pd.DataFrame:
        """Intervals of all times since treatment that hold at once (max-t, normal with the correlation of the effects).

        Parameters
        ----------
        alpha : float, optional
        draws : int
        seed : int or Generator, optional

        Returns
        -------
        pandas.DataFrame
            Estimate, standard error, critical value and bounds, one row for each time since treatment.

        References
        ----------
        Montiel Olea and Plagborg-Moller (2019), *Simultaneous confidence bands*.
        """
        names = [name for name, time in zip(self.names, self.grid["time"]) if np.isfinite(time)]
        if not names:
            raise KaratError("there are no effects by time since treatment; use event_study.")
        known, draws = self.only(names, self.title), whole("draws", draws, least=100)
        assert self.by_cohort is not None
        largest = normal_maxima(known.covariance, generator(seed_of_result(seed, self.by_cohort, draws)), draws)
        return bands(known, names, largest, self._level(alpha))

    def plot(self, *, band: bool = True, alpha: float | None = None, ax: Any = None, title: str | None = None) -> Any:
        """Effects by time since treatment: pointwise intervals as bars, simultaneous ones as a band.

        Parameters
        ----------
        band : bool
        alpha : float, optional
        ax : matplotlib Axes, optional
        title : str, optional

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        KaratError
            If matplotlib is not installed, or there are no effects by time.
        """
        found = self.simultaneous(alpha)
        times = self.grid.loc[found.index, "time"].to_numpy()
        low, high = (self.confint(alpha=alpha).loc[found.index].iloc[:, k].to_numpy() for k in (0, 1))
        order = np.argsort([*times, self.reference])
        ax = axes(ax, (6.4, 3.8))
        if band:
            edges = [np.append(found.iloc[:, k], 0.0)[order] for k in (-2, -1)]
            ax.fill_between(np.append(times, self.reference)[order], *edges, color=BLUE, alpha=0.15, linewidth=0)
        value = found["Estimate"].to_numpy()
        ax.errorbar(times, value, yerr=[value - low, high - value], fmt="o", color=BLUE, markersize=4, capsize=0)
        ax.plot([self.reference], [0.0], "o", color=BLUE, markerfacecolor="white", markersize=5)
        ax.axhline(0.0, color=GREY, linewidth=0.8)
        ax.axvline(-0.5, color=GREY, linewidth=0.8, linestyle=":")
        ax.set_xlabel("time since treatment")
        ax.set_ylabel(f"effect, against time {self.reference}")
        plain(ax, title)
        return ax
