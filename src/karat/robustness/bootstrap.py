"""Predict-then-debias bootstrap: any estimator that is a function of (data, weights).

With ``theta`` the user's estimator on gold labels, ``gamma`` the same estimator on surrogate labels,
``theta_hat = theta(gold) - Lambda {gamma(gold rows) - gamma(all rows)}``; the covariance of the three
estimates, and with it Lambda, comes from a bootstrap over units. Source: Kluger, Lu, Zrnic, Wang,
Bates (2025), *Prediction-powered inference with imputed covariates and nonuniform sampling*.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .. import designs
from .._core.arguments import checked_arguments
from ..errors import ArgumentError, DataError, KaratError, check_alpha, generator, one_of, processes, whole
from ..frames import Table
from ..frames.order import canonical_order, seed_of_table
from ..frames.table import as_float
from ..results.estimates import Estimates, bounds_names
from .resampling import in_order, multiplicities, refuse_unequal, resampling_units

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Bools, ColumnLike, DesignLike, Floats
    from ..designs import Labelling

TUNINGS = ("coefficient", "full", None)


@dataclass(frozen=True, eq=False)
class BootstrapResult(Estimates):
    """A debiased estimate of any kind, with its bootstrap.

    Parameters
    ----------
    names : tuple of str
    theta : ndarray, shape (p,)
        Debiased estimates.
    covariance : ndarray, shape (p, p)
    draws : ndarray, shape (B, p)
        Debiased estimates of the bootstrap samples.
    gold_only, surrogate_only : ndarray, shape (p,)
        The user's estimator on gold rows, and on all rows with surrogate labels.
    mixing : ndarray, shape (p, p)
        Lambda.
    n_gold, n_units, failures : int
        Sizes, and bootstrap samples on which the estimator failed (left out).
    alpha : float
    """

    names: tuple[str, ...]
    theta: Floats
    covariance: Floats
    draws: Floats = field(repr=False)
    gold_only: Floats
    surrogate_only: Floats
    mixing: Floats
    n_gold: int
    n_units: int
    failures: int
    alpha: float

    def confint(self, alpha: float | None = None, kind: str = "normal") -> pd.DataFrame:
        """Confidence intervals.

        Parameters
        ----------
        alpha : float, optional
        kind : {"normal", "percentile"}
            From the standard error, or from quantiles of the bootstrap estimates.

        Returns
        -------
        pandas.DataFrame, shape (p, 2)

        Raises
        ------
        ArgumentError
            If alpha or kind is not allowed.
        """
        import pandas as pd

        one_of("kind", kind, ("normal", "percentile"))
        if kind == "normal":
            return super().confint(alpha)
        level = self._level(alpha)
        low, high = np.quantile(self.draws, [level / 2, 1 - level / 2], axis=0)
        return pd.DataFrame(dict(zip(bounds_names(level), (low, high))), index=list(self.names))

    @property
    def df(self) -> Floats:
        """Degrees of freedom, shape (p,): infinite."""
        return np.full(len(self.theta), np.inf)

    def _title(self) -> str:
        return "Predict-then-debias bootstrap"

    def _about(self) -> str:
        return f"{self.n_units:,} units, {self.n_gold:,} gold; {len(self.draws):,} bootstrap samples"

    def _remarks(self) -> tuple[str, ...]:
        failed = f"The estimator failed on {self.failures} bootstrap samples, which were left out."
        return (failed,) if self.failures else ()


@checked_arguments(refused={"subset": "give weights= of 0 outside it, which is the same"})
def bootstrap(
    statistic: Callable[[Any, Any], Any],
    data: object,
    *,
    surrogates: Mapping[str, str],
    design: DesignLike = None,
    labelled: ColumnLike | None = None,
    cluster: ColumnLike | None = None,
    weights: ColumnLike | None = None,
    tuning: Literal["coefficient", "full"] | None = "coefficient",
    draws: int = 500,
    alpha: float = 0.05,
    seed: int | np.random.Generator | None = None,
    n_jobs: int | None = None,
    progress: bool = False,
) -> BootstrapResult:
    """Debias any estimator that is a function of data and weights.

    Parameters
    ----------
    statistic : callable
        ``statistic(data, weights)`` takes a pandas DataFrame and weights of shape (rows,) and gives a number, a
        vector or a named Series. It must use the weights.
    data : data frame
        One row per unit; gold columns missing where a unit is not labelled.
    surrogates : mapping of str to str
        Gold column -> surrogate column on the same scale, put in its place.
    design : Design, Sample, float, str, array_like or None
        How gold was drawn, as in :func:`karat.regress`.
    labelled : str or array_like, optional
        True where the unit is gold.
    cluster : str or array_like, optional
        Units resampled together.
    weights : str or array_like, optional
        Analysis weights.
    tuning : {"coefficient", "full"} or None
        How Lambda is chosen; None is weight 1.
    draws : int
        Bootstrap samples, at least 50.
    alpha : float
    seed : int or Generator, optional
    n_jobs : int, optional
        Processes.
    progress : bool

    Returns
    -------
    BootstrapResult

    Raises
    ------
    KaratError
        If arguments do not fit, or the estimator fails on more than a tenth of the samples.

    References
    ----------
    Kluger, Lu, Zrnic, Wang, Bates (2025).

    Examples
    --------
    >>> import numpy as np
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(800, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=200).draw(corpus, seed=1), "hostile")
    >>> def share(data, weights):
    ...     return {"hostile": np.average(data["hostile"], weights=weights)}
    >>> result = kt.bootstrap(share, labelled, surrogates={"hostile": "hostile_llm"}, draws=100, seed=1)
    >>> result.names
    ('hostile',)
    """
    one_of("tuning", tuning, TUNINGS)
    _refuse_statistic(statistic)
    check_alpha(alpha)
    draws, n_jobs = whole("draws", draws, least=50), processes(n_jobs)
    table = Table.read(data)
    gold_frame, all_frame, drawn = _frames(table, surrogates, labelled)
    labelling = designs.resolve(design).realised(table, drawn)
    refuse_unequal(labelling)
    v = _weights(table, weights)
    estimators = _Estimators(statistic, gold_frame, all_frame, labelling, v)
    first = estimators(np.ones(table.n_rows))
    names, p = estimators.names, len(first) // 3
    units, cells, strata = resampling_units(table, labelling, cluster)
    units, cells, strata = in_order(
        units, cells, strata, canonical_order({name: table.column(name, "data") for name in table.columns})
    )
    rng = generator(seed_of_table(seed, table, surrogates, draws))
    counts = (multiplicities(units, cells, strata, rng) for _ in range(draws))
    results = _run(estimators, counts, draws, n_jobs, progress)
    done = np.array([r for r in results if r is not None])
    failures = draws - len(done)
    if failures > draws / 10:
        raise KaratError(
            f"the estimator failed on {failures} of {draws} bootstrap samples (last reason: "
            f"{estimators.reason}); make it "
            "robust to resampled data, or label more units."
        )
    mixing = _mixing(done, p, tuning)
    theta = first[:p] - mixing @ (first[p : 2 * p] - first[2 * p :])
    samples = done[:, :p] - (done[:, p : 2 * p] - done[:, 2 * p :]) @ mixing.T
    covariance = np.atleast_2d(np.cov(samples, rowvar=False))
    return BootstrapResult(
        names, theta, covariance, samples, first[:p], first[2 * p :], mixing, labelling.n_gold, table.n_rows,
        failures, alpha,
    )  # fmt: skip


def _refuse_statistic(statistic: object) -> None:
    """Raise where this is no function of a table and weights."""
    wanted = "give a function of a table and weights, such as lambda t, w: (w @ t['y']) / w.sum()"
    if not callable(statistic):
        raise ArgumentError(f"statistic={statistic!r} is not allowed; {wanted}.")
    try:
        inspect.signature(statistic).bind(None, None)
    except TypeError:
        raise ArgumentError(f"statistic does not take two arguments; {wanted}.") from None
    except ValueError:  # functions written in C have no signature
        return


class _Estimators:
    """The user's estimator on gold labels, and on surrogate labels of gold rows and of all rows."""

    def __init__(
        self, statistic: Callable[[Any, Any], Any], gold: Any, everything: Any, labelling: Labelling, v: Floats
    ) -> None:
        self.statistic, self.gold, self.everything, self.v = statistic, gold, everything, v
        self.surrogate_gold = everything.iloc[labelling.gold].reset_index(drop=True)
        self.where, self.weight = labelling.gold, labelling.weight
        self.names: tuple[str, ...] = ()
        self.reason = ""

    def __call__(self, counts: Floats) -> Floats:
        """Three estimates in a row, shape (3 p,)."""
        gold_weight = counts[self.where] * self.v[self.where] * self.weight
        used = gold_weight > 0
        everywhere = counts * self.v
        present = everywhere > 0
        parts = [
            self._one(self.gold[used], gold_weight[used]),
            self._one(self.surrogate_gold[used], gold_weight[used]),
            self._one(self.everything[present], everywhere[present]),
        ]
        return np.concatenate(parts)

    def attempt(self, counts: Floats) -> Floats | None:
        """Estimates, or None where the estimator fails."""
        try:
            return self(counts)
        except Exception as error:  # a user's estimator may fail in any way on a resampled table
            self.reason = f"{type(error).__name__}: {error}"
            return None

    def _one(self, frame: Any, weights: Floats) -> Floats:
        import pandas as pd

        found = self.statistic(frame.reset_index(drop=True), weights)
        if isinstance(found, Mapping):
            found = pd.Series(found)
        names = tuple(map(str, found.index)) if isinstance(found, pd.Series) else ()
        values = np.atleast_1d(np.asarray(found, dtype=np.float64))
        if values.ndim != 1 or not np.isfinite(values).all():
            raise DataError("statistic(data, weights) must give finite numbers, a vector or a named Series.")
        names = names or tuple(f"estimate {j + 1}" for j in range(len(values)))
        if self.names and names != self.names:
            raise DataError("statistic(data, weights) gives different names or lengths on different data.")
        self.names = names
        return values


