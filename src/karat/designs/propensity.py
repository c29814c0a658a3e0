"""Gold that nobody drew, as a design: who was labelled is modelled on observed variables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._core.types import Bools, Floats
from ..errors import ArgumentError, DataError, DesignError, NotValidWarning, generator, number, tell
from ..frames import Table
from ..frames.matrices import encode
from .base import Design
from .calibration import independent_columns, nonresponse_odds
from .labelling import Labelling
from .response import Response

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
