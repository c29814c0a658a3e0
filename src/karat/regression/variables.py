"""Which columns play which part: gold labels, their surrogates, features.

Reads the user's arguments against the data and refuses what does not fit, before any number is
computed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DataError
from ..frames.kinds import is_number, is_text, refuse_missing_words
from ..frames.table import as_float
from .surrogates import Surrogate, read_surrogates

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

    @property
    def counts(self) -> float:
        """Root of what one of the other classes counts where any of them may be right."""
        return 1.0 / math.sqrt(len(self.classes) - 1.0)

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


def restrict(label: Label, kept: Bools) -> Label:
    """A label on some of the rows."""
    surrogates = tuple(replace(s, values=s.values[kept]) for s in label.surrogates)
    return replace(label, gold=label.gold[kept].reset_index(drop=True), surrogates=surrogates)


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
    if among := sorted(set(surrogates) & parsed.effect_variables):
        raise ArgumentError(
            f"surrogates names {among[0]!r}, which is a fixed effect in {parsed.text!r}; fixed effects must be known "
            f"of every row. A labelled category is a covariate: write C({among[0]}) before the bar."
        )
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
        if gold.isna().all():
            raise _no_gold(repr(name))
        given = read_surrogates(name, surrogates[name], table, classes)
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
            f"{int((some & ~every).sum())} row(s) have gold for only some of the labels ({counts}); here all labels "
            "must come from one sample (kt.ols, kt.logit and other regressions take more). Complete them, or mark the "
            "rows to use with labelled=."
        )
    if not every.any():
        raise _no_gold(", ".join(repr(label.name) for label in labels))
    _refuse_swapped(labels, np.asarray(every))
    return np.asarray(every)


def _no_gold(names: str) -> DataError:
    return DataError(
        f"no row has gold for {names}: the column is empty. Gold labels of a sample of rows are needed; without "
        "any, no method can find out how wrong the surrogates are."
    )


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
    if parsed.levels is not None and name in parsed.outcome_variables:
        return _stated(name, present, parsed.levels), True
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


def _stated(name: str, present: pd.Series[Any], levels: tuple[Any, ...]) -> tuple[Any, ...]:
    """Classes in the order stated.

    Raises
    ------
    ArgumentError
        If the order does not name each class once.
    """
    is_text(present, name, "gold")
    if strange := [level for level in levels if not isinstance(level, (str, bool, int, float))]:
        raise ArgumentError(
            f"levels={list(levels)} of {name!r} holds {strange[0]!r}, which is not a class; name classes by text, "
            "numbers or true/false."
        )
    levels = tuple(int(level) if isinstance(level, bool) else level for level in levels)
    if len(set(levels)) < len(levels):
        raise ArgumentError(f"levels={list(levels)} names a class of {name!r} twice; name each one once.")
    found = present.unique().tolist()
    if strangers := [value for value in found if value not in levels]:
        raise ArgumentError(
            f"levels={list(levels)} leaves out {sorted(strangers, key=str)}, which {name!r} holds; name every class."
        )
    return levels


def _numbered(values: Floats) -> tuple[Any, ...]:
    """Classes that are numbers, whole where all are."""
    return tuple(int(v) if (values == np.round(values)).all() else float(v) for v in values)
