"""Gold that is there, read as a draw: by which design, some rows without a label, some shown to the labeller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from .._core.types import Bools, Floats
from ..errors import ArgumentError, DataError, DesignError
from ..frames import Table
from ..frames.table import as_float
from .base import Design, Drawn, Sample
from .labelling import Labelling
from .probability import Bernoulli, SimpleRandom
from .propensity import Propensity, response_matrix
from .response import answered


def resolve(design: object) -> Design:
    """Turn what a user may pass as ``design=`` into a design.

    Parameters
    ----------
    design : Design, Sample, float, str, array_like or None
        A float, column or array is a Bernoulli probability; None a simple random sample of
        the realised size.

    Returns
    -------
    Design

    Examples
    --------
    >>> resolve(None)
    SimpleRandom(n=None)
    """
    if isinstance(design, Mapping):
        raise ArgumentError(
            f"design names {list(design)}, one design each, which regressions take whose labels have gold samples of "
            "their own (kt.ols, kt.logit, ...); give one design here."
        )
    if design is None:
        return SimpleRandom()
    if isinstance(design, Design):
        return design
    if isinstance(design, Sample):
        return design.design
    return Bernoulli(design)


def with_answers(design: Design, table: Table, labelled: Bools, sampled: object, nonresponse: object) -> Labelling:
    """Read gold as a draw, some of whose rows may have come back without a label.

    Parameters
    ----------
    design : Design
    table : Table
    labelled : ndarray of bool, shape (N,)
        Rows with gold.
    sampled : str, array_like or None
        Rows that were drawn, where the design itself does not hold them.
    nonresponse : {"raise", "ignorable"}, column names or formula
        What drawn rows without a label are taken for: an error, random within strata, or random given these variables.

    Returns
    -------
    Labelling

    Raises
    ------
    ArgumentError, DesignError

    Examples
    --------
    >>> import numpy as np
    >>> import karat as kt
    >>> from karat.frames import Table
    >>> rows = np.arange(20)
    >>> drawn = with_answers(kt.SimpleRandom(10), Table.read({"row": rows}), rows < 5, rows < 10, "ignorable")
    >>> drawn.description
    'simple random sample, 10 of 20; 5 of the 10 drawn have labels, taken as random'
    """
    if isinstance(nonresponse, str) and nonresponse == "raise" and sampled is None:
        return design.realised(table, labelled)
    if not (isinstance(nonresponse, str) and nonresponse in ("raise", "ignorable")):
        if nonresponse is None or isinstance(nonresponse, (bool, int, float)):
            raise ArgumentError(
                f"nonresponse={nonresponse!r} is not allowed; choose 'raise', 'ignorable', or name the columns on "
                "which answering depends."
            )
        regressors: Floats | None = response_matrix(table, nonresponse, "nonresponse")
    else:
        regressors = None
    if isinstance(design, Propensity):
        raise ArgumentError("nonresponse= and sampled= need a draw, and Propensity has none; take them out.")
    drawn = _draw(design, table, labelled, sampled)
    extra, lost = np.flatnonzero(labelled & ~drawn.labelled), np.flatnonzero(drawn.labelled & ~labelled)
    if len(extra):
        raise DesignError(
            f"{len(extra)} row(s) carry gold but were not drawn (first at position {extra[0]}); set their gold "
            "missing, or correct sampled=."
        )
    if not len(lost):
        return drawn
    if isinstance(nonresponse, str) and nonresponse == "raise":
        raise DesignError(
            f"{len(lost)} drawn row(s) have no gold (first at position {lost[0]}); have them labelled, or say with "
            "nonresponse='ignorable' or nonresponse=[columns] what they are taken for."
        )
    names = nonresponse if isinstance(nonresponse, str) else ", ".join(map(str, nonresponse))  # type: ignore[call-overload]
    how = "taken as random within strata" if regressors is None else f"answers modelled on {names} (logistic)"
    if regressors is None and len(drawn.parts) > 1:
        how = "taken as random within waves and their strata"
    elif regressors is None and drawn.stratum is None:
        how = "taken as random"
    return answered(drawn, labelled, regressors, how)


def _draw(design: Design, table: Table, labelled: Bools, sampled: object) -> Labelling:
    """The rows drawn, from the design or from what the user says."""
    if sampled is None:
        if not isinstance(design, Drawn):
            raise ArgumentError(
                "nonresponse= needs to know which rows were drawn: pass design=sample.design, or sampled= a true/false "
                "column of the rows drawn."
            )
        return design.aligned(table, labelled)
    name = sampled if isinstance(sampled, str) else "sampled"
    marked = as_float(table.values(sampled, "sampled"), name, "indicator of drawn rows")
    if not np.isin(marked, (0.0, 1.0)).all():
        raise ArgumentError(f"sampled={name!r} must be true/false (or 1/0) in every row.")
    return replace(design.realised(table, marked == 1.0), recorded=True)


def read_draw(
    given: object, table: Table, labelled: Bools, sampled: object, nonresponse: object, shown: Bools | None = None
) -> Labelling:
    """Read gold as a draw, see :func:`with_answers`; rows shown to the labeller leave the frame first.

    Their gold was there before anything was drawn, so a design that is read from the gold (its size, its
    totals, a model of who was labelled) must not see it. A recorded draw is read whole and then kept without
    them; so are declared sizes that only hold with them, which says that these rows were drawn like the others.

    Parameters
    ----------
    given : Design or object
        As :func:`resolve` takes it.
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
    design = resolve(given)
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
