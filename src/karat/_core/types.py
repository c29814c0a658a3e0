"""Type aliases shared across the package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Floats: TypeAlias = NDArray[Any]
Ints: TypeAlias = NDArray[np.intp]
Bools: TypeAlias = NDArray[np.bool_]

ModelName: TypeAlias = Literal[
    "ols", "logit", "probit", "poisson", "negative_binomial", "multinomial", "ordered", "ordered_probit", "gamma",
    "fractional", "beta", "quantile", "expectile", "huber", "iv", "mean",
]  # fmt: skip
Estimator: TypeAlias = Literal["dsl", "ppi", "gold", "surrogate"]
Imputation: TypeAlias = Literal["moment", "value"]
Combine: TypeAlias = Literal["mean", "median"]
Tuning: TypeAlias = Literal["auto", "scalar", "coefficient", "full"]
Target: TypeAlias = Literal["superpopulation", "finite"]
Missing: TypeAlias = Literal["drop", "raise"]
Df: TypeAlias = Literal["auto", "satterthwaite", "kurtosis", "normal"]
ClusterVcov: TypeAlias = Literal["CRV0", "CRV1", "CRV2", "CRV3"]
Vcov: TypeAlias = Literal["HC0", "HC1", "HC2", "HC3", "CRV0", "CRV1", "CRV2", "CRV3"]


class SeriesLike(Protocol):
    """A column of pandas, polars or pyarrow."""

    def __len__(self) -> int: ...

    def to_numpy(self, *args: Any, **options: Any) -> Any: ...


class SamplingDesign(Protocol):
    """A :class:`karat.Design`, which stands in a room above this one."""

    def select(self, table: Any, rng: Any) -> Any: ...

    def realised(self, table: Any, labelled: Any) -> Any: ...


class DrawnSample(Protocol):
    """A :class:`karat.Sample`, likewise."""

    @property
    def labelling(self) -> Any: ...

    @property
    def design(self) -> Any: ...


ColumnLike: TypeAlias = str | Array | Sequence[Any] | SeriesLike
"""The name of a column, or its values for all rows (array, list, Series of any library)."""
DesignLike: TypeAlias = SamplingDesign | DrawnSample | float | ColumnLike | Mapping[str, Any] | None
"""A design, a sample drawn, a probability, a column of probabilities, or an array of them; None is a simple random
sample."""
