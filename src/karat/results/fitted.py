"""What a fit found, as values: the ground on which summaries, warnings and verdicts stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .estimates import Estimates

if TYPE_CHECKING:
    from .._core.arguments import Call
    from .._core.types import Floats
    from ..checks.values import Checks
    from ..estimate.infer import Parts
    from ..estimate.shares import Shares
    from ..frames.matrices import MatrixSpec
    from ..predict import Skill
    from .comparison import Comparison
    from .sampling import Sampling


@dataclass(frozen=True, eq=False)
class Fitted(Estimates):
    """The values of a :class:`karat.Result`, which says what each is and adds what can be done with them."""

    model: str
    title: str
    formula: str
    estimator: str
    names: tuple[str, ...]
    theta: Floats
    covariance: Floats
    labelling_covariance: Floats
    df: Floats
    vcov_kind: str
    cluster: str
    target: str
    alpha: float
    sampling: Sampling
    choice: tuple[str, ...]
    tuning_weight: Floats
    lambda_matrix: Floats | None
    r_squared: Floats
    skill: tuple[Skill, ...]
    moment_norm: float
    iterations: int
    notes: tuple[str, ...] = ()
    df_method: Any = "auto"
    split_share: float | None = None
    interval: str = "wald"
    effective_clusters: Floats | None = None
    shares: Shares | None = None
    rows: tuple[str, ...] = ()
    comparison: Comparison | None = None
    checks: Checks | None = field(default=None, repr=False)
    spec: MatrixSpec | None = field(default=None, repr=False)
    parts: Parts | None = field(default=None, repr=False)
    call: Call | None = field(default=None, repr=False)
    seed: int | None = None

    @property
    def n_gold(self) -> int:
        """Gold rows used."""
        return self.sampling.n_gold

    @property
    def n_units(self) -> int:
        """Rows used."""
        return self.sampling.n_units

    @property
    def effective_gold(self) -> Floats:
        """Gold rows that gold alone would need for the same labelling variance, shape (p,).

        ``n / (1 - R^2 (1 - n / N))`` (docs/methods.md, section 3).
        """
        n, big_n = self.n_gold, self.n_units
        return n / np.maximum(1.0 - self.r_squared * (1.0 - n / big_n), 1e-12)
