"""A fit on a table that is read batch by batch: its gold rows in memory, its predicted rows from a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import designs
from ..errors import ArgumentError, DataError
from ..estimate.augment import Units
from ..estimate.index import slices
from ..estimate.rows import RowBlock, Rows
from ..frames import Table
from ..frames.formula import parse, refuse_learnt
from ..frames.table import as_float
from ..predict.crossfit import ALL_SPLITS_UP_TO
from .batch_columns import OnceEach, PlainColumns
from .batch_digest import Digest, Strata, digest
from .batch_features import Predictor, extra_columns, fit_learners, linear_in_predictions, prediction_columns
from .batch_groups import Grouping, Groups, grouped
from .batch_kept import Kept
from .batch_refused import refuse_missing, refuse_other_rows, refuse_whole, refuse_within
from .batch_texts import Texts
from .batch_units import Stay, read_units, rows_that_stay, unit_columns
from .design_matrix import Design, Prepared, matrices, prepare, with_columns
from .options import Arguments
from .predicted_rows import predicted_rows, surrogate_rows
from .steps import refuse_effects
from .surrogates import read_surrogates, surrogate_columns
from .variables import Label, labelled_rows, read_labels

if TYPE_CHECKING:
    from .._core.types import Bools, Floats, Ints
    from ..frames.batches import Batches
    from ..moments import Model
    from ..predict import Predictions

_NUMBERS = 1 << 21
"""Numbers of a design matrix that are made at once."""
_CHANGED = (
    "the rows of {} changed, or came in another order, while it was read; give a source whose rows stay, such as "
    "parquet files, or sort it."
)
_UNTESTED = "the data came batch by batch, so it was not tested whether the gold is balanced"


@dataclass(frozen=True)
class BatchRows:
    """Predicted rows from the surrogates in a table that is read batch by batch.

    Parameters
    ----------
    batches : Batches or Groups
    names : tuple of str
        Columns to read.
    strata : Strata
    head : Table
        The gold rows, and rows that show what else is in the table.
    model : Model
    prepared : Prepared
        On the rows of ``head``.
    matrix : Design
    options : Arguments
    imputation : {"moment", "value"}
    positions : ndarray of int
        Where the rows of ``head`` stand among all.
    predictor : Predictor or None
        Learners; None where surrogates are the predictions.
    basis : ndarray, shape (p, p), or None
        Coordinates of the design.
    """

    batches: Batches | Kept | Groups
    names: tuple[str, ...]
    strata: Strata = field(repr=False)
    head: Table = field(repr=False)
    model: Model
    prepared: Prepared = field(repr=False)
    matrix: Design = field(repr=False)
    options: Arguments = field(repr=False)
    imputation: str
    positions: Ints = field(repr=False)
    predictor: Predictor | None = field(repr=False, default=None)
    basis: Floats | None = field(repr=False, default=None)

    def __len__(self) -> int:
        return len(self._of_head)

    def blocks(self) -> Iterator[RowBlock]:
        """All rows of the table, batch by batch; rows that tell many once are kept."""
        yield from self._few if isinstance(self.batches, Groups) else self._read()

    @cached_property
    def _few(self) -> list[RowBlock]:
        return list(self._read())

    def _read(self) -> Iterator[RowBlock]:
        end = 0
        for at, table in self.batches.tables(self.names):
            yield from self.blocks_of(at, table)
            end = at.stop
        if end != self.prepared.units.n_told:
            raise DataError(_CHANGED.format(self.batches.source))

    def blocks_of(self, at: slice, table: Table) -> Iterator[RowBlock]:
        """All rows of a batch, which stand there among all."""
        stratum = self.strata.of(table)
        for part, rows in self._of_batch(at, table):
            here = slice(at.start + part.start, at.start + part.stop)
            yield RowBlock(here, rows, None if stratum is None else stratum[part])

    def _of_batch(self, at: slice, table: Table) -> Iterator[tuple[slice, tuple[Rows, ...]]]:
        """Rows of a batch, in blocks that fit the cache."""
        arrays = None if self._plain is None else self._plain.arrays(table)
        if self._plain is not None and arrays is not None:
            self._check_outcome(arrays[self._plain.y])
            first, last = np.searchsorted(self.prepared.units.gold, (at.start, at.stop))
            gold = self._turned(self._plain.rows(arrays, self.prepared.units.gold[first:last] - at.start))
            self._refuse_changes(slice(first, last), gold)
            for part in slices(table.n_rows):
                yield part, self._turned(self._plain.rows(arrays, part))
            return
        most = max(1, _NUMBERS // max(1, self.matrix.gold.x.shape[1]))
        for start in range(0, table.n_rows, most):
            part = slice(start, min(start + most, table.n_rows))
            here = table if most >= table.n_rows else table.take(np.arange(part.start, part.stop))
            try:
                rows = self._rows(here, np.arange(at.start + part.start, at.start + part.stop))
            except DataError as error:
                raise DataError(f"rows {at.start} to {at.stop - 1} of {self.batches.source}: {error}") from None
            first, last = np.searchsorted(self.prepared.units.gold, (at.start + part.start, at.start + part.stop))
            gold = self.prepared.units.gold[first:last] - at.start - part.start
            self._refuse_changes(slice(first, last), tuple(row.take(gold) for row in rows))
            for one in slices(here.n_rows):
                yield slice(start + one.start, start + one.stop), tuple(row.take(one) for row in rows)

    @cached_property
    def _plain(self) -> PlainColumns | None:
        """Where the rows are columns of the table as they stand."""
        if self.predictor is not None:
            return None
        return PlainColumns.of(self.prepared, self.matrix, self.options, self._averaged, self.imputation)

    @cached_property
    def _once_each(self) -> OnceEach:
        """Rows of the design that are known."""
        return OnceEach()

    def _check_outcome(self, y: Floats) -> None:
        """Raise where an outcome that is observed cannot come from the model."""
        if self.matrix.observed_y is not None:
            every = np.concatenate([self.matrix.observed_y, y])
            self.model.check_outcome(every, self.prepared.parsed.outcome)

    def _refuse_changes(self, which: slice, rows: tuple[Rows, ...]) -> None:
        """Raise where some gold rows are no longer what they were."""
        for one, known in zip(rows, self._of_gold):
            for now, (then, most) in zip((one.x, one.y), known):
                if not (np.abs(now - then[which]) <= most[which]).all():
                    raise DataError(_CHANGED.format(self.batches.source))

    @cached_property
    def _of_gold(self) -> list[list[tuple[Floats, Floats]]]:
        """Design and outcome of the gold rows, and how far others may be from these by rounding errors."""
        every = [[one.x[self.prepared.gold], one.y[self.prepared.gold]] for one in self._of_head]
        return [[(part, 1e-12 + 1e-9 * np.abs(part)) for part in parts] for parts in every]

    def at(self, positions: Ints) -> tuple[Rows, ...]:
        """Predicted rows of the gold units."""
        gold = self.prepared.gold
        if not np.array_equal(positions, self.prepared.units.gold):
            raise ArgumentError("only the gold rows of a table that is read batch by batch are in memory.")
        return tuple(rows.take(gold) for rows in self._of_head)

    def turned(self, basis: Floats) -> BatchRows:
        """The same with design matrices in the coordinates ``x T``."""
        return replace(self, basis=basis)

    def plugged(self) -> BatchRows:
        """The same with surrogates in the place of the labels, probabilities too."""
        return replace(self, imputation="value", predictor=None, options=self.options.replace(predictions=None))

    def learnt(self, rng: np.random.Generator) -> BatchRows:
        """The same with learners fitted on gold."""
        assert self.predictor is not None
        units, texts = self.prepared.units, self.predictor.texts
        matrices = (
            (self.predictor.features(self._known(table)[0], table).matrix, units.counts_in(at))
            for at, table in self._tables()
        )
        predictor = fit_learners(self.predictor, self.prepared, self.matrix, self.head, matrices, self.options, rng)
        if texts is None:
            return replace(self, predictor=predictor)
        told = predictor.told(
            (replace(self._known(table)[0], units=units), table, np.arange(at.start, at.stop))
            for at, table in self._tables()
        )
        return replace(self, predictor=told, names=tuple(name for name in self.names if name not in texts.alone))

    @property
    def gold_predictions(self) -> Predictions | None:
        """Predictions of the gold rows, out of fold; None without learners."""
        known = None if self.predictor is None else self.predictor.streamed
        return None if known is None else known.gold

    def _tables(self) -> Iterator[tuple[slice, Table]]:
        """All rows; those with texts in smaller batches, since these become many numbers each."""
        texts = None if self.predictor is None else self.predictor.texts
        if texts is None:
            return self.batches.tables(self.names)
        return texts.pieces(self.batches.tables(list(dict.fromkeys((*self.names, *texts.alone)))))

    @cached_property
    def _of_head(self) -> tuple[Rows, ...]:
        return self._rows(self.head, self.positions)

    @cached_property
    def _averaged(self) -> frozenset[str]:
        """0/1 labels whose surrogate is a probability in some row, so that its classes are averaged over in all."""
        out = []
        for label in self.prepared.labels:
            first = label.surrogates[0]
            number = label.classes and not label.coded and not first.probabilities
            if number and not np.isin(as_float(first.values, label.name, "surrogate of"), (0.0, 1.0)).all():
                out.append(label.name)
        return frozenset(out)

    def _known(self, table: Table) -> tuple[Prepared, dict[str, Any]]:
        """Variables of the rows of a table, and their surrogates as labels are given."""
        known, n = self.prepared, table.n_rows
        labels, given = [], {}
        for label in known.labels:
            found = read_surrogates(label.name, self.options.surrogates[label.name], table, label.classes, whole=False)
            labels.append(replace(label, surrogates=found))
            given[label.name] = found[0].values
            if self.options.predictions is not None:
                given[label.name] = table.column(self.options.predictions[label.name], "predictions")
        frame = table.pandas(list(known.frame.columns), "formula")
        units = Units(designs.Labelling(np.ones(n), np.zeros(n, dtype=bool), fixed_size=False))
        return replace(known, labels=tuple(labels), frame=frame, units=units, gold_rows=None), given

    def _rows(self, table: Table, positions: Ints) -> tuple[Rows, ...]:
        """Predicted rows of a table."""
        known, matrix, spec = self.prepared, self.matrix, self.matrix.spec
        here, given = self._known(table)
        n = table.n_rows
        filled = with_columns(here.frame, {one.name: one.column(_any_value(one), n) for one in known.labels}, n)
        y = None if matrix.observed_y is None else spec.y(filled, known.context)
        if y is not None:
            self._check_outcome(y)

        def covariates(rows: Ints | slice) -> Floats:
            return spec.x(filled.iloc[rows].reset_index(drop=True), known.context)

        x = None if matrix.observed is None else self._once_each.matrix(here.frame, covariates)
        design = replace(matrix, observed=x, observed_y=y, offset=spec.offset(filled, known.context))
        if self.predictor is None:
            rows = surrogate_rows(here, design, given, self.imputation, self._averaged)
        else:
            found = self.predictor.predict(replace(here, units=known.units), table, positions)
            rows = predicted_rows(here, design, found, self.imputation)
        return self._turned(rows)

    def _turned(self, rows: tuple[Rows, ...]) -> tuple[Rows, ...]:
        return rows if self.basis is None else tuple(one.turned(self.basis) for one in rows)


def _any_value(label: Label) -> Any:
    return label.classes[0] if label.classes else 0.0


def read_batches(options: Arguments, batches: Batches, model: Model, alike: bool = True) -> BatchRows:
    """Read a table once, and set up what its batches are read with; rows that are alike are told once if they may.

    Raises
    ------
    ArgumentError, DataError, DesignError, FormulaError
        If the data, or what is asked of them, need all rows at once.
    """
    refuse_whole(options)
    columns = batches.columns
    parsed = parse(options.formula, columns, options.context, model.categorical)
    refuse_effects(parsed, model)
    refuse_learnt(parsed)
    design = designs.resolve(options.design)
    drawn = design.base if isinstance(design, designs.Drawn) else design
    by = drawn.columns if isinstance(drawn, designs.Stratified) else ()
    named = surrogate_columns(options.surrogates, "the data come batch by batch") + prediction_columns(options)
    labels = [str(name) for name in options.surrogates]
    extra = extra_columns(options) if learns(options) else []
    known_columns = Table.read({name: [0] for name in columns})
    of_units, texts = unit_columns(design, options), Texts.columns(options)
    known_columns.require(of_units, "weights, cluster or design")
    known_columns.require((*labels, *named, *by), "surrogates or design")
    known_columns.require(extra, "features or folds")
    observed = sorted(parsed.variables - set(labels))
    folds = frozenset(name for name in extra if name == options.folds)
    names = tuple(dict.fromkeys((*observed, *named, *by, *extra)))
    codes = _codes(options, batches)
    known_columns.require(texts, "text")
    by_row = bool(of_units or parsed.effects or texts) or not alike

    def read(rows: Batches | Kept) -> Digest:
        grouping = None if by_row or codes is None else Grouping(names, codes)
        shown = list(dict.fromkeys([*observed, *extra]))
        return digest(rows, labels, shown, named, by, parsed.coded | folds, grouping, texts)

    def gold_of(found: Digest) -> tuple[tuple[Label, ...], Bools]:
        known = read_labels(parsed, found.head, options.surrogates)
        known = tuple(_with_spread(label, found.sd) for label in known)
        return known, labelled_rows(known, found.head, None)

    whole = read(batches)
    stay = rows_that_stay(batches, parsed, options, any(name in whole.missing for name in observed))
    found = whole if stay.kept is None else read(stay.rows)
    refuse_missing(found)
    head, (known, gold_rows) = found.head, gold_of(found)
    refuse_within(parsed, model, known, bool(gold_rows.sum() == found.n_rows))
    stub = designs.Labelling(np.ones(head.n_rows), gold_rows, fixed_size=False)
    prepared = prepare(
        head, replace(parsed, effects=()), known, stub, weights=None, cluster=None, missing="raise",
        context=options.context,
    )  # fmt: skip
    frame = head.pandas(observed, "formula")
    prepared = replace(prepared, parsed=parsed, frame=frame, dropped=stay.dropped)
    matrix = matrices(prepared, model)
    refuse_other_rows(prepared, matrix)
    gold = np.flatnonzero(gold_rows)
    all_gold = gold if found is whole else np.flatnonzero(gold_of(whole)[1])
    units = read_units(batches, of_units, design, options, (whole, all_gold), (found, gold), stay)
    prepared = replace(prepared, units=units, gold_rows=gold, notes=(*prepared.notes, _UNTESTED))
    rows = BatchRows(
        stay.rows, names, found.strata, head, model, prepared, matrix, options, options.imputation, found.positions,
        Predictor.of(prepared, found, options, Texts.of(batches, options)) if learns(options) else None,
    )  # fmt: skip
    if found.groups is None or (codes and not linear_in_predictions(prepared, options)):
        return rows
    return _told_once(rows, grouped(batches.source, head.pandas(list(names), "data").iloc[gold], found.groups), stay)


def _told_once(rows: BatchRows, told: Groups, stay: Stay) -> BatchRows:
    """The rows with those alike told once."""
    units, gold = rows.prepared.units, rows.prepared.gold
    draw = replace(units.labelling, positions=np.arange(len(gold)))  # type: ignore[call-arg]
    units = Units(draw, count=told.count, places=stay.places(units.gold), kept=stay.kept)
    positions = len(told.count) + np.arange(rows.head.n_rows)
    positions[gold] = np.arange(len(gold))
    return replace(
        rows, batches=told, names=tuple(map(str, told.frame.columns)), positions=positions,
        prepared=replace(rows.prepared, units=units),
    )  # fmt: skip


def _codes(options: Arguments, batches: Batches) -> int | None:
    """Splits and folds over which rows that are alike are dealt, 0 where none are; None where they need all splits."""
    if not learns(options) or isinstance(options.folds, str):
        return 0
    several = int(options.folds) * int(options.repeats)
    return several if batches.n_rows * int(options.repeats) > ALL_SPLITS_UP_TO else None


def learns(options: Arguments) -> bool:
    """Whether predictions come from a learner."""
    return options.estimator == "dsl" and options.learner is not None and options.predictions is None


def _with_spread(label: Label, sd: Mapping[str, float]) -> Label:
    """A label whose surrogates say how they spread over all rows."""
    return replace(label, surrogates=tuple(replace(s, sd=sd.get(s.name)) for s in label.surrogates))
