"""The units of a table that is read batch by batch: their draw, weights and clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import designs
from ..designs.probability import countable
from ..errors import ArgumentError, DataError
from ..estimate.augment import Units
from ..estimate.clusters import cluster_codes, count, named
from ..frames import Table
from ..frames.kinds import is_text
from .batch_kept import Kept, complete_rows, effects_of
from .design_matrix import analysis_weights, missing_values, read_clusters

if TYPE_CHECKING:
    from .._core.types import Bools, Ints
    from ..designs import Design
    from ..estimate.absorb import FixedEffects
    from ..frames.batches import Batches
    from ..frames.formula import Parsed
    from .batch_digest import Digest
    from .options import Arguments


def unit_columns(design: Design, options: Arguments) -> list[str]:
    """Columns of which one number for each row must be in memory: weights, clusters, and those of most designs.

    Raises
    ------
    ArgumentError
        If they are given as values.
    """
    cluster = [options.cluster] if isinstance(options.cluster, str) else options.cluster
    cluster = [] if cluster is None else cluster
    if not isinstance(cluster, (list, tuple)) or not all(isinstance(name, str) for name in cluster):
        raise ArgumentError("cluster= holds values; the data come batch by batch, so name columns.")
    weights = named_weights(options.weights)
    base = design.base if isinstance(design, designs.Drawn) else design
    own = () if countable(base) else base.columns
    if not countable(base) and not (own and isinstance(base, _BY_COLUMNS)):
        raise ArgumentError(
            f"design={design!r} must see all rows at once, and the data come batch by batch. Take kt.SimpleRandom(), "
            "kt.Stratified(...), or kt.Bernoulli, kt.Unequal or kt.Clustered with names of columns, or a sample drawn "
            "from one of these; for another design read the data into memory."
        )
    return list(dict.fromkeys((*own, *cluster, *([] if weights is None else [weights]))))


def named_weights(weights: object) -> str | None:
    """The column of analysis weights.

    Raises
    ------
    ArgumentError
        If values are given.
    """
    if weights is not None and not isinstance(weights, str):
        raise ArgumentError("weights= holds values; the data come batch by batch, so name a column.")
    return weights


_BY_COLUMNS = (designs.Bernoulli, designs.Unequal, designs.Clustered)


@dataclass(frozen=True)
class Stay:
    """Which rows of a table stay in a fit, and what is known of these.

    Parameters
    ----------
    rows : Batches or Kept
        The table with these rows alone.
    kept : ndarray of bool, shape (N,), or None
        Which they are; None where all stay.
    dropped : dict of str to int
        How many were left out, by reason.
    effects : FixedEffects, optional
        Of the rows that stay.
    """

    rows: Batches | Kept
    kept: Bools | None = field(repr=False, default=None)
    dropped: dict[str, int] = field(default_factory=dict)
    effects: FixedEffects | None = field(repr=False, default=None)

    def places(self, positions: Ints) -> Ints:
        """Where rows that stay stand among all."""
        return positions if self.kept is None else np.flatnonzero(self.kept)[positions]


def rows_that_stay(batches: Batches, parsed: Parsed, options: Arguments, lacking: bool) -> Stay:
    """Leave out rows where a value is missing, and rows alone in a fixed effect, or refuse to.

    The rule is that of data in memory: values of observed columns of the formula, weights and clusters count. Nothing
    is read where no column of the formula lacks any (``lacking``) and there is nothing else to be looked at.

    Raises
    ------
    DataError
        With ``missing="raise"``, or where no row is left.
    """
    if not (lacking or parsed.effects or options.weights is not None or options.cluster is not None or batches.roles):
        return Stay(batches)
    roles: dict[str, Sequence[str]] = {
        name: [name] for name in sorted(parsed.variables - {str(name) for name in options.surrogates})
    }
    if options.weights is not None:
        roles["weights="] = [options.weights]
    if options.cluster is not None:
        roles["cluster="] = [options.cluster] if isinstance(options.cluster, str) else list(options.cluster)
    kept, dropped = complete_rows(batches, roles | batches.roles)
    if dropped and options.missing == "raise":
        raise missing_values(dropped)
    if not kept.any():
        raise DataError(f"no row is left without missing values in {', '.join(map(repr, dropped))}; fill them.")
    effects = None
    if parsed.effects:
        complete = batches if kept.all() else Kept(batches, kept)
        table = _whole(complete, sorted(parsed.effect_variables))
        effects = effects_of(parsed, table, kept, dropped)
    if kept.all():
        return Stay(batches, None, dropped, effects)
    return Stay(Kept(batches, kept), kept, dropped, effects)


def read_units(
    batches: Batches, names: Sequence[str], design: Design, options: Arguments, whole: tuple[Digest, Ints],
    found: tuple[Digest, Ints], stay: Stay,
) -> Units:  # fmt: skip
    """The units, told by counts where no column is needed, else by one number for each row.

    Parameters
    ----------
    batches : Batches
    names : sequence of str
        From :func:`unit_columns`.
    design : Design
    options : Arguments
    whole, found : tuple of Digest and ndarray of int
        Of all rows, from which gold was drawn, and of those that stay; and where its head holds gold rows.
    stay : Stay

    Raises
    ------
    DataError, DesignError
    """
    digest, gold = whole
    positions = digest.positions[gold]
    recorded = isinstance(design, designs.Drawn)
    if isinstance(design, designs.Drawn):
        design.held_by_position(digest.n_rows, positions)
        design = design.base
    if not names:
        counted = designs.read_counts(design, digest.strata.sizes, digest.strata.names, positions, _strata(*whole))
        if stay.kept is not None:
            few, here = found
            counted = counted.seen(few.positions[here], _strata(*found), few.strata.sizes, few.strata.names)
        return Units(replace(counted, recorded=recorded), kept=stay.kept, effects=stay.effects)
    columns = list(dict.fromkeys(design.columns))
    table = _whole(batches, columns) if columns else Table.read({"row": np.zeros(digest.n_rows, dtype=np.int8)})
    labelled = np.zeros(digest.n_rows, dtype=bool)
    labelled[positions] = True
    draw = replace(designs.read_draw(design, table, labelled, None, "raise"), recorded=recorded)
    if stay.kept is not None:
        draw = draw.keep(stay.kept)
    cluster: Ints | None = None
    name, weights = "", None
    rest = [name for name in names if name not in columns or stay.kept is not None]
    known = _whole(stay.rows, rest) if rest else table
    if options.cluster is not None:
        clusters = read_clusters(known if rest else table, options.cluster)
        cluster, name = cluster_codes(clusters), named(list(clusters.columns))
        if min(count(cluster)) == 1:
            raise DataError("cluster holds a single cluster; a cluster covariance needs at least two.")
    if options.weights is not None:
        weights = analysis_weights(known, options.weights)
    return Units(draw, weights, cluster, name, stay.kept, stay.effects)


def _strata(digest: Digest, gold: Ints) -> Ints:
    """Strata of the gold rows."""
    codes = digest.strata.of(digest.head)
    return np.zeros(len(gold), dtype=np.intp) if codes is None else codes[gold]


def _whole(batches: Batches | Kept, names: Sequence[str]) -> Table:
    """Some columns of all rows, text as codes of categories."""
    import pandas as pd

    parts: dict[str, list[Any]] = {name: [] for name in names}
    known: dict[str, dict[Any, int]] = {}
    for _, table in batches.tables(names):
        for name in names:
            column = table.column(name, "weights, cluster or design")
            if column.isna().any():
                raise DataError(f"values are missing in {name!r}; fill them, or write a file without those rows.")
            if not is_text(column, name, "column"):
                parts[name].append(column.to_numpy())
                continue
            codes, levels = pd.factorize(column)
            numbers = known.setdefault(name, {})
            of = np.array([numbers.setdefault(level, len(numbers)) for level in levels.tolist()], dtype=np.int32)
            parts[name].append(of[codes])
    frame = {}
    for name in names:
        values = np.concatenate(parts.pop(name))
        frame[name] = pd.Categorical.from_codes(values, pd.Index(list(known[name]))) if name in known else values
    return Table.read(pd.DataFrame(frame))
