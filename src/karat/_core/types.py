"""Type aliases shared across the package."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Floats: TypeAlias = NDArray[Any]
Ints: TypeAlias = NDArray[np.intp]
Bools: TypeAlias = NDArray[np.bool_]

ModelName: TypeAlias = Literal["ols", "logit", "probit", "poisson", "multinomial", "mean"]
Estimator: TypeAlias = Literal["dsl", "ppi", "gold", "surrogate"]
Imputation: TypeAlias = Literal["moment", "value"]
Combine: TypeAlias = Literal["mean", "median"]
Tuning: TypeAlias = Literal["auto", "scalar", "coefficient", "full"]
Target: TypeAlias = Literal["superpopulation", "finite"]
Missing: TypeAlias = Literal["drop", "raise"]
Df: TypeAlias = Literal["auto", "satterthwaite", "kurtosis", "normal"]
ClusterVcov: TypeAlias = Literal["CRV0", "CRV1", "CRV2", "CRV3"]
Vcov: TypeAlias = Literal["HC0", "HC1", "HC2", "HC3", "CRV0", "CRV1", "CRV2", "CRV3"]
ColumnLike: TypeAlias = Any
"""The name of a column, or its values for all rows (array, list, Series of any library)."""
DesignLike: TypeAlias = Any
"""A design, a sample drawn, a probability, a column of probabilities, or an array of them."""
