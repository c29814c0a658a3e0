"""What must hold of the fits of a sequence: one regression, gold that only grows, waves that bring their share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..designs import SequentialLabelling
from ..designs.domain import Domain
from ..errors import ArgumentError, DesignWarning, tell
from ..results import Result

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..estimate.infer import Parts

_INFORMATIVE = 0.75
"""Covariance of two looks, over the later variance, below which a warning is given."""


def identity(fit: Result) -> tuple[Any, ...]:
    """What must be the same at all looks, and how gold was drawn where that is known."""
    parameters = None if fit.call is None else fit.call.arguments.get("parameters")
    model = fit.model if parameters is None else f"{fit.model} {parameters}"
    same = (fit.names, model, fit.formula, fit.estimator, fit.target, fit.vcov_kind, fit.cluster, fit.n_units)
    return (same, None if fit.parts is None else fit.parts.units.labelling)


def check_look(fit: object, n_before: int, last: tuple[Any, ...]) -> None:
    """Raise where a fit cannot follow the look before, of which ``last`` is the identity (empty at the first)."""
    if not isinstance(fit, Result):
        raise ArgumentError(f"fits must hold Results; got {type(fit).__name__}.")
    if fit.estimator == "surrogate":
        raise ArgumentError("the surrogate estimator has no valid interval at any look; fit with gold.")
    if fit.parts is not None and isinstance(fit.parts.units.labelling, Domain):
        raise ArgumentError("a sequence counts the gold of the whole frame; fit without subset= at each look.")
    if fit.n_gold <= n_before:
        raise ArgumentError(
            f"looks must come in time order with growing gold; a fit with {fit.n_gold} gold labels follows one with "
            f"{n_before}."
        )
    if not last:
        return
    same, labelling = identity(fit)
    if same != last[0]:
        raise ArgumentError(
            f"the looks differ in their regression, target, covariance or corpus: {same} after {last[0]}; fit the same "
            "regression to the same corpus at each look."
        )
    if labelling is None or last[1] is None:
        raise ArgumentError(
            "a fit of the sequence has not kept which rows are gold, so it cannot be seen whether gold only grew; fit "
            "with scores=True at each look."
        )
    lost = int((last[1].labelled & ~labelling.labelled).sum())
    if lost:
        raise ArgumentError(f"{lost} row(s) were gold at the look before and are not now; gold must grow.")


def warn_uninformative(fit: Result, last: tuple[Any, ...]) -> None:
    """Warn where the new wave brings less than its share: the estimates then vary more than the clock allows.

    With shares ``o`` of the waves before and now and their labelling variances V the covariance of two looks is
    ``sum o_before o_now V``. The boundary wants the variance now, ``sum o_now^2 V``, or more.
    """
    if fit.parts is None or last[1] is None:
        return
    labelling = fit.parts.units.labelling.asked
    if not isinstance(labelling, SequentialLabelling) or np.ptp(labelling.weight) < 1e-9:
        return
    before = [w.share for w in getattr(last[1].asked, "waves", ())] or [1.0]
    error, drawn_in = _asked_error(fit.parts), labelling.wave[labelling.labelled]
    now, covariance = np.zeros(len(fit.theta)), np.zeros(len(fit.theta))
    for k, wave in enumerate(labelling.waves):
        inside = error[drawn_in == k + 1]
        variance = np.diag(wave.labelling.cross(inside, inside))
        now = now + wave.share**2 * variance
        covariance = covariance + wave.share * (before[k] if k < len(before) else 0.0) * variance
    if (covariance < _INFORMATIVE * now).any():
        tell(
            "the last wave brought less information than its share of the estimate, so a confidence sequence may be "
            "too "
            "narrow; give later waves a smaller share (next_wave(..., share=)), or larger samples.",
            DesignWarning,
        )


def _asked_error(parts: Parts) -> Floats:
    """Errors of all rows drawn: with non-response 0 where no answer came, and answers over their probability."""
    labelling, asked = parts.units.labelling, parts.units.labelling.asked
    if labelling is asked:
        return parts.scores.error
    out = np.zeros((asked.n_gold, parts.scores.error.shape[1]))
    out[labelling.labelled[asked.gold]] = (
        parts.scores.error * (labelling.weight / asked.weight[labelling.labelled[asked.gold]])[:, None]
    )
    return out
