"""Surrogates of a label as users give them: columns, arrays, class probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DataError
from ..frames import Table
from ..frames.kinds import is_number, is_text, plain
from ..frames.table import as_float

if TYPE_CHECKING:
    from .._core.types import Bools
    from .options import Arguments


@dataclass(frozen=True)
class Surrogate:
    """One surrogate of a label: a column, an array, or class probabilities.

    Parameters
    ----------
    name : str
    values : Series or ndarray, shape (N,) or (N, K)
    probabilities : bool
        Whether ``values`` holds one probability per class, in the order of the label's classes.
    sd : float or None
        Standard deviation over all rows, where ``values`` are those of some.
    """

    name: str
    values: Any = field(repr=False)
    probabilities: bool = False
    sd: float | None = None

    @property
    def there(self) -> Bools:
        """Where it is not missing, shape (N,)."""
        import pandas as pd

        missing = np.asarray(pd.isna(self.values))
        return np.asarray(~missing if missing.ndim == 1 else ~missing.any(axis=1))


@dataclass(frozen=True)
class Cascade:
    """A label's surrogates in two steps: a cheap one of every row, a strong one of some rows; gold of some of these.

    Parameters
    ----------
    cheap : str, list, mapping or array_like
        Surrogate(s) that are there for every row, as in :func:`karat.regress`.
    strong : str, mapping or array_like
        Surrogate that is there for some rows, missing elsewhere: a better model, or coders.
    design : Design, Sample, float, str, array_like or None
        How rows were drawn for the strong label. A number, column or array is a Bernoulli probability; None is a simple
        random sample of the realised size. ``design=`` of the regression says how gold was drawn among these rows.

    Raises
    ------
    KaratError
        From the regression, where gold is there without a strong label, or the draws do not fit together.

    Notes
    -----
    Methods, section 1.4. Regressions that take a cascade are ``ols``, ``logit``, ``probit``, ``poisson``, ``gamma``,
    ``fractional``, ``multinomial`` and ``mean``.

    References
    ----------
    Saerndal, Swensson, Wretman (1992), *Model Assisted Survey Sampling*, chapter 9 (two-phase sampling).

    Examples
    --------
    >>> import numpy as np
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(3000, seed=1)
    >>> asked = kt.SimpleRandom(n=1000).draw(corpus, seed=1)
    >>> strong = np.where(np.random.default_rng(1).random(3000) < 0.95, corpus["hostile"], 1 - corpus["hostile"])
    >>> corpus["hostile_large"] = np.where(asked.labelled, strong, np.nan)
    >>> gold = kt.SimpleRandom(n=150).draw(corpus[asked.labelled], seed=2)
    >>> corpus.loc[np.setdiff1d(np.arange(3000), asked.positions[gold.positions]), "hostile"] = np.nan
    >>> fit = kt.ols("outcome ~ hostile", corpus, design=gold.design, seed=1,
    ...              surrogates={"hostile": kt.Cascade("hostile_llm", "hostile_large", design=asked.design)})
    >>> fit.n_gold
    150
    """

    cheap: Any
    strong: Any
    design: Any = None


def has_levels(options: Arguments, data: object) -> bool:
    """Whether some rows have gold for some of the labels only, or labels come from a cascade."""
    surrogates = options.surrogates
    if not isinstance(surrogates, Mapping):
        return False
    if isinstance(options.design, Mapping) or any(isinstance(given, Cascade) for given in surrogates.values()):
        return True
    if len(surrogates) < 2 or options.labelled is not None:
        return False
    table = Table.read(data)
    there = [table.column(str(name), "surrogates").notna() for name in surrogates if str(name) in table.names]
    return any(not there[0].equals(other) for other in there[1:])


def read_surrogates(
    name: str, given: object, table: Table, classes: tuple[Any, ...], whole: bool = True
) -> tuple[Surrogate, ...]:
    """The surrogates of a label as the user gave them, checked against its classes; all must occur in a whole table."""
    import pandas as pd

    items: Sequence[Any]
    if isinstance(given, Cascade):
        raise ArgumentError(
            f"surrogates[{name!r}] is a Cascade, which regressions take (kt.ols, kt.logit, ...); give the cheap "
            "surrogate here."
        )
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
        _check_coding(name, out[-1], classes, whole)
    return tuple(out)


def surrogate_columns(surrogates: Any, because: str) -> list[str]:
    """Columns that surrogates name, where these cannot be given as values.

    Parameters
    ----------
    surrogates : mapping
    because : str
        Why they cannot.

    Raises
    ------
    ArgumentError
        If one is given as values, or is a cascade.
    """
    if not isinstance(surrogates, Mapping):
        raise ArgumentError("surrogates must map each gold column to its surrogate column(s).")
    out: list[str] = []
    for name, given in surrogates.items():
        if isinstance(given, Cascade):
            raise ArgumentError(
                f"surrogates[{name!r}] is a Cascade, which regressions on data in memory take; {because}. Give the "
                "cheap surrogate alone."
            )
        for item in given if isinstance(given, (list, tuple)) else [given]:
            columns = list(item.values()) if isinstance(item, Mapping) else [item]
            if not all(isinstance(column, str) for column in columns):
                raise ArgumentError(f"surrogates[{name!r}] holds values; {because}, so name columns.")
            out += columns
    return list(dict.fromkeys(out))


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


def _check_coding(name: str, surrogate: Surrogate, classes: tuple[Any, ...], whole: bool) -> None:
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
    if whole and (unmatched := sorted(gold - found, key=str)):
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
