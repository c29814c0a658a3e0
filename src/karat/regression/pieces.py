"""A fit taken apart: what it was made from, to be made again with other labels or weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import ArgumentError
from ..estimate.augment import AugmentedSample
from ..estimate.infer import infer
from ..estimate.rectify import gold_estimate, rectify
from .options import Arguments
from .pipeline import PLAIN, open_fit
from .steps import estimated, parts_of

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..designs import Labelling
    from ..estimate.covariance import Covariance
    from ..estimate.rectify import Estimate
    from ..estimate.tune import Tuning
    from ..moments import Model
    from .design_matrix import Design, Prepared


@dataclass(frozen=True)
class Pieces:
    """What a fit was made from.

    Parameters
    ----------
    model : Model
    prepared : Prepared
    matrix : Design
    sample : AugmentedSample
    options : Arguments
    tuning : Tuning
        Weights chosen for the fit; kept when labels or weights change.
    crossfitted : bool
    """

    model: Model
    prepared: Prepared
    matrix: Design
    sample: AugmentedSample
    options: Arguments
    tuning: Tuning
    crossfitted: bool

    def again(self, sample: AugmentedSample) -> tuple[Estimate, Covariance, Floats]:
        """Estimate, covariance and degrees of freedom on a changed sample, with the weights of the fit."""
        if self.options.estimator == "gold" or not sample.predicted:
            estimate = gold_estimate(self.model, sample)
        else:
            estimate = rectify(self.model, sample, self.tuning, self.crossfitted)
        parts = parts_of(self.model, sample, estimate, self.options)
        covariance, df = infer(parts, self.options.vcov, self.options.target, self.options.df)
        return estimate, covariance, df


def pieces(options: Arguments, data: object) -> Pieces:
    """Take a fit apart.

    Raises
    ------
    ArgumentError
        If the fit has no single estimating equation, or uses no gold.
    """
    if options.combine == "median":
        raise ArgumentError("combine='median' has no single estimating equation to change; use combine='mean'.")
    if options.estimator == "surrogate":
        raise ArgumentError("estimator='surrogate' uses no gold, so nothing about the gold can change it.")
    fit = open_fit(options, data, PLAIN)
    sample, crossfitted = fit.sample, fit.predicted is not None
    estimate = estimated(fit.model, sample, options, crossfitted)
    tuning = replace(estimate.tuning, left_out=None)  # other samples have other units
    return Pieces(fit.model, fit.prepared, fit.matrix, sample, options, tuning, crossfitted)


def drawn_of(labelling: Labelling) -> Labelling:
    """All rows drawn, of which some gave no label.

    Raises
    ------
    ArgumentError
        If none is missing.
    """
    first = labelling.first
    if first is None or first.n_gold == labelling.n_gold:
        raise ArgumentError(
            "every row drawn has its label, so no missing label can change the result. Pass the whole draw with "
            "design=sample.design (or sampled=) and nonresponse='ignorable', or design=karat.Propensity(...) for gold "
            "that nobody drew."
        )
    return first