def _frames(table: Table, surrogates: object, labelled: object) -> tuple[Any, Any, Bools]:
    """Gold rows with gold labels, all rows with surrogate labels, and who is gold."""
    if not isinstance(surrogates, Mapping) or not surrogates:
        raise ArgumentError("surrogates must map each gold column to one surrogate column on the same scale.")
    for gold, surrogate in surrogates.items():
        if not isinstance(surrogate, str):
            raise ArgumentError(f"surrogates[{gold!r}] must name one column; got {type(surrogate).__name__}.")
    table.require(surrogates, "surrogates")
    table.require(surrogates.values(), "surrogates")
    frame: Any = table.pandas(table.columns, "data")
    present = np.column_stack([frame[name].notna().to_numpy() for name in surrogates]).all(axis=1)
    if labelled is not None:
        marked = as_float(table.values(labelled, "labelled"), "labelled", "indicator") == 1.0
        if (marked & ~present).any():
            raise DataError("some rows marked as labelled have no gold; complete them or correct labelled=.")
        present = marked
    if not present.any():
        raise DataError(f"no row has gold for {list(surrogates)}; gold labels of a sample of rows are needed.")
    for gold, surrogate in surrogates.items():
        missing = int(frame[surrogate].isna().sum())
        if missing:
            raise DataError(f"the surrogate {surrogate!r} of {gold!r} is missing in {missing} row(s); fill it.")
    replaced = frame.assign(**{gold: frame[surrogate] for gold, surrogate in surrogates.items()})
    return frame[present].reset_index(drop=True), replaced, np.asarray(present)


