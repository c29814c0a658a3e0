"""Which columns play which part: gold labels, their surrogates, features.

Reads the user's arguments against the data and refuses what does not fit, before any number is
computed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DataError
from ..frames.kinds import is_number, is_text, plain, refuse_missing_words
from ..frames.table import as_float

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Bools, Floats
    from ..frames import Table
    from ..frames.formula import Parsed


_MOST_GOLD = 0.5
_FEW_SURROGATES = 0.8
"""A mapping is refused as swapped where more than this share of rows has gold, and fewer than this many per gold a
surrogate."""
_SAME_SHARE = 0.05
_SAME_ERRORS = 3.0
"""Missing shares of a surrogate that differ by more than this, and by so many standard errors, are pointed out."""


@dataclass(frozen=True)
class Surrogate:
    """One surrogate of a label: a column, an array, or class probabilities.

    Parameters
    ----------
    name : str
    values : Series or ndarray, shape (N,) or (N, K)
    probabilities : bool
        Whether ``values`` holds one probability per class, in the order of the label's classes.
    """

    name: str
    values: Any = field(repr=False)
    probabilities: bool = False

    @property
    def there(self) -> Bools:
        """Where it is not missing, shape (N,)."""
        import pandas as pd

        missing = np.asarray(pd.isna(self.values))
        return np.asarray(~missing if missing.ndim == 1 else ~missing.any(axis=1))


@dataclass(frozen=True)
class Label:
    """A variable whose gold is known for the labelled units only.

    Parameters
    ----------
    name : str
    gold : pandas.Series, shape (N,)
        Missing where not labelled; floats where the label is a number.
    surrogates : tuple of Surrogate
    classes : tuple
        Gold classes of a categorical label, sorted; empty for a number.
    coded : bool
        Whether classes enter the design matrix as categories (text, or inside ``C(...)``).
    in_outcome, in_covariates : bool
    """

    name: str
    gold: pd.Series[Any] = field(repr=False)
    surrogates: tuple[Surrogate, ...]
    classes: tuple[Any, ...]
    coded: bool
    in_outcome: bool
    in_covariates: bool

    @property
    def joint(self) -> bool:
        """Whether predicted rows run over its classes."""
        return bool(self.classes) and self.in_covariates

    def column(self, value: Any, n_rows: int) -> Any:
        """A column for the design frame that holds one class, or given numbers, throughout."""
        import pandas as pd

        if self.coded:
            if isinstance(value, np.ndarray):
                codes = value.astype(np.intp)
            else:
                codes = np.full(n_rows, self.classes.index(value), dtype=np.intp)
            return pd.Categorical.from_codes(codes, categories=pd.Index(self.classes))
        if isinstance(value, np.ndarray):
            return value
        return np.full(n_rows, float(value))

    def gold_column(self, rows: Any) -> Any:
        """Gold of some rows as the design frame wants it."""
        import pandas as pd

        values = self.gold.iloc[rows]
        if self.coded:
            return pd.Categorical(values, categories=list(self.classes))
        return as_float(values, self.name, "gold")

    def gold_codes(self, rows: Any) -> Floats:
        """Class codes of gold rows, as floats."""
        import pandas as pd

        values = pd.Categorical(self.gold.iloc[rows], categories=list(self.classes))
        codes: Floats = np.asarray(values.codes, dtype=np.float64)
        return codes


def read_labels(parsed: Parsed, table: Table, surrogates: object) -> tuple[Label, ...]:
    """The labelled variables of a formula with their surrogates.

    Parameters
    ----------
    parsed : Parsed
    table : Table
    surrogates : mapping
        Gold column -> surrogate(s): a column, a list of columns, an array of shape (N,) or (N, K),
        or a mapping from class to probability column.

    Returns
    -------
    tuple of Label
        Covariates first, then the outcome.

    Raises
    ------
    ArgumentError, DataError
    """
    import pandas as pd

    if not isinstance(surrogates, Mapping) or not surrogates:
        raise ArgumentError(
            "surrogates must map each gold column to its surrogate(s), for example surrogates={'tone': 'tone_llm'}; "
            f"got {type(surrogates).__name__}."
        )
    surrogates = {str(name): given for name, given in surrogates.items()}
    table.require(surrogates, "surrogates")
    unused = sorted(set(surrogates) - parsed.variables)
    if unused:
        raise ArgumentError(
            f"surrogates names {unused[0]!r}, which the formula {parsed.text!r} does not use; take it out, or pass its "
            "surrogate columns as features=."
        )
    labels = []
    for name in sorted(surrogates, key=lambda v: (v in parsed.outcome_variables, parsed.code.find(parsed.written(v)))):
        gold = table.column(name, "surrogates")
        refuse_missing_words(gold, name)
        classes, coded = classes_of(name, gold, parsed)
        if not classes or is_number(classes[0]):
            gold = pd.Series(as_float(gold, name, "gold"), name=name)
        given = _read_surrogates(name, surrogates[name], table, classes)
        labels.append(
            Label(
                name,
                gold,
                given,
                classes,
                coded,
                name in parsed.outcome_variables,
                name in parsed.covariate_variables,
            )
        )
    outcome = [label for label in labels if label.in_outcome]
    for label in outcome:
        if label.in_covariates:
            raise ArgumentError(f"{label.name!r} is on both sides of {parsed.text!r}; use it on one side.")
    if len(outcome) > 1:
        raise ArgumentError(
            f"the outcome of {parsed.text!r} mixes {len(outcome)} labelled variables; compute the outcome as one gold "
            "column, with a surrogate of its own."
        )
    return tuple(labels)


def labelled_rows(labels: tuple[Label, ...], table: Table, labelled: object) -> Bools:
    """Which rows are gold: all labels are there.

    Parameters
    ----------
    labels : tuple of Label
    table : Table
    labelled : str, array_like or None
        The user's own indicator of the labelled rows.

    Returns
    -------
    ndarray of bool, shape (N,)

    Raises
    ------
    DataError
        If no row is gold, or some rows have only some of the labels.
    """
    present = np.column_stack([label.gold.notna().to_numpy() for label in labels])
    every, some = present.all(axis=1), present.any(axis=1)
    if labelled is not None:
        values = table.values(labelled, "labelled")
        name = labelled if isinstance(labelled, str) else "labelled"
        indicator = as_float(values, name, "indicator of labelled rows")
        if not np.isin(indicator, (0.0, 1.0)).all():
            raise ArgumentError(f"labelled={name!r} must be true/false (or 1/0) in every row.")
        marked = indicator == 1.0
        lost = marked & ~every
        if lost.any():
            raise DataError(
                f"{int(lost.sum())} row(s) are marked as labelled but have no gold, first at position "
                f"{int(np.flatnonzero(lost)[0])}; have them labelled, or correct labelled=."
            )
        every = marked
    elif (some & ~every).any():
        counts = ", ".join(f"{label.name}: {int(column.sum())}" for label, column in zip(labels, present.T))
        raise DataError(
            f"{int((some & ~every).sum())} row(s) have gold for only some of the labels ({counts}); all labels of one "
            "regression must come from one sample. Complete them, or mark the rows to use with labelled=."
        )
    if not every.any():
        names = ", ".join(repr(label.name) for label in labels)
        raise DataError(
            f"no row has gold for {names}: the column is empty. Gold labels of a sample of rows are needed; without "
            "any, no method can find out how wrong the surrogates are."
        )
    _refuse_swapped(labels, np.asarray(every))
    return np.asarray(every)


def _refuse_swapped(labels: tuple[Label, ...], gold: Bools) -> None:
    """Raise where most rows have gold and clearly fewer a surrogate: the mapping is the wrong way round."""
    for label in labels:
        there = np.zeros(len(gold), dtype=bool)
        for surrogate in label.surrogates:
            there |= surrogate.there
        if label.surrogates and gold.mean() > _MOST_GOLD and there.sum() < _FEW_SURROGATES * gold.sum():
            name = label.surrogates[0].name
            raise ArgumentError(
                f"{label.name!r} is there in {int(gold.sum()):,} rows and its surrogate {name!r} in only "
                f"{int(there.sum()):,}; surrogates= maps gold to model labels, and this seems to be the other way "
                f"round. If so, write surrogates={{{name!r}: {label.name!r}}} and use {name!r} in the formula; if not, "
                "leave that surrogate out."
            )


def compare_presence(labels: tuple[Label, ...], gold: Bools, weight: Floats) -> tuple[str, ...]:
    """What must be said of surrogates that are missing more often where there is no gold, or less often.

    Parameters
    ----------
    labels : tuple of Label
    gold : ndarray of bool, shape (N,)
    weight : ndarray, shape (n,)
        Inverse inclusion probabilities of the gold rows.

    Returns
    -------
    tuple of str

    Raises
    ------
    DataError
        If a surrogate is there for gold rows alone.
    """
    notes = []
    for label in labels:
        for surrogate in label.surrogates:
            there = surrogate.there
            if gold.all() or there.all():
                continue
            if there[gold].any() and not there[~gold].any():
                raise DataError(
                    f"surrogate {surrogate.name!r} of {label.name!r} is there for gold rows only; it must be there for "
                    "rows without gold too, made in the same way. Run the model on all rows, or use estimator='gold'."
                )
            among_gold, overall = float(np.average(~there[gold], weights=weight)), float(np.mean(~there))
            error = np.sqrt(overall * (1 - overall) * (weight**2).sum()) / weight.sum()
            if abs(among_gold - overall) > max(_SAME_SHARE, _SAME_ERRORS * error):
                notes.append(
                    f"surrogate {surrogate.name!r} is missing in {among_gold:.0%} of the gold rows (weighted) and in "
                    f"{overall:.0%} of all rows; a sample would have both alike, so that the gold is not the sample it "
                    "is taken for, or its surrogates were made in another way"
                )
    return tuple(notes)


def classes_of(name: str, gold: pd.Series[Any], parsed: Parsed) -> tuple[tuple[Any, ...], bool]:
    """Classes of a label (empty for a number) and whether they enter as categories."""
    import pandas as pd

    present = gold.dropna()
    if is_text(present, name, "gold") and not all(map(is_number, present)):
        held = present.unique().tolist()
        if isinstance(gold.dtype, pd.CategoricalDtype):
            return tuple(gold.dtype.categories.tolist()), True
        return tuple(sorted(held, key=str)), True
    if not len(present):
        return (), False
    values = np.unique(as_float(present, name, "gold"))
    if name in parsed.coded:
        if parsed.categories and name in parsed.outcome_variables and name not in parsed.covariate_variables:
            return _numbered(values), True
        written = re.escape(parsed.written(name))
        bare = re.sub(rf"C\(\s*{written}\b", "", parsed.code)
        if re.search(rf"(?<![\w.]){written}(?!\w)", bare):
            raise ArgumentError(
                f"{name!r} is inside C(...) and outside it in {parsed.text!r}; a labelled variable can be one or "
                "the other."
            )
        return _numbered(values), True
    if np.isin(values, (0.0, 1.0)).all():
        return (0.0, 1.0), False
    return (), False


def _numbered(values: Floats) -> tuple[Any, ...]:
    """Classes that are numbers, whole where all are."""
    return tuple(int(v) if (values == np.round(values)).all() else float(v) for v in values)


def _read_surrogates(name: str, given: object, table: Table, classes: tuple[Any, ...]) -> tuple[Surrogate, ...]:
    import pandas as pd

    items: Sequence[Any]
    if isinstance(given, (str, Mapping)) or hasattr(given, "shape"):
        items = [given]
    elif isinstance(given, Sequence):
        items = given
    else:
        items = [given]
    if not len(items):
        raise ArgumentError(f"surrogates[{name!r}] is empty; name at least one column.")
    out = []
    for position, item in enumerate(items):
        if getattr(item, "ndim", 1) == 2 and hasattr(item, "columns") and len(item.columns) > 1:
            item = probability_columns(name, item, classes, table)
        if isinstance(item, Mapping):
            out.append(_probabilities(name, item, table, classes))
            continue
        if isinstance(item, str) and item == name:
            raise ArgumentError(
                f"surrogates names {name!r} as its own surrogate; give the column of model labels, as in "
                f"surrogates={{{name!r}: '{name}_llm'}}. Where no model labels exist, use estimator='gold' with any "
                "column as surrogate."
            )
        if isinstance(item, str):
            out.append(Surrogate(item, table.column(item, f"surrogates[{name!r}]")))
        else:
            values = table.values(item, f"surrogates[{name!r}]")
            if values.ndim == 1:
                values = plain(pd.Series(values)).to_numpy()
            label = getattr(item, "name", None) or (
                f"{name} surrogate" + (f" {position + 1}" if len(items) > 1 else "")
            )
            if values.ndim == 2 and values.shape[1] == len(classes):
                out.append(_matrix_probabilities(str(label), values, name))
            else:
                out.append(Surrogate(str(label), values))
        _check_coding(name, out[-1], classes)
    return tuple(out)


def _probabilities(name: str, item: Mapping[Any, Any], table: Table, classes: tuple[Any, ...]) -> Surrogate:
    keys = _by_class(name, list(item), classes)
    values = np.column_stack(
        [as_float(table.column(item[k], f"surrogates[{name!r}]"), item[k], "surrogate") for k in keys]
    )
    return _matrix_probabilities(f"P({name})", values, name)


def probability_columns(name: str, frame: Any, classes: tuple[Any, ...], table: Table) -> Any:
    """Class probabilities of a data frame in the order of the gold classes, shape (N, K).

    Raises
    ------
    DataError
        If its columns are not named by the gold classes.
    """
    columns = list(frame.columns)
    order = [columns.index(key) for key in _by_class(name, columns, classes)]
    return table.values(frame, f"the class probabilities of {name!r}")[:, order]


def _by_class(name: str, given: list[Any], classes: tuple[Any, ...]) -> list[Any]:
    """Names of probability columns in the order of the classes; ``"1"``, ``1.0`` and ``True`` all name the class 1."""

    def key(value: Any) -> Any:
        return float(value) if classes and is_number(classes[0]) and _is_number(value) else str(value)

    found = {key(value): value for value in given}
    wanted = [key(value) for value in classes]
    if not classes or set(found) != set(wanted) or len(found) != len(given):
        raise DataError(
            f"{name!r} is given class probabilities for {sorted(map(str, given))}, but gold has the classes "
            f"{[str(c) for c in classes]}; name one column per gold class."
        )
    return [found[value] for value in wanted]


def _matrix_probabilities(label: str, values: Any, name: str) -> Surrogate:
    values = np.asarray(values, dtype=np.float64)
    total = values.sum(axis=1)
    if not np.isfinite(values).all() or (values < -1e-9).any() or (np.abs(total - 1.0) > 1e-4).any():
        raise DataError(
            f"the class probabilities of {name!r} must be finite, not negative, and add up to 1 in every row; "
            f"{int((~(np.abs(total - 1.0) <= 1e-4)).sum())} row(s) do not."
        )
    return Surrogate(label, values / total[:, None], probabilities=True)


def _check_coding(name: str, surrogate: Surrogate, classes: tuple[Any, ...]) -> None:
    """Hard text labels must use the classes of the gold."""
    if surrogate.probabilities or getattr(surrogate.values, "ndim", 1) == 2:
        return
    if not is_text(surrogate.values, surrogate.name, "surrogate"):
        return
    import pandas as pd

    found = set(pd.Series(surrogate.values).dropna().unique().tolist())
    if not classes:
        if found:
            example = next((v for v in found if not _is_number(v)), next(iter(found)))
            raise DataError(
                f"surrogate {surrogate.name!r} of {name!r} holds text (for example {example!r}), but the gold "
                f"is a number; "
                "recode one of them, or pass the column as features=."
            )
        return
    gold = set(classes)
    if unseen := sorted(found - gold, key=str):
        raise DataError(
            f"surrogate {surrogate.name!r} of {name!r} holds {unseen[:5]}, which no gold row has (gold classes: "
            f"{list(classes)}); recode it, label units of that class, or pass the column as features= where any coding "
            "will do."
        )
    if unmatched := sorted(gold - found, key=str):
        raise DataError(
            f"gold class(es) {unmatched[:5]} of {name!r} never occur in the surrogate {surrogate.name!r} (it holds "
            f"{sorted(found, key=str)[:5]}); recode it, merge classes, or pass the column as features= where "
            f"any coding "
            "will do."
        )


def _is_number(value: Any) -> bool:
    try:
        float(value if is_number(value) else str(value))
    except ValueError:
        return False
    return True
