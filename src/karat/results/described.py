"""What the foot of a table and a report say of estimates: sizes, estimator, design, covariance."""

from __future__ import annotations

from typing import Any

import numpy as np

from .estimates import Fitted
from .plots import _TITLES


def fit_behind(fit: Any) -> Fitted | None:
    """The regression that estimates come from, if they hold it."""
    for found in (fit, getattr(fit, "result", None), getattr(fit, "by_cohort", None), *getattr(fit, "fits", ())[:1]):
        if isinstance(found, Fitted):
            return found
    return None


def facts_of(fit: Any) -> dict[str, str]:
    """Sizes, and what was fitted how, of any estimates; what is not known is left out.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1500, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=200).draw(corpus, seed=1), "hostile")
    >>> fit = kt.ols("outcome ~ hostile", labelled, surrogates={"hostile": "hostile_llm"}, seed=1)
    >>> facts_of(fit)["Units"], facts_of(fit)["Gold"], facts_of(fit)["Covariance"]
    ('1,500', '200', 'HC3')
    """
    behind = fit_behind(fit)
    if behind is None:
        sampling = getattr(fit, "sampling", None)
        sizes = {"Units": _size(fit, "n_units"), "Gold": _size(fit, "n_gold")}
        if sampling is not None:
            sizes["Gold"] = f"{sampling.n_gold:,}"
        out = {"Model": fit._title(), "About": fit._about()} | sizes
        return {name: value for name, value in out.items() if value}
    sampling = behind.sampling
    clusters = f" by {behind.cluster} ({sampling.clusters:,} clusters)" if behind.cluster and sampling.clusters else ""
    own = fit if isinstance(fit, Fitted) else None
    out = {
        "Outcome": behind.formula.split("~")[0].strip() if own is not None else "",
        "Model": behind.title if own is not None else fit._title(),
        "Units": f"{sampling.n_units:,}",
        "Gold": f"{sampling.n_gold:,}" if behind.estimator != "surrogate" else "0",
        **{f"{name} effects": "yes" for name in sampling.effects},
        "Estimator": _TITLES[behind.estimator],
        "Design": sampling.design + (" (assumed)" if sampling.assumed else ""),
        "Covariance": behind.vcov_kind + clusters,
        "Target": "this corpus" if behind.target == "finite" else "",
    }
    return {name: value for name, value in out.items() if value}


def _size(fit: Any, name: str) -> str:
    """A count; the last one of a sequence of looks, the sum over groups."""
    found = np.atleast_1d(getattr(fit, name, None) or 0) if np.ndim(getattr(fit, name, 0)) == 0 else getattr(fit, name)
    total = found[-1] if hasattr(fit, "planned") else np.sum(found)
    return f"{int(total):,}" if total else ""
