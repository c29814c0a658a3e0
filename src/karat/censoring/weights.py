"""Inverse probability of censoring weights."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from .._core.arguments import checked_arguments
from .._core.types import Bools, Floats
from ..errors import ArgumentError, DataError, PositivityWarning, generator, number, one_of, tell
from ..frames.order import settled
from .durations import Durations, check_tau, choose_tau, read_durations
from .fitted import Censoring, Grouped, Uncensored
from .methods import check_folds, fit_method, resolve_method

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_FLOOR = 1e-3
"""G is not let fall below this unless asked for."""

_FEW = 0.01
"""Share of rows whose kind is censored throughout before the horizon that is warned about."""

_LOW = 0.05
"""G below this before the horizon is warned about."""


@dataclass(frozen=True)
class CensoringWeights:
    """Weights that make complete durations represent censored ones.

    Parameters
    ----------
    durations : Durations
        The rows.
    tau : float
        Horizon.
    tau_chosen : bool
        Whether tau was chosen by karat.
    censoring : Censoring
        The fitted G.
    complete : ndarray of bool, shape (n,)
        Delta_tau: the event was seen, or the row was under observation at tau.
    restricted : ndarray, shape (n,)
        U_tau = min(U, tau).
    survival : ndarray, shape (n,)
        G(U_tau- | V) after the floor.
    values : ndarray, shape (n,)
        Delta_tau / G(U_tau- | V), without the sampling weight.
    floor : float
    floored : ndarray of bool, shape (n,)
        Complete rows whose G was raised to the floor.
    left_out : str or False
        How leave-one-out estimates of 0 were treated; False where rows are in their own estimate.
    replaced : int
        Leave-one-out estimates of 0 that were replaced.

    Examples
    --------
    >>> fitted = weights([1.0, 2.0, 2.0, 3.0], [1, 0, 1, 1], tau=3.0)
    >>> fitted.values.tolist()
    [1.0, 0.0, 1.0, 2.0]
    """

    durations: Durations = field(repr=False)
    tau: float
    tau_chosen: bool
    censoring: Censoring = field(repr=False)
    complete: Bools = field(repr=False)
    restricted: Floats = field(repr=False)
    survival: Floats = field(repr=False)
    values: Floats = field(repr=False)
    floor: float
    floored: Bools = field(repr=False)
    left_out: str | bool = False
    replaced: int = 0
    concerns: tuple[str, ...] = ()

    @property
    def n_rows(self) -> int:
        """Number of durations n."""
        return len(self.values)

    @property
    def n_floored(self) -> int:
        """Complete rows whose G was raised to the floor."""
        return int(self.floored.sum())

    @property
    def effective_size(self) -> float:
        """Kish's effective number of complete rows, sampling weights included."""
        return _kish(self._total())

    def _total(self) -> Floats:
        w = self.durations.weight
        return self.values if w is None else self.values * w

    def before(self, times: object, rows: object = None) -> Floats:
        """G(u- | V), floored; see :meth:`karat.censoring.Censoring.before`."""
        return np.maximum(self.censoring.before(times, rows), self.floor)

    def through(self, times: object, rows: object = None) -> Floats:
        """G(u | V), floored; see :meth:`karat.censoring.Censoring.through`."""
        return np.maximum(self.censoring.through(times, rows), self.floor)

    def weigh(self, time: object, event: object, covariates: object = None) -> Floats:
        """Weights of new rows from the fitted G, for example a test set's.

        Parameters
        ----------
        time, event : array_like, shape (m,)
        covariates : array_like, shape (m,) or (m, q), optional
            V, as given when fitting.

        Returns
        -------
        ndarray, shape (m,)
            Delta_tau / G(U_tau- | V).

        Examples
        --------
        >>> weights([1.0, 2.0, 2.0, 3.0], [1, 0, 1, 1], tau=3.0).weigh([2.5, 0.5], [1, 0]).tolist()
        [2.0, 0.0]
        """
        new = read_durations(time, event, competing=True)
        complete = new.event | (new.time >= self.tau)
        survival = self.censoring.before_new(np.minimum(new.time, self.tau), covariates)
        return _ratio(complete, np.maximum(survival, self.floor), self.floor)

    def diagnostics(self, group: object = None) -> pd.DataFrame:
        """How well complete rows cover the censored ones, by group.

        Parameters
        ----------
        group : array_like, shape (n,), optional
            Values that define the groups; None gives one line for all rows.

        Returns
        -------
        pandas.DataFrame
            Rows, shares censored before tau and at risk at tau, smallest G at complete rows, largest and mean weight,
            share of the total weight on the heaviest hundredth of rows, effective number of complete rows, floored
            rows. A mean weight well below 1 says that some censored rows have no complete row like them.
        """
        import pandas as pd

        values = np.zeros(self.n_rows) if group is None else np.asarray(group)
        if values.shape != (self.n_rows,):
            raise ArgumentError(f"group has shape {values.shape}; give one value for each of {self.n_rows} rows.")
        lines = {}
        for level in pd.unique(pd.Series(values)):
            rows = values == level
            lines["all" if group is None else level] = self._line(rows)
        table = pd.DataFrame.from_dict(lines, orient="index")
        return table if group is None else table.sort_index()

    def _line(self, rows: Bools) -> dict[str, float]:
        total, complete = self._total()[rows], self.complete[rows]
        heavy = np.sort(total)[::-1][: max(1, len(total) // 100)].sum()
        return {
            "rows": int(rows.sum()), "censored before tau": float(np.mean(~complete)),
            "at risk at tau": float(np.mean(self.durations.time[rows] >= self.tau)),
            "smallest G": float(self.survival[rows][complete].min()) if complete.any() else np.nan,
            "largest weight": float(self.values[rows].max()), "mean weight": self._mean(rows),
            "weight on heaviest 1%": float(heavy / total.sum()) if total.sum() > 0 else np.nan,
            "effective complete rows": _kish(total), "floored": int(self.floored[rows].sum()),
        }  # fmt: skip

    def _mean(self, rows: Bools) -> float:
        w = self.durations.weight
        if w is None:
            return float(self.values[rows].mean())
        return float(self.values[rows] @ w[rows] / w[rows].sum()) if w[rows].sum() > 0 else np.nan

    def summary(self) -> str:
        """Method, horizon, censoring and floor, as text.

        Returns
        -------
        str
        """
        line = self._line(np.ones(self.n_rows, dtype=bool))
        chosen = " (chosen: the largest time with enough rows at risk)" if self.tau_chosen else ""
        out = [
            f"Censoring weights up to tau = {self.tau:g}{chosen}",
            f"  G: {self.censoring.method}",
            f"  {self.n_rows} rows, {line['censored before tau']:.1%} censored before tau, "
            f"{line['at risk at tau']:.1%} under observation at tau",
            f"  weights up to {line['largest weight']:.4g}, smallest G {line['smallest G']:.4g}, "
            f"{self.effective_size:.1f} effective complete rows",
            f"  {self.n_floored} row(s) floored at G = {self.floor:g}",
        ]
        if self.left_out:
            out.append(f"  leave-one-out; {self.replaced} estimate(s) of 0 replaced ({self.left_out})")
        return "\n".join(out)

    def __str__(self) -> str:
        return self.summary()


@checked_arguments()
def weights(
    time: object,
    event: object,
    *,
    tau: float | str,
    censoring: object = "marginal",
    covariates: object = None,
    weights: object = None,
    floor: float = DEFAULT_FLOOR,
    leave_one_out: str | bool = False,
    folds: int | None = None,
    cluster: object = None,
    competing: bool = False,
    seed: int | np.random.Generator | None = None,
) -> CensoringWeights:
    """Inverse probability of censoring weights Delta_tau / G(U_tau- | V).

    With T the duration, C the censoring time, U = min(T, C): a row is complete if its event was seen or it was
    under observation at the horizon tau. Complete rows are weighted by 1 / P(C >= min(U, tau) | V), so that they
    represent the rows censored before. Events precede censorings at a tied time.

    Parameters
    ----------
    time : array_like, shape (n,)
        U, 0 or more.
    event : array_like, shape (n,)
        1 (or True) where the event was seen, 0 where censored.
    tau : float or "auto"
        Horizon, in the units of time. Durations are taken up to tau, because beyond the time seen nothing is known.
        ``"auto"`` takes the largest time at which enough rows are still under observation (30, and 5 % of every
        stratum).
    censoring : str, Method, scikit-learn classifier or callable
        ``"marginal"`` (Kaplan-Meier), ``"strata"``, ``"kernel"`` (Beran), ``"cox"``, ``"forest"``, ``"boosting"``,
        ``"logit"``; :class:`Strata`, :class:`Kernel`, :class:`Cox`, :class:`Learned`, :class:`Function` with their
        options; a classifier of the censoring hazard; or a function ``(times, covariates) -> P(C >= time | V)``.
    covariates : array_like, shape (n,) or (n, q), optional
        V.
    weights : array_like, shape (n,), optional
        Sampling weights, used to estimate G. They are not multiplied into the result.
    floor : float
        G is raised to this where it is smaller; such rows are counted and warned about. 0 raises none, and a G of 0
        is then an error.
    leave_one_out : {False, "self", "floor"}
        Take each row out of its own estimate of G (product-limit methods). Where none of the others remained, G is 0;
        ``"self"`` then takes the estimate with the row itself, ``"floor"`` the floor.
    folds : int, optional
        Cross-fit: each row's G comes from the other folds. By default 5 for learners, none otherwise.
    cluster : array_like, shape (n,), optional
        Clusters that folds never split.
    competing : bool
        Whether codes 2, 3, ... (other causes) are allowed; every cause counts as an event.
    seed : int or numpy.random.Generator, optional

    Returns
    -------
    CensoringWeights

    Raises
    ------
    DataError
        If times are negative or missing, event codes not allowed, no row is complete, or G is 0 and floor is 0.
    ArgumentError
        If tau lies beyond what was observed, or arguments contradict each other.

    References
    ----------
    Robins and Rotnitzky (1992), *Recovery of information and adjustment for dependent censoring using surrogate
    markers*; Ausset, Clemencon, Portier (2022), *Empirical risk minimization under random censorship*, JMLR 23.

    Examples
    --------
    >>> import karat as kt
    >>> fitted = kt.censoring.weights([1.0, 2.0, 2.0, 3.0, 4.0], [1, 0, 1, 1, 0], tau=3.0)
    >>> fitted.values.round(3).tolist()
    [1.0, 0.0, 1.0, 1.5, 1.5]
    """
    durations = read_durations(time, event, weights, competing=competing)
    if not durations.event.any():
        raise DataError(
            "no event was seen: all durations are censored, so nothing is known about how long they last. Check the "
            "event column (1 where the event was seen, 0 where censored)."
        )
    how = resolve_method(censoring)
    v = None if covariates is None else np.asarray(covariates)
    floor = number("floor", floor, least=0, below=1)
    one_of("leave_one_out", leave_one_out, (False, "self", "floor"))
    n_folds = how.folds if folds is None else check_folds(folds)
    if leave_one_out and n_folds:
        raise ArgumentError("leave_one_out and folds both take a row out of its own estimate; use one of them.")
    chosen = isinstance(tau, str)
    if isinstance(tau, str):
        one_of("tau", tau, ("auto",))
        horizon = choose_tau(durations, None if v is None else how.strata_of(v, durations.n_rows))
    else:
        horizon = check_tau(tau, durations)
    group = None if cluster is None else np.unique(np.asarray(cluster), return_inverse=True)[1]
    rng = generator(settled(seed, {"time": durations.time, "cause": durations.cause}))
    complete = durations.event | (durations.time >= horizon)
    fitted: Censoring
    if complete.all():
        fitted = Uncensored(durations.n_rows)
    else:
        fitted = fit_method(how, durations, v, horizon, n_folds, group, rng)
    survival, replaced = _own(fitted, durations, horizon, leave_one_out)
    raised = np.maximum(survival, floor)
    found = CensoringWeights(
        durations, horizon, chosen, fitted, complete, np.minimum(durations.time, horizon), raised,
        _ratio(complete, raised, floor), floor, (survival < floor) & complete, leave_one_out, replaced,
    )  # fmt: skip
    found = replace(found, concerns=(*_lost_kinds(fitted, horizon), *_rare_kinds(found)))
    for concern in found.concerns:
        tell(concern, PositivityWarning)
    return found


def _lost_kinds(fitted: Censoring, tau: float) -> list[str]:
    """Rows of a kind that is censored throughout, which no weight shows."""
    if not isinstance(fitted, Grouped) or len(fitted.steps) == 1:
        return []
    if (lost := fitted.ends_before(tau)).mean() <= _FEW:
        return []
    return [
        f"{int(lost.sum())} row(s), {lost.mean():.1%}, are of a kind that is censored throughout before tau={tau:g} "
        "(G(tau- | V) = 0): no complete row represents them, and the mean weight is less than 1 there. Take the "
        "covariate that decides it out of the censoring model, drop such rows, or choose a smaller tau."
    ]


def _rare_kinds(found: CensoringWeights) -> list[str]:
    """Complete rows of a kind that is almost never seen that long."""
    if found.n_floored:
        return [
            f"G(u- | V) is below {found.floor:g} in {found.n_floored} complete row(s) before tau={found.tau:g} and was "
            "raised to it: some kinds of rows are almost never seen that long. Choose a smaller tau, or a coarser "
            "censoring model."
        ]
    smallest = float(found.survival[found.complete].min())
    if smallest >= _LOW:
        return []
    return [
        f"the smallest probability of being uncensored before tau={found.tau:g} is {smallest:.3g}: few rows carry much "
        "of the weight. Look at diagnostics(), and consider a smaller tau."
    ]


def _own(fitted: Censoring, durations: Durations, tau: float, leave_one_out: str | bool) -> tuple[Floats, int]:
    """G(U_tau- | V) of the fitted rows, and how many leave-one-out zeros were replaced."""
    if not leave_one_out or isinstance(fitted, Uncensored):
        return fitted.own(durations.time, tau), 0
    if not isinstance(fitted, Grouped):
        raise ArgumentError(f"leave_one_out is not available for {fitted.method}; use folds=5 instead.")
    if fitted.share is not None and fitted.share.any():
        raise ArgumentError(
            "leave_one_out needs the kernel estimate at every row; use Kernel(exact=True), or folds= with anchors."
        )
    survival = fitted.without_self(durations.time, durations.weight, tau)
    gone = survival <= 0
    if leave_one_out == "self" and gone.any():
        survival = np.where(gone, fitted.own(durations.time, tau), survival)
    return survival, int(gone.sum())


def _ratio(complete: Bools, survival: Floats, floor: float) -> Floats:
    with np.errstate(divide="ignore"):
        values = complete / survival
    if floor == 0 and not np.isfinite(values).all():
        gone = int((~np.isfinite(values)).sum())
        raise DataError(
            f"the probability G of being uncensored is 0 in {gone} complete row(s), so that nothing can be weighted "
            "there. Choose a smaller tau or a coarser censoring model, or give floor= a small positive number."
        )
    return np.asarray(values)


def _kish(total: Floats) -> float:
    squares = float((total**2).sum())
    return float(total.sum() ** 2 / squares) if squares > 0 else 0.0
