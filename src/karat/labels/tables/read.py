"""From a long table of labels to coded annotations: the only module here that knows data frames."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._core.arguments import known_arguments
from ...errors import ArgumentError, DataError, one_of
from ...frames import Table
from .annotations import Annotations
from .codes import (
    UNKNOWN,
    class_tuple,
    codes_among,
    codes_in,
    is_number,
    listed,
    name_of,
    objects,
    one_column,
    positions,
    shown,
    sorted_codes,
)
from .row_labels import RowLabels, Soft, class_order, read_row_labels

if TYPE_CHECKING:
    import pandas as pd

    from ..._core.types import Array, Bools, Floats, Ints


def read_annotations(
    data: object,
    *,
    task: str = "task",
    worker: str = "worker",
    label: str = "label",
    classes: Sequence[Any] | None = None,
    tasks: Sequence[Any] | None = None,
    gold: str | Mapping[Any, Any] | None = None,
    weight: str | None = None,
    negated: str | None = None,
    probabilities: Mapping[Any, str] | None = None,
    log_probabilities: Mapping[Any, str] | None = None,
    abstain: Sequence[Any] = (),
    missing: str = "abstain",
    duplicates: str = "raise",
) -> Annotations:
    """Read a long table of labels, one row per label.

    Parameters
    ----------
    data : data frame
        pandas, polars or pyarrow table, or a mapping of columns.
    task, worker, label : str
        Columns. A label may be a set, list or tuple of classes (one of them is meant) or ``Not(c)``. Blank text is a
        missing label, and space around text does not count.
    classes : sequence, optional
        All classes, in the order wanted; by default those that occur, in the order that an ordered Categorical or an
        Enum declares, else sorted.
    tasks : sequence, optional
        Tasks that must be in the result, labelled or not; by default those that occur.
    gold : str or mapping, optional
        Known classes: a column (the same value in every row of a task, missing where unknown), or task -> class.
    weight : str, optional
        Column of positive weights of the labels.
    negated : str, optional
        Column that is true where the label is a class ruled out.
    probabilities, log_probabilities : mapping, optional
        Class -> column, for workers that give a distribution. Rows with a missing entry use ``label``.
    abstain : sequence
        Labels that count as missing, such as ``"unsure"`` or a refusal.
    missing : {"abstain", "raise"}
        What a missing label is.
    duplicates : {"raise", "average"}
        What to do when a worker labels a task more than once: refuse, or let the labels share one vote.

    Returns
    -------
    Annotations

    Raises
    ------
    ArgumentError, DataError
        Naming the argument or column at fault.

    Examples
    --------
    >>> import karat as kt
    >>> rows = {"task": [1, 1, 2], "worker": ["a", "b", "a"], "label": ["x", ("x", "y"), "z"]}
    >>> len(kt.labels.read_annotations(rows).candidates)
    1
    """
    one_of("missing", missing, ("abstain", "raise"))
    one_of("duplicates", duplicates, ("raise", "average"))
    table = Table.read(data)
    task_list, task_code = names_in(table, task, "task")
    worker_list, worker_code = names_in(table, worker, "worker")
    soft = distributions(table, probabilities, log_probabilities)
    only_soft = soft is not None and label == "label" and label not in table.columns
    values = None if only_soft else label_column(table, label)
    answers = read_row_labels(values, label, _ruled_out(table, negated), soft, abstain, missing, table.n_rows)
    weights = _weights(table, weight)

    declared = None if only_soft else declared_order(table, label)
    gold_names = []
    if isinstance(gold, str):
        gold_names = listed(sorted_codes(table.as_given(gold, "gold"), f"column {gold!r} (gold)")[0])
    elif isinstance(gold, Mapping):
        gold_names = [v for v in map(name_of, gold.values()) if v is not None]
    order, ordered = class_order(answers, classes, gold_names, declared)
    known_tasks, task_code = _all_tasks(task_list, task_code, tasks)
    notes = answers.notes
    place = known_tasks, worker_list, order, task_code, worker_code
    out = answers.annotations(*place, None) if answers.plain_only and weights is None else None
    if out is None or out.repeated:
        weights, repeated = _repeats(task_code, worker_code, answers, weights, duplicates, known_tasks, worker_list)
        if repeated:
            notes = (*notes, f"{repeated} repeated label(s) of one worker on one task share one vote")
        out = answers.annotations(*place, weights)
    bare = int((out.n_labels == 0).sum())
    if bare:
        notes = (*notes, f"{bare} task(s) without any label")
    return replace(out, gold=_gold(gold, table, task_code, known_tasks, order), notes=notes, ordered=ordered)


def as_annotations(given: object, columns: dict[str, Any], caller: Callable[..., Any] | None = None) -> Annotations:
    """Coded labels, read from a table where needed."""
    if isinstance(given, Annotations):
        if columns:
            raise ArgumentError(f"{', '.join(columns)}: column arguments belong to a table, not to coded annotations.")
        return given
    known = [*inspect.signature(caller or read_annotations).parameters, *inspect.signature(read_annotations).parameters]
    known_arguments(columns, (caller or read_annotations).__name__, [n for n in known if n not in ("columns", "data")])
    return read_annotations(given, **columns)


def read_counts(data: object, columns: Mapping[Any, str], *, task: str | None = None) -> Annotations:
    """Read a table with one row per task that holds how many labels of each class it got, without saying from whom.

    Parameters
    ----------
    data : data frame
    columns : mapping
        Class -> column of counts, in the order of the classes.
    task : str, optional
        Column with the names of the tasks, each once; by default the row number.

    Returns
    -------
    Annotations
        For counting methods and agreement; methods that learn about workers refuse it.

    Raises
    ------
    ArgumentError, DataError

    Examples
    --------
    >>> import karat as kt
    >>> counts = kt.labels.read_counts({"no": [3, 1], "yes": [1, 3]}, {"no": "no", "yes": "yes"})
    >>> kt.labels.aggregate(counts, "vote_share").probabilities
    array([[0.75, 0.25],
           [0.25, 0.75]])
    """
    from ...frames.table import as_float

    if not isinstance(columns, Mapping):
        raise ArgumentError(f"columns must map each class to its column of counts; got {type(columns).__name__}.")
    order = class_tuple(columns, "columns")
    table = Table.read(data)
    counts = np.column_stack([as_float(table.column(c, "columns"), c, "counts") for c in columns.values()])
    if not (counts >= 0).all():
        raise DataError(f"the counts in {list(columns.values())} must be 0 or more, none missing.")
    names: Array = np.arange(table.n_rows) if task is None else np.asarray(table.as_given(task, "task"))
    tasks, code = sorted_codes(names, f"column {task!r}")
    if len(tasks) < len(names) or (code < 0).any():
        raise DataError(f"column {task!r} (task) must name every row differently, none missing.")
    row, label = np.nonzero(counts)
    one = np.zeros(len(row), dtype=np.intp)
    out = Annotations.sort(tasks, np.array(["anonymous"]), order, code[row], one, label, counts[row, label])
    return replace(out, anonymous=True, ordered=True)


def names_in(table: Table, column: str, role: str) -> tuple[Array, Ints]:
    """Distinct names, sorted, and their codes; none may be missing."""
    names, codes = sorted_codes(table.as_given(column, role), f"column {column!r} ({role})")
    absent = codes < 0
    if absent.any():
        first = int(np.flatnonzero(absent)[0])
        raise DataError(
            f"column {column!r} ({role}) has {int(absent.sum())} missing value(s) (blank ones count), first at row "
            f"{first}; every label needs a {role}. Fill them, or drop these rows."
        )
    return names, codes


def distributions(table: Table, probabilities: Mapping[Any, str] | None, logs: Mapping[Any, str] | None) -> Soft | None:
    """Distributions over classes, row by row; None where neither argument is given."""
    if probabilities is not None and logs is not None:
        raise ArgumentError("give probabilities= or log_probabilities=, not both.")
    chosen, name = (logs, "log_probabilities") if logs is not None else (probabilities, "probabilities")
    if chosen is None:
        return None
    if not isinstance(chosen, Mapping) or len(chosen) < 2:
        raise ArgumentError(f"{name} must map two or more classes to columns; got {chosen!r}.")
    from ...frames.table import as_float

    classes = class_tuple(chosen, name)
    if len(set(chosen.values())) < len(chosen):
        raise ArgumentError(f"{name} names a column for two classes: {dict(chosen)}.")
    columns = [table.column(c, name) for c in chosen.values()]
    if logs is not None:
        columns = [c.replace(-np.inf, -1e4) for c in columns]
    values = np.column_stack([as_float(c, str(c.name), name) for c in columns])
    given = ~np.isnan(values).any(axis=1)
    if logs is not None:
        values = np.exp(values - np.where(given, values.max(axis=1), 0.0)[:, None])
    if (values[given] < 0).any() or (values[given].sum(axis=1) <= 0).any():
        raise DataError(f"{name} holds negative numbers, or rows of zeros; give probabilities of each class.")
    total = np.where(given, values.sum(axis=1), 1.0)
    if logs is None and (np.abs(total[given] - 1) > 0.02).any():
        worst = int(np.flatnonzero(given & (np.abs(total - 1) > 0.02))[0])
        raise DataError(
            f"probabilities of row {worst} add up to {total[worst]:.3f}; they must add up to 1 over {list(chosen)}."
        )
    return Soft(classes, np.where(given[:, None], values / total[:, None], 0.0), given)


def label_column(table: Table, label: str) -> pd.Series[Any]:
    """The labels as a Series; lists stay lists, of whatever length."""
    import narwhals as nw
    import pandas as pd

    table.require([label], "label")
    column = table.native.get_column(str(label))
    if column.dtype not in (nw.List, nw.Array):
        return table.as_given(label, "label")
    items = column.to_list()
    values = np.empty(len(items), dtype=object)
    values[:] = [None if item is None else tuple(item) for item in items]
    return pd.Series(values)


def declared_order(table: Table, column: str) -> tuple[Any, ...] | None:
    """Classes in the order that an ordered Categorical, an Enum or an ordered dictionary declares; None without one."""
    import narwhals as nw
    import pandas as pd

    values = table.native.get_column(str(column))
    native: Any = values.to_native()
    if isinstance(native, pd.Series):
        found: Any = native.cat.categories if getattr(native.dtype, "ordered", False) else None
    elif values.dtype == nw.Enum:
        found = values.dtype.categories
    else:
        arrow = getattr(native, "type", None)
        found = native.combine_chunks().dictionary.to_pylist() if getattr(arrow, "ordered", False) else None
    if found is None:
        return None
    return class_tuple(
        [v for v in found if name_of(v) is not None], f"the declared order of column {column!r}", least=0
    )


def _ruled_out(table: Table, negated: str | None) -> Bools | None:
    """Rows whose label is a class ruled out."""
    if negated is None:
        return None
    flag = table.column(negated, "negated")
    if not flag.dropna().isin([True, False]).all():
        raise DataError(f"column {negated!r} (negated) must be true or false in every row.")
    return np.asarray(flag == True, dtype=bool)  # noqa: E712


def _weights(table: Table, weight: str | None) -> Floats | None:
    if weight is None:
        return None
    from ...frames.table import as_float

    values = as_float(table.column(weight, "weight"), weight, "weight")
    if not (values > 0).all():
        raise DataError(f"column {weight!r} (weight) must be above 0 in every row; drop rows that should not count.")
    return values


def _all_tasks(found: Array, code: Ints, wanted: Sequence[Any] | None) -> tuple[Array, Ints]:
    if wanted is None:
        return found, code
    every, place = sorted_codes(one_column(wanted, "tasks"), "tasks")
    if (place < 0).any():
        raise DataError("tasks holds a missing or blank task; leave it out.")
    if found.dtype.kind in "iuf" and all(map(is_number, every.tolist())):
        every = np.array(every.tolist())
    try:
        place = codes_among(found, listed(every), "task")
    except DataError as error:
        raise DataError(f"tasks does not name every labelled task: {error}") from None
    return every, place[code]


def _repeats(
    task: Ints, worker: Ints, answers: RowLabels, weights: Floats | None, duplicates: str, tasks: Array, workers: Array
) -> tuple[Floats | None, int]:
    """Refuse repeated labels of a worker on a task, or give each a share of one vote."""
    given = answers.given
    pair = task * len(workers) + worker
    order = np.sort(pair if given is None else pair[given])
    same = order[1:] == order[:-1]
    if not same.any():
        return weights, 0
    first, second = divmod(int(order[1:][same][0]), len(workers))
    if duplicates == "raise":
        raise DataError(
            f"{int(same.sum())} label(s) repeat a (task, worker) pair, for example task {shown(tasks[first])} and "
            f"worker {shown(workers[second])}; keep one of each, give repeated runs of a model names of their own, or "
            "set duplicates='average' to let them share one vote."
        )
    code = np.unique(pair, return_inverse=True)[1]
    times = np.bincount(code, weights=None if given is None else given.astype(np.float64))
    share = 1.0 / np.maximum(times, 1)[code]
    return (share if weights is None else weights * share), int(same.sum())


def _gold(
    gold: str | Mapping[Any, Any] | None, table: Table, task: Ints, tasks: Array, order: tuple[Any, ...]
) -> Ints | None:
    if gold is None:
        return None
    out = np.full(len(tasks), UNKNOWN, dtype=np.intp)
    if isinstance(gold, str):
        values = table.as_given(gold, "gold")
        codes = codes_in(values, order, "gold class", gold)
        known = codes >= 0
        codes = codes[known]
        out[task[known]] = codes
        if (out[task[known]] != codes).any():
            row = np.flatnonzero(out[task[known]] != codes)[0]
            raise DataError(
                f"column {gold!r} (gold) holds two classes for task {shown(tasks[task[known][row]])}; gold must be "
                "the same in all rows of a task."
            )
        return out
    if not isinstance(gold, Mapping):
        raise ArgumentError(f"gold must be a column name or a mapping from task to class; got {type(gold).__name__}.")
    given = {name_of(task_): value for task_, value in gold.items() if name_of(value) is not None}
    rows = positions(objects(list(given)), listed(tasks))
    if (rows < 0).any():
        stray = [name for name, row in zip(given, rows) if row < 0]
        raise DataError(f"gold names task(s) {stray[:5]} that no label is about; name them in tasks=[...] too.")
    out[rows] = codes_among(objects(list(given.values())), order, "gold class")
    return out
