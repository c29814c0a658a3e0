"""What a predictor sees of every unit, and what it must learn."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError
from ..frames.kinds import is_text
from ..frames.matrices import Block, Features, encode
from ..frames.table import as_float
from ..predict import Target
from ..predict.blocks import goes_by_blocks
from ..predict.values import SurrogateLabels

if TYPE_CHECKING:
    from .._core.types import Bools, Floats
    from ..estimate.rows import Rows
    from ..frames import Table
    from .design_matrix import Prepared
    from .options import Arguments
    from .variables import Label

_MOST_COMBINATIONS = 64

MOST_ADDED = 20
"""Features added to a fit's own up to which they stand beside these; more stand as blocks."""


def own_features(prepared: Prepared) -> Features:
    """Features every fit has: all surrogates and all observed columns of the formula."""
    return encode(_once(own_columns(prepared)), prepared.n_rows)


def features_of(prepared: Prepared, own: Features, extra: object, table: Table, options: Arguments) -> Features:
    """Features of the predictor: its own, extra ones the user names, and texts.

    Where the learner is ``"auto"``, texts stand as blocks, and so do many extra features.
    """
    if extra is None and options.text is None:
        return own
    kept, n = prepared.units.kept, prepared.n_rows
    columns = _once(own_columns(prepared) + _extra_features(extra, table, kept))
    found, blocks = encode(columns, n), goes_by_blocks(options.learner)
    if blocks and len(found.names) > len(own.names) + MOST_ADDED:
        found = _in_blocks(found, columns, len(_once(own_columns(prepared))), n)
    if options.text is not None:
        found = _with_texts(found, options.text, table, kept)
    return found if blocks else replace(found, blocks=())


def _in_blocks(found: Features, columns: list[tuple[str, Any, bool]], n_own: int, n_rows: int) -> Features:
    """The same features, what was added to a fit's own in blocks: each array, and all columns by name together."""
    added = columns[n_own:]
    parts = {"": columns[:n_own], "features": [one for one in added if np.ndim(one[1]) == 1]}
    parts |= {one[0]: [one] for one in added if np.ndim(one[1]) > 1}
    every = [encode(part, n_rows) for part in parts.values()]
    stops = [0, *np.cumsum([len(part.names) for part in every]).tolist()]
    blocks = tuple(Block(name, a, b) for name, a, b in zip(parts, stops, stops[1:]) if name and b > a)
    names = tuple(name for part in every for name in part.names)
    return Features(np.hstack([part.matrix for part in every]), names, found.surrogate, blocks)


def _with_texts(found: Features, text: object, table: Table, kept: Bools | None) -> Features:
    """Features with blocks of what texts say; directions of a block keep their sizes relative to each other."""
    from ..predict.text.columns import encoded_and_shown, named

    matrix, names, blocks = [found.matrix], list(found.names), list(found.blocks)
    for name, encoder in named(text).items():
        values = table.column(name, "text")
        if not is_text(values, name, "text"):
            raise ArgumentError(f"text={name!r} holds numbers; name a column of texts, or give it as features=.")
        vectors, shown = encoded_and_shown(values, encoder, name)
        blocks.append(Block(name, len(names), len(names) + vectors.shape[1], True, shown))
        names += [f"{name}[{j}]" for j in range(vectors.shape[1])]
        matrix.append(vectors if kept is None else vectors[kept])
    return Features(np.hstack(matrix), tuple(names), found.surrogate, tuple(blocks))


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
