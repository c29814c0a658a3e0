"""Forms of the covariance: what a user may ask for, and the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ArgumentError, one_of
from .clusters import KINDS as CLUSTER_KINDS
from .covariance import KINDS

DEFAULT_UNIT_COVARIANCE = "HC3"
DEFAULT_CLUSTER_COVARIANCE = "CRV3"


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
