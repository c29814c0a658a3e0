"""What is small about a fit, in words (docs/methods.md, section 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .fitted import Fitted

FEW_GOLD = 30
FEW_IN_CLASS = 10
FEW_CLUSTERS = 20
A_HANDFUL = 4.0
"""Below these a warning is given (docs/methods.md, section 9)."""


def small_sample_notes(result: Fitted) -> list[str]:
    """What is small about a fit, in words."""
    s: Any = result.sampling
    out = []
    if s.n_gold < FEW_GOLD:
        out.append(f"only {s.n_gold} gold rows; intervals rest on large-sample theory, label at least {FEW_GOLD}")
    if s.rarest_class is not None and s.rarest_class < FEW_IN_CLASS:
        out.append(
            f"the rarest gold class has {s.rarest_class} rows; label at least {FEW_IN_CLASS} (stratify by surrogate)"
        )
    if s.clusters and s.gold_clusters < FEW_CLUSTERS:
        out.append(f"only {s.gold_clusters} clusters hold gold; cluster intervals want at least {FEW_CLUSTERS}")
    if s.clusters and result.effective_clusters is not None:
        out += _handful(result)
    return out


def _handful(result: Fitted) -> list[str]:
    """Coefficients that a handful of clusters carry, or one alone."""
    assert result.effective_clusters is not None
    unknown = ~np.isfinite(np.diag(result.covariance))
    few = ~unknown & (result.effective_clusters < A_HANDFUL)
    out = []
    if few.any():
        listing = ", ".join(f"{n!r} ({result.effective_clusters[j]:.1f})" for j, n in enumerate(result.names) if few[j])
        out.append(
            f"few clusters carry {listing} (effective number in brackets); with fewer than {A_HANDFUL:g} intervals and "
            "tests are rough, so look for more clusters in which these covariates vary"
        )
    if unknown.any():
        listing = ", ".join(repr(n) for j, n in enumerate(result.names) if unknown[j])
        out.append(
            f"a single cluster identifies {listing}, so the data do not say how much it varies from cluster to "
            "cluster, and no standard error is given"
        )
    return out
