"""Two-stage least squares beyond a linear regression: first stages and the reduced form on the same units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import moments as models
from ..errors import SmallSampleWarning, tell
from ..estimate.infer import combination, infer, influences
from ..estimate.instruments import first_stage_rows
from ..results.instruments import WEAK, Stage
from .pipeline import Opened, Steps
from .steps import estimated, parts_of

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..estimate.augment import AugmentedSample
    from ..estimate.covariance import Meat
    from ..estimate.infer import Parts
    from ..estimate.rectify import Estimate
    from ..results import Result
    from .comparison_fits import Naive


class Instrumented(Steps[Opened]):
    """Adds the first stage and what Anderson-Rubin intervals are made from."""

    def finish(
        self, result: Result, fit: Opened, sample: AugmentedSample, estimate: Estimate, parts: Parts,
        naive: Naive | str, meat: Meat,
    ) -> Result:  # fmt: skip
        """With the first stage."""
        stage = _stage(fit, sample)
        result = result.replace(stage=stage)
        if stage.effective < WEAK:
            note = (
                f"the instruments are weak (effective F {stage.effective:.1f}, below {WEAK:g}): the intervals above "
                "can be too short and off; report fit.anderson_rubin()"
            )
        elif (few := {name: f for name, (f, _) in stage.conditional.items() if f < WEAK}) and len(stage.endogenous) > 1:
            note = (
                f"the instruments are weak once the other endogenous covariates are held (conditional F "
                f"{', '.join(f'{name} {f:.1f}' for name, f in few.items())}, below {WEAK:g}): the intervals above can "
                "be too short and off; find stronger instruments, or fewer covariates that need them"
            )
        else:
            note = ""
        if note:
            tell(f"{note}.", SmallSampleWarning)
            result = result.replace(notes=(*result.notes, note))
        return super().finish(result, fit, sample, estimate, parts, naive, meat)


INSTRUMENTED = Instrumented()


def _stage(fit: Opened, sample: AugmentedSample) -> Stage:
    """Regressions of the endogenous covariates and of the outcome on the instruments, on the units of the fit."""
    roles, options, linear = sample.instruments, fit.options, models.get("ols")
    assert roles is not None
    spec, excluded = fit.matrix.spec, roles.excluded

    def regression(column: int | None) -> tuple[Estimate, Parts]:
        rows = first_stage_rows(sample, column)
        found = estimated(linear, rows, options, fit.predicted is not None)
        return found, parts_of(linear, rows, found, options)

    stages = [regression(int(j)) for j in roles.endogenous]
    outcome, of_outcome = regression(None)
    kept = np.eye(len(roles.left))[excluded]
    covariances, freedoms = [], []
    for _, part in (*stages, (outcome, of_outcome)):
        covariance, df = infer(part, options.vcov, options.target, options.df)
        covariances.append(kept @ covariance.total @ kept.T)
        freedoms.append(df[excluded].min())
    joint = None
    if len(stages) == 1:
        q, both = len(excluded), [of_outcome, stages[0][1]]
        none = np.zeros_like(kept)
        matrices = [np.vstack([kept, none]), np.vstack([none, kept])]
        meat = influences(both, options.vcov)
        joint = combination(both, matrices, options.vcov, options.target, meat)
        # blocks on the diagonal as each regression has them by itself
        joint[:q, :q], joint[q:, q:] = covariances[-1], covariances[0]
    gram = np.linalg.inv(kept @ np.linalg.inv(stages[0][0].curvature) @ kept.T)
    gram = (gram + gram.T) / 2.0
    first = np.vstack([found.theta[excluded] for found, _ in stages])
    alone = []
    for k in range(len(stages) if len(stages) > 1 else 0):
        of_others, beyond = _given_others(first, gram, k)
        every = [part for _, part in stages]
        matrices = [scale * (beyond.T @ kept) for scale in np.insert(-of_others, k, 1.0)]
        meat = influences(every, options.vcov)
        alone.append((beyond.T @ first[k], combination(every, matrices, options.vcov, options.target, meat)))
    return Stage(
        tuple(spec.columns[j] for j in roles.endogenous),
        tuple(spec.columns[roles.left[k]] for k in excluded),
        first,
        np.stack(covariances[:-1]),
        gram,
        outcome.theta[excluded],
        joint,
        float(min(freedoms)),
        tuple(alone),
    )


def _given_others(first: Floats, gram: Floats, k: int) -> tuple[Floats, Floats]:
    """Of one endogenous covariate: its regression on the others by the instruments, and what is left of these.

    Returns
    -------
    of_others : ndarray, shape (K - 1,)
        Two-stage least squares of it on the other endogenous covariates.
    beyond : ndarray, shape (q, q - K + 1)
        Combinations of the instruments' coefficients that are 0 in the first stages of the others.
    """
    from scipy.linalg import null_space

    others = np.delete(first, k, axis=0)
    of_others = np.linalg.lstsq(others @ gram @ others.T, others @ gram @ first[k], rcond=None)[0]
    return of_others, null_space(others / np.linalg.norm(others, axis=1, keepdims=True))
