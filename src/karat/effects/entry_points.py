"""``predictions``, ``slopes`` and ``comparisons``: what a fit says on the scale of its outcome.

Each opens the fit again with its data, since a Result holds none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .._core.arguments import checked_arguments
from .._core.machine import single_threaded
from ..errors import ArgumentError, check_alpha, one_of
from ..results import Result
from ..results.effects import Effects, Ratios
from .averages import Groups, average, stacked
from .inference import Contributions, covariance_and_df
from .opened import OpenedFit
from .quantities import Quantity, changes, combinations, predicted, shown, slope, variables_of

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats

Covariates = Literal["sampled", "fixed"]


@checked_arguments()
@single_threaded
def predictions(
    fit: Result,
    data: object,
    *,
    at: Mapping[str, Any] | None = None,
    by: str | list[str] | None = None,
    covariates: Covariates = "sampled",
    alpha: float | None = None,
    given: Mapping[str, Any] | None = None,
) -> Effects:
    """Average predictions of a fit, of all units or by group, as they are or with covariates set.

    Parameters
    ----------
    fit : Result
    data : data frame
        The table of the fit.
    at : mapping, optional
        Covariate -> value, or list of values, which all units are given: ``{"hostile": [0, 1]}``. Several lists make
        all combinations.
    by : str or list of str, optional
        Columns that make groups to average within: any that is observed, or a labelled covariate with classes.
    covariates : {"sampled", "fixed"}
        Whether other units of the population would have other covariates, or covariates are taken as they are. With
        "fixed" standard errors are by the delta method alone, as statsmodels and marginaleffects have them.
    alpha : float, optional
        One minus the level of the intervals; by default that of the fit.
    given : mapping, optional
        Arguments of the fit that held values, which it does not keep: ``{"weights": array}``.

    Returns
    -------
    Effects
        One row per class of the outcome, value and group. For single rows use :meth:`karat.Result.predict`.

    Raises
    ------
    ArgumentError
        If the fit cannot be opened again, or an argument is not allowed.
    DataError
        If ``data`` do not give the coefficients of the fit.

    Notes
    -----
    An average over covariates of which some are labelled is one over the augmented sample: predicted rows of all
    units, and gold rows less predicted rows with weights 1 over their probability (methods, section 8.1).

    References
    ----------
    Lane and Nelder (1982), *Analysis of covariance and standardization as instances of prediction*; Robins (1986).

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1500, kind="logit", seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
    >>> fit = kt.logit("outcome ~ hostile + length", labelled, surrogates={"hostile": "hostile_llm"}, seed=1)
    >>> kt.predictions(fit, labelled, at={"hostile": [0, 1]}).names
    ('hostile=0', 'hostile=1')
    """
    opened = OpenedFit.of(_result(fit), data, given)
    if opened.opened.prepared.parsed.effects:
        raise ArgumentError(
            f"{opened.result.formula!r} has fixed effects, whose levels are taken out and not estimated; use "
            "kt.comparisons or kt.slopes, which do not depend on them, or write them as covariates, C(column)."
        )
    return _effects(opened, predicted(opened, at), by, covariates, alpha, "Average predictions")


@checked_arguments()
@single_threaded
def slopes(
    fit: Result,
    data: object,
    variables: str | Sequence[str] | None = None,
    *,
    at: Mapping[str, Any] | None = None,
    by: str | list[str] | None = None,
    covariates: Covariates = "sampled",
    alpha: float | None = None,
    given: Mapping[str, Any] | None = None,
) -> Effects:
    """Average marginal effects: how the expected outcome moves with a covariate.

    Parameters
    ----------
    fit : Result
    data : data frame
        The table of the fit.
    variables : str or sequence of str, optional
        Covariates; all by default. Of a number the derivative, through whatever the formula makes of it (squares,
        logarithms, interactions); of 0 and 1 the change from 0 to 1; of categories that from the first to each.
    at, by, covariates, alpha, given
        As in :func:`predictions`.

    Returns
    -------
    Effects

    Raises
    ------
    KaratError
        As :func:`predictions`.

    References
    ----------
    Bartus (2005), *Estimation of marginal effects using margeff*; methods, section 8.1.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1500, kind="logit", seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
    >>> fit = kt.logit("outcome ~ hostile + length", labelled, surrogates={"hostile": "hostile_llm"}, seed=1)
    >>> effects = kt.slopes(fit, labelled)
    >>> bool(abs(effects.coef()["hostile"]) < abs(fit.coef()["hostile"]))
    True
    """
    opened = OpenedFit.of(_result(fit), data, given)
    wanted = []
    for values in combinations(opened, at):
        for variable, _ in variables_of(opened, variables, steps=False):
            if variable.levels:
                wanted += changes(variable, None, values, short=True)
            else:
                wanted.append((slope(variable, values),))
    return _effects(opened, wanted, by, covariates, alpha, "Average slopes")


@checked_arguments()
@single_threaded
def comparisons(
    fit: Result,
    data: object,
    variables: str | Sequence[str] | Mapping[str, Any] | None = None,
    *,
    contrast: Literal["difference", "ratio", "odds_ratio"] = "difference",
    at: Mapping[str, Any] | None = None,
    by: str | list[str] | None = None,
    covariates: Covariates = "sampled",
    alpha: float | None = None,
    given: Mapping[str, Any] | None = None,
) -> Effects:
    """Average predictions compared: every unit with one value of a covariate against every unit with another.

    Parameters
    ----------
    fit : Result
    data : data frame
        The table of the fit.
    variables : str, sequence of str or mapping, optional
        Covariates; all by default. A mapping says how: a step up (``{"length": 10}``; 1 by default), a pair
        (``{"length": (0, 5)}``), or for categories "reference" (the first against each other one, the default),
        "sequential" or "pairwise".
    contrast : {"difference", "ratio", "odds_ratio"}
        Difference, ratio or odds ratio of the two averages. Ratios have intervals made on their logarithms.
    at, by, covariates, alpha, given
        As in :func:`predictions`.

    Returns
    -------
    Effects
        For ratios a :class:`karat.results.effects.Ratios`.

    Raises
    ------
    ArgumentError
        As :func:`predictions`; for a ratio of averages that are not above 0, or odds of what is not a probability.
    DataError
        As :func:`predictions`.

    References
    ----------
    Robins (1986), *A new approach to causal inference in mortality studies*; methods, section 8.1.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1500, kind="logit", seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
    >>> fit = kt.logit("outcome ~ hostile + length", labelled, surrogates={"hostile": "hostile_llm"}, seed=1)
    >>> kt.comparisons(fit, labelled, {"length": (0, 1)}, contrast="ratio").names
    ('length[1 / 0]',)
    """
    one_of("contrast", contrast, ("difference", "ratio", "odds_ratio"))
    opened = OpenedFit.of(_result(fit), data, given)
    wanted = []
    for values in combinations(opened, at):
        for variable, how in variables_of(opened, variables, steps=True):
            wanted += changes(variable, how, values, ratio=contrast != "difference")
    title = {
        "difference": "Average differences",
        "ratio": "Ratios of averages",
        "odds_ratio": "Odds ratios of averages",
    }
    return _effects(opened, wanted, by, covariates, alpha, title[contrast], contrast)


def _result(fit: object) -> Result:
    if not isinstance(fit, Result):
        raise ArgumentError(f"fit is a {type(fit).__name__}; give the Result of a regression.")
    return fit


def _effects(
    fit: OpenedFit,
    wanted: list[tuple[Quantity, ...]],
    by: object,
    covariates: str,
    alpha: float | None,
    title: str,
    contrast: str = "difference",
) -> Effects:
    """Average what is wanted, and say how sure it is."""
    one_of("covariates", covariates, ("sampled", "fixed"))
    result, groups = fit.result, Groups.of(fit, by)
    level = result.alpha if alpha is None else check_alpha(alpha)
    found = [[average(fit, quantity, groups) for quantity in sides] for sides in wanted]
    sides = []
    for parts in zip(*found):
        n_numbers = parts[0].value.shape[1]
        jacobian = stacked([np.moveaxis(part.jacobian, 2, 0) for part in parts]).T
        share = np.concatenate([np.tile(part.share, n_numbers) for part in parts], axis=1)
        unseen = None if fit.shown is None else stacked([p.unseen for p in parts if p.unseen is not None])
        moment, predicted = (stacked([getattr(p, name) for p in parts]) for name in ("moment", "predicted"))
        own = Contributions(jacobian, moment, predicted, share, unseen)
        sides.append((stacked([part.value for part in parts]), own))
    value, own = sides[0]
    if contrast != "difference":
        value, own = _logarithm(sides, contrast, fit)
    covariance, df = covariance_and_df(result, fit.parts, own, covariates == "fixed")
    classes = fit.opened.matrix.spec.classes
    grid = _grid([one[0] for one in wanted], classes, groups)
    total, labelling = covariance.total, covariance.labelling
    kind: type[Effects] = Effects
    if contrast != "difference":
        kind, value = Ratios, np.exp(value)
        total, labelling = (part * np.outer(value, value) for part in (total, labelling))
    about = result._about() + ("; covariates as they are" if covariates == "fixed" else "")
    names = tuple(grid.pop("name"))
    return kind(names, value, total, labelling, df, level, f"{title}: {result.formula}", about, grid)


def _logarithm(
    sides: list[tuple[Floats, Contributions]], contrast: str, fit: OpenedFit
) -> tuple[Floats, Contributions]:
    """Logarithms of ratios, or of odds ratios, with their contributions.

    Raises
    ------
    ArgumentError
        If there is no such ratio.
    """
    values = np.array([value for value, _ in sides])
    odds = contrast == "odds_ratio"
    if odds and not ("odds" in fit.opened.model.ratio or fit.opened.model.name.endswith("probit")):
        raise ArgumentError(
            f"contrast='odds_ratio' needs probabilities; {fit.result.title} has none, use 'difference' or 'ratio'."
        )
    if (values <= 0).any() or (odds and (values >= 1).any()):
        raise ArgumentError(
            f"contrast={contrast!r}: an average prediction is {values[values <= 0].min(initial=1):.3g}, which has no "
            "ratio; use contrast='difference'."
        )
    inner = 1.0 / (values * (1.0 - values)) if odds else 1.0 / values
    scale = np.log(values / (1.0 - values)) if odds else np.log(values)
    up, down = (own for _, own in sides)
    return scale[0] - scale[1], Contributions(
        inner[0][:, None] * up.jacobian - inner[1][:, None] * down.jacobian,
        inner[0] * up.moment - inner[1] * down.moment,
        inner[0] * up.predicted - inner[1] * down.predicted,
        up.share,
        None if up.unseen is None or down.unseen is None else inner[0] * up.unseen - inner[1] * down.unseen,
    )


def _grid(wanted: list[Quantity], classes: tuple[Any, ...], groups: Groups) -> pd.DataFrame:
    """What each row is, and its name: quantity by quantity, class by class, group by group."""
    import pandas as pd

    rows = []
    for quantity in wanted:
        plain = {"variable": quantity.variable, "contrast": quantity.contrast}
        for outcome in classes or ("",):
            for level in groups.levels:
                where = {**quantity.at, **dict(zip(groups.names, level))}
                told = ", ".join(f"{name}={shown(value)}" for name, value in where.items())
                name = " | ".join(part for part in (quantity.name, told) if part) or "average"
                rows.append({"name": f"{outcome}: {name}" if classes else name, **plain, "outcome": outcome, **where})
    table = pd.DataFrame(rows)
    unused = [name for name in ("variable", "contrast", "outcome") if (table[name] == "").all()]
    return table.drop(columns=unused)
