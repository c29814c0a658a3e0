"""Columns into a data frame of the library asked for."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ...errors import ArgumentError, DataError, one_of

BACKENDS = ("pandas", "polars", "pyarrow")


def build_frame(columns: Mapping[str, Any] | Iterable[tuple[str, Any]], backend: str = "pandas") -> Any:
    """A data frame from named arrays.

    Examples
    --------
    >>> build_frame({"task": [1, 2]}).shape
    (2, 1)
    """
    one_of("backend", backend, BACKENDS)
    pairs = list(columns.items() if isinstance(columns, Mapping) else columns)
    names = [name for name, _ in pairs]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise DataError(f"the table would have two columns named {repeated[0]!r}; rename the class, code or id column.")
    if importlib.util.find_spec(backend) is None:
        raise ArgumentError(f"backend={backend!r} is not installed; pip install {backend}, or use 'pandas'.")
    if backend == "pandas":
        import pandas as pd

        return pd.DataFrame(dict(pairs))
    import narwhals as nw

    plain = {
        name: values.tolist() if isinstance(values, np.ndarray) and values.dtype == object else np.asarray(values)
        for name, values in pairs
    }
    library: Any = backend
    return nw.from_dict({name: list(values) for name, values in plain.items()}, backend=library).to_native()


def backend_of(data: object) -> str:
    """Library of a frame: ``"pandas"``, ``"polars"`` or ``"pyarrow"``; pandas for anything else."""
    module = type(data).__module__.split(".")[0]
    return module if module in BACKENDS else "pandas"
