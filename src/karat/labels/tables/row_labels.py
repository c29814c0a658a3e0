"""What a row of a label table says: a class, a set of classes, a class ruled out, a distribution, or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArgumentError, DataError
from .annotations import Annotations, Candidates
from .codes import UNKNOWN, class_tuple, classes_in, codes_among, listed, name_of, objects, sorted_codes

if TYPE_CHECKING:
    import pandas as pd

    from ..._core.types import Array, Bools, Floats, Ints

_SETS = (set, frozenset, list, tuple, np.ndarray)


@dataclass(frozen=True)
class Not:
    """A complementary label: the task is not of this class.

    Parameters
    ----------
    label : object
        The class ruled out.

    Examples
    --------
    >>> import karat as kt
    >>> kt.labels.Not("spam")
    Not(label='spam')
    """

    label: Any


@dataclass(frozen=True)
class Soft:
    """Distributions over classes, ``values`` (m, K'), and which of the m rows hold one."""

    classes: tuple[Any, ...]
    values: Floats
    given: Bools


@dataclass(frozen=True)
class RowLabels:
    """Rows of a label table by what they hold.

    ``code`` (m,) is the position in the distinct precise ``names``, -1 where a row holds none; ``rows`` (R,) hold a
    set of classes, ``members``, or have them ruled out, ``excluded``.
    """

    names: tuple[Any, ...]
    code: Ints = field(repr=False)
    rows: Ints = field(repr=False)
    members: tuple[tuple[Any, ...], ...] = field(repr=False)
    excluded: Bools = field(repr=False)
    soft: Soft | None = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def given(self) -> Bools | None:
        """Rows that say something; None when all do."""
        out = self.code >= 0
        out[self.rows] = True
        if self.soft is not None:
            out |= self.soft.given
        return None if out.all() else out

    @property
    def plain_only(self) -> bool:
        """Whether every row holds one class."""
        return self.soft is None and not len(self.rows) and bool((self.code >= 0).all())

    def annotations(
        self, tasks: Array, workers: Array, order: tuple[Any, ...], task: Ints, worker: Ints, weights: Floats | None
    ) -> Annotations:
        """Precise, imprecise and soft labels together, in codes of ``order``."""
        code = np.append(codes_among(objects(self.names), order, "label"), UNKNOWN)[self.code]
        member = self._members(order)
        known = code >= 0
        if known.all():
            return Annotations.sort(tasks, workers, order, task, worker, code, weights)
        base = np.ones(len(task)) if weights is None else weights
        keep = np.flatnonzero(known)
        parts = [(task[keep], worker[keep], code[keep], base[keep])]
        if self.soft is not None:
            values = np.zeros((len(code), len(order)))
            values[:, codes_among(objects(self.soft.classes), order, "label")] = self.soft.values
            row, column = np.nonzero((values > 1e-12) & self.soft.given[:, None])
            parts.append((task[row], worker[row], column, values[row, column] * base[row]))
        # A set of one class is a plain label; a set of all classes says nothing.
        size = member.sum(axis=1)
        one, some = self.rows[size == 1], (size > 1) & (size < len(order))
        parts.append((task[one], worker[one], member[size == 1].argmax(axis=1), base[one]))
        extra = None
        if some.any():
            rows, member = self.rows[some], member[some]
            place = np.lexsort((*np.packbits(member, axis=1).T, worker[rows], task[rows]))
            rows = rows[place]
            extra = Candidates(task[rows], worker[rows], member[place], base[rows])
        t, w, y, v = (np.concatenate(column) for column in zip(*parts))
        if not len(t) and extra is None:
            raise DataError("no row holds a label: all are missing, abstentions, or sets of all classes.")
        return replace(Annotations.sort(tasks, workers, order, t, w, y, v), candidates=extra)

    def _members(self, order: tuple[Any, ...]) -> Bools:
        """Classes that each imprecise label allows, shape (R, K)."""
        position = {name: i for i, name in enumerate(order)}
        member = np.zeros((len(self.rows), len(order)), dtype=bool)
        for i, names in enumerate(self.members):
            unseen = [name for name in names if name not in position]
            if unseen:
                raise DataError(
                    f"label {unseen[:5]} is not among the classes {list(order)[:8]}; name it in classes=[...]."
                )
            member[i, [position[name] for name in names]] = True
        member ^= self.excluded[:, None]
        if not member.any(axis=1).all():
            raise DataError("a label rules out every class; check the labels that are ruled out.")
        return member


def read_row_labels(
    values: pd.Series[Any] | None,
    column: str,
    ruled_out: Bools | None,
    soft: Soft | None,
    abstain: Sequence[Any],
    missing: str,
    n_rows: int,
) -> RowLabels:
    """Read the rows of a label column."""
    if isinstance(abstain, str) or not isinstance(abstain, Iterable):
        raise ArgumentError(f"abstain={abstain!r} is not allowed; give a list of labels, for example [{abstain!r}].")
    if values is None:
        nothing = np.full(n_rows, UNKNOWN, dtype=np.intp)
        none = np.empty(0, dtype=np.intp)
        return RowLabels((), nothing, none, (), none.astype(bool), soft)
    special = _special(values)
    plain = values if not len(special) else values.mask(np.isin(np.arange(n_rows), special))
    names, code = sorted_codes(plain, f"column {column!r}")
    empty = code < 0
    empty[special] = False
    if soft is not None:
        empty &= ~soft.given
    notes = []
    if empty.any():
        first = int(np.flatnonzero(empty)[0])
        if missing == "raise":
            raise DataError(
                f"column {column!r} has {int(empty.sum())} missing label(s) (blank ones count), first at row {first}; "
                "fill them, or set missing='abstain'."
            )
        notes.append(f"{int(empty.sum())} missing label(s) taken as abstentions")
    no_label = {name_of(value) for value in abstain}
    refusing = [i for i, name in enumerate(listed(names)) if name in no_label]
    refused = np.isin(code, refusing) if refusing else np.zeros(n_rows, dtype=bool)
    if soft is not None:
        refused &= ~soft.given
        code = np.where(soft.given, UNKNOWN, code)
        special = special[~soft.given[special]]
    if refused.any():
        notes.append(f"{int(refused.sum())} abstention(s)")
        code = np.where(refused, UNKNOWN, code)
    rows, members, excluded = _sets(values, special, code, names, ruled_out)
    code = code.copy()
    code[rows] = UNKNOWN
    used = np.flatnonzero(np.bincount(code + 1, minlength=len(names) + 1)[1:])
    place = np.full(len(names) + 1, UNKNOWN, dtype=np.intp)
    place[used] = np.arange(len(used))
    return RowLabels(tuple(listed(names[used])), place[code], rows, members, excluded, soft, tuple(notes))


def class_order(
    answers: RowLabels, classes: Sequence[Any] | None, gold: Sequence[Any], declared: Sequence[Any] | None = None
) -> tuple[tuple[Any, ...], bool]:
    """All classes: those given, or all that labels, distributions and gold name."""
    if classes is not None:
        return class_tuple(classes), True
    more = [name for names in answers.members for name in names]
    soft = () if answers.soft is None else answers.soft.classes
    order = classes_in(objects([*answers.names, *more, *soft, *gold]))
    ordered = declared is not None and set(order) <= set(declared)
    if declared is not None and ordered:
        order = tuple(c for c in declared if c in set(order))
    return class_tuple(order), ordered


def _special(values: pd.Series[Any]) -> Ints:
    """Rows that hold a set or a Not."""
    if values.dtype != object:
        return np.empty(0, dtype=np.intp)
    kinds = set(map(type, np.asarray(values)))
    if not any(issubclass(kind, (*_SETS, Not)) for kind in kinds):
        return np.empty(0, dtype=np.intp)
    return np.flatnonzero([isinstance(v, (*_SETS, Not)) for v in values])


def _sets(
    values: pd.Series[Any], special: Ints, code: Ints, names: Array, ruled_out: Bools | None
) -> tuple[Ints, tuple[tuple[Any, ...], ...], Bools]:
    """Rows with sets or ruled-out classes, the classes they name, and whether these are ruled out."""
    rows, members, excluded = list(special), [], []
    for row in special:
        value = values.iloc[row]
        negated = isinstance(value, Not)
        named = [name_of(v) for v in ([value.label] if negated else value)]
        members.append(tuple(name for name in named if name is not None))
        excluded.append(negated or (ruled_out is not None and bool(ruled_out[row])))
        if not members[-1]:
            raise DataError(
                f"the label in row {row} is an empty set or holds blanks only; name one class or more, or leave "
                "the label missing."
            )
    if ruled_out is not None:
        more = np.flatnonzero(ruled_out & (code >= 0))
        rows += list(more)
        known = listed(names)
        members += [(known[code[row]],) for row in more]
        excluded += [True] * len(more)
    return np.array(rows, dtype=np.intp), tuple(members), np.array(excluded, dtype=bool)
