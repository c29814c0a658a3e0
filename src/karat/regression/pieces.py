"""A fit taken apart: what it was made from, to be made again with other labels or weights."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .. import designs
from .. import moments as models
from ..checks.duplicates import prompt_rows
from ..errors import ArgumentError, generator
from ..estimate.augment import AugmentedSample
from ..frames import Table
from ..frames.formula import parse
from ..frames.seeds import seed_of_fit
from .options import Options, read_vcov
from .variables import labelled_rows, read_labels

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..designs import Labelling
    from ..estimate.covariance import Covariance
    from ..estimate.rectify import Estimate
    from ..estimate.tune import Tuning
    from ..moments import Model
    from .design_matrix import Design, Prepared

_KNOWN = frozenset(
    (
        "model", "formula", "data", "surrogates", "design", "labelled", "sampled", "nonresponse", "features",
        "learner", "predictions", "folds", "repeats", "combine", "imputation", "tuning", "estimator", "vcov",
        "cluster", "weights", "target", "df", "alpha", "missing", "prompt", "compare", "scores", "n_jobs", "progress",
        "seed", "context",
    )
)  # fmt: skip
"""Arguments of regress that are honoured here; a new one must be added on purpose."""


@dataclass(frozen=True)
class Pieces:
    """What a fit was made from.

    Parameters
    ----------
    model : Model
    prepared : Prepared
    matrix : Design
    sample : AugmentedSample
    options : Options
    tuning : Tuning
        Weights chosen for the fit; kept when labels or weights change.
    crossfitted : bool
    """

    model: Model
    prepared: Prepared
    matrix: Design
    sample: AugmentedSample
    options: Options
    tuning: Tuning
    crossfitted: bool

    def again(self, sample: AugmentedSample) -> tuple[Estimate, Covariance, Floats]:
        """Estimate, covariance and degrees of freedom on a changed sample, with the weights of the fit."""
        from ..estimate.infer import infer
        from ..estimate.rectify import gold_estimate, rectify
        from .pipeline import parts_of

        if self.options.estimator == "gold" or not sample.predicted:
            estimate = gold_estimate(self.model, sample)
        else:
            estimate = rectify(self.model, sample, self.tuning, self.crossfitted)
        parts = parts_of(self.model, sample, estimate, self.options)
        covariance, df = infer(parts, self.options.vcov, self.options.target, self.options.df)
        return estimate, covariance, df


def arguments_of(model: str, formula: str, data: object, given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of :func:`karat.regress` with its defaults.

    Raises
    ------
    ArgumentError
        If there is no such argument, or it is one that cannot be honoured here.
    """
    from .regress import regress

    signature = inspect.signature(regress)
    if unknown := sorted(set(given) - set(signature.parameters)):
        raise ArgumentError(
            f"{unknown[0]!r} is not an argument of karat.regress; it takes {list(signature.parameters)}."
        )
    if "surrogates" not in given:
        raise ArgumentError("surrogates= is missing; map each gold column to its surrogate(s).")
    bound = signature.bind(model, formula, data, **given)
    bound.apply_defaults()
    for name, value in bound.arguments.items():
        if name not in _KNOWN and value is not signature.parameters[name].default:
            raise ArgumentError(f"{name}= is not supported here; fit without it.")
    return dict(bound.arguments)


def pieces(a: Mapping[str, Any]) -> Pieces:
    """Take a fit apart.

    Parameters
    ----------
    a : mapping
        From :func:`arguments_of`, with a whole number as seed.

    Returns
    -------
    Pieces
    """
    from .design_matrix import matrices, prepare
    from .pipeline import augmented, estimated, frame_features, predicted_blocks

    kind, cluster = read_vcov(a["vcov"], a["cluster"])
    named = "learner folds repeats combine imputation tuning estimator target df alpha n_jobs progress missing scores"
    options = Options(**{name: a[name] for name in named.split()}, vcov=kind)
    if options.combine == "median":
        raise ArgumentError("combine='median' has no single estimating equation to change; use combine='mean'.")
    if options.estimator == "surrogate":
        raise ArgumentError("estimator='surrogate' uses no gold, so nothing about the gold can change it.")
    regression = models.get(a["model"])
    table = Table.read(a["data"])
    parsed = parse(a["formula"], table.names, a["context"], regression.categorical)
    labels = read_labels(parsed, table, a["surrogates"])
    rows = labelled_rows(labels, table, a["labelled"])
    shown = None if a["prompt"] is None else prompt_rows(a["prompt"], table)
    labelling = designs.read_draw(designs.resolve(a["design"]), table, rows, a["sampled"], a["nonresponse"], shown)
    prepared = prepare(
        table, parsed, labels, labelling, weights=a["weights"], cluster=cluster, missing=a["missing"],
        context=a["context"], shown=shown,
    )  # fmt: skip
    matrix = matrices(prepared, regression)
    own = frame_features(prepared, options, a["predictions"])
    rng = generator(seed_of_fit(a["seed"], prepared, a["model"], a["formula"]))
    predicted, blocks = predicted_blocks(prepared, matrix, options, a["predictions"], own, a["features"], table, rng)
    sample = augmented(prepared, matrix, blocks)
    estimate = estimated(regression, sample, options, predicted is not None)
    tuning = replace(estimate.tuning, left_out=None)  # other samples have other units
    return Pieces(regression, prepared, matrix, sample, options, tuning, predicted is not None)


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
