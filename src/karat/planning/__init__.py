"""Planning the gold sample: how many labels, of which units, and whether surrogates pay."""

from __future__ import annotations

from .allocated import Allocation, Allocations
from .allocation import allocate
from .cost import Budget, budget
from .front import plan
from .report import Plan
from .stratify import strata

__all__ = ["Allocation", "Allocations", "Budget", "Plan", "allocate", "budget", "plan", "strata"]
