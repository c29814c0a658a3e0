"""Restricted means of groups, their differences and ratios."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from ..._core.arguments import checked_arguments
from ..._core.types import ColumnLike
from ...censoring.methods import Strata
from ...errors import ArgumentError, DataError
from ...frames import Table
from ...frames.quoting import quote
from ...results.combine import Combined
from ...results.estimates import Estimates
from ...results.tests import covariance_of
from .options import DurationOptions
from .rmst import rmst

if TYPE_CHECKING:
    import pandas as pd

    from ..._core.types import Floats
    from ...results import Result


@dataclass(frozen=True, eq=False)
class RestrictedContrast(Estimates):
    """Group means of a duration up to tau, and how they differ from a reference group.

    As estimates (coef, se, confint, wald, ...) it stands for the differences.

    Parameters
    ----------
    means, differences, ratios : pandas.DataFrame
        Estimates, standard errors, two-sided p-values (of 0; of 1 for ratios) and intervals. Intervals of ratios are
        made on the log scale.
    reference : object
    result : Result
        The fit behind them: one coefficient per group.

    Examples
    --------
    >>> import numpy as np, pandas as pd, karat as kt
    >>> rng = np.random.default_rng(1)
    >>> group = np.repeat(["a", "b"], 200)
    >>> t, c = rng.exponential(np.where(group == "a", 1.0, 2.0)), rng.exponential(3.0, size=400)
    >>> data = pd.DataFrame({"time": np.minimum(t, c), "event": t <= c, "group": group})
    >>> kt.rmst_contrast("group", data, time="time", event="event", tau=3.0).differences.index.tolist()
    ['b - a']
    """

    means: pd.DataFrame
    differences: pd.DataFrame
    ratios: pd.DataFrame
    reference: Any
    result: Result = field(repr=False)

    @property
    def alpha(self) -> float:
        """One minus the level of the intervals."""
        return self.result.alpha

    @cached_property
    def _gaps(self) -> Combined:
        levels, fit = [str(level) for level in self.means.index], self.result
        at = levels.index(str(self.reference))
        matrix = np.delete(np.eye(len(levels)), at, axis=0)
        matrix[:, at] = -1.0
        df = np.array([fit.df[row != 0].min() for row in matrix])
        names = tuple(str(name) for name in self.differences.index)
        return Combined(names, matrix @ fit.theta, covariance_of(fit, matrix), df, fit.alpha)

    def _numbers(self) -> Combined:
        """The differences."""
        return self._gaps

    def __str__(self) -> str:
        parts = [self.result.title, "Means", self.means, "Differences", self.differences, "Ratios", self.ratios]
        return "\n".join([str(part) for part in parts] + list(self._remarks()))

    def _title(self) -> str:
        return f"{self.result.title}: differences"

    def _about(self) -> str:
        return self.result._about()

    def _remarks(self) -> tuple[str, ...]:
        return tuple(note[0].upper() + note[1:] + "." for note in self.result.notes)

    __repr__ = __str__


@checked_arguments(
    DurationOptions,
    refused={"link": "differences and ratios are both given"},
)
def rmst_contrast(
    group: str,
    data: object,
    *,
    time: str,
    event: ColumnLike,
    tau: float | str,
    reference: object = None,
    censoring: object = None,
    outcome_model: object = "strata",
    **options: Unpack[DurationOptions],
) -> RestrictedContrast:
    """Compare restricted means (survival, time lost) between groups.

    Parameters
    ----------
    group : str
        Column of the groups.
    data : data frame
    time : str
        Column of the durations.
    event : str or array_like
        1 where the end was seen, 0 where censored.
    tau : float or "auto"
        Horizon.
    reference : object, optional
        Group the others are held against; by default the first in order.
    censoring : str, censoring method, classifier or callable, optional
        By default a Kaplan-Meier curve of censoring in each group.
    outcome_model : str, censoring method or classifier
        By default a Kaplan-Meier curve in each group, so that without surrogates the means are areas under them.
    **options
        Everything else :func:`karat.rmst` takes: surrogates, design, outcome, cause, cluster, ... (link excepted).

    Returns
    -------
    RestrictedContrast

    Raises
    ------
    KaratError
        As :func:`karat.rmst`; when the group is unknown, or there is only one.

    References
    ----------
    Royston and Parmar (2013), *Restricted mean survival time: an alternative to the hazard ratio*.

    Examples
    --------
    >>> import numpy as np, pandas as pd, karat as kt
    >>> rng = np.random.default_rng(1)
    >>> group = np.repeat(["a", "b"], 200)
    >>> t, c = rng.exponential(np.where(group == "a", 1.0, 2.0)), rng.exponential(3.0, size=400)
    >>> data = pd.DataFrame({"time": np.minimum(t, c), "event": t <= c, "group": group})
    >>> kt.rmst_contrast("group", data, time="time", event="event", tau=3.0).means.index.tolist()
    ['a', 'b']
    """
    table = Table.read(data)
    table.require([group, time], "group, time")
    how = Strata(group) if censoring is None else censoring
    result = rmst(
        f"{quote(time)} ~ 0 + C({quote(group)})", data, event=event, tau=tau, censoring=how,
        outcome_model=outcome_model, **options,
    )  # fmt: skip
    levels = [name[len(f"C({quote(group)})[") : -1] for name in result.names]
    if len(levels) < 2:
        raise DataError(f"group {group!r} has a single value; there is nothing to compare.")
    at = 0
    if reference is not None:
        if str(reference) not in levels:
            raise ArgumentError(f"reference={reference!r} is not a value of {group!r}; it has {levels}.")
        at = levels.index(str(reference))
    others = [j for j in range(len(levels)) if j != at]
    names = [f"{levels[j]} - {levels[at]}" for j in others]
    differences = result.delta(lambda b: b[others] - b[at])
    differences.index = names
    return RestrictedContrast(
        result.tidy().set_axis(levels), differences, _ratios(result, others, at, levels), levels[at], result
    )


def _ratios(result: Result, others: list[int], at: int, levels: list[str]) -> pd.DataFrame:
    """Ratios from the log scale, where they are more nearly normal."""
    if (result.theta <= 0).any():
        raise DataError(
            "a group mean is not positive, so that ratios have no meaning; look at rmst() by group instead."
        )

    def logs(b: Floats) -> Floats:
        return np.asarray(np.log(np.maximum(b[others], 1e-300)) - np.log(np.maximum(b[at], 1e-300)))

    table = result.delta(logs)
    low, high = table.columns[4:]
    ratio = np.exp(table["Estimate"])
    out = table.assign(**{"Estimate": ratio, "Std. Error": ratio * table["Std. Error"]})
    out[[low, high]] = np.exp(table[[low, high]])
    out.index = [f"{levels[j]} / {levels[at]}" for j in others]
    return out
