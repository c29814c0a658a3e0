"""The units of a table that is read batch by batch: their draw, weights and clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import designs
from ..designs.probability import countable
from ..errors import ArgumentError, DataError
from ..estimate.augment import Units
from ..estimate.clusters import cluster_codes, count, named
from ..frames import Table
from ..frames.kinds import is_text
from .design_matrix import analysis_weights, read_clusters

if TYPE_CHECKING:
    from .._core.types import Ints
    from ..designs import Design
    from ..frames.batches import Batches
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
    if options.weights is not None and not isinstance(options.weights, str):
        raise ArgumentError("weights= holds values; the data come batch by batch, so name a column.")
    base = design.base if isinstance(design, designs.Drawn) else design
    own = () if countable(base) else base.columns
    if not countable(base) and not (own and isinstance(base, _BY_COLUMNS)):
        raise ArgumentError(
            f"design={design!r} must see all rows at once, and the data come batch by batch. Take kt.SimpleRandom(), "
            "kt.Stratified(...), or kt.Bernoulli, kt.Unequal or kt.Clustered with names of columns, or a sample drawn "
            "from one of these; for another design read the data into memory."
        )
    return list(dict.fromkeys((*own, *cluster, *([] if options.weights is None else [options.weights]))))


_BY_COLUMNS = (designs.Bernoulli, designs.Unequal, designs.Clustered)


def read_units(
    batches: Batches, names: Sequence[str], design: Design, options: Arguments, found: Digest, gold: Ints
) -> Units:
    """The units, told by counts where no column is needed, else by one number for each row.

    Parameters
    ----------
    batches : Batches
    names : sequence of str
        From :func:`unit_columns`.
    design : Design
    options : Arguments
    found : Digest
    gold : ndarray of int, shape (n,)
        Gold rows of its head.

    Raises
    ------
    DataError, DesignError
    """
    strata, positions = found.strata, found.positions[gold]
    recorded = isinstance(design, designs.Drawn)
    if isinstance(design, designs.Drawn):
        design.held_by_position(found.n_rows, positions)
        design = design.base
    if not names:
        of_head = strata.of(found.head)
        codes = np.zeros(len(gold), dtype=np.intp) if of_head is None else of_head[gold]
        counted = designs.read_counts(design, strata.sizes, strata.names, positions, codes)
        return Units(replace(counted, recorded=recorded))
    table = _whole(batches, list(dict.fromkeys((*names, *design.columns))))
    labelled = np.zeros(found.n_rows, dtype=bool)
    labelled[positions] = True
    draw = replace(designs.read_draw(design, table, labelled, None, "raise"), recorded=recorded)
    cluster: Ints | None = None
    name = ""
    if options.cluster is not None:
        clusters = read_clusters(table, options.cluster)
        cluster, name = cluster_codes(clusters), named(list(clusters.columns))
        if min(count(cluster)) == 1:
            raise DataError("cluster holds a single cluster; a cluster covariance needs at least two.")
    return Units(draw, analysis_weights(table, options.weights), cluster, name)


def _whole(batches: Batches, names: Sequence[str]) -> Table:
    """Some columns of all rows, text as codes of categories."""
    import pandas as pd

    parts: dict[str, list[Any]] = {name: [] for name in names}
    known: dict[str, dict[Any, int]] = {}
    for _, table in batches.tables(names):
        for name in names:
            column = table.column(name, "weights, cluster or design")
            if column.isna().any():
                raise DataError(
                    f"values are missing in {name!r}; of a table that is read batch by batch no rows are left out. "
                    "Fill them, or write a file without those rows."
                )
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
