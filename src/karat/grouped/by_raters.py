"""``kt.by_raters``: whose gold? One analysis for each group of annotators, and how they differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.arguments import checked_arguments
from ..display.table import html_page, html_table
from ..errors import ArgumentError, DataError
from ..frames import Table
from .contrasts import Contrasts
from .shares_result import SharesResult

if TYPE_CHECKING:
    import pandas as pd

    from ..results import Result
    from ..results.combine import Combined


@dataclass(frozen=True, eq=False, repr=False)
class RaterComparison:
    """One fit for each group of annotators, and their differences.

    Parameters
    ----------
    fits : dict of str to Result or SharesResult
        By group of annotators.
    differences : dict of (str, str) to estimates
        Each pair of groups, first less second, with the covariance of estimates from the same gold rows: they have
        ``tidy()``, ``wald()``, ``confint()`` and the rest.

    Examples
    --------
    >>> import numpy as np, pandas as pd, karat as kt
    >>> rng = np.random.default_rng(1)
    >>> expert = rng.choice([0.0, 1.0], size=2000)
    >>> data = pd.DataFrame({"model": expert, "x": rng.normal(size=2000)})
    >>> gold = np.arange(2000) < 300
    >>> data["expert"] = np.where(gold, expert, np.nan)
    >>> data["lay"] = np.where(gold, np.where(rng.random(2000) < 0.8, expert, 1.0), np.nan)
    >>> both = kt.by_raters(kt.mean, "hateful", data, label="hateful", gold={"experts": "expert", "lay": "lay"},
    ...                     surrogates={"hateful": "model"}, seed=1)
    >>> both.differences["experts", "lay"].names
    ('Mean',)
    """

    fits: dict[str, Any]
    differences: dict[tuple[str, str], Combined | Contrasts] = field(repr=False)

    def __getitem__(self, name: str) -> Any:
        """The fit of one group of annotators."""
        if str(name) not in self.fits:
            raise ArgumentError(f"there is no group of annotators {name!r}; there are {list(self.fits)}.")
        return self.fits[str(name)]

    def table(self) -> pd.DataFrame:
        """Estimates of all groups side by side, with their differences, standard errors and p-values."""
        import pandas as pd

        out = {name: pd.Series(fit.theta, index=list(fit.names)) for name, fit in self.fits.items()}
        for (left, right), gap in self.differences.items():
            head = f"{left} - {right}"
            values = (gap.theta, np.sqrt(np.diag(gap.covariance)), gap.pvalue().to_numpy())
            for what, value in zip((head, f"{head}, std. error", f"{head}, p"), values):
                out[what] = pd.Series(value, index=list(gap.names))
        return pd.DataFrame(out)

    def __str__(self) -> str:
        return str(self.table().to_string(float_format="{:.4g}".format))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_page("By group of annotators", (), html_table(self.table()), ())


@checked_arguments()
def by_raters(
    door: Callable[..., Result | SharesResult],
    first: str,
    data: object,
    *,
    label: str,
    gold: Mapping[str, str],
    surrogates: Mapping[str, Any],
    **options: Any,
) -> RaterComparison:
    """Run an analysis once with the gold of each group of annotators, and compare the results.

    What counts as hateful, partisan or populist depends on who is asked. Where the same documents were labelled by
    several groups (experts and lay people, men and women), each group's gold is an estimand of its own.

    Parameters
    ----------
    door : callable
        The analysis: :func:`karat.shares`, :func:`karat.mean`, :func:`karat.logit`, ...
    first : str
        Its first argument, a label or a formula, which names the label by ``label``.
    data : data frame
    label : str
        What the label is called in ``first`` and ``surrogates``.
    gold : mapping of str to str
        Group of annotators -> the column of its gold labels. All columns have gold in the same rows.
    surrogates : mapping
        As in :func:`karat.regress`; the same surrogates stand for every group's label.
    **options
        Everything else the analysis takes. Give ``seed=``, so that folds are the same for all groups.

    Returns
    -------
    RaterComparison
        A fit for each group, and for each pair of groups the difference with its joint covariance.

    Raises
    ------
    KaratError
        As the analysis; where columns have gold in different rows, or estimates of two groups are not of the same
        things: classes that only one group used, orders of classes that differ; where a surrogate is one group's gold.

    References
    ----------
    Fleisig, Abebe and Klein (2023), *When the majority is wrong: modeling annotator disagreement for subjective
    tasks*.

    Examples
    --------
    >>> import numpy as np, pandas as pd, karat as kt
    >>> rng = np.random.default_rng(1)
    >>> topic = rng.choice(["law", "war"], size=2000)
    >>> data = pd.DataFrame({"model": topic, "year": rng.integers(2020, 2022, size=2000)})
    >>> gold = np.arange(2000) < 300
    >>> data["expert"] = pd.Series(topic).where(gold)
    >>> data["lay"] = pd.Series(np.where(rng.random(2000) < 0.8, topic, "war")).where(gold)
    >>> both = kt.by_raters(kt.shares, "topic", data, label="topic", gold={"experts": "expert", "lay": "lay"},
    ...                     over="year", surrogates={"topic": "model"}, seed=1)
    >>> both.table().columns[:3].tolist()
    ['experts', 'lay', 'experts - lay']
    """
    named = _checked(door, label, gold, surrogates, options)
    table = Table.read(data)
    table.require(list(named.values()), "gold")
    if label in table.names:
        raise ArgumentError(
            f"label={label!r} is a column of the data; give a name of its own for the label of whichever group, and "
            "use it in the formula and in surrogates=."
        )
    _refuse_other_rows(table, named)
    fits = {name: door(first, _named(table, column, label), surrogates=surrogates, **options)
            for name, column in named.items()}  # fmt: skip
    _refuse_other_estimates(fits)
    groups = list(fits)
    pairs = [(a, b) for i, a in enumerate(groups) for b in groups[i + 1 :]]
    return RaterComparison(fits, {(a, b): fits[a] - fits[b] for a, b in pairs})


def _checked(
    door: object, label: object, gold: object, surrogates: object, options: Mapping[str, Any]
) -> dict[str, str]:
    """Groups of annotators by name, and their columns; raises where arguments cannot be meant so."""
    if not callable(door):
        raise ArgumentError(
            f"door={door!r} is not a function; give the analysis itself, such as kt.shares or kt.logit."
        )
    if not isinstance(label, str) or not label.strip():
        raise ArgumentError(f"label={label!r} is not allowed; give a name as text, and use it in the formula.")
    if not isinstance(gold, Mapping) or len(gold) < 2:
        raise ArgumentError(
            f"gold={gold!r} must map at least two groups of annotators to their columns, such as "
            "{'experts': 'label_experts', 'lay': 'label_lay'}."
        )
    names = [" ".join(str(name).split()) for name in gold]
    if len(set(names)) < len(names) or not all(names) or None in gold:
        raise ArgumentError(f"gold names groups of annotators {list(gold)}; give each a name of its own, none blank.")
    columns = list(gold.values())
    if not all(isinstance(column, str) for column in columns):
        raise ArgumentError(f"gold={dict(gold)} must map each group of annotators to the name of one column.")
    if len(set(columns)) < len(columns):
        raise ArgumentError(f"gold names a column for two groups of annotators: {columns}; give each its own column.")
    if not isinstance(surrogates, Mapping) or label not in surrogates:
        raise ArgumentError(f"surrogates must have an entry for label={label!r}.")
    given = surrogates[label]
    several = given.values() if isinstance(given, Mapping) else given if isinstance(given, (list, tuple)) else [given]
    own = [one for one in several if isinstance(one, str) and one in columns]
    if own:
        raise ArgumentError(
            f"surrogates of {label!r} name {own[0]!r}, which is the gold of a group of annotators; gold cannot be its "
            "own surrogate, nor that of another group on the same rows."
        )
    if options.get("estimator") == "surrogate":
        raise ArgumentError(
            "estimator='surrogate' uses no gold, so that all groups of annotators would have the same estimate; choose "
            "another estimator."
        )
    return dict(zip(names, columns))


def _refuse_other_estimates(fits: Mapping[str, Any]) -> None:
    """Raise unless all fits estimate the same things, in the same order."""
    for name, fit in fits.items():
        if not hasattr(fit, "names") or not hasattr(fit, "theta") or not hasattr(fit, "__sub__"):
            raise ArgumentError(
                f"door gave a {type(fit).__name__}, of which no difference can be taken; give an analysis with one set "
                "of estimates, such as kt.shares, kt.mean or a regression, and call it for each outcome or sample."
            )
        first, there = next(iter(fits.items()))
        if list(fit.names) != list(there.names):
            odd = [n for n in (*there.names, *fit.names) if (n in fit.names) != (n in there.names)]
            raise DataError(
                f"the estimates of {first!r} and {name!r} are not of the same things ({odd[:6] or 'another order'}). "
                "Give both columns the same classes in the same order (declared categories, or plain text in both), so "
                "that classes and reference categories agree."
            )


def _named(table: Table, column: str, label: str) -> Any:
    """The data with one group's gold under the name of the label."""
    import narwhals as nw

    frame: Any = table.native
    return frame.with_columns(nw.col(column).alias(label)).to_native()


def _refuse_other_rows(table: Table, gold: Mapping[str, str]) -> None:
    there = {column: table.column(column, "gold").notna().to_numpy() for column in gold.values()}
    (first, rows), *others = there.items()
    for column, own in others:
        if not np.array_equal(rows, own):
            raise DataError(
                f"{first!r} and {column!r} have gold in different rows ({int((rows & ~own).sum())} only in the first, "
                f"{int((own & ~rows).sum())} only in the second); estimates are compared on the same documents. Have "
                "the others labelled, or call the analysis for each group."
            )
