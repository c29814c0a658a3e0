"""What a fit found out about its gold sample, as small frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class BalanceRow:
    """One variable (or class of one) in the frame and in the weighted gold sample.

    Parameters
    ----------
    name : str
    role : {"surrogate", "covariate", "outcome"}
    frame_mean, gold_mean : float
        Mean over all N rows; mean of gold rows weighted by inverse probability.
    standardised : float
        Difference of the two over the standard deviation in the frame.
    statistic, p_value : float
        Of the difference, under the design; NaN where the design fixes the mean.
    """

    name: str
    role: str
    frame_mean: float
    gold_mean: float
    standardised: float
    statistic: float
    p_value: float


@dataclass(frozen=True)
class Balance:
    """Weighted gold against the whole frame.

    Parameters
    ----------
    rows : tuple of BalanceRow
    statistic : float
        Of the joint test that gold is a draw from the design.
    df : int
        Dimensions in which the design leaves the gold means free; 0 when it fixes them all.
    df_denominator : float
        Of the F test; infinite where the design's covariance is known from the frame.
    p_value : float
        NaN when there is nothing to test.
    fixed : tuple of str
        Variables whose weighted mean the design fixes.
    impossible : bool
        Whether gold differs in a direction that the design fixes: it is not a draw from it.
    remark : str
        Why there is no joint test, if there is none.
    """

    rows: tuple[BalanceRow, ...]
    statistic: float
    df: int
    df_denominator: float
    p_value: float
    fixed: tuple[str, ...] = ()
    impossible: bool = False
    remark: str = ""

    def tidy(self) -> pd.DataFrame:
        """One row per variable: means, standardised difference, z and p."""
        import pandas as pd

        columns = {
            "Role": [r.role for r in self.rows],
            "Frame": [r.frame_mean for r in self.rows],
            "Weighted gold": [r.gold_mean for r in self.rows],
            "Std. difference": [r.standardised for r in self.rows],
            "z": [r.statistic for r in self.rows],
            "Pr(>|z|)": [r.p_value for r in self.rows],
        }
        return pd.DataFrame(columns, index=pd.Index([r.name for r in self.rows], name="Variable"))


@dataclass(frozen=True)
class WeightTotal:
    """Inverse probabilities added up, against the number of rows they represent.

    Parameters
    ----------
    total : float
    expected : int
        N.
    se : float
        Standard error of the total under the design; 0 when the design fixes it.
    p_value : float
        Two-sided; 1 when total and N agree, 0 when they differ though the design fixes the total.
    """

    total: float
    expected: int
    se: float
    p_value: float


@dataclass(frozen=True)
class Stratum:
    """Counts of one stratum.

    Parameters
    ----------
    name : str
    units : int
        Labelling units in the frame: rows, or clusters when they are drawn whole.
    drawn : int
        Drawn for labelling.
    gold : int
        Used: drawn, labelled, and without missing covariates.
    """

    name: str
    units: int
    drawn: int
    gold: int


@dataclass(frozen=True)
class Influential:
    """How far one gold label moves one coefficient.

    Parameters
    ----------
    position : int
        Row of the data.
    coefficient : str
    shift : float
        Change of the estimate, in standard errors, that this label brings.
    leverage : float
        Share of the unit in its own gold-only fit.
    weight : float
        Inverse probability.
    """

    position: int
    coefficient: str
    shift: float
    leverage: float
    weight: float


@dataclass(frozen=True)
class Checks:
    """What was looked at when the fit was made; :func:`karat.diagnose` reads it out.

    Parameters
    ----------
    balance : Balance or None
        None when every row is gold.
    weights : WeightTotal
    strata : tuple of Stratum
        Of a stratified design.
    influential : tuple of Influential
        The gold labels that move a coefficient most, at most five.
    largest_leverage : float
    n_drawn : int
        Rows drawn for labelling, answered or not.
    recorded : bool
        Whether the draw was recorded, so that non-response can be seen.
    caution : str
        What readers must know of the labelling itself; empty for a probability sample.
    censoring : str
        Why few rows carry the censoring weights; empty where many do.
    """

    balance: Balance | None
    weights: WeightTotal
    strata: tuple[Stratum, ...]
    influential: tuple[Influential, ...]
    largest_leverage: float
    n_drawn: int
    recorded: bool
    caution: str = ""
    censoring: str = ""

    @classmethod
    def read(cls, content: dict[str, object] | None) -> Checks | None:
        """Rebuild from the plain values that JSON holds."""
        if content is None:
            return None
        plain = {k: _number(v) for k, v in content.items()}
        balance = plain["balance"]
        if isinstance(balance, dict):
            inner = {k: _number(v) for k, v in balance.items()}
            rows = tuple(BalanceRow(**{k: _number(v) for k, v in row.items()}) for row in inner["rows"])
            plain["balance"] = Balance(**inner | {"rows": rows, "fixed": tuple(inner["fixed"])})
        plain["weights"] = WeightTotal(**{k: _number(v) for k, v in plain["weights"].items()})
        plain["strata"] = tuple(Stratum(**s) for s in plain["strata"])
        plain["influential"] = tuple(
            Influential(**{k: _number(v) for k, v in item.items()}) for item in plain["influential"]
        )
        return cls(**plain)


def _number(value: object) -> Any:
    """Numbers that JSON had to write as text."""
    return {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}.get(value, value) if isinstance(value, str) else value
