"""Right-censored durations: weights, and the distribution of censoring they come from.

The interface that everything about durations builds on is :func:`weights`: with ``w = weights(time, event, tau=...)``

    w.values          Delta_tau / G(U_tau- | V), shape (n,): 0 if censored before tau; sampling weights not in it
    w.complete        Delta_tau, shape (n,): event seen, or under observation at tau
    w.restricted      U_tau = min(U, tau), shape (n,)
    w.survival        G(U_tau- | V), shape (n,), after the floor
    w.before(times, rows=None), w.through(times, rows=None)     G(u- | V) and G(u | V) of fitted rows, floored
    w.weigh(time, event, covariates)                            weights of new rows (a test set) from the fitted G
    w.censoring       the fitted G (Censoring): before(), through(), before_new(times, V)
    w.durations       time, cause (0 censored, 1, 2, ... events), event, weight

Product-limit fits (marginal, strata, kernel) are :class:`Grouped`, made of :class:`Steps`, one per group or anchor, and
say who is in the risk sets, for martingale integrals and the Kaplan-Meier term of variances. Events precede censorings
at a tied time; the risk set for a censoring excludes that time's events; the weight is 1 / G(t-).
"""

from typing import TYPE_CHECKING, Any

from .curves import SurvivalCurve, survival_curve
from .durations import Durations, choose_tau, outcome, read_durations
from .fitted import Censoring, Grouped
from .methods import Cox, Function, Kernel, Learned, Marginal, Method, Strata, resolve_method
from .plots import plot_calibration, plot_survival, plot_weights
from .product_limit import Steps, product_limit
from .risk import calibration, censored_risk
from .weights import CensoringWeights, weights

if TYPE_CHECKING:  # what __getattr__ below loads on demand, because it needs scikit-learn
    from .learn import CensoredClassifier, CensoredRegressor

__all__ = [
    "CensoredClassifier", "CensoredRegressor", "Censoring", "CensoringWeights", "Cox", "Durations", "Function",
    "Grouped", "Kernel", "Learned", "Marginal", "Method", "Steps", "Strata", "SurvivalCurve", "calibration",
    "censored_risk", "choose_tau", "outcome", "plot_calibration", "plot_survival", "plot_weights", "product_limit",
    "read_durations", "resolve_method", "survival_curve", "weights",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load what needs scikit-learn when it is first used."""
    if name in ("CensoredClassifier", "CensoredRegressor"):
        from . import learn

        return getattr(learn, name)
    raise AttributeError(f"module 'karat.censoring' has no attribute {name!r}")
