"""``survival`` and ``proportional_hazards``: what a Cox regression says besides hazard ratios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .._core.arguments import checked_arguments
from .._core.machine import needs, single_threaded
from ..errors import ArgumentError, DataError, KaratError, check_alpha, one_of
from ..estimate.clusters import Curvatures
from ..estimate.infer import Parts, infer
from ..estimate.leverage import LEVERAGED
from ..results import Result
from ..results.effects import Effects
from ..results.estimates import bounds_names
from ..results.prediction import design_rows
from ..results.revise import kept_parts
from .inference import Contributions, covariance_and_df

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats, Ints
    from ..estimate.baseline import Baseline, Clock

_MOST_TIMES = 100
"""Times of the curve where none are asked for."""

TIMES = ("km", "rank", "identity", "log")


@checked_arguments()
@single_threaded
def survival(
    fit: Result,
    new: object,
    times: Sequence[float] | None = None,
    *,
    alpha: float | None = None,
    context: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Survival curves that a Cox regression predicts for given covariates, with pointwise intervals.

    Parameters
    ----------
    fit : Result
        Of :func:`karat.cox`, with influence scores kept.
    new : data frame, m rows
        Covariates, labelled ones with their values, and the columns of ``strata=``, if the fit has them.
    times : list of float, optional
        By default all times of events, or a hundred of them.
    alpha : float, optional
        One minus the level of the intervals; by default that of the fit.
    context : mapping, optional
        Functions the formula uses.

    Returns
    -------
    pandas.DataFrame
        One row for each row of ``new`` and time: ``fit``, the share that lasts longer, ``se``, the bounds, and the
        cumulative ``hazard``. Not a number beyond the last time under observation in its
        stratum.

    Raises
    ------
    KaratError
        If the fit is not a Cox regression, its scores were not kept, or covariates are missing.

    Notes
    -----
    Breslow's cumulative hazard (with Efron's ties where the fit has them) over risk sets of gold and predicted rows;
    intervals are made for the logarithm of the cumulative hazard, with the design, clusters and degrees of freedom of
    the fit. A row says what happens to a unit whose covariates are known; it is not an average over the corpus.

    References
    ----------
    Breslow (1974), *Covariance analysis of censored survival data*; Tsiatis (1981); methods, section 7.1.

    Examples
    --------
    >>> import numpy as np, pandas as pd, karat as kt
    >>> rng = np.random.default_rng(1)
    >>> hostile = rng.binomial(1, 0.4, 2000)
    >>> t, c = rng.exponential(np.exp(-0.7 * hostile)), rng.exponential(1.0, 2000)
    >>> data = pd.DataFrame({"time": np.minimum(t, c), "event": t <= c, "hostile": hostile.astype(float)})
    >>> data["llm"] = np.where(rng.random(2000) < 0.9, hostile, 1 - hostile)
    >>> labelled = kt.datasets.mask_gold(data, kt.SimpleRandom(n=400).draw(data, seed=1), "hostile")
    >>> fit = kt.cox("time ~ hostile", labelled, event="event", surrogates={"hostile": "llm"}, seed=1)
    >>> curve = kt.survival(fit, pd.DataFrame({"hostile": [0.0, 1.0]}), times=[0.5])
    >>> bool((abs(curve["fit"] - np.exp(-0.5 * np.exp([0.0, 0.7]))) < 0.1).all())
    True
    """
    import pandas as pd
    from scipy.stats import t as student

    baseline, parts = _baseline(fit)
    level = fit.alpha if alpha is None else check_alpha(alpha)
    x, offset, stratum = _profiles(fit, baseline, new, context)
    at = _times(baseline.clock, times)
    m, k = len(x), len(at)
    needs(16.0 * fit.n_units * m * k, f"{m} rows at {k} times", "ask for fewer rows or times at a time")
    rows, when = np.repeat(np.arange(m), k), np.tile(at, m)
    step = baseline.sets.at
    until = (baseline.clock.time[step][:, None] <= when) & (baseline.clock.stratum[step][:, None] == stratum[rows])
    some = until.any(axis=0)  # before the first event nothing is to be told
    value, relative, df = np.zeros(len(rows)), np.zeros(len(rows)), np.full(len(rows), np.inf)
    if some.any():
        value[some], *own = baseline.cumulative(until[:, some], x[rows[some]])
        covariance, df[some] = covariance_and_df(fit, parts, Contributions(*own))
        relative[some] = np.sqrt(np.maximum(np.diag(covariance.total), 0.0)) / value[some]
    hazard = value * np.exp(x @ fit.theta + offset)[rows]
    hazard[when > baseline.clock.last[stratum[rows]]] = np.nan
    half, (lower, upper) = student.isf(level / 2.0, df) * relative, bounds_names(level)
    return pd.DataFrame(
        {
            "fit": np.exp(-hazard), "se": np.exp(-hazard) * hazard * relative,
            lower: np.exp(-hazard * np.exp(half)), upper: np.exp(-hazard * np.exp(-half)), "hazard": hazard,
        },
        index=pd.MultiIndex.from_arrays([rows, when], names=["row", "time"]),
    )  # fmt: skip


