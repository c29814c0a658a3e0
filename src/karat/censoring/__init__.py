"""Right-censored durations: weights, and the distribution of censoring they come from.

The interface that everything about durations builds on::

    w = karat.censoring.weights(time, event, tau=..., censoring=..., covariates=V, weights=sampling)

    w.values          Delta_tau / G(U_tau- | V), shape (n,): 0 if censored before tau; sampling weights not in it
    w.complete        Delta_tau, shape (n,): event seen, or under observation at tau
    w.restricted      U_tau = min(U, tau), shape (n,)
    w.survival        G(U_tau- | V), shape (n,), after the floor
    w.tau, w.tau_chosen, w.floor, w.n_floored, w.effective_size
    w.before(times, rows=None), w.through(times, rows=None)     G(u- | V) and G(u | V) of fitted rows, floored
    w.weigh(time, event, covariates)                            weights of new rows (a test set) from the fitted G
    w.diagnostics(group), w.summary()
    w.censoring       the fitted G (Censoring): before(), through(), before_new(times, V), through_new(times, V)
    w.durations       time, cause (0 censored, 1, 2, ... events), event, weight

``method`` is ``"marginal"``, ``"strata"``, ``"kernel"``, ``"cox"``, ``"forest"``, ``"boosting"``, ``"logit"``,
one of ``Marginal() Strata("a", "b") Kernel("age", within="a") Cox("age") Learned(classifier, "age", folds=5)
Function(f, "age")`` (the names are columns, used where a table is given; arrays go in ``covariates``
in the same order), a scikit-learn classifier, or a function. ``folds=5`` cross-fits any of them,
``leave_one_out="self"`` takes each row out of its own
product-limit estimate. Product-limit fits (marginal, strata, kernel) are :class:`Grouped`, made of :class:`Steps`
(``jump``, ``risk``, ``count``, ``level``), one per group or anchor; ``lower`` and ``share`` say which each row reads,
and ``members`` who is in the risk sets, for martingale integrals and the Kaplan-Meier term of variances.

Ties: events precede censorings at a tied time; the risk set for a censoring excludes that time's events; the weight
is 1 / G(t-). ``tau`` must be given, or asked for with ``"auto"``. Errors are children of KaratError; few rows left
near tau, or floored rows, are a PositivityWarning.

On top of the weights: :class:`CensoredRegressor` and :class:`CensoredClassifier` (any scikit-learn learner),
``outcome(time, event)`` (a y for them), ``survival_curve`` (Kaplan-Meier), ``censored_risk``, ``calibration``, and
the plots ``plot_survival``, ``plot_weights``, ``plot_calibration``.
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
    "CensoredClassifier",
    "CensoredRegressor",
    "Censoring",
    "CensoringWeights",
    "Cox",
    "Durations",
    "Function",
    "Grouped",
    "Kernel",
    "Learned",
    "Marginal",
    "Method",
    "Steps",
    "Strata",
    "SurvivalCurve",
    "calibration",
    "censored_risk",
    "choose_tau",
    "outcome",
    "plot_calibration",
    "plot_survival",
    "plot_weights",
    "product_limit",
    "read_durations",
    "resolve_method",
    "survival_curve",
    "weights",
]


def __getattr__(name: str) -> Any:
    """Load what needs scikit-learn when it is first used."""
    if name in ("CensoredClassifier", "CensoredRegressor"):
        from . import learn

        return getattr(learn, name)
    raise AttributeError(f"module 'karat.censoring' has no attribute {name!r}")
