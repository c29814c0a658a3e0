"""Columns into a data frame of the library asked for."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ArgumentError, one_of

BACKENDS = ("pandas", "polars", "pyarrow")


def build_frame(columns: Mapping[str, Any], backend: str = "pandas") -> Any:
    """A data frame from named arrays.

    Parameters
    ----------
    columns : mapping of str to array
        All of the same length.
    backend : {"pandas", "polars", "pyarrow"}

    Returns
    -------
    pandas.DataFrame, polars.DataFrame or pyarrow.Table

    Raises
    ------
    ArgumentError
        If the library is not known or not installed.

    Examples
    --------
    >>> build_frame({"task": [1, 2]}).shape
    (2, 1)
    """
    one_of("backend", backend, BACKENDS)
    if importlib.util.find_spec(backend) is None:
        raise ArgumentError(f"backend={backend!r} is not installed; pip install {backend}, or use 'pandas'.")
    if backend == "pandas":
        import pandas as pd

        return pd.DataFrame(dict(columns))
    import narwhals as nw

    plain = {
        name: values.tolist() if isinstance(values, np.ndarray) and values.dtype == object else np.asarray(values)
        for name, values in columns.items()
    }
    library: Any = backend
    return nw.from_dict({name: list(values) for name, values in plain.items()}, backend=library).to_native()


def backend_of(data: object) -> str:
    """Library of a frame: ``"pandas"``, ``"polars"`` or ``"pyarrow"``; pandas for anything else."""
    module = type(data).__module__.split(".")[0]
    return module if module in BACKENDS else "pandas"
