"""How to estimate the censoring distribution: what a user names, before any data are seen."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._core.types import Array, Floats, Ints
from ..errors import ArgumentError, DataError, LearnerError, number, whole
from ..predict import make_folds
from ..predict.learners import refuse_class
from .cox import fit_cox
from .durations import Durations
from .fitted import Censoring, CrossFitted, GivenCensoring
from .groups import fit_kernel, fit_marginal, fit_strata, stratum_codes, within_strata
from .hazard import fit_hazard, named_learner


class Method:
    """A way to estimate G(u | V) = P(C > u | V).

    ``columns`` names the columns of V, in the order in which :meth:`fit` expects them. Where arrays are given
    instead of a table, leave the names out.

    Examples
    --------
    >>> import karat as kt
    >>> isinstance(kt.censoring.Cox("age"), kt.censoring.Method), kt.censoring.Cox("age").columns
    (True, ('age',))
    """

    columns: tuple[str, ...] = ()
    folds: int = 0
    needs_covariates: bool = True
    numeric: bool = True

    def fit(self, durations: Durations, covariates: Array | None, tau: float, rng: np.random.Generator) -> Censoring:
        """Estimate G.

        Parameters
        ----------
        durations : Durations
        covariates : ndarray, shape (n,) or (n, q), optional
        tau : float
            Horizon.
        rng : numpy.random.Generator

        Returns
        -------
        Censoring
        """
        raise NotImplementedError

    def with_columns(self, columns: tuple[str, ...]) -> None:
        """Set the names once, at the end of an ``__init__``."""
        for name in columns:
            if not isinstance(name, str):
                raise ArgumentError(f"{type(self).__name__} takes names of columns; got {name!r}.")
        object.__setattr__(self, "columns", columns)

    def strata_of(self, covariates: Array | None, n_rows: int) -> Ints | None:
        """Codes of groups that must each have rows at risk at the horizon, if there are any."""
        return None


@dataclass(frozen=True)
class Marginal(Method):
    """One Kaplan-Meier curve for all rows: censoring depends on nothing.

    Examples
    --------
    >>> Marginal()
    Marginal()
    """

    needs_covariates = False

    def fit(self, durations: Durations, covariates: Array | None, tau: float, rng: np.random.Generator) -> Censoring:
        """Estimate G; see :class:`Method`."""
        return fit_marginal(durations)


@dataclass(frozen=True, init=False)
class Strata(Method):
    """A Kaplan-Meier curve for each combination of values.

    Parameters
    ----------
    *columns : str

    Examples
    --------
    >>> Strata("party", "country").columns
    ('party', 'country')
    """

    columns: tuple[str, ...] = ()
    numeric = False

    def __init__(self, *columns: str) -> None:
        self.with_columns(columns)

    def fit(self, durations: Durations, covariates: Array | None, tau: float, rng: np.random.Generator) -> Censoring:
        """Estimate G; see :class:`Method`."""
        return fit_strata(durations, _table(covariates, "Strata"))

    def strata_of(self, covariates: Array | None, n_rows: int) -> Ints | None:
        """Codes of the strata."""
        return stratum_codes(_table(covariates, "Strata"))[0]


@dataclass(frozen=True, init=False)
class Kernel(Method):
    """Beran's estimate: Kaplan-Meier among rows with a similar value of one number.

    Parameters
    ----------
    column : str, optional
    within : str or sequence of str
        Columns whose values form strata, each with an estimate of its own.
    bandwidth : float, optional
        Of the Epanechnikov kernel, in units of the column; by default 2.5 standard deviations times n^(-1/3).
    anchors : int
        Values at which the estimate is made; rows between two read both, log-linearly.
    exact : bool
        Make it at the value of every row instead (time grows with the square of the number of rows).

    References
    ----------
    Beran (1981), *Nonparametric regression with randomly censored survival data*; Ausset, Clemencon, Portier (2022),
    *Empirical risk minimization under random censorship*, JMLR 23.

    Examples
    --------
    >>> Kernel("age", anchors=100).columns
    ('age',)
    """

    columns: tuple[str, ...] = ()
    bandwidth: float | None = None
    anchors: int = 500
    exact: bool = False

    def __init__(
        self, column: str | None = None, *, within: str | tuple[str, ...] | list[str] = (),
        bandwidth: float | None = None, anchors: int = 500, exact: bool = False,
    ) -> None:  # fmt: skip
        strata = (within,) if isinstance(within, str) else tuple(within)
        if strata and column is None:
            raise ArgumentError("Kernel(within=...) needs the name of the number too: Kernel('age', within='party').")
        self.with_columns(() if column is None else (column, *strata))
        if bandwidth is not None:
            number("bandwidth", bandwidth, above=0, instead="or None for the rule")
        anchors = whole("anchors", anchors, least=2)
        object.__setattr__(self, "bandwidth", bandwidth)
        object.__setattr__(self, "anchors", anchors)
        object.__setattr__(self, "exact", bool(exact))

    @property
    def numeric(self) -> bool:  # type: ignore[override]
        """Whether all columns are numbers."""
        return len(self.columns) <= 1

    def fit(self, durations: Durations, covariates: Array | None, tau: float, rng: np.random.Generator) -> Censoring:
        """Estimate G; see :class:`Method`."""
        x = _table(covariates, "Kernel")
        values = _floats(x[:, 0], "Kernel")
        options: dict[str, Any] = {"bandwidth": self.bandwidth, "anchors": self.anchors, "exact": self.exact}
        if x.shape[1] == 1:
            return fit_kernel(durations, values, **options)
        codes, levels = stratum_codes(x[:, 1:])
        parts = []
        for g in range(len(levels)):
            rows = np.flatnonzero(codes == g)
            parts.append((rows, fit_kernel(durations.take(rows), values[rows], **options)))
        return within_strata(parts, levels, durations.n_rows)

    def strata_of(self, covariates: Array | None, n_rows: int) -> Ints | None:
        """Codes of the strata."""
        x = _table(covariates, "Kernel")
        return stratum_codes(x[:, 1:])[0] if x.shape[1] > 1 else None


@dataclass(frozen=True, init=False)
class Cox(Method):
    """Proportional hazards of being censored, Breslow's baseline.

    Parameters
    ----------
    *columns : str

    Examples
    --------
    >>> Cox("age", "income").columns
    ('age', 'income')
    """

    columns: tuple[str, ...] = ()

    def __init__(self, *columns: str) -> None:
        self.with_columns(columns)

    def fit(self, durations: Durations, covariates: Array | None, tau: float, rng: np.random.Generator) -> Censoring:
        """Estimate G; see :class:`Method`."""
        return fit_cox(durations, _floats(_table(covariates, "Cox"), "Cox"))


_CALL = re.compile(r"^\s*(\w+)\s*\((.*)\)\s*$")
_LEARNERS = ("forest", "boosting", "logit")


@dataclass(frozen=True, init=False)
class Learned(Method):
    """Any probabilistic classifier of the censoring hazard, cross-fitted.

    Time is cut into intervals of equal marginal censoring hazard; the classifier sees the covariates and the number
    of the interval, and says whether a row that reaches the interval is censored in it.

    Parameters
    ----------
    learner : {"forest", "boosting", "logit"} or scikit-learn classifier
        Takes ``sample_weight`` and gives ``predict_proba``.
    *columns : str
    intervals : int
    folds : int
        Each row's G comes from the other folds; 0 fits once on all rows.

    Examples
    --------
    >>> Learned("forest", "age", "income", intervals=10).columns
    ('age', 'income')
    """

    columns: tuple[str, ...] = ()
    learner: Any = field(default="forest")
    intervals: int = 10
    folds: int = 5

    def __init__(self, learner: Any = "forest", *columns: str, intervals: int = 10, folds: int = 5) -> None:
        self.with_columns(columns)
        if isinstance(learner, str) and learner not in _LEARNERS:
            raise ArgumentError(
                f"the censoring learner {learner!r} is not known; choose one of {list(_LEARNERS)}, or give a "
                "scikit-learn classifier."
            )
        intervals, folds = whole("intervals", intervals, least=1), check_folds(folds)
        for name, value in (("learner", learner), ("intervals", intervals), ("folds", folds)):
            object.__setattr__(self, name, value)

    def fit(self, durations: Durations, covariates: Array | None, tau: float, rng: np.random.Generator) -> Censoring:
        """Estimate G; see :class:`Method`."""
        x = _floats(_table(covariates, "Learned"), "Learned")
        seed = int(rng.integers(2**31))
        learner = named_learner(self.learner, seed) if isinstance(self.learner, str) else self.learner
        refuse_class(learner, "the censoring learner")
        if not hasattr(learner, "fit"):
            raise LearnerError(f"the censoring learner {learner!r} is not a scikit-learn classifier.")
        name = self.learner if isinstance(self.learner, str) else type(learner).__name__
        return fit_hazard(durations, x, learner, name=name, intervals=self.intervals, tau=tau)


@dataclass(frozen=True, init=False)
class Function(Method):
    """A function of the user's: ``function(times, covariates) -> P(C >= time | V)``.

    Parameters
    ----------
    function : callable
        ``times`` has shape (m,), ``covariates`` (m, q) (None without columns); returns shape (m,).
    *columns : str

    Examples
    --------
    >>> import numpy as np
    >>> Function(lambda times, v: np.exp(-0.1 * times)).columns
    ()
    """

    columns: tuple[str, ...] = ()
    function: Callable[[Floats, Any], Any] = field(default=lambda times, covariates: np.ones(len(times)))
    needs_covariates = False

    def __init__(self, function: Callable[[Floats, Any], Any], *columns: str) -> None:
        self.with_columns(columns)
        object.__setattr__(self, "function", function)

    def fit(self, durations: Durations, covariates: Array | None, tau: float, rng: np.random.Generator) -> Censoring:
        """Take G as given; see :class:`Method`."""
        return GivenCensoring(self.function, durations.n_rows, covariates)


def resolve_method(given: object) -> Method:
    """The method a user named.

    Parameters
    ----------
    given : str, Method, scikit-learn classifier or callable
        ``"marginal"``, ``"strata"``, ``"kernel"``, ``"cox"``, ``"forest"``, ``"boosting"``, ``"logit"``; or with
        columns, ``"strata(party)"``, ``"kernel(age)"``, ``"cox(age + income)"``.

    Returns
    -------
    Method

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> resolve_method("kernel").anchors
    500
    >>> resolve_method("cox(age + income)").columns
    ('age', 'income')
    """
    if isinstance(given, Method):
        return given
    if isinstance(given, str) and (call := _CALL.match(given)) is not None:
        return _with_columns(call.group(1), [n.strip(" `") for n in re.split(r"[+,]", call.group(2)) if n.strip()])
    simple = {"marginal": Marginal, "strata": Strata, "kernel": Kernel, "cox": Cox}
    if isinstance(given, str):
        if given in simple:
            return simple[given]()
        if given in _LEARNERS:
            return Learned(given)
    elif hasattr(given, "predict_proba") and hasattr(given, "fit"):
        return Learned(given)
    elif callable(given) and not isinstance(given, type):
        return Function(given)
    raise ArgumentError(
        f"the censoring method {given!r} is not known; choose one of {[*simple, *_LEARNERS]}, a method such as "
        "karat.censoring.Kernel('age'), a scikit-learn classifier, or a function of times and covariates."
    )


def _with_columns(how: str, names: list[str]) -> Method:
    named: dict[str, Any] = {"strata": Strata, "cox": Cox, "kernel": Kernel}
    if how not in named and how not in _LEARNERS:
        resolve_method(how)
        raise ArgumentError(f"the censoring method {how!r} takes no columns.")
    if how == "kernel" and len(names) > 1:
        raise ArgumentError("kernel() takes one number; write karat.censoring.Kernel('age', within='party').")
    return named[how](*names) if how in named else Learned(how, *names)


def check_folds(folds: object) -> int:
    """A number of folds, 0 for none."""
    return 0 if folds == 0 and folds is not False else whole("folds", folds, least=2, instead="or 0 for none")


def fit_method(
    method: Method, durations: Durations, covariates: Array | None, tau: float, folds: int, group: Ints | None,
    rng: np.random.Generator,
) -> Censoring:  # fmt: skip
    """Estimate G, cross-fitted in ``folds`` (0 for none) that split no ``group``."""
    if method.needs_covariates and covariates is None:
        raise ArgumentError(f"{type(method).__name__} needs covariates; give covariates=, one row per duration.")
    if covariates is not None and len(covariates) != durations.n_rows:
        raise ArgumentError(
            f"covariates has {len(covariates)} rows but time has {durations.n_rows}; give one row each."
        )
    if not folds or isinstance(method, Function):
        return method.fit(durations, covariates, tau, rng)
    fold = make_folds(~durations.event, folds, 1, rng, None, group, durations.order(covariates))[:, 0]
    fits = []
    for k in range(folds):
        rest = np.flatnonzero(fold != k)
        fits.append(method.fit(durations.take(rest), None if covariates is None else covariates[rest], tau, rng))
    return CrossFitted(
        f"{fits[0].method}, cross-fitted in {folds} folds", durations.n_rows, tuple(fits), fold, covariates
    )


def _table(covariates: Array | None, name: str) -> Array:
    if covariates is None:
        raise ArgumentError(f"{name} needs covariates; give covariates=, one row per duration.")
    return covariates[:, None] if covariates.ndim == 1 else covariates


def _floats(x: Array, name: str) -> Floats:
    try:
        return np.asarray(x, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"the censoring covariates of {name} must be numbers: {error}.") from error
