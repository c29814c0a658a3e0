"""Several fits on one frame, with the joint covariance of all their coefficients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ..display.side_by_side import SideBySide
from ..errors import ArgumentError, KaratError, generator, one_of, whole
from ..frames.order import settled
from .combine import Combined, refuse_other_scales
from .estimates import Estimates
from .simultaneous import bands, normal_maxima
from .tests import covariance_of

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats
    from .result import Result

_CONSTANT = ("Intercept", "(Intercept)")


@dataclass(frozen=True, eq=False, repr=False)
class Fits(Mapping[str, "Result"], Estimates):
    """Several fits, by name and in order, whose coefficients can be compared and tested together.

    What every estimate has works on all coefficients at once, which are named ``"fit: coefficient"``: ``coef``, ``se``,
    ``confint``, ``wald``, ``contrast``, ``delta``.

    Parameters
    ----------
    models : tuple of str, length m
        Names of the fits: what they differ in.
    results : tuple of Result
    outcomes, samples : tuple of str
        Left-hand side of each, and the sample it was fitted to.
    covariance : ndarray, shape (P, P)
        Of all coefficients, fit by fit; NaN between fits whose joint covariance is not known.
    alpha : float
        One minus the confidence level.
    failed : mapping of str to str
        Fits that could not be made, and why.
    notes : tuple of str
    unknown : str
        Why the covariance between some fits is not known; empty where all is.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(2000, seed=1)
    >>> data = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
    >>> fits = kt.several("outcome ~ hostile + sw0(length)", data, surrogates={"hostile": "hostile_llm"}, seed=1)
    >>> list(fits)
    ['outcome ~ hostile', 'outcome ~ hostile + length']
    >>> fits.differences("hostile").names
    ('outcome ~ hostile - outcome ~ hostile + length',)
    """

    models: tuple[str, ...]
    results: tuple[Result, ...]
    outcomes: tuple[str, ...]
    samples: tuple[str, ...]
    covariance: Floats = field(repr=False)
    alpha: float
    failed: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    unknown: str = ""

    def __getitem__(self, name: str | int) -> Result:
        if isinstance(name, (int, np.integer)) and -len(self) <= name < len(self):
            return self.results[name]
        if name not in self.models:
            why = f" It could not be fitted: {self.failed[str(name)]}" if name in self.failed else ""
            raise ArgumentError(f"there is no fit {name!r}; there are {list(self.models)}.{why}")
        return self.results[self.models.index(str(name))]

    def __iter__(self) -> Iterator[str]:
        return iter(self.models)

    def __contains__(self, name: object) -> bool:
        return name in self.models

    def __len__(self) -> int:
        return len(self.models)

    def __repr__(self) -> str:
        return f"<karat Fits: {len(self)} fits, {self._numbers().theta.size} coefficients>"

    @cached_property
    def _all(self) -> Combined:
        names = tuple(f"{model}: {name}" for model, result in self.items() for name in result.names)
        theta, df = (np.concatenate([getattr(result, part) for result in self.results]) for part in ("theta", "df"))
        return Combined(names, theta, self.covariance, df, self.alpha, self._title())

    def _numbers(self) -> Combined:
        return self._all

    def _title(self) -> str:
        return f"{len(self)} fits on one frame"

    def _remarks(self) -> tuple[str, ...]:
        return (*self.notes, *(f"not fitted, {name}: {why}" for name, why in self.failed.items()))

    def joint(self) -> Combined:
        """All coefficients with their joint covariance.

        Returns
        -------
        Combined
            Coefficients are named ``"fit: coefficient"``.

        Raises
        ------
        KaratError
            If the covariance between some of the fits is not known, saying why.
        """
        if self.unknown:
            raise KaratError(self.unknown)
        return self._all

    def differences(self, term: str, against: str | None = None) -> Combined:
        """Differences of a coefficient between fits.

        Parameters
        ----------
        term : str
            Coefficient; fits that do not have it are left out.
        against : str, optional
            Fit that all others are compared with; by default every pair is compared.

        Returns
        -------
        Combined
            Named ``"A - B"``. That the coefficient is the same in all fits is tested by
            ``differences(term, against).wald([...])`` on all of them.

        Raises
        ------
        ArgumentError
            If fewer than two fits have the coefficient.

        Examples
        --------
        >>> import karat as kt
        >>> corpus, truth = kt.datasets.simulate(2000, seed=1)
        >>> data = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
        >>> data["half"] = ["first", "second"] * 1000
        >>> fits = kt.several("outcome ~ hostile", data, surrogates={"hostile": "hostile_llm"}, split="half", seed=1)
        >>> fits.differences("hostile").names
        ('half=first - half=second',)
        """
        having = [name for name, result in self.items() if term in result.names]
        if against is not None and against not in having:
            raise ArgumentError(f"against={against!r} must be a fit with the coefficient {term!r}; there are {having}.")
        if len(having) < 2:
            known = sorted({name for result in self.results for name in result.names})
            raise ArgumentError(
                f"{len(having)} fit(s) have the coefficient {term!r}, and two are needed; there are {known}."
            )
        refuse_other_scales({name: self[name] for name in having})
        pairs = (
            list(combinations(having, 2)) if against is None else [(one, against) for one in having if one != against]
        )
        every, matrix = self._all, np.zeros((len(pairs), self._all.theta.size))
        for row, (left, right) in zip(matrix, pairs):
            row[every.names.index(f"{left}: {term}")] += 1.0
            row[every.names.index(f"{right}: {term}")] -= 1.0
        covariance = covariance_of(every, matrix)
        if self.unknown and np.isnan(covariance).any():
            raise KaratError(self.unknown)
        df = np.array([every.df[row != 0].min() for row in matrix])
        names = tuple(f"{left} - {right}" for left, right in pairs)
        return Combined(names, matrix @ every.theta, covariance, df, self.alpha, f"Differences in {term}")

    def compare(self) -> NoReturn:
        """Refused: one of the fits has a comparison, as in ``fits["name"].compare()``.

        Raises
        ------
        KaratError
        """
        raise KaratError(f"there are {len(self)} fits; compare one of them: fits[{self.models[0]!r}].compare().")

    def simultaneous(
        self, alpha: float | None = None, *, terms: Sequence[str] | None = None, draws: int = 10_000, seed: Any = None
    ) -> pd.DataFrame:
        """Intervals that hold for coefficients of all fits at once (max-t of their joint normal distribution).

        Parameters
        ----------
        alpha : float, optional
        terms : sequence of str, optional
            Coefficients, of all fits that have them (``"war"``), or each with its fit (``"left: war"``); by default all
            but constants.
        draws : int
            Random draws.
        seed : int or Generator, optional

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ArgumentError
            If there is no such coefficient.
        KaratError
            If the covariance between the fits is not known.
        """
        every, level = self._all, self._level(alpha)
        owned = [name for result in self.results for name in result.names]
        wanted = set(owned) - set(_CONSTANT) if terms is None else set(terms)
        if strangers := sorted(wanted - set(owned) - set(every.names)):
            raise ArgumentError(f"there is no coefficient {strangers[0]!r}; there are {list(every.names)}.")
        family = [name for name, own in zip(every.names, owned) if own in wanted or name in wanted]
        index = np.array([every.names.index(name) for name in family], dtype=np.intp)
        covariance = every.covariance[np.ix_(index, index)]
        if not family or not np.isfinite(covariance).all():
            raise KaratError(self.unknown or "simultaneous intervals need coefficients that all have a standard error.")
        draws = whole("draws", draws, least=100)
        rng = generator(settled(seed, {}, self.models, [result.seed for result in self.results], draws))
        return bands(every, family, normal_maxima(covariance, rng, draws), level)

    def tidy(self, style: str = "pyfixest", alpha: float | None = None) -> pd.DataFrame:
        """One row for each coefficient of each fit.

        Parameters
        ----------
        style : {"pyfixest", "broom"}
            Names of the columns of estimates, as :meth:`karat.Result.tidy` has them.
        alpha : float, optional
            One minus the level of the intervals.

        Returns
        -------
        pandas.DataFrame
            With columns for the fit (``model``), its formula, outcome and sample, and the coefficient.
        """
        import pandas as pd

        one_of("style", style, ("pyfixest", "broom"))
        frames = []
        for model, result, outcome, sample in zip(self.models, self.results, self.outcomes, self.samples):
            table = result.tidy(style, alpha)
            table = table.reset_index() if style == "pyfixest" else table
            told = {"model": model, "formula": result.formula, "outcome": outcome, "sample": sample}
            told = told if style == "broom" else {name.capitalize(): value for name, value in told.items()}
            frames.append(table.assign(**told)[[*told, *table.columns]])
        return pd.concat(frames, ignore_index=True)

    def table(self, digits: int = 3) -> SideBySide:
        """The fits side by side: estimates, standard errors in brackets below, rows and gold rows.

        Parameters
        ----------
        digits : int
            Decimals, 0 or more.

        Returns
        -------
        SideBySide
            Prints as text, shows as HTML in a notebook, and has ``frame``, ``to_latex`` and ``to_markdown``.
        """
        more = (("Outcome", self.outcomes), ("Sample", self.samples))
        facts = tuple((name, told) for name, told in more if len(set(told)) > 1)
        title = f"{self.results[0].title}, {len(self)} fits" if self.results else "no fits"
        return side_by_side(self.results, self.models, title, facts, self._remarks(), digits)

    def summary(self) -> SideBySide:
        """The fits side by side."""
        return self.table()

    def to_latex(self, caption: str | None = None, label: str | None = None, digits: int = 3) -> str:
        """The fits side by side as LaTeX (booktabs)."""
        return self.table(digits).to_latex(caption, label)

    def to_markdown(self, digits: int = 3) -> str:
        """The fits side by side as Markdown."""
        return self.table(digits).to_markdown()

    def plot(self, terms: Sequence[str] | None = None, *, ax: Any = None, title: str | None = None) -> Any:
        """Coefficients with intervals, one line per coefficient and a colour for each fit.

        Parameters
        ----------
        terms : sequence of str, optional
            Coefficients shown, in this order; by default all but constants.
        ax : matplotlib Axes, optional
        title : str, optional

        Returns
        -------
        matplotlib.axes.Axes
        """
        from .plots import fitsplot

        return fitsplot(self, terms, ax, title)


def side_by_side(
    results: Sequence[Result],
    heads: Sequence[str],
    title: str,
    facts: tuple[tuple[str, tuple[str, ...]], ...] = (),
    remarks: tuple[str, ...] = (),
    digits: int = 3,
) -> SideBySide:
    """Results in columns, constants last.

    Parameters
    ----------
    results : sequence of Result
    heads : sequence of str
        A name for each.
    title : str
    facts : tuple of (str, tuple of str)
        Further rows, above those that count units and gold.
    remarks : tuple of str
    digits : int
    """
    digits = whole("digits", digits, least=0)
    every = dict.fromkeys(name for result in results for name in result.names)
    names = (*(n for n in every if n not in _CONSTANT), *(n for n in every if n in _CONSTANT))
    estimates, errors = np.full((2, len(names), len(results)), np.nan)
    for k, result in enumerate(results):
        at = [names.index(name) for name in result.names]
        estimates[at, k], errors[at, k] = result.theta, result._se()
    sizes = (
        ("Units", tuple(f"{result.n_units:,}" for result in results)),
        ("Gold", tuple(f"{result.n_gold:,}" for result in results)),
    )
    return SideBySide(title, tuple(heads), names, estimates, errors, (*facts, *sizes), remarks, digits)
