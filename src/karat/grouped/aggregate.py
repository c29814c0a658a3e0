"""From labelled documents to units made of them: gold-corrected unit means for a second regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from .._core.arguments import checked_arguments
from .._core.machine import single_threaded
from ..errors import ArgumentError, DataError, KaratError
from ..frames import Table
from ..frames.kinds import is_text
from ..frames.quoting import quote
from ..regression.comparison_fits import refuse_other_scale
from ..regression.describe import nearly_all_right
from ..regression.options import (
    Arguments,
    CommonOptions,
    DesignOption,
    FeatureOption,
    LearnerOptions,
    PredictionOption,
)
from ..regression.pipeline import Opened, Steps, open_fit
from ..regression.predicted_rows import surrogate_rows
from ..results.sampling import Sampling
from .axes import group_codes, refuse_names
from .noise import GoldErrors, pooled
from .units import Aggregate

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats, Ints


class AggregateOptions(DesignOption, CommonOptions, FeatureOption, LearnerOptions, PredictionOption, total=False):
    """Options of unit means."""


_SECOND = "it belongs to the regression on the units: give it there"
_REFUSED = {
    "vcov": _SECOND,
    "cluster": "units are kept together in the folds as it is; clusters of units are given to the second regression",
    "df": _SECOND,
    "context": _SECOND,
    "imputation": "a mean has one kind of moment",
    "tuning": "unit means take predictions with weight 1, so that they are unbiased",
    "target": "the target is the mean of all documents of a unit that are in the table",
}


@checked_arguments(AggregateOptions, refused=_REFUSED)
@single_threaded
def aggregate(
    labels: str | Sequence[str], data: object, *, by: str | Sequence[str], surrogates: Mapping[str, Any],
    **options: Unpack[AggregateOptions],
) -> Aggregate:  # fmt: skip
    """Unit means of labelled documents, corrected by gold, that enter a second regression.

    Parameters
    ----------
    labels : str or list of str
        Gold columns: numbers, 0/1, or categories (of these every class has a share, named ``"topic_war"``).
    data : data frame
        One row per document; gold is missing where a document was not labelled.
    by : str or list of str
        Column(s) that say to which unit (speaker, candidate, outlet) a document belongs.
    surrogates : mapping
        As in :func:`karat.regress`, for each of the labels.
    **options
        How gold was drawn among the documents and how it is predicted.

    Returns
    -------
    Aggregate
        ``join`` adds the variables of the units; then it is the data of :func:`karat.ols`, :func:`karat.logit`,
        :func:`karat.probit`, :func:`karat.poisson`, :func:`karat.gamma` or :func:`karat.fractional`, which correct for
        the noise of the unit means.

    Raises
    ------
    KaratError
        One of its children, naming the argument or column at fault and how to correct it.

    References
    ----------
    Fuller (1987), *Measurement Error Models*, for the regression; methods, section 11.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(3000, seed=1)
    >>> corpus["author"] = [f"a{i % 100}" for i in range(3000)]
    >>> sample = kt.SimpleRandom(n=300).draw(corpus, seed=1)
    >>> posts = kt.datasets.mask_gold(corpus, sample, "hostile")
    >>> people = kt.aggregate("hostile", posts, by="author", surrogates={"hostile": "hostile_llm"},
    ...                       design=sample.design, seed=1)
    >>> people.table().columns.tolist()
    ['author', 'documents', 'gold', 'hostile', 'hostile: se', 'hostile: predicted']
    """
    table = Table.read(data)
    names = _names(labels, "labels")
    columns = _names(by, "by")
    if not isinstance(surrogates, Mapping) or set(surrogates) != set(names):
        given = sorted(map(str, surrogates)) if isinstance(surrogates, Mapping) else surrogates
        raise ArgumentError(f"surrogates= must name each label {sorted(names)}; got {given}.")
    if clash := set(names) & set(columns):
        raise ArgumentError(f"by= names the label {sorted(clash)[0]!r}; units are named by an observed column.")
    keys = table.pandas(columns, "by")
    groups = group_codes(keys)
    if (groups < 0).any() and options.get("missing") == "raise":
        raise DataError(f"by={by!r} is missing in {int((groups < 0).sum())} row(s); fill it, or use missing='drop'.")
    codes = np.where(groups < 0, np.nan, groups)
    if np.unique(codes[codes >= 0]).size < 2:
        raise DataError(f"by={by!r} makes fewer than two units; a second regression needs several.")
    found = [_means(table, name, {name: surrogates[name]}, codes, options) for name in names]
    first = found[0]
    for other in found[1:]:
        if not first.opened.prepared.units.labelling.same(other.opened.prepared.units.labelling):
            raise DataError(
                f"{names[0]!r} and {other.names[0]!r} have gold on different documents, so their errors have no known "
                "covariance; aggregate them one by one, or give labelled= the documents that have both."
            )
    return _assembled(found, keys, codes, options.get("design") is None)


class _ByUnit(Steps[Opened]):
    """Units whose documents are alike in all that is used have names, by which their order is known."""

    def __init__(self, codes: Floats) -> None:
        self.codes = codes

    def groups(self, fit: Opened) -> Ints:
        """Unit of each document."""
        return np.asarray(fit.prepared.units.of_units(self.codes), dtype=np.intp)


def _names(given: object, argument: str) -> list[str]:
    names = [given] if isinstance(given, str) else list(given) if isinstance(given, (list, tuple)) else []
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise ArgumentError(f"{argument}={given!r} is not allowed; give the name of a column, or a list of names.")
    return names


@dataclass(frozen=True)
class _Label:
    """Values of one label for all documents of the fit, and how it was opened."""

    names: tuple[str, ...]
    opened: Opened
    predicted: Floats
    gold: Floats
    surrogate: Floats


def _means(table: Table, name: str, surrogates: Mapping[str, Any], codes: Floats, options: Mapping[str, Any]) -> _Label:
    """Open the mean (or the shares of classes) of a label as a fit, for its design, its rows and its predictions."""
    text = is_text(table.column(name, "labels"), name, "gold")
    model, formula = "multinomial" if text else "mean", f"{quote(name)} ~ 1"
    opened = open_fit(Arguments.of(model, formula, surrogates, {**options, "cluster": codes}), table, _ByUnit(codes))
    classes = opened.matrix.spec.classes
    gold = _columns(opened.matrix.gold.y, classes)
    n_rows = opened.prepared.n_rows
    predicted = np.zeros((n_rows, gold.shape[1]))
    for rows in opened.blocks:
        share = np.ones(n_rows) if rows.share is None else rows.share
        predicted += share[:, None] * _columns(rows.y, classes)
    if not opened.blocks:
        predicted[opened.prepared.gold] = gold
    try:
        refuse_other_scale(opened.prepared.labels[0])
        plain = {name: opened.prepared.labels[0].surrogates[0].values}
        surrogate = _columns(surrogate_rows(opened.prepared, opened.matrix, plain, "value")[0].y, classes)
    except KaratError:
        surrogate = np.full_like(predicted, np.nan)
    names = tuple(f"{name}_{value}" for value in classes) if classes else (name,)
    return _Label(names, opened, predicted, gold, surrogate)


def _columns(y: Floats, classes: tuple[Any, ...]) -> Floats:
    """Outcomes as columns; of a category the shares of all its classes, the first too."""
    values = y.reshape(len(y), -1)
    return np.column_stack([1.0 - values.sum(axis=1), values]) if classes else values


def _assembled(found: list[_Label], keys: pd.DataFrame, codes: Floats, assumed: bool) -> Aggregate:
    """Sums over the documents of each unit."""
    prepared = found[0].opened.prepared
    labelling, units = prepared.units.labelling, prepared.units
    labels = tuple(name for one in found for name in one.names)
    made = [f"{name}{end}" for name in labels for end in ("", ": se", ": predicted")]
    refuse_names(list(map(str, keys.columns)), ["documents", "gold", *made])
    used, code = np.unique(units.of_units(codes).astype(np.intp), return_inverse=True)
    rows = np.flatnonzero(units.kept) if units.kept is not None else np.arange(len(codes))
    first = rows[np.unique(code, return_index=True)[1]]
    v = np.ones(len(code)) if units.weights is None else units.weights
    total = np.bincount(code, v)
    if not (total > 0).all():
        raise DataError(f"the weights of all documents of {keys.iloc[first[int(np.argmin(total))]].tolist()} are 0.")
    share = v / total[code]
    predicted = np.hstack([one.predicted for one in found])
    label = np.hstack([one.gold for one in found])
    gold = labelling.gold
    errors = GoldErrors(labelling, code[gold], (label - predicted[gold]) * share[gold, None])
    sums = [_sums(np.hstack(part), share, code) for part in ([predicted], [one.surrogate for one in found])]
    own = errors.covariances(len(used))
    spread = (share**2 * labelling.spread_everywhere)[:, None] * _expected_squares(predicted, label)
    return Aggregate(
        by=tuple(map(str, keys.columns)),
        labels=labels,
        keys=keys.iloc[first].reset_index(drop=True),
        means=sums[0] + errors.totals(len(used)),
        predicted=sums[0],
        surrogate=sums[1],
        own=own,
        pooled=pooled(own, _sums(spread, np.ones(len(code)), code)),
        documents=np.bincount(code),
        n_gold=np.bincount(code[gold], minlength=len(used)),
        errors=errors,
        sampling=_sampling(found[0].opened, assumed),
        alpha=found[0].opened.options.alpha,
        notes=tuple(dict.fromkeys(note for one in found for note in (*one.opened.prepared.notes, *_few_wrong(one)))),
    )


def _few_wrong(one: _Label) -> tuple[str, ...]:
    """Say so where next to no gold label differs from its prediction: noise of unit means is then hardly known."""
    labelling = one.opened.prepared.units.labelling
    if not (labelling.spread > 0).any():
        return ()
    apart = np.abs(one.gold - one.predicted[labelling.gold])
    if len(one.names) > 1 or np.isin(one.gold, (0.0, 1.0)).all():
        return nearly_all_right(float(apart.max(axis=1).sum()), len(apart))
    return nearly_all_right(float((apart > 0.01 * one.gold.std()).sum()), len(apart))


def _sums(values: Floats, share: Floats, code: Ints) -> Floats:
    return np.column_stack([np.bincount(code, share * column) for column in values.T])


def _expected_squares(predicted: Floats, label: Floats) -> Floats:
    """What squared errors of documents are in proportion to: ``g (1 - g)`` of 0/1 labels, else the same for all."""
    out = np.ones_like(predicted)
    for j in np.flatnonzero(np.isin(label, (0.0, 1.0)).all(axis=0)):
        g = np.clip(predicted[:, j], 0.0, 1.0)
        least = 0.1 * float(np.mean(g * (1.0 - g)))
        out[:, j] = np.maximum(g * (1.0 - g), least if least > 0 else 1.0)
    return out


def _sampling(opened: Opened, assumed: bool) -> Sampling:
    labelling, prepared = opened.prepared.units.labelling, opened.prepared
    w = labelling.weight
    return Sampling(
        design=labelling.description,
        assumed=assumed,
        n_units=prepared.n_rows,
        n_gold=labelling.n_gold,
        dropped={("by=" if name == "cluster=" else name): count for name, count in prepared.dropped.items()},
        n_dropped=prepared.units.n_dropped,
        smallest_probability=float(labelling.probability[labelling.kind_of_gold].min()),
        largest_weight=float(w.max()),
        kish=float(w.sum() ** 2 / (w**2).sum()),
        sum_of_weights=float(w.sum()),
    )
