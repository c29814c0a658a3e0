"""Options of regressions of durations: those of every fit, and how censored durations are completed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from ..._core.arguments import Option, options_in
from ..._core.types import Estimator
from ...censoring.weights import DEFAULT_FLOOR
from ..options import SharedOptions


class DurationOptions(SharedOptions, total=False):
    """Options of restricted means and of their contrasts."""

    surrogates: Annotated[
        Mapping[str, Any] | None,
        Option(
            None,
            "mapping, optional",
            "Gold column -> surrogate(s), as in :func:`karat.regress`; the duration, covariates, or both. Without any, "
            "all rows whose duration is there are gold.",
        ),
    ]
    form: Annotated[
        Literal["augmented", "product", "ipcw", "pseudo"],
        Option(
            "augmented",
            '{"augmented", "product", "ipcw", "pseudo"}',
            "Doubly robust; product weights (the surrogate inside the censoring weights, see "
            "``surrogate_blind_to_censoring``); inverse probability weighted outcomes; pseudo-observations.",
        ),
    ]
    outcome: Annotated[
        Literal["time", "survival", "lost"],
        Option(
            "time",
            '{"time", "survival", "lost"}',
            "``min(T, tau)``; ``1{T > tau}``; time lost before tau.",
        ),
    ]
    cause: Annotated[
        int | None,
        Option(
            None,
            "int, optional",
            'With ``outcome="lost"``: time lost to this cause only (competing risks).',
        ),
    ]
    floor: Annotated[
        float,
        Option(
            DEFAULT_FLOOR,
            "float",
            "Smallest probability of being uncensored; rows raised to it are counted.",
        ),
    ]
    known_censoring: Annotated[
        bool,
        Option(
            False,
            "bool",
            "Leave out of the covariance that the censoring distribution was estimated.",
        ),
    ]
    surrogate_blind_to_censoring: Annotated[
        bool,
        Option(
            False,
            "bool",
            'Whether no surrogate can know when observation ended; needed for ``form="product"`` with surrogates, and '
            "for surrogates in the censoring model.",
        ),
    ]
    estimator: Annotated[
        Estimator | None,
        Option(
            None,
            '{"dsl", "ppi", "gold", "surrogate"}, optional',
            'By default "dsl" with surrogates and "gold" without.',
        ),
    ]


OPTIONS = options_in(DurationOptions)
