"""Bootstrap samples that vary as the gold sample does: units, the cells they are drawn in, how often each is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import ArgumentError, DataError
from ..frames import Table
from ..predict.folds import renumbered

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
    from ..designs import Labelling


def refuse_unequal(labelling: Labelling) -> None:
    """Raise for designs whose variance resampling does not reproduce."""
    if labelling.caution:
        raise ArgumentError(
            "bootstrap does not support gold that nobody drew (Propensity): the model of who was labelled would have "
            "to be fitted anew in every sample. Use a regression (kt.regress), which counts its estimation."
        )
    if len(labelling.parts) > 1:
        raise ArgumentError(
            "bootstrap does not support a gold sample drawn in several waves: resampling units would mix them. Use a "
            "regression (kt.regress), which has the variance of each wave."
        )
    stratum = np.zeros(len(labelling.labelled)) if labelling.stratum is None else labelling.stratum
    pi = labelling.probability
    order = np.lexsort((pi, stratum))
    if labelling.fixed_size and ((np.diff(stratum[order]) == 0) & (np.diff(pi[order]) > 0)).any():
        raise ArgumentError(
            "bootstrap does not support samples of fixed size with unequal probabilities within strata; use a "
            "regression "
            "(kt.regress), or design=kt.Bernoulli with these probabilities, which as a rule overstates the variance."
        )


def resampling_units(table: Table, labelling: Labelling, cluster: object) -> tuple[Ints, Ints, Ints]:
    """Resampling unit of each row; cell and stratum of each unit.

    Where sizes were fixed, gold units are resampled apart from the others of their stratum (two cells);
    how many units the strata have is resampled too. Clusters that hold several labelling units are resampled as
    they are.

    Raises
    ------
    ArgumentError
        If a cluster holds a part of a labelling unit.
    """
    import pandas as pd

    if cluster is not None:
        units = pd.factorize(table.values(cluster, "cluster"))[0].astype(np.intp)
        if units.min() < 0:
            raise DataError("cluster has missing values; fill them.")
        if labelling.unit is not None and (units != units[labelling.first_rows][_codes(labelling.unit)]).any():
            raise ArgumentError(
                "cluster= is finer than the clusters that were drawn whole (a drawn one lies in several of it), so "
                "resampling would take apart what was drawn together; leave cluster= out, or give a coarser one."
            )
    elif labelling.unit is not None:
        units = _codes(labelling.unit)
    else:
        units = np.arange(table.n_rows)
    n_units = int(units.max()) + 1
    nothing = np.zeros(n_units, dtype=np.intp)
    if not labelling.fixed_size or n_units < len(labelling.first_rows):
        return units, nothing, nothing
    first = np.unique(units, return_index=True)[1]
    stratum = nothing if labelling.stratum is None else labelling.stratum[first].astype(np.intp)
    return units, (2 * stratum + labelling.labelled[first]).astype(np.intp), stratum


def in_order(units: Ints, cells: Ints, strata: Ints, order: Ints) -> tuple[Ints, Ints, Ints]:
    """Units numbered in an order of the rows that does not depend on where they stand."""
    renamed = renumbered(units, order)
    cells_in, strata_in = np.empty_like(cells), np.empty_like(strata)
    cells_in[renamed], strata_in[renamed] = cells[units], strata[units]
    return renamed, cells_in, strata_in


def _codes(unit: Ints) -> Ints:
    return np.unique(unit, return_inverse=True)[1].astype(np.intp)


def multiplicities(units: Ints, cells: Ints, strata: Ints, rng: np.random.Generator) -> Floats:
    """How often each row is in a bootstrap sample, shape (N,); strata change their size at random."""
    counts = np.zeros(len(cells))
    for cell in np.unique(cells):
        members = np.flatnonzero(cells == cell)
        counts[members] = np.bincount(rng.integers(len(members), size=len(members)), minlength=len(members))
    size = np.bincount(strata)
    if len(size) > 1:
        drawn = rng.multinomial(len(strata), size / size.sum())
        counts *= (drawn / np.maximum(size, 1))[strata]
    return counts[units]
