"""Features of a table that is read batch by batch, and the learners that see them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import moments as models
from ..errors import ArgumentError, DataError, whole
from ..estimate.clusters import kept_whole
from ..frames.kinds import is_text, plain
from ..frames.lookups import finite
from ..frames.matrices import LEAST_PROBABILITY, MOST_LEVELS, Features
from ..predict import capped_weights, check_folds, learners, make_folds, row_order
from ..predict.blocks import goes_by_blocks
from ..predict.streamed import Folds, Scale, Streamed, learn
from .batch_groups import CODE
from .batch_texts import Texts
from .features import own_columns, targets_of

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
    from ..frames import Table
    from ..predict import Predictions
    from .batch_digest import Digest
    from .design_matrix import Design, Prepared
    from .options import Arguments

Column = tuple[str, Any, bool]
"""Name, values, and whether it is a surrogate."""


@dataclass(frozen=True)
class Encoding:
    """How columns become features, learnt once: :func:`karat.frames.matrices.encode` of all rows, applied to some.

    Parameters
    ----------
    names : tuple of str
        Columns in their order; those that come twice are left out.
    levels : tuple of list or None
        Of columns of text: those with an indicator of their own.
    rarer : tuple of bool
        Whether there are more levels, which share one.
    odds : tuple of tuple of int
        Of surrogates: columns whose log odds are added.
    """

    names: tuple[str, ...]
    levels: tuple[list[Any] | None, ...] = field(repr=False)
    rarer: tuple[bool, ...]
    odds: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, columns: Sequence[Column], counts: Mapping[str, Mapping[Any, int]]) -> Encoding:
        """From columns of rows that show all levels and the ends of surrogates, and how often levels come."""
        levels: list[list[Any] | None] = []
        rarer: list[bool] = []
        odds: list[tuple[int, ...]] = []
        for name, values, is_surrogate in columns:
            if np.ndim(values) == 1 and is_text(plain(_series(values)), name, "feature"):
                of_column = counts[name]
                common = sorted(of_column, key=lambda level: -of_column[level])[:MOST_LEVELS]
                levels.append(sorted(common, key=str))
                rarer.append(len(of_column) > len(common))
                odds.append(())
                continue
            levels.append(None)
            rarer.append(False)
            matrix = _numbers(name, values) if is_surrogate else np.zeros((1, 0))
            odds.append(
                tuple(
                    j for j, column in enumerate(matrix.T)
                    if column.min() >= 0 and column.max() <= 1 and not np.isin(column, (0.0, 1.0)).all()
                )
            )  # fmt: skip
        return cls(tuple(name for name, *_ in columns), tuple(levels), tuple(rarer), tuple(odds))

    def features(self, columns: Sequence[Column]) -> Features:
        """The features of some rows."""
        blocks: list[Floats] = []
        names: list[str] = []
        surrogate: list[int] = []
        for (name, values, is_surrogate), levels, rarer, odds in zip(columns, self.levels, self.rarer, self.odds):
            if levels is None:
                block = _numbers(name, values)
                labels = [name] if block.shape[1] == 1 else [f"{name}[{j}]" for j in range(block.shape[1])]
                near = np.clip(block[:, list(odds)], LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
                labels += [f"log odds of {labels[j]}" for j in odds]
                block = np.hstack([block, np.log(near / (1 - near))]) if odds else block
            else:
                codes = _codes(values, levels)
                block = (codes[:, None] == np.arange(-1 if rarer else 0, len(levels))).astype(np.float64)
                labels = [f"{name}={level}" for level in levels]
                if rarer:
                    block, labels = np.roll(block, -1, axis=1), [*labels, f"{name}=(rarer)"]
            if is_surrogate:
                surrogate += range(len(names), len(names) + len(labels))
            blocks.append(block)
            names += labels
        return Features(np.hstack(blocks) if blocks else np.zeros((0, 0)), tuple(names), tuple(surrogate))


def _series(values: Any) -> Any:
    import pandas as pd

    return values if isinstance(values, pd.Series) else pd.Series(np.asarray(values))


def _codes(values: Any, levels: list[Any]) -> Ints:
    """Which of the levels each value is; -1 for others."""
    import pandas as pd

    codes, found = pd.factorize(values)
    return np.asarray(pd.Index(levels).get_indexer(pd.Index(found.tolist())), dtype=np.intp)[codes]


def _numbers(name: str, values: Any) -> Floats:
    """Numbers side by side, shape (m, k)."""
    array = np.asarray(values, dtype=np.float64) if np.ndim(values) == 2 else _floats(values)[:, None]
    if not finite(array):
        raise DataError(f"feature {name!r} has missing or infinite values; replace them.")
    return array


def _floats(values: Any) -> Floats:
    return np.asarray(plain(_series(values)).to_numpy(dtype=np.float64, na_value=np.nan))


def extra_columns(options: Arguments) -> list[str]:
    """Columns that features= and folds= name.

    Raises
    ------
    ArgumentError
        If they are given as values.
    """
    given = options.features
    items = [] if given is None else [given] if isinstance(given, str) else given
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) for item in items):
        raise ArgumentError("features= holds values; the data come batch by batch, so name columns.")
    if not isinstance(options.folds, (str, int)):
        raise ArgumentError("folds= holds values; the data come batch by batch, so name a column, or give a number.")
    return [*items, *([options.folds] if isinstance(options.folds, str) else [])]


@dataclass(frozen=True)
class Predictor:
    """Learners that were fitted on gold, and how the rows of a table become what they see.

    Parameters
    ----------
    encoding : Encoding
    kept : tuple of int
        Which of the columns are features, each once.
    extra : tuple of str
        Columns that features= names.
    streamed : Streamed or None
        None before learners are fitted.
    given : tuple
        The column of folds that are given, and their levels.
    texts : Texts or None
        Columns of texts.
    blocks : bool
        Whether these stand in blocks.
    known : Predictions or None
        Of all rows, where these need not be predicted at each read.
    """

    encoding: Encoding
    kept: tuple[int, ...]
    extra: tuple[str, ...]
    streamed: Streamed | None = None
    given: tuple[str, list[Any]] | None = None
    texts: Texts | None = None
    blocks: bool = False
    known: Predictions | None = field(repr=False, default=None)

    @classmethod
    def of(cls, prepared: Prepared, found: Digest, options: Arguments, texts: Texts | None) -> Predictor:
        """What is known before learners are fitted."""
        extra = tuple(dict.fromkeys(name for name in extra_columns(options) if name != options.folds))
        every = _columns(prepared, found.head, extra)
        seen: dict[str, list[Any]] = {}
        kept = []
        for k, (name, values, _) in enumerate(every):
            before = seen.setdefault(name, [])
            if not any(np.array_equal(np.asarray(values), np.asarray(other)) for other in before):
                before.append(values)
                kept.append(k)
        given = None
        if isinstance(options.folds, str):
            levels = sorted(set(found.head.column(options.folds, "folds").tolist()))
            given = (options.folds, levels)
        encoding = Encoding.of([every[k] for k in kept], found.counts)
        return cls(encoding, tuple(kept), extra, None, given, texts, goes_by_blocks(options.learner))

    def features(self, prepared: Prepared, table: Table) -> Features:
        """Features of the rows of a table."""
        every = _columns(prepared, table, self.extra)
        own = self.encoding.features([every[k] for k in self.kept])
        return own if self.texts is None else self.texts.joined(own, table, self.blocks)

    def told(self, tables: Iterator[tuple[Prepared, Table, Ints]]) -> Predictor:
        """The same with predictions of all rows kept, a few numbers each: texts are not encoded at every read."""
        parts = [self.predict(*one) for one in tables]
        shares = [part.share for part in parts if part.share is not None]
        values = {name: np.concatenate([part.values[name] for part in parts]) for name in parts[0].values}
        share = np.concatenate(shares) if shares else None
        return replace(self, known=replace(parts[0], share=share, values=values))

    def folds(self, table: Table) -> Ints | None:
        """Folds of rows where these are given, shape (m, 1)."""
        if self.given is None:
            return None
        name, levels = self.given
        return _codes(table.column(name, "folds"), levels)[:, None]

    def predict(self, prepared: Prepared, table: Table, positions: Ints) -> Predictions:
        """Predictions of the rows of a table, those of gold rows out of fold."""
        if self.known is not None:
            return self.known.taken(positions)
        assert self.streamed is not None
        own, gold = self.folds(table), prepared.units.gold
        codes = np.asarray(table.column(CODE, "folds")) if CODE in table.columns else None
        streamed = self.streamed if own is None else replace(self.streamed, folds=Folds(lambda _: own, 1))
        which = np.searchsorted(gold, positions)
        here = np.flatnonzero(gold[np.minimum(which, len(gold) - 1)] == positions)
        found = streamed.predict(self.features(prepared, table).matrix, positions, codes)
        return streamed.with_gold(found, here, which[here])


def _columns(prepared: Prepared, table: Table, extra: Sequence[str]) -> list[Column]:
    return [*own_columns(prepared), *((name, table.column(name, "features"), False) for name in extra)]


def fit_learners(
    predictor: Predictor, prepared: Prepared, matrix: Design, head: Table,
    matrices: Iterator[tuple[Floats, Floats | None]], options: Arguments, rng: np.random.Generator,
) -> Predictor:  # fmt: skip
    """Fit the learners of a fit on its gold rows.

    Parameters
    ----------
    predictor : Predictor
    prepared, matrix
        Of the rows of the head.
    head : Table
    matrices : iterator of ndarray
        Features of all rows, block by block, and how many rows each counts for: for means and standard deviations.
    options : Arguments
    rng : numpy.random.Generator
    """
    if learners.learns_from_surrogates(options.learner):
        raise ArgumentError(
            f"learner={options.learner!r} learns from the surrogates of all rows at once, and the data come batch by "
            "batch; use another learner, or read the data into memory."
        )
    gold, labelling = prepared.gold, prepared.units.labelling
    features = predictor.features(prepared, head)
    features = replace(features, matrix=features.matrix[gold])
    targets = targets_of(prepared, matrix.gold)
    order = row_order([features.matrix, np.column_stack([*(t.values for t in targets), labelling.weight])])
    folds, deal = _folds(predictor, targets, head, prepared, options, rng, order)
    by_content = tuple(target.ordered(order, order) for target in targets)
    weight = capped_weights(labelling.spread)
    streamed = learn(
        by_content, replace(features, matrix=features.matrix[order]), folds[order], deal, Scale.of(matrices),
        options.learner, None if weight is None else weight[order], seed=int(rng.integers(2**31)),
        report_weight=labelling.weight[order], n_rows=labelling.n_rows,
        linear=linear_in_predictions(prepared, options),
    )  # fmt: skip
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return replace(predictor, streamed=replace(streamed, gold=streamed.gold.taken(place)))


def linear_in_predictions(prepared: Prepared, options: Arguments) -> bool:
    """Whether moments are linear in predictions, so that each row needs those of one split only."""
    return (
        options.imputation == "moment"
        and (prepared.outcome_label is None or models.get(options.model).linear_in_outcome)
        and all(label.in_outcome or label.joint for label in prepared.labels)
    )


def _folds(
    predictor: Predictor, targets: Any, head: Table, prepared: Prepared, options: Arguments,
    rng: np.random.Generator, order: Ints,
) -> tuple[Ints, Folds]:  # fmt: skip
    """Folds of the gold rows, and how those of all others are dealt; clusters are kept whole."""
    gold, units = prepared.gold, prepared.units
    group = kept_whole(units.labelling, units.cluster, options.folds)
    given, everyone = predictor.folds(head), np.ones(len(gold), dtype=bool)
    if predictor.given is not None and given is not None:
        if lacking := sorted(set(range(len(predictor.given[1]))) - set(given[gold, 0].tolist())):
            raise ArgumentError(
                f"fold {predictor.given[1][lacking[0]]!r} of folds={predictor.given[0]!r} has no gold row; give folds "
                "that hold some each."
            )
        of_gold = None if group is None else np.unique(group[units.gold], return_inverse=True)[1]
        return check_folds(given[gold], len(gold), everyone, of_gold), Folds(lambda positions: given[:0], 1)
    classes = next((t.values.astype(np.intp) for t in targets if t.n_classes), None)
    k = whole("folds", options.folds, least=2)
    of_gold = None if group is None else np.unique(group[units.gold], return_inverse=True)[1]
    folds = make_folds(everyone, k, options.repeats, rng, classes, of_gold, order)
    deal = Folds.dealt(k, options.repeats, int(rng.integers(2**31)))
    if group is None:
        return folds, deal
    of_groups = deal.every(np.arange(int(group.max()) + 1))
    of_groups[group[units.gold]] = folds
    return folds, Folds(lambda positions: of_groups[group[positions]], options.repeats)


def prediction_columns(options: Arguments) -> list[str]:
    """Columns that predictions= names.

    Raises
    ------
    ArgumentError
        If they are given as values, or not of all labels.
    """
    given = options.predictions
    if given is None:
        return []
    if not isinstance(given, Mapping) or not all(isinstance(item, str) for item in given.values()):
        raise ArgumentError("predictions= holds values; the data come batch by batch, so name a column for each label.")
    if set(given) != set(options.surrogates):
        raise ArgumentError(
            f"predictions must name each labelled variable {sorted(options.surrogates)}; got {sorted(given)}."
        )
    return list(given.values())
