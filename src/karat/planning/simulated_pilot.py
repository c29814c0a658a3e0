"""Gold simulated from surrogates under an assumed quality, so that a plan can be made before any label is bought."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from .. import moments as models
from .._core.machine import followed
from .._core.types import Array, ModelName
from ..designs import SimpleRandom
from ..errors import ArgumentError, ConvergenceError, DataError, KaratWarning, number
from ..frames import Table
from ..frames.table import as_float
from ..regression.entry_points import regress
from ..results import Result
from .forecast import Learning
from .pilot import Profile
from .refit import excess_of, mean_square

_WORLDS, _WORLDS_AT_ENDS = 5, 3
_PILOT = 1_000
_SMALL_SHARE = 5
_MOST_CLASSES = 20
_FEWEST_VALUES = 10
"""Gold values with which their mean and spread can be told."""


@dataclass(frozen=True)
class Quality:
    """Assumed quality of the first surrogate of a label.

    ``kind`` is accuracy, r_squared or confusion; ``values`` the central value, then the ends of a range where one was
    given; for a confusion matrix the matrix.
    """

    kind: str
    values: tuple[Any, ...]

    def words(self) -> str:
        """The assumption in words."""
        ends = f" (from {self.values[1]:g} to {self.values[2]:g})" if len(self.values) == 3 else ""
        if self.kind == "accuracy":
            return f"agrees with gold in {100 * self.values[0]:g} % of the rows{ends}"
        if self.kind == "r_squared":
            return f"shares R2 = {self.values[0]:g} of its variance with gold{ends}"
        return "errs as the confusion matrix given says"


def in_words(qualities: Mapping[str, Quality]) -> str:
    """What is assumed of each label."""
    return "; ".join(f"the first surrogate of {name} {quality.words()}" for name, quality in qualities.items())


def read_qualities(surrogates: object, accuracy: object, r_squared: object, confusion: object) -> dict[str, Quality]:
    """Assumed quality of each label; an error if a label has none or two, or a value is out of range."""
    if not isinstance(surrogates, Mapping) or not surrogates:
        raise ArgumentError(
            "to plan without a pilot, surrogates= must map each gold column to its surrogate(s), for example "
            "surrogates={'tone': 'tone_llm'}."
        )
    names = [str(name) for name in surrogates]
    found: dict[str, Quality] = {}
    for kind, given in (("accuracy", accuracy), ("r_squared", r_squared), ("confusion", confusion)):
        if given is None:
            continue
        by_label = given if isinstance(given, Mapping) else dict.fromkeys(names, given)
        for name, value in by_label.items():
            if name not in names or name in found:
                raise ArgumentError(
                    f"{kind}= names {name!r}; "
                    + ("it has a quality already." if name in found else f"labels are {names}.")
                )
            found[str(name)] = Quality(kind, (value,) if kind == "confusion" else _range(kind, value))
    lacking = [name for name in names if name not in found]
    if lacking:
        raise ArgumentError(
            f"nothing is known of the surrogate of {lacking[0]!r}: give accuracy= (classes), r_squared= (numbers) or "
            "confusion=, or plan from a pilot, kt.plan(fit, data)."
        )
    return found


def from_assumptions(
    formula: str, data: object, model: ModelName, surrogates: Mapping[str, Any] | None,
    given: tuple[object, object, object], options: dict[str, Any], contrasts: object, rng: np.random.Generator,
) -> tuple[tuple[tuple[Profile, ...], ...], Table, Learning, list[str]]:  # fmt: skip
    """Profiles of simulated pilots, and the assumptions in words."""
    if data is None:
        raise ArgumentError("a plan from a formula needs data=, the corpus with its surrogates.")
    qualities, table = read_qualities(surrogates, *given), Table.read(data)
    outcome = formula.partition("~")[0].strip("` ")
    if outcome in qualities and qualities[outcome].kind == "r_squared":
        _refuse_outcome(model, outcome, table, qualities[outcome], {**options, "surrogates": surrogates})
    found, learning = _worlds(model, formula, table, qualities, {**options, "surrogates": surrogates}, contrasts, rng)
    remarks = [
        "no gold yet: gold was simulated from the surrogates, assuming that " + in_words(qualities),
        "it is assumed that mistakes depend on nothing but the surrogate's own value; where they also depend on "
        "covariates or on the outcome, or come in clusters, more gold is needed. Treat this as a first guess and plan "
        "again from a pilot",
    ]
    remarks += _scale_remarks(table, qualities, surrogates)
    if len(found) == 1:
        remarks.append(
            "the interval holds only the noise of the simulation; give a pair, such as accuracy=(0.7, 0.9), for a range"
        )
    return found, table, learning, remarks


def _refuse_outcome(model: ModelName, name: str, table: Table, quality: Quality, options: Mapping[str, Any]) -> None:
    """Raise where numbers with normal noise are no outcomes of the model: negative counts, shares beyond 0 and 1."""
    surrogate = _first(options["surrogates"][name], table, name)
    gold = simulate_gold(surrogate, quality, 0, name, np.random.default_rng(0), gold_scale(table, name, surrogate))
    try:
        models.get(model, options.get("parameters")).check_outcome(np.asarray(gold), name)
    except DataError:
        raise ArgumentError(
            f"the outcome {name!r} of model={model!r} cannot be simulated from r_squared=, which adds normal noise to "
            "the surrogate and so gives values the model does not allow. Plan from a pilot, kt.plan(fit, data), give "
            "accuracy= or confusion= where the outcome has few values, or plan its mean with model='ols'."
        ) from None


def _worlds(
    model: ModelName, formula: str, table: Table, qualities: Mapping[str, Quality], options: Mapping[str, Any],
    contrasts: object, rng: np.random.Generator,
) -> tuple[tuple[tuple[Profile, ...], ...], Learning]:  # fmt: skip
    """Profiles of fits on simulated gold, several for the quality planned for and some for the ends of its range."""
    n_pilot = min(_PILOT, table.n_rows // 2)
    small = max(60, n_pilot // _SMALL_SHARE)
    seeds = rng.integers(2**31, size=3 * _WORLDS)
    ranged = any(len(quality.values) == 3 for quality in qualities.values())
    ends = [(1, _WORLDS_AT_ENDS, n_pilot), (2, _WORLDS_AT_ENDS, n_pilot)] if ranged else []
    groups = [(0, _WORLDS, n_pilot), *ends, (0, _WORLDS, small)]
    fits = dict(options)
    tasks = [(group, at, n, int(seed)) for group, (at, count, n) in enumerate(groups) for seed in seeds[:count]]
    found: list[list[Profile]] = [[] for _ in groups]
    failed: dict[int, ConvergenceError] = {}
    for group, at, n, seed in followed(tasks, len(tasks), "planning", fits.pop("progress", None)):
        try:
            fit = assumed_fit(model, formula, table, qualities, fits, at=at, n=n, seed=seed)
        except ConvergenceError as error:  # a dispersion of 0, say: some small pilots have no estimate
            failed[group] = error
        else:
            found[group].append(Profile.of(fit, contrasts))
    for group, reason in failed.items():
        if not found[group]:
            raise reason
    *worlds, few = (tuple(profiles) for profiles in found)
    central = worlds[0]
    ratio = np.mean([mean_square(p) for p in few], axis=0) / np.mean([mean_square(p) for p in central], axis=0)
    excess = excess_of(float(np.nanmedian(ratio)), n_pilot / few[0].n_gold)
    return tuple(worlds), Learning(excess, n_pilot)


def simulate_gold(
    surrogate: Any, quality: Quality, at: int, name: str, rng: np.random.Generator,
    scale: tuple[float, float] | None = None,
) -> Array:  # fmt: skip
    """Gold drawn given the surrogate, by the ``at``-th value of its quality, shape (N,).

    Accuracy: the surrogate's class with that probability, else another class in proportion to how often the surrogate
    gives it. Confusion matrix: gold classes given the surrogate by Bayes' rule. R2: the surrogate shrunk towards its
    mean plus normal noise, such that gold has the mean and the standard deviation in ``scale``.

    >>> label, rng = np.repeat([0, 1], 500), np.random.default_rng(1)
    >>> gold = simulate_gold(label, Quality("accuracy", (0.9,)), 0, "hostile", rng)
    >>> bool(abs((gold == label).mean() - 0.9) < 0.03)
    True
    """
    value = quality.values[min(at, len(quality.values) - 1)]
    if quality.kind == "r_squared":
        number = as_float(surrogate, name, "surrogate of")
        if np.isnan(number).any():
            raise DataError(f"the surrogate of {name!r} has missing values; fill them to plan from it.")
        centre, spread, root = number.mean(), number.std(), np.sqrt(value)
        mean, unit = (centre, 1.0) if scale is None else (scale[0], scale[1] / spread)
        noise = np.sqrt(1.0 - value) * spread * rng.standard_normal(len(number))
        return np.asarray(mean + unit * (root * (number - centre) + noise))
    classes, code, share = _classes(surrogate, name)
    if quality.kind == "confusion":
        given = _posterior(value, classes, share, name)
    else:
        others = np.where(np.eye(len(classes), dtype=bool), 0.0, share)
        given = (1.0 - value) * others / others.sum(axis=1, keepdims=True) + value * np.eye(len(classes))
    drawn = (rng.random(len(code))[:, None] > np.cumsum(given, axis=1)[code]).sum(axis=1)
    return np.asarray(classes)[np.minimum(drawn, len(classes) - 1)]


def assumed_fit(
    model: ModelName, formula: str, table: Table, qualities: Mapping[str, Quality], options: Mapping[str, Any], *,
    at: int = 0, n: int | None = None, seed: int = 0,
) -> Result:  # fmt: skip
    """A fit on simulated gold for a simple random sample of n rows, with the ``at``-th value of each quality."""
    import narwhals as nw

    rng = np.random.default_rng(seed)
    frame = table.native
    size = min(_PILOT, table.n_rows // 2) if n is None else n
    hidden = np.ones(table.n_rows, dtype=bool)
    hidden[rng.choice(table.n_rows, size, replace=False)] = False
    for name, quality in qualities.items():
        surrogate = _first(options["surrogates"][name], table, name)
        scale = gold_scale(table, name, surrogate) if quality.kind == "r_squared" else None
        gold = simulate_gold(surrogate, quality, at, name, rng, scale).astype(object)
        gold[hidden] = None
        levels = _levels(options["surrogates"][name], table)
        dtype = None if levels is None else nw.Enum(levels)
        frame = frame.with_columns(nw.new_series(name, gold.tolist(), dtype, backend=frame.implementation))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KaratWarning)
        return regress(
            formula, frame.to_native(), model=model, design=SimpleRandom(), seed=seed, scores=True, compare=False,
            **options,
        )  # fmt: skip


def gold_scale(table: Table, name: str, surrogate: Any) -> tuple[float, float] | None:
    """Mean and standard deviation of the gold values that the table holds; None without such values.

    Too few values to tell the scale are refused where they lie outside the surrogate's.
    """
    if name not in table.native.columns:
        return None
    values = as_float(table.values(name, "gold"), name, "gold column")
    values = values[~np.isnan(values)]
    if len(values) >= _FEWEST_VALUES and values.std() > 0:
        return float(values.mean()), float(values.std(ddof=1))
    number = as_float(surrogate, name, "surrogate of")
    room = number.std()
    if len(values) and (values.min() < number.min() - room or values.max() > number.max() + room):
        raise ArgumentError(
            f"the {len(values)} gold value(s) of {name!r} go from {values.min():g} to {values.max():g}, those of its "
            f"surrogate from {number.min():g} to {number.max():g}: gold is on another scale, and {_FEWEST_VALUES} "
            "values are needed to tell it. Bring the surrogate to the scale of gold, or plan from a pilot, "
            "kt.plan(fit, data)."
        )
    return None


def _scale_remarks(table: Table, qualities: Mapping[str, Quality], surrogates: Any) -> list[str]:
    """On which scale numeric gold was simulated, in words."""
    out = []
    for name in (name for name, quality in qualities.items() if quality.kind == "r_squared"):
        surrogate = _first(surrogates[name], table, name)
        scale = gold_scale(table, name, surrogate)
        number = as_float(surrogate, name, "surrogate of")
        mean, spread = (number.mean(), number.std()) if scale is None else scale
        words = f"(mean {mean:.3g}, standard deviation {spread:.3g})"
        out.append(
            f"{name} is simulated with the mean and the spread of the gold values there are {words}"
            if scale is not None
            else f"numeric gold is assumed to have the mean and the spread of its surrogate {words}: where {name} is "
            "measured on another scale, bring the surrogate to it first, or all figures are off by that factor"
        )
    return out


def _first(given: Any, table: Table, name: str) -> Any:
    """Values of the first surrogate of a label."""
    item = given[0] if isinstance(given, Sequence) and not isinstance(given, str) else given
    if isinstance(item, Mapping):
        keys = list(item)
        shares = np.column_stack(
            [as_float(table.column(item[k], "surrogates"), str(item[k]), "surrogate") for k in keys]
        )
        return np.asarray(keys)[shares.argmax(axis=1)]
    return table.values(item, f"surrogates[{name!r}]")


def _levels(given: Any, table: Table) -> list[str] | None:
    """Classes of an ordered surrogate column, which gold then has in the same order; None of others."""
    item = given[0] if isinstance(given, Sequence) and not isinstance(given, str) else given
    kind: Any = table.column(item, "surrogates").dtype if isinstance(item, str) else None
    return [str(level) for level in kind.categories] if getattr(kind, "ordered", False) else None


def _classes(surrogate: Any, name: str) -> tuple[list[Any], Any, Any]:
    """Classes of a hard label, their codes by row, and their shares; probabilities are cut at one half."""
    values = pd.Series(np.asarray(surrogate))
    if values.isna().any():
        raise DataError(
            f"the surrogate of {name!r} has {int(values.isna().sum())} missing value(s); fill them to plan from it."
        )
    if pd.api.types.is_numeric_dtype(values) and values.nunique() > _MOST_CLASSES and values.between(0, 1).all():
        values = (values > 0.5).astype(float)
    code, levels = pd.factorize(values, sort=True)
    if not 2 <= len(levels) <= _MOST_CLASSES:
        raise ArgumentError(
            f"the surrogate of {name!r} has {len(levels)} distinct values; accuracy= and confusion= are for classes (2 "
            f"to {_MOST_CLASSES}). For a number give r_squared=."
        )
    return list(levels), code, np.bincount(code) / len(code)


def _posterior(matrix: Any, classes: list[Any], share: Any, name: str) -> Any:
    """P(gold class | surrogate class), rows by surrogate, from P(surrogate | gold) with gold in rows."""
    if hasattr(matrix, "columns"):
        matrix = matrix.loc[classes, classes]
    table = np.asarray(matrix, dtype=np.float64)
    if table.shape != (len(classes), len(classes)) or (table < 0).any() or not (table.sum(axis=1) > 0).all():
        raise ArgumentError(
            f"confusion of {name!r} must have one row per gold class and one column per surrogate class, in the order "
            f"{classes}, without negative numbers; it has shape {table.shape}."
        )
    table = table / table.sum(axis=1, keepdims=True)
    prior, _ = nnls(np.vstack([table.T, 1e3 * np.ones(len(classes))]), np.append(share, 1e3))
    joint = (table * prior[:, None]).T
    total = joint.sum(axis=1, keepdims=True)
    if (total <= 0).any():
        raise ArgumentError(f"confusion of {name!r} says that a class the surrogate uses never occurs; correct it.")
    return joint / total


def _range(kind: str, value: Any) -> tuple[float, ...]:
    """A number, or the ends of a range with its middle first."""
    pair = "or a pair (lowest, highest) of such numbers"
    given = list(value) if isinstance(value, (list, tuple)) else [value]
    ends = [number(kind, end, least=0, most=1, instead=pair) for end in given]
    if len(ends) not in (1, 2) or (kind == "r_squared" and max(ends) >= 1):
        raise ArgumentError(
            f"{kind}={value!r} must be a number between 0 and 1, or a pair (lowest, highest) of such numbers."
        )
    if len(ends) == 1:
        return (float(ends[0]),)
    return (0.5 * (ends[0] + ends[1]), float(min(ends)), float(max(ends)))
