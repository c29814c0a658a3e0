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


class SharedOptions(TypedDict, total=False):
    """Options of every fit: the one place where one is declared."""

    design: Annotated[
        DesignLike,
        Option(
            None,
            "Design, Sample, float, str, array_like or None",
            "How the gold was drawn. A number, column or array is a Bernoulli probability; None is a simple random "
            "sample of the realised size.",
            False,
        ),
    ]
    labelled: Annotated[
        ColumnLike,
        Option(
            None,
            "str or array_like, optional",
            "True where the unit is gold; by default where every gold column is there.",
        ),
    ]
    sampled: Annotated[
        ColumnLike,
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
    features: Annotated[
        object,
        Option(
            None,
            "str, list or array_like, optional",
            "Further columns, or an array of shape (N, k), for the predictor.",
        ),
    ]
    learner: Annotated[
        object,
        Option(
            "auto",
            "str, scikit-learn estimator or None",
            '``"auto"``, ``"calibration"``, ``"linear"``, ``"boosting"``, ``"forest"``, ``"torch"`` or an '
            'estimator (such as ``karat.predict.TorchClassifier(pretrain="surrogates")``), cross-fitted; None '
            "uses the surrogate itself as the prediction.",
        ),
    ]
    folds: Annotated[
        object,
        Option(
            5,
            "int or array_like of shape (N,) or (N, S)",
            "Number of folds, or fold numbers from outside.",
        ),
    ]
    repeats: Annotated[
        int,
        Option(
            5,
            "int",
            "Number of random splits, averaged.",
        ),
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
        ColumnLike | list[str],
        Option(
            None,
            "str, list of two str or array_like, optional",
            "Analysis cluster, or clusters of two ways. Folds never split one; with two ways they keep both "
            "whole, or the first where rows that hang together through both make up too few groups.",
        ),
    ]
    weights: Annotated[
        ColumnLike,
        Option(
            None,
            "str or array_like, optional",
            "Analysis weights, 0 or more.",
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
        Option(
            0.05,
            "float",
            "One minus the confidence level.",
        ),
    ]
    missing: Annotated[
        Missing,
        Option(
            "drop",
            '{"drop", "raise"}',
            "What to do with rows where an observed variable is missing.",
        ),
    ]
    prompt: Annotated[
        object,
        Option(
            None,
            "str, array_like or mapping, optional",
            "Rows the labeller has seen (examples in the prompt, training texts), which leave the frame: a "
            'true/false column or array, or ``{"text": [documents shown]}``.',
            False,
        ),
    ]
    compare: Annotated[
        bool,
        Option(
            True,
            "bool",
            "Also fit gold alone and surrogates alone, for ``Result.compare``.",
            False,
        ),
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
    n_jobs: Annotated[
        int | None,
        Option(
            None,
            "int, optional",
            "Processes for cross-fitting.",
        ),
    ]
    progress: Annotated[
        bool,
        Option(
            False,
            "bool",
            "Show a progress bar.",
            False,
        ),
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
        Option(
            None,
            "mapping, optional",
            "Functions and constants the formula may use.",
        ),
    ]


class FitOptions(SharedOptions, total=False):
    """Options of a regression."""

    predictions: Annotated[
        Mapping[str, Any] | None,
        Option(
            None,
            "mapping, optional",
            "Predictions made elsewhere: label -> column or array of shape (N,) or (N, K). They must not have "
            "seen the gold label of the unit they predict. Takes the place of the learner.",
        ),
    ]
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


class RegressOptions(FitOptions, total=False):
    """Options of a regression whose model is named."""

    parameters: Annotated[
        Mapping[str, Any] | None,
        Option(
            None,
            "mapping, optional",
            'Parameters of the model, where it has any: ``{"q": 0.25}`` of ``"quantile"`` and ``"expectile"``, '
            '``"bandwidth"`` of ``"quantile"``, ``"k"`` and ``"scale"`` of ``"huber"``.',
        ),
    ]


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
        if self.folds is None or isinstance(self.folds, (numbers.Number, str)):
            whole("folds", self.folds, least=2, instead="or fold numbers of all rows")
        processes(self.n_jobs)
        if isinstance(self.df, str):
            one_of("df", self.df, get_args(Df))
        else:
            number("df", self.df, above=0, instead="'auto', 'satterthwaite', 'kurtosis' or 'normal'")
        if self.target == "finite" and self.estimator == "surrogate":
            raise ArgumentError("target='finite' needs gold labels; the surrogate estimator has no labelling variance.")
