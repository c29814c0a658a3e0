"""Planning the gold sample: how many labels, of which units, and whether surrogates pay."""

from __future__ import annotations

from .allocate import Allocation, Allocations, allocate
from .budget import Budget, budget
from .cascade import CascadePlan, plan_cascade
from .plan import plan
from .report import Plan
from .strata import strata

__all__ = [
    "Allocation", "Allocations", "Budget", "CascadePlan", "Plan", "allocate", "budget", "plan", "plan_cascade",
    "strata",
]  # fmt: skip
