"""Gold that is there read as a draw: some rows without a label, some shown to the labeller, or drawn by nobody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .._core.types import Bools, Floats
from ..errors import ArgumentError, DataError, DesignError, NotValidWarning, generator, number, tell
from ..frames import Table
from ..frames.matrices import encode
from ..frames.table import as_float
from .base import Design, Drawn
from .calibration import independent_columns, nonresponse_odds
from .labelling import Labelling
from .response import Response, answered

_FOLDS = 5


@dataclass(frozen=True)
class Propensity(Design):
    """Convenience gold: who was labelled is modelled on observed variables, and the guarantee is gone.

    With a sampling design intervals are valid whatever the surrogates do. Here they are valid only if labelling
    depended on nothing but ``on`` (given these, not on the label itself) and the model is right. Use it
    for gold that is there already, say so, and look at :func:`karat.sensitivity`.

    Parameters
    ----------
    on : str or sequence of str
        Columns on which labelling depended (numbers as they are, text as indicators), or a formula such as
        ``"~ words + C(source) + words:tone_llm"``.
    learner : scikit-learn classifier, optional
        In place of the logistic model, cross-fitted in five folds; the probabilities are cut at ``trim``.
    trim : float
        Smallest propensity; smaller ones are set to it, and counted.
    seed : int
        Of the folds of a learner.

    Notes
    -----
    The logistic model is calibrated: gold weighted by ``1 / propensity`` reproduces the totals of its variables exactly
    (Graham, Pinto, Egel 2012). The labelling variance is that of independent draws, less what the model
    explains (its coefficients are estimated): the residual of labelling errors on the model's variables.
    With a learner the plain independent form is used, which rests on predictions of the label being good
    too (Chernozhukov et al. 2018).

    References
    ----------
    Graham, Pinto, Egel (2012); Elliott and Valliant (2017), *Inference for nonprobability samples*.

    Examples
    --------
    >>> import warnings
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(3000, seed=1)
    >>> picked = corpus["length"] + np.random.default_rng(1).logistic(size=3000) > 2
    >>> gold = kt.datasets.mask_gold(corpus, picked.to_numpy(), "hostile")
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", kt.errors.NotValidWarning)
    ...     fit = kt.ols("outcome ~ hostile + length", gold, surrogates={"hostile": "hostile_llm"},
    ...                  design=kt.Propensity("length"), seed=1)
    >>> "nobody drew" in fit.checks.caution
    True
    """

    on: Any
    learner: Any = field(default=None, kw_only=True)
    trim: float = field(default=0.01, kw_only=True)
    seed: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "trim", number("trim", self.trim, above=0, below=0.5))
        generator(self.seed)
        if self.learner is not None and not hasattr(self.learner, "fit"):
            raise ArgumentError(f"learner={self.learner!r} is not allowed; give a scikit-learn classifier, or None.")

    def select(self, table: Table, rng: np.random.Generator) -> Labelling:
        """Refused: a model of labelling draws nothing."""
        raise DesignError(
            "Propensity describes gold that nobody drew and cannot draw; draw with SimpleRandom, Stratified, ..."
        )

    def realised(self, table: Table, labelled: Bools) -> Labelling:
        """Fit the model of who was labelled."""
        n = len(labelled)
        if labelled.all():
            raise DesignError("every row is gold, so there is no labelling to model; take design= out.")
        everyone = Labelling(np.ones(n), np.ones(n, dtype=bool), fixed_size=False)
        z = response_matrix(table, self.on, "Propensity(on)")
        if self.learner is None:
            pi = 1.0 / (1.0 + nonresponse_odds(z, labelled, np.ones(n)))
        else:
            pi = self._crossfitted(z[:, 1:], labelled)
        low = pi < self.trim
        pi = np.where(low, self.trim, pi)
        regressors = None if self.learner is not None else np.where(low[:, None], 0.0, z)
        what = self.on if isinstance(self.on, str) else ", ".join(self.on)
        kind = "logistic model" if self.learner is None else type(self.learner).__name__
        beyond = float((pi < pi[labelled].min() / 2).mean())
        note = (
            f"nobody drew this gold: the propensity of being labelled is modelled on {what} ({kind}); "
            "intervals are valid only if labelling depended on nothing else"
        )
        if low.any():
            note += f"; {int(low.sum()):,} propensities were raised to {self.trim:g}"
        if beyond > 0.01:
            note += f"; {beyond:.0%} of the frame is less likely to be labelled than half the least likely gold row"
        tell(f"{note}. karat.sensitivity shows what else could be true.", NotValidWarning)
        return Response(
            probability=pi, labelled=labelled, fixed_size=False,
            description=f"convenience gold, propensity modelled on {what} ({kind}); NOT a probability sample",
            first=everyone, response=pi, regressors=regressors, note=note,
        )  # fmt: skip

    def _crossfitted(self, x: Floats, labelled: Bools) -> Floats:
        from sklearn.base import clone

        if not hasattr(self.learner, "predict_proba"):
            raise ArgumentError(f"learner={self.learner!r} gives no probabilities (no predict_proba); choose another.")
        fold = generator(self.seed).permutation(len(x)) % _FOLDS
        out = np.empty(len(x))
        for k in range(_FOLDS):
            inside = fold == k
            if len(np.unique(labelled[~inside])) < 2:
                raise DesignError("a fold holds all the gold; a learner of the propensity needs more gold.")
            fitted = clone(self.learner).fit(x[~inside], labelled[~inside].astype(int))
            out[inside] = fitted.predict_proba(x[inside])[:, 1]
        return out


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


def response_matrix(table: Table, on: object, role: str) -> Floats:
    """A constant and the variables of a response model, standardised, shape (N, k)."""
    if isinstance(on, str) and "~" in on:
        import formulaic

        frame = table.pandas(table.columns, role)
        try:
            made = formulaic.model_matrix(on.strip(), frame, na_action="ignore", output="numpy")
        except Exception as error:
            raise ArgumentError(f"{role}: the formula {on!r} cannot be evaluated ({error}).") from None
        matrix = np.asarray(made, dtype=np.float64)
        if not np.isfinite(matrix).all():
            raise DataError(f"{role}: the formula {on!r} gives missing or infinite values; fill them.")
        return independent_columns(matrix)
    names = [on] if isinstance(on, str) else on
    if not isinstance(names, Sequence) or not names or not all(isinstance(n, str) for n in names):
        raise ArgumentError(f"{role}={on!r} is not allowed; give a column, a list of columns, or a formula '~ a + b'.")
    features = encode([(str(n), table.column(str(n), role), False) for n in names], table.n_rows)
    return independent_columns(features.matrix)


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
