"""The arguments of a fit, checked once and frozen."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ArgumentError, number, one_of, whole
from ..estimate.clusters import KINDS as CLUSTER_KINDS
from ..estimate.covariance import KINDS

ESTIMATORS = ("dsl", "ppi", "gold", "surrogate")
DEFAULT_UNIT_COVARIANCE = "HC3"
DEFAULT_CLUSTER_COVARIANCE = "CRV3"


@dataclass(frozen=True)
class Options:
    """How to fit. See :func:`karat.regress` for the meaning of each field."""

    learner: Any = "auto"
    folds: Any = 5
    repeats: int = 5
    combine: str = "mean"
    imputation: str = "moment"
    tuning: str | None = "auto"
    estimator: str = "dsl"
    vcov: str = DEFAULT_UNIT_COVARIANCE
    target: str = "superpopulation"
    df: Any = "auto"
    alpha: float = 0.05
    n_jobs: int | None = None
    progress: bool = False
    missing: str = "drop"
    scores: bool | None = None

    def __post_init__(self) -> None:
        one_of("estimator", self.estimator, ESTIMATORS)
        one_of("imputation", self.imputation, ("moment", "value"))
        one_of("combine", self.combine, ("mean", "median"))
        one_of("tuning", self.tuning, ("auto", None, "scalar", "coefficient", "full"))
        one_of("target", self.target, ("superpopulation", "finite"))
        one_of("vcov", self.vcov, KINDS)
        one_of("missing", self.missing, ("drop", "raise"))
        check_alpha(self.alpha)
        whole("repeats", self.repeats, least=1)
        if self.folds is None or isinstance(self.folds, (numbers.Number, str)):
            whole("folds", self.folds, least=2, instead="or fold numbers of all rows")
        processes(self.n_jobs)
        if isinstance(self.df, str):
            one_of("df", self.df, ("auto", "satterthwaite", "kurtosis", "normal"))
        else:
            number("df", self.df, above=0, instead="'auto', 'satterthwaite', 'kurtosis' or 'normal'")
        if self.target == "finite" and self.estimator == "surrogate":
            raise ArgumentError("target='finite' needs gold labels; the surrogate estimator has no labelling variance.")


def processes(n_jobs: object) -> int | None:
    """How many processes to use, checked: joblib's number, or None for one.

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> processes(-1)
    -1
    """
    if n_jobs is None:
        return None
    if n_jobs == 0:
        raise ArgumentError("n_jobs=0 is not allowed; give a number of processes, -1 for all, or None.")
    return whole("n_jobs", n_jobs, instead="-1 for all, or None")


def check_alpha(alpha: object) -> float:
    """The level of an interval, checked.

    Parameters
    ----------
    alpha : float
        One minus the confidence level.

    Returns
    -------
    float

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> check_alpha(0.1)
    0.1
    """
    return number("alpha", alpha, above=0, below=1, instead="such as 0.05")


def read_vcov(vcov: object, cluster: object) -> tuple[str, Any]:
    """The kind of covariance and the cluster column.

    Parameters
    ----------
    vcov : str, mapping or None
        ``"HC2"``, ``{"CRV1": "author"}``, or None for the default.
    cluster : str, list of two str, array_like or None
        Short for the default cluster form; two columns for clusters of two ways.

    Returns
    -------
    kind : str
    cluster : str, list of two str, array_like or None

    Raises
    ------
    ArgumentError
        If the two contradict each other.

    Examples
    --------
    >>> read_vcov({"CRV3": "author"}, None)
    ('CRV3', 'author')
    """
    if vcov is None:
        return (DEFAULT_UNIT_COVARIANCE if cluster is None else DEFAULT_CLUSTER_COVARIANCE), cluster
    if isinstance(vcov, Mapping):
        if len(vcov) != 1:
            raise ArgumentError(f"vcov={vcov!r} must have one entry, such as {{'CRV3': 'author'}}.")
        kind, column = next(iter(vcov.items()))
        one_of("vcov", kind, CLUSTER_KINDS)
        if cluster is not None and not (isinstance(column, (str, list, tuple)) and cluster == column):
            raise ArgumentError("vcov names a cluster and cluster= too; give one of them.")
        return kind, column
    one_of("vcov", vcov, KINDS)
    kind = str(vcov)
    if kind.startswith("CRV") and cluster is None:
        raise ArgumentError(f"vcov={kind!r} needs clusters; write vcov={{'{kind}': 'column'}}.")
    if kind.startswith("HC") and cluster is not None:
        raise ArgumentError(
            f"vcov={kind!r} ignores clusters but cluster= was given; use 'CRV1', 'CRV2' or 'CRV3', or drop cluster=."
        )
    return kind, cluster