def _weights(table: Table, weights: object) -> Floats:
    if weights is None:
        return np.ones(table.n_rows)
    v = as_float(table.values(weights, "weights"), "weights", "weights")
    if np.isnan(v).any() or (v < 0).any():
        raise DataError("weights must be there and 0 or more in every row.")
    return v


def _run(estimators: _Estimators, counts: Any, draws: int, n_jobs: int | None, progress: bool) -> list[Floats | None]:
    if progress:
        from tqdm import tqdm

        counts = tqdm(counts, total=draws, desc="bootstrap")
    if n_jobs is None or n_jobs == 1:
        return [estimators.attempt(c) for c in counts]
    from joblib import Parallel, delayed

    return list(Parallel(n_jobs=n_jobs)(delayed(estimators.attempt)(c) for c in counts))


def _mixing(done: Floats, p: int, tuning: str | None) -> Floats:
    """``Cov(theta, gap) Var(gap)^-1`` with gap = gamma(gold) - gamma(all), whole or coefficient by coefficient."""
    if tuning is None:
        return np.eye(p)
    gap = done[:, p : 2 * p] - done[:, 2 * p :]
    joint = np.cov(np.hstack([done[:, :p], gap]), rowvar=False)
    cross, spread = joint[:p, p:], joint[p:, p:]
    if tuning == "full":
        return np.asarray(cross @ np.linalg.pinv(spread, rcond=1e-10, hermitian=True))
    variance = np.diag(spread)
    return np.diag(np.divide(np.diag(cross), variance, out=np.zeros(p), where=variance > 0))
