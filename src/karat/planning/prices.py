"""What gold labels cost, and how many a budget pays for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._core.types import Floats
from ..errors import ArgumentError, number, whole
from ..frames import Table
from ..frames.table import as_float
from .schemes import Scheme


def prices_of(cost: Any, table: Table, codes: Any) -> Floats | None:
    """Cost of a gold label of each row, shape (N,)."""
    if cost is None:
        return None
    if isinstance(cost, Mapping):
        if codes is None:
            raise ArgumentError("cost= is by stratum, but there are no strata; give strata=, a column or one number.")
        code, names = codes
        asked = {str(key): value for key, value in cost.items()}
        if set(asked) != set(names):
            raise ArgumentError(f"cost must name every stratum: {names}; it names {sorted(asked)}.")
        values = np.array([number(f"cost[{name!r}]", asked[name], above=0) for name in names])[code]
    elif np.ndim(cost) == 0 and not isinstance(cost, str):
        values = np.full(table.n_rows, number("cost", cost, above=0, instead="a column, or a mapping by stratum"))
    else:
        values = as_float(table.values(cost, "cost"), cost if isinstance(cost, str) else "cost", "cost")
    if not np.isfinite(values).all() or (values <= 0).any():
        raise ArgumentError("the cost of a gold label must be a positive number in every row.")
    return values


def size_of(n: Any, budget: Any, prices: Floats | None, scheme: Scheme) -> int:
    """Gold labels of an allocation: as given, or as many as the budget pays for."""
    if (n is None) == (budget is None):
        raise ArgumentError("give either n, the number of gold labels, or budget with cost.")
    most = scheme.n_frame
    if n is not None:
        return whole("n", n, least=scheme.least, most=most)
    if prices is None:
        raise ArgumentError("a budget needs cost=, what a gold label costs.")
    budget = number("budget", budget, above=0)
    low, high = scheme.least, most
    if scheme.probability(low) @ prices > budget:
        raise ArgumentError(f"budget={budget!r} does not pay for {low} gold labels; raise it.")
    while low < high:
        middle = (low + high + 1) // 2
        affordable = scheme.probability(middle) @ prices <= budget * (1 + 1e-12)
        low, high = (middle, high) if affordable else (low, middle - 1)
    return low
