"""The arguments of a fit, checked once and frozen."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypedDict, get_args

import numpy as np

from .._core.arguments import Call, Option, options_in
from .._core.types import (
    ClusterVcov,
    ColumnLike,
    Combine,
    DesignLike,
    Df,
    Estimator,
    Imputation,
    Missing,
    Target,
    Tuning,
    Vcov,
)
from ..errors import ArgumentError, check_alpha, number, one_of, processes, whole
from ..estimate.covariance import KINDS
from ..estimate.infer import DEFAULT_UNIT_COVARIANCE, read_vcov
from ..predict.learners import NAMES

_LEARNERS = ", ".join(f"``{name!r}``" for name in ("auto", *NAMES))


class DesignOption(TypedDict, total=False):
    """How gold was drawn: not for doors that set it."""

    design: Annotated[
        DesignLike,
        Option(
            None,
            "Design, Sample, float, str, array_like, mapping or None",
            "How the gold was drawn. A number, column or array is a Bernoulli probability; None is a simple random "
            "sample of the realised size. Labels with gold samples of their own may have a design each: "
            "``{label: design}`` (methods, section 1.4).",
            False,
        ),
    ]


class CommonOptions(TypedDict, total=False):
    """Options of all doors."""

    labelled: Annotated[
        ColumnLike | None,
        Option(
            None,
            "str or array_like, optional",
            "True where the unit is gold; by default where every gold column is there.",
        ),
    ]
    sampled: Annotated[
        ColumnLike | None,
        Option(
            None,
            "str, array_like or None",
            "True where the unit was drawn, gold or not; by default the design knows (``sample.design``).",
            False,
        ),
    ]
    nonresponse: Annotated[
        str | list[str],
        Option(
            "raise",
            '{"raise", "ignorable"}, list of str or formula',
            "What drawn units without gold are taken for: an error; random within strata; or random given the "
            'columns named (or a formula ``"~ a + b"``), on which a logistic model of answering is fitted.',
            False,
        ),
    ]
    folds: Annotated[
        int | ColumnLike,
        Option(5, "int, str or array_like of shape (N,) or (N, S)", "Number of folds, or fold numbers from outside."),
    ]
    repeats: Annotated[
        int,
        Option(5, "int", "Number of random splits, averaged."),
    ]
    imputation: Annotated[
        Imputation,
        Option(
            "moment",
            '{"moment", "value"}',
            "Average the moment over the classes of a labelled covariate, or plug its expectation in.",
        ),
    ]
    tuning: Annotated[
        Tuning | None,
        Option(
            "auto",
            '{"auto", "scalar", "coefficient", "full"} or None',
            "How the weight of the surrogate moment is chosen; None is weight 1.",
        ),
    ]
    vcov: Annotated[
        Vcov | Mapping[ClusterVcov, Any] | None,
        Option(
            None,
            "str, mapping or None",
            '``"HC0"`` to ``"HC3"``, ``{"CRV0" | "CRV1" | "CRV2" | "CRV3": cluster}``; by default HC3, with '
            "clusters CRV3.",
        ),
    ]
    cluster: Annotated[
        ColumnLike | None,
        Option(
            None,
            "str, list of two str or array_like, optional",
            "Analysis cluster, or clusters of two ways. Folds never split one; with two ways they keep both "
            "whole, or the first where rows that hang together through both make up too few groups.",
        ),
    ]
    weights: Annotated[
        ColumnLike | None,
        Option(None, "str or array_like, optional", "Analysis weights, 0 or more."),
    ]
    subset: Annotated[
        ColumnLike | None,
        Option(
            None,
            "str or array_like of true/false, optional",
            "Rows that the regression is about (a subpopulation); the others leave, as rows with missing covariates "
            "do. The draw stays that of the whole frame: give the table and the design as they were drawn.",
        ),
    ]
    target: Annotated[
        Target,
        Option(
            "superpopulation",
            '{"superpopulation", "finite"}',
            "The population the corpus represents, or this corpus itself.",
        ),
    ]
    df: Annotated[
        Df | float,
        Option(
            "auto",
            '{"auto", "satterthwaite", "kurtosis", "normal"} or float',
            "Degrees of freedom of the t intervals.",
        ),
    ]
    alpha: Annotated[
        float,
        Option(0.05, "float", "One minus the confidence level."),
    ]
    missing: Annotated[
        Missing,
        Option(
            "drop",
            '{"drop", "raise"}',
            "What to do with rows where an observed variable is missing.",
        ),
    ]
    shown: Annotated[
        ColumnLike | Mapping[str, Any] | None,
        Option(
            None,
            "str, array_like or mapping, optional",
            "Rows the labeller has seen (examples in the prompt, training texts), which leave the frame: a "
            'true/false column or array, or ``{"text": [documents shown]}``.',
            False,
        ),
    ]
    n_jobs: Annotated[
        int | None,
        Option(None, "int, optional", "Processes for cross-fitting."),
    ]
    seed: Annotated[
        int | np.random.Generator | None,
        Option(
            None,
            "int or numpy.random.Generator, optional",
            "Seed of folds and learners. Without one a number made from the gold rows and the formula, which the "
            "summary shows: the same call gives the same numbers, whatever the order of the rows.",
        ),
    ]
    context: Annotated[
        Mapping[str, Any] | None,
        Option(None, "mapping, optional", "Functions and constants the formula may use."),
    ]


class FeatureOption(TypedDict, total=False):
    """What the predictor sees besides."""

    features: Annotated[
        ColumnLike | Mapping[str, Any] | None,
        Option(
            None,
            "str, list or array_like, optional",
            'Further columns, or an array of shape (N, k), for the predictor. With ``learner="auto"`` more than 20 '
            "are used only where that pays out of fold.",
        ),
    ]
    text: Annotated[
        str | list[str] | Mapping[str, Any] | None,
        Option(
            None,
            "str, list of str or mapping, optional",
            "Column(s) of texts for the predictor, as n-grams, or ``{column: encoder}``: a folder of a sentence model "
            'or an encoder of ``karat.predict``. With ``learner="auto"`` used only where that pays out of fold.',
        ),
    ]


class LearnerOptions(TypedDict, total=False):
    """How one set of predictions is made."""

    learner: Annotated[
        object,
        Option(
            "auto",
            "str, scikit-learn estimator or None",
            _LEARNERS
            + ' or an estimator (such as ``karat.predict.TorchClassifier(pretrain="surrogates")``), cross-fitted; None '
            "uses the surrogate itself as the prediction.",
        ),
    ]
    progress: Annotated[
        bool,
        Option(False, "bool", "Show a progress bar.", False),
    ]


class KeptOptions(TypedDict, total=False):
    """What a Result keeps."""

    compare: Annotated[
        bool,
        Option(True, "bool", "Also fit gold alone and surrogates alone, for ``Result.compare``.", False),
    ]
    scores: Annotated[
        bool | None,
        Option(
            None,
            "bool, optional",
            "Keep influence scores of all units; by default when they are few (10^6 numbers).",
            False,
        ),
    ]


class PredictionOption(TypedDict, total=False):
    """Predictions from elsewhere."""

    predictions: Annotated[
        Mapping[str, Any] | None,
        Option(
            None,
            "mapping, optional",
            "Predictions made elsewhere: label -> column or array of shape (N,) or (N, K). They must not have "
            "seen the gold label of the unit they predict. Takes the place of the learner.",
        ),
    ]


class EstimatorOptions(TypedDict, total=False):
    """How predictions enter."""

    combine: Annotated[
        Combine,
        Option(
            "mean",
            '{"mean", "median"}',
            "Average predictions over splits and solve once, or solve per split and take medians.",
        ),
    ]
    estimator: Annotated[
        Estimator,
        Option(
            "dsl",
            '{"dsl", "ppi", "gold", "surrogate"}',
            "Doubly robust with a learner, with the raw surrogate, gold alone, or surrogates alone (not valid).",
        ),
    ]


class ModelOption(TypedDict, total=False):
    """Parameters, for doors that name a model."""

    parameters: Annotated[
        Mapping[str, Any] | None,
        Option(
            None,
            "mapping, optional",
            'Parameters of the model, where it has any: ``{"q": 0.25}`` of ``"quantile"`` and ``"expectile"``, '
            '``"bandwidth"`` of ``"quantile"``, ``"k"`` and ``"scale"`` of ``"huber"``.',
        ),
    ]


class SharedOptions(DesignOption, CommonOptions, FeatureOption, LearnerOptions, KeptOptions, total=False):
    """Options of every fit."""


class FitOptions(SharedOptions, PredictionOption, EstimatorOptions, total=False):
    """Options of a regression."""


class RegressOptions(FitOptions, ModelOption, total=False):
    """Options of a regression whose model is named."""


class PlanOptions(
    ModelOption, CommonOptions, FeatureOption, LearnerOptions, PredictionOption, EstimatorOptions, total=False
):
    """Options of a plan, which asks how gold will be drawn and keeps what it needs."""


class AllocationOptions(ModelOption, CommonOptions, LearnerOptions, PredictionOption, EstimatorOptions, total=False):
    """Options of an allocation, which is itself a way to draw gold."""


class MultiverseOptions(ModelOption, DesignOption, CommonOptions, FeatureOption, EstimatorOptions, total=False):
    """Options that all fits of a multiverse have in common."""


OPTIONS = options_in(RegressOptions)


@dataclass(frozen=True)
class Arguments:
    """The arguments of a fit, the data apart: every option once, checked and frozen.

    Options are read as attributes; ``vcov`` and ``cluster`` are the kind of covariance and the clusters as read from
    what was given, all others are as given.
    """

    model: str
    formula: str
    surrogates: Any
    given: Mapping[str, Any]
    vcov: str = DEFAULT_UNIT_COVARIANCE
    cluster: Any = None

    @classmethod
    def of(cls, model: str, formula: str, surrogates: Any, options: Mapping[str, Any]) -> Arguments:
        """Arguments with the defaults of what was not given."""
        given = {name: options.get(name, option.default) for name, option in OPTIONS.items()}
        kind, cluster = read_vcov(given["vcov"], given["cluster"])
        return cls(model, formula, surrogates, given, kind, cluster)

    def __getattr__(self, name: str) -> Any:
        if name == "given" or name not in self.given:
            raise AttributeError(name)
        return self.given[name]

    def replace(self, **changes: Any) -> Arguments:
        """The same with other values of some options."""
        return replace(self, given={**self.given, **changes})

    @property
    def call(self) -> Call:
        """What a Result remembers."""
        kept = {name: self.given[name] for name, option in OPTIONS.items() if option.remembered}
        return Call.of(self.model, self.formula, {"surrogates": self.surrogates, **kept}, self.design)

    def __post_init__(self) -> None:
        one_of("estimator", self.estimator, get_args(Estimator))
        one_of("imputation", self.imputation, get_args(Imputation))
        one_of("combine", self.combine, get_args(Combine))
        one_of("tuning", self.tuning, ("auto", None, "scalar", "coefficient", "full"))
        one_of("target", self.target, get_args(Target))
        one_of("vcov", self.vcov, KINDS)
        one_of("missing", self.missing, get_args(Missing))
        check_alpha(self.alpha)
        whole("repeats", self.repeats, least=1)
        if self.folds is None or isinstance(self.folds, numbers.Number):
            whole("folds", self.folds, least=2, instead="or a column or values with fold numbers of all rows")
        processes(self.n_jobs)
        one_of("compare", self.compare, (True, False))
        one_of("progress", self.progress, (True, False))
        one_of("scores", self.scores, (None, True, False))
        if not (self.seed is None or isinstance(self.seed, np.random.Generator)):
            whole("seed", self.seed, least=0, instead="a numpy random generator, or None")
        if not (self.context is None or isinstance(self.context, Mapping)):
            raise ArgumentError("context= is no mapping; give names and what they stand for, context={'f': f}.")
        if isinstance(self.df, str):
            one_of("df", self.df, get_args(Df))
        else:
            number("df", self.df, above=0, instead="'auto', 'satterthwaite', 'kurtosis' or 'normal'")
        if self.target == "finite" and self.estimator == "surrogate":
            raise ArgumentError("target='finite' needs gold labels; the surrogate estimator has no labelling variance.")
