"""What a predictor sees of every unit, and what it must learn."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError
from ..frames.kinds import is_text
from ..frames.matrices import Features, encode
from ..frames.table import as_float
from ..predict import Target
from ..predict.values import SurrogateLabels

if TYPE_CHECKING:
    from .._core.types import Bools, Floats
    from ..estimate.rows import Rows
    from ..frames import Table
    from .design_matrix import Prepared
    from .variables import Label

_MOST_COMBINATIONS = 64


def own_features(prepared: Prepared) -> Features:
    """Features every fit has: all surrogates and all observed columns of the formula."""
    return encode(_once(own_columns(prepared)), prepared.n_rows)


def features_of(prepared: Prepared, own: Features, extra: object, table: Table) -> Features:
    """Features of the predictor: its own, and extra ones the user names."""
    if extra is None:
        return own
    columns = own_columns(prepared) + _extra_features(extra, table, prepared.units.kept)
    return encode(_once(columns), prepared.n_rows)


def own_columns(prepared: Prepared) -> list[tuple[str, Any, bool]]:
    """Surrogates of all labels and observed columns: name, values, and whether it is a surrogate."""
    columns: list[tuple[str, Any, bool]] = []
    for label in prepared.labels:
        for surrogate in label.surrogates:
            values = np.asarray(surrogate.values)[:, 1:] if surrogate.probabilities else surrogate.values
            columns.append((surrogate.name, values, True))
    return columns + [(str(name), prepared.frame[name], False) for name in prepared.frame.columns]


def _once(columns: list[tuple[str, Any, bool]]) -> list[tuple[str, Any, bool]]:
    """Leave out a column that is there already, values and all; arrays that share a name get numbers."""
    out: list[tuple[str, Any, bool]] = []
    names: dict[str, list[Any]] = {}
    for name, values, is_surrogate in columns:
        before = names.setdefault(name, [])
        if any(_same_values(values, other) for other in before):
            continue
        before.append(values)
        out.append((name if len(before) == 1 else f"{name} ({len(before)})", values, is_surrogate))
    return out


def _same_values(left: Any, right: Any) -> bool:
    if left is right:
        return True
    if np.shape(left) != np.shape(right):
        return False
    a, b = np.asarray(left), np.asarray(right)
    same = (a == b) | ((a != a) & (b != b))
    return bool(np.all(same))


def _extra_features(extra: object, table: Table, kept: Bools | None) -> list[tuple[str, Any, bool]]:
    if extra is None:
        return []
    items = [extra] if isinstance(extra, str) or hasattr(extra, "shape") else extra
    if not isinstance(items, (list, tuple)):
        raise ArgumentError(f"features is a {type(extra).__name__}; give column names or an array of shape (N, k).")
    out: list[tuple[str, Any, bool]] = []
    for position, item in enumerate(items):
        if isinstance(item, str):
            out.append((item, table.column(item, "features"), False))
        elif hasattr(item, "columns"):
            out += [(str(name), table.values(item[name], "features"), False) for name in item.columns]
        else:
            out.append((f"feature {position + 1}", table.values(item, "features"), False))
    return out if kept is None else [(name, values[kept], flag) for name, values, flag in out]


def targets_of(prepared: Prepared, gold: Rows) -> tuple[Target, ...]:
    """What the predictor must learn: classes or numbers of labelled covariates, then the outcome."""
    rows = prepared.gold
    out = []
    combinations = 1
    for label in prepared.labels:
        if label.in_outcome and prepared.parsed.categories:
            out.append(Target(label.name, label.gold_codes(rows), len(label.classes), given_joint=True))
        elif label.in_outcome:
            binary = bool(np.isin(gold.y, (0.0, 1.0)).all())
            out.append(Target(label.name, gold.y, 2 if binary else 0, given_joint=True))
        elif label.joint:
            combinations *= len(label.classes)
            out.append(Target(label.name, label.gold_codes(rows), len(label.classes), joint=True))
        else:
            out.append(Target(label.name, as_float(label.gold.iloc[rows], label.name, "gold")))
    if combinations > _MOST_COMBINATIONS:
        raise ArgumentError(
            f"the labelled covariates have {combinations} class combinations, more than {_MOST_COMBINATIONS}; "
            f"merge classes "
            "or use fewer labelled covariates in one regression."
        )
    return tuple(sorted(out, key=lambda t: (not t.joint, t.given_joint)))


def with_surrogates(labels: tuple[Label, ...], targets: tuple[Target, ...]) -> tuple[Target, ...]:
    """Targets with the surrogate labels of all units beside them."""
    by_name = {label.name: label for label in labels}
    return tuple(replace(t, surrogate=surrogate_labels(by_name[t.name], t.n_classes > 0)) for t in targets)


def surrogate_labels(label: Label, classify: bool) -> SurrogateLabels | None:
    """Surrogates of one label: class distributions, averaged over those that give classes, or numbers side by side.

    Parameters
    ----------
    classify : bool
        Whether classes are learnt.

    Returns
    -------
    SurrogateLabels or None
        None where no surrogate can take the place of the label (a table of features, say).
    """
    if classify and label.classes:
        found = [p for p in (_distribution(label, s) for s in label.surrogates) if p is not None]
        if found:
            stacked = np.stack(found)
            there = np.isfinite(stacked[..., :1])
            count = there.sum(axis=0)
            total = np.where(there, stacked, 0.0).sum(axis=0)
            return SurrogateLabels(np.where(count > 0, total / np.maximum(count, 1), np.nan), True)
    columns = []
    for surrogate in label.surrogates:
        values = np.asarray(surrogate.values) if surrogate.probabilities else surrogate.values
        if getattr(values, "ndim", 1) == 2:
            columns.append(np.asarray(values, dtype=np.float64))
        elif not is_text(values):
            columns.append(_numbers(values)[:, None])
    return SurrogateLabels(np.hstack(columns), False) if columns else None


def _distribution(label: Label, surrogate: Any) -> Floats | None:
    """Class distribution of one surrogate, shape (N, K), missing where it is missing; None if it gives no classes."""
    if surrogate.probabilities:
        return np.asarray(surrogate.values, dtype=np.float64)
    if getattr(surrogate.values, "ndim", 1) == 2:
        return None
    k = len(label.classes)
    if is_text(surrogate.values) or label.coded:
        import pandas as pd

        codes = pd.Categorical(surrogate.values, categories=list(label.classes)).codes
        if (codes < 0).all():
            return None
        out: Floats = np.eye(k)[np.maximum(codes, 0)]
        out[codes < 0] = np.nan
        return out
    number = _numbers(surrogate.values)
    if np.nanmin(number) < 0 or np.nanmax(number) > 1:
        return None
    return np.column_stack([1.0 - number, number])


def _numbers(values: Any) -> Floats:
    import pandas as pd

    out: Floats = pd.Series(values).to_numpy(dtype=np.float64, na_value=np.nan)
    return out
