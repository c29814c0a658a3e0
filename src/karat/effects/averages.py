"""Averages over the augmented sample, with what each unit contributes to them (methods, section 8.1)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.machine import needs
from ..errors import ArgumentError, DataError
from ..estimate import index

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
    from .opened import OpenedFit
    from .quantities import Quantity


@dataclass(frozen=True)
class Groups:
    """Groups that averages are taken within.

    Parameters
    ----------
    names : tuple of str
        Columns that make them up.
    levels : tuple of tuple
        Values of each group, one for each column.
    observed : ndarray of int, shape (N,)
        Group of each unit by the columns observed, in steps of the number of combinations of labelled classes.
    labelled : tuple of (str, tuple)
        Labelled columns with their classes.
    """

    names: tuple[str, ...]
    levels: tuple[tuple[Any, ...], ...]
    observed: Ints = field(repr=False)
    labelled: tuple[tuple[str, tuple[Any, ...]], ...] = ()

    @classmethod
    def of(cls, fit: OpenedFit, by: object) -> Groups:
        """Read groups by columns of the data, or by labelled covariates.

        Raises
        ------
        ArgumentError, DataError
        """
        if by is None:
            return cls((), ((),), np.zeros(fit.n_units, dtype=np.intp))
        names = [by] if isinstance(by, str) else by
        if not isinstance(names, (list, tuple)) or not names or not all(isinstance(name, str) for name in names):
            raise ArgumentError(f"by={by!r} is not allowed; give the name of a column, or a list of names.")
        prepared = fit.opened.prepared
        labels = {label.name: label for label in prepared.labels}
        for name in names:
            if name in labels and not (labels[name].in_covariates and labels[name].classes):
                raise ArgumentError(
                    f"by names {name!r}, whose gold is known in a sample only; only labelled covariates with classes "
                    "make groups."
                )
        labelled = tuple((name, labels[name].classes) for name in names if name in labels)
        seen = [name for name in names if name not in labels]
        codes: Ints = np.zeros(fit.n_units, dtype=np.intp)
        levels: list[tuple[Any, ...]] = [()]
        if seen:
            frame = fit.opened.table.pandas(seen, "by")
            frame = prepared.units.of_units(frame).reset_index(drop=True)
            if frame.isna().to_numpy().any():
                name, count = next((name, int(n)) for name, n in frame.isna().sum().items() if n)
                raise DataError(f"by: {name!r} is missing in {count} row(s); fill it.")
            grouped = frame.groupby(seen, sort=True, observed=True)
            codes = np.asarray(grouped.ngroup(), dtype=np.intp)
            first = frame.iloc[np.unique(codes, return_index=True)[1]]
            levels = list(first.itertuples(index=False, name=None))
        combos = list(itertools.product(*(classes for _, classes in labelled)))
        order = [*seen, *(name for name, _ in labelled)]
        at = [order.index(name) for name in names]
        whole = tuple(tuple((*one, *combo)[k] for k in at) for one in levels for combo in combos)
        return cls(tuple(names), whole, codes * len(combos), labelled)

    def codes(self, rows: Ints | None, columns: Mapping[str, Any]) -> Ints:
        """Group of each row that holds these labels."""
        import pandas as pd

        out = self.observed if rows is None else self.observed[rows]
        step = 1
        for name, classes in reversed(self.labelled):
            own = pd.Categorical(columns[name], categories=list(classes)).codes
            if (own < 0).any():
                raise ArgumentError(f"by={name!r}: predictions of it are not classes; fit with imputation='moment'.")
            out = out + step * own.astype(np.intp)
            step *= len(classes)
        return out


@dataclass(frozen=True)
class Average:
    """Averages of one quantity: R groups, K numbers of each unit.

    ``moment`` is the contribution of a gold unit at its gold labels, ``predicted`` that of all units at the labels
    predicted; they differ by the labelling error. All are divided by the weights of their group, so that they add up.

    Parameters
    ----------
    value : ndarray, shape (R, K)
    jacobian : ndarray, shape (R, K, q)
        Derivative in the coefficients of the fit.
    moment : ndarray, shape (n, R, K)
    predicted : ndarray, shape (N, R, K)
    share : ndarray, shape (N, R)
        Weight of each unit in its average.
    unseen : ndarray, shape (l, R, K), optional
        What wrong labels that gold may have missed move, the coefficients given, as in :class:`Contributions`.
    """

    value: Floats
    jacobian: Floats
    moment: Floats
    predicted: Floats
    share: Floats
    unseen: Floats | None = None


def average(fit: OpenedFit, quantity: Quantity, groups: Groups) -> Average:
    """Average a quantity within groups.

    Every unit enters with its predicted labels, weight ``v (1 - w)``, and, if gold, with its gold labels, weight
    ``v w``; where no label that is not set matters, each unit enters once, with weight v.

    Parameters
    ----------
    fit : OpenedFit
    quantity : Quantity
    groups : Groups

    Returns
    -------
    Average

    Raises
    ------
    DataError
        If the weights of a group do not add up to more than 0.
    """
    fixed = quantity.fixed
    matter = {label.name for label in fit.labels} - fixed | {name for name, _ in groups.labelled}
    gold_weight, rest = fit.sample.unit_weights()
    blocks = fit.predicted
    if not matter:
        gold_weight, rest, blocks = np.zeros(fit.n_units), gold_weight + rest, [({}, None)]
    n_groups = len(groups.levels)
    sums = _Sums(n_groups)
    own, inside, member, here = None, None, None, None
    for columns, share in blocks:
        kept = {name: columns[name] for name in columns if name in matter}
        value, codes = sums.add(fit, quantity, None, kept, groups, rest if share is None else rest * share)
        weight = np.ones(fit.n_units) if share is None else share
        more, those = _spread(value, codes, weight, n_groups)
        own, inside = (more, those) if own is None or inside is None else (own + more, inside + those)
    if matter:
        gold, labels = fit.gold, fit.gold_labels()
        value, codes = sums.add(fit, quantity, gold, labels, groups, gold_weight[gold])
        member, here = _spread(value, codes, np.ones(len(gold)), n_groups)
    others = _other_labels(fit, quantity, groups, matter)
    return _finished(fit, groups, sums, (own, inside), (member, here), others)


def _other_labels(
    fit: OpenedFit, quantity: Quantity, groups: Groups, matter: set[str]
) -> list[tuple[float, tuple[Any, Any] | None]]:
    """The quantity of gold units with each class of each label, and by what it counts; None where none matters."""
    out: list[tuple[float, tuple[Any, Any] | None]] = []
    for label in () if fit.shown is None else fit.shown.labels:
        for value in label.classes:
            held, n = None, len(fit.gold)
            if label.name in matter:
                columns = {**fit.gold_labels(), label.name: label.column(value, n)}
                got, codes = _Sums(len(groups.levels)).add(fit, quantity, fit.gold, columns, groups, np.zeros(n))
                held = _spread(got, codes, np.ones(n), len(groups.levels))
            out.append((label.counts, held))
    return out


def _finished(
    fit: OpenedFit, groups: Groups, sums: _Sums, every: tuple[Any, Any], gold: tuple[Any, Any],
    others: Sequence[tuple[float, tuple[Any, Any] | None]],
) -> Average:  # fmt: skip
    """From sums to averages and contributions about them."""
    total = sums.weight
    assert sums.value is not None
    assert sums.jacobian is not None
    bad = np.flatnonzero(~(total > 0))
    if len(bad):
        shown = ", ".join(f"{n}={v}" for n, v in zip(groups.names, groups.levels[int(bad[0])]))
        raise DataError(
            f"the weights of the units in {shown or 'the data'} add up to {total[bad[0]]:.3g}; there is too little "
            "gold in it to average over. Merge groups, or label more."
        )
    value = sums.value / total[:, None]
    v = np.sum(fit.sample.unit_weights(), axis=0)

    def contributions(part: tuple[Any, Any], weight: Floats) -> tuple[Floats, Floats]:
        share = part[1] * weight[:, None] / total
        return part[0] * (weight[:, None] / total)[:, :, None] - value * share[:, :, None], share

    rows = fit.gold
    if every[0] is None:  # gold alone
        moment, own = contributions(gold, v[rows])
        predicted, share = np.zeros((fit.n_units, *value.shape)), np.zeros((fit.n_units, len(total)))
        share[rows] = own * fit.sample.units.labelling.weight[:, None]
    else:
        predicted, share = contributions(every, v)
        moment = predicted[rows]
        if gold[0] is not None:
            moment, own = contributions(gold, v[rows])
            share[rows] += fit.sample.units.labelling.weight[:, None] * (own - share[rows])
    unseen = None
    if fit.shown is not None:
        weight = fit.shown.scale * fit.shown.root[:, None, None]
        moved = [
            np.zeros_like(moment) if held is None else counts * weight * (contributions(held, v[rows])[0] - moment)
            for counts, held in others
        ]
        unseen = np.concatenate(moved)
    return Average(value, sums.jacobian / total[:, None, None], moment, predicted, share, unseen)


class _Sums:
    """Weighted totals by group: of the quantity, (R, K), of its derivatives, (R, K, q), and of the weights, (R,)."""

    def __init__(self, n_groups: int) -> None:
        self.n_groups = n_groups
        self.value: Floats | None = None
        self.jacobian: Floats | None = None
        self.weight: Floats = np.zeros(n_groups)

    def add(
        self, fit: OpenedFit, quantity: Quantity, rows: Ints | None, columns: Mapping[str, Any], groups: Groups,
        weight: Floats,
    ) -> tuple[Floats, Ints]:  # fmt: skip
        """Add rows that hold these labels; the quantity of each, shape (m, K), and its group."""
        codes = groups.codes(rows, columns)
        m = len(codes)
        base = {name: fit.column(value, name, m) for name, value in quantity.at.items()}
        frame = fit.rows(rows, {**columns, **base})
        total: Any = 0.0
        own = frame[quantity.moved].to_numpy() if quantity.moved else None
        for changes, factor in quantity.points(own):
            put = {name: fit.column(value, name, m) for name, value in changes.items()}
            x, mu, slope = fit.mean(frame.assign(**put) if put else frame)
            factor = np.broadcast_to(factor, m)
            total = total + factor[:, None] * mu
            self._derive(fit, x, slope, factor * weight, codes)
        self.value = np.zeros((self.n_groups, total.shape[1])) if self.value is None else self.value
        for k in range(total.shape[1]):
            self.value[:, k] += np.bincount(codes, weights=weight * total[:, k], minlength=self.n_groups)
        self.weight = self.weight + np.bincount(codes, weights=weight, minlength=self.n_groups)
        return total, codes

    def _derive(self, fit: OpenedFit, x: Floats, slope: Floats, weight: Floats, codes: Ints) -> None:
        n_numbers, first = slope.shape[1], fit.opened.model.first
        if self.jacobian is None:
            self.jacobian = np.zeros((self.n_groups, n_numbers, len(fit.result.theta)))
        for r in range(self.n_groups):
            inside = slice(None) if self.n_groups == 1 else np.flatnonzero(codes == r)
            for k in range(n_numbers):
                self.jacobian[r, k] += index.total(x[inside], slope[inside, k] * weight[inside, None], first)


def _spread(value: Floats, codes: Ints, share: Floats, n_groups: int) -> tuple[Floats, Floats]:
    """The quantity in the column of its group, shape (m, R, K), and membership, (m, R), both times the share."""
    m = len(codes)
    needs(8.0 * m * n_groups * (value.shape[1] + 1), f"{m:,} rows in {n_groups:,} groups", "average over fewer groups")
    inside = np.zeros((m, n_groups))
    inside[np.arange(m), codes] = share
    return inside[:, :, None] * value[:, None, :], inside


def stacked(parts: Sequence[Floats]) -> Floats:
    """Arrays of several quantities side by side, their last two axes (R, K) in one: class by class, group by group."""
    return np.concatenate([np.swapaxes(part, -1, -2).reshape(*part.shape[:-2], -1) for part in parts], axis=-1)