@checked_arguments()
@single_threaded
def proportional_hazards(
    fit: Result, time: Literal["km", "rank", "identity", "log"] = "km", *, alpha: float | None = None
) -> Effects:
    """Test whether the effects of a Cox regression stay the same over time.

    Each log hazard ratio may change in proportion to a function g of time. What is shown is by how much, in one step
    from the fit: 0 where hazards are proportional.

    Parameters
    ----------
    fit : Result
        Of :func:`karat.cox`, with influence scores kept.
    time : {"km", "rank", "identity", "log"}
        g: the share of all units whose event was before (Kaplan-Meier), the rank of the time among those of events, the
        time, or its logarithm.
    alpha : float, optional
        One minus the level of the intervals; by default that of the fit.

    Returns
    -------
    Effects
        A row for each coefficient: its change per unit of g with standard error, interval and test. ``wald(names)``
        tests all of them together, which the line below the table reports.

    Raises
    ------
    KaratError
        If the fit is not a Cox regression, or its scores were not kept.

    Notes
    -----
    Totals of scaled Schoenfeld residuals times g over the augmented sample (Grambsch and Therneau 1994, with the
    variance of covariates at each time in the place of their average), with weights of the surrogates of its own, and
    the design, target and covariance of the fit; with CRV2 and CRV3 sums over clusters are those of CRV1.

    References
    ----------
    Grambsch and Therneau (1994), *Proportional hazards tests and diagnostics based on weighted residuals*; methods,
    section 7.1.

    Examples
    --------
    >>> import numpy as np, pandas as pd, karat as kt
    >>> rng = np.random.default_rng(1)
    >>> hostile = rng.binomial(1, 0.4, 2000)
    >>> t, c = rng.weibull(1.0 + hostile), rng.exponential(1.0, 2000)
    >>> data = pd.DataFrame({"time": np.minimum(t, c), "event": t <= c, "hostile": hostile.astype(float)})
    >>> data["llm"] = np.where(rng.random(2000) < 0.9, hostile, 1 - hostile)
    >>> labelled = kt.datasets.mask_gold(data, kt.SimpleRandom(n=400).draw(data, seed=1), "hostile")
    >>> fit = kt.cox("time ~ hostile", labelled, event="event", surrogates={"hostile": "llm"}, seed=1)
    >>> bool(kt.proportional_hazards(fit).pvalue()["hostile"] < 0.01)
    True
    """
    import pandas as pd

    baseline, parts = _baseline(fit)
    one_of("time", time, TIMES)
    level = fit.alpha if alpha is None else check_alpha(alpha)
    g = _of_time(baseline.clock, time)[baseline.sets.at]
    if np.ptp(g) == 0:
        raise DataError("all events are at one time, so that no change over time can be told.")
    gamma, scores, tuning, information = baseline.moving(g)
    tuned = np.zeros(len(gamma), dtype=int) if tuning is None else tuning.tuned
    scores = replace(scores, units=parts.units)
    kind = "CRV1" if fit.vcov_kind in LEVERAGED else "HC0" if fit.vcov_kind.startswith("HC") else fit.vcov_kind
    covariance, df = infer(Parts(scores, information, tuned, Curvatures()), kind, fit.target, fit.df_method)
    grid = pd.DataFrame({"term": list(fit.names), "time": time})
    title = f"Change of log hazard ratios with time ({time}): {fit.formula}"
    found = Effects(fit.names, gamma, covariance.total, covariance.labelling, df, level, title, "", grid)
    return replace(found, about=f"all together: {found.wald(list(fit.names))}\n{fit._about()}")


def _baseline(fit: Result) -> tuple[Baseline, Parts]:
    """The hazards of a fit, and the influences on its coefficients.

    Raises
    ------
    ArgumentError, KaratError
        If it has none.
    """
    if not isinstance(fit, Result):
        raise ArgumentError(f"fit must be a Result; got {type(fit).__name__}.")
    if fit.model != "cox":
        raise ArgumentError(f"{fit.formula!r} is a {fit.title.lower()}; hazards are those of kt.cox.")
    if fit.estimator == "surrogate":
        raise ArgumentError("estimator='surrogate' takes labels for the truth, so that no curve of it is valid.")
    if fit.baseline is None:
        raise KaratError(
            "this Result does not hold its hazards (scores were not kept, units were withdrawn, or it was read from "
            "JSON); fit again with scores=True."
        )
    return fit.baseline, kept_parts(fit)


def _profiles(fit: Result, baseline: Baseline, new: object, context: Any) -> tuple[Floats, Floats, Ints]:
    """Covariates of rows less their centre, offsets, and the stratum of each."""
    x, offset, table = design_rows(fit, new, context)
    clock, stratum = baseline.clock, np.zeros(len(x), dtype=np.intp)
    if clock.strata:
        columns = [np.asarray(table.values(name, "new data: strata")).astype(str) for name in clock.strata]
        where = {level: code for code, level in enumerate(clock.levels)}
        for row, values in enumerate(zip(*(column.tolist() for column in columns))):
            if values not in where:
                raise DataError(
                    f"new data: row {row} is in the stratum {', '.join(values)}, which the fit has not seen; there are "
                    f"{', '.join('/'.join(level) for level in clock.levels[:10])}."
                )
            stratum[row] = where[values]
    return x - baseline.centre, np.zeros(len(x)) if offset is None else offset, stratum


def _times(clock: Clock, times: object) -> Floats:
    if times is None:
        every = np.unique(clock.time)
        return every[np.unique(np.linspace(0, len(every) - 1, min(len(every), _MOST_TIMES)).astype(int))]
    found = np.asarray(times, dtype=np.float64).ravel()
    if not len(found) or not (found >= 0).all():
        raise ArgumentError("times must be one or more numbers of at least 0, on the clock of the duration.")
    return found


def _of_time(clock: Clock, time: str) -> Floats:
    """The function of time that effects may follow, at the event times."""
    if time == "km":
        return clock.gone
    if time == "rank":
        return np.unique(clock.time, return_inverse=True)[1].astype(np.float64) + 1.0
    if time == "identity":
        return clock.time
    if (clock.time <= 0).any():
        raise ArgumentError("time='log' needs durations above 0; use 'km', 'rank' or 'identity'.")
    return np.asarray(np.log(clock.time))
