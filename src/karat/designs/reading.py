"""Gold read as a draw from the rows that the labeller has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import DataError, DesignError
from .base import Design, Drawn
from .labelling import Labelling
from .propensity import Propensity, with_answers

if TYPE_CHECKING:
    from .._core.types import Bools
    from ..frames import Table


def read_draw(
    design: Design, table: Table, labelled: Bools, sampled: object, nonresponse: object, shown: Bools | None = None
) -> Labelling:
    """Read gold as a draw, see :func:`with_answers`; rows shown to the labeller leave the frame first.

    Their gold was there before anything was drawn, so a design that is read from the gold (its size, its
    totals, a model of who was labelled) must not see it. A recorded draw is read whole and then kept without
    them; so are declared sizes that only hold with them, which says that these rows were drawn like the others.

    Parameters
    ----------
    design : Design
    table : Table
    labelled : ndarray of bool, shape (N,)
    sampled, nonresponse : object
        As in :func:`with_answers`.
    shown : ndarray of bool, shape (N,), optional

    Returns
    -------
    Labelling
        Of the rows that were not shown.

    Raises
    ------
    ArgumentError, DataError, DesignError

    Examples
    --------
    >>> import numpy as np
    >>> import karat as kt
    >>> from karat.frames import Table
    >>> rows = np.arange(20)
    >>> drawn = read_draw(kt.SimpleRandom(), Table.read({"row": rows}), rows < 5, None, "raise", shown=rows < 2)
    >>> drawn.n_gold, len(drawn.probability)
    (3, 18)
    """
    if shown is None or not shown.any():
        return with_answers(design, table, labelled, sampled, nonresponse)
    rest = ~shown
    if not (labelled & rest).any():
        raise DataError("no gold row is left without the rows of shown=; label others.")
    if isinstance(design, Drawn):
        return with_answers(design, table, labelled, sampled, nonresponse).keep(rest)
    marks = sampled if sampled is None or isinstance(sampled, str) else table.values(sampled, "sampled")[rest]
    try:
        return with_answers(design.restricted(rest, table), table.filter(rest), labelled[rest], marks, nonresponse)
    except DesignError:
        if isinstance(design, Propensity):
            raise
        try:
            return with_answers(design, table, labelled, sampled, nonresponse).keep(rest)
        except DesignError:
            pass
        raise
