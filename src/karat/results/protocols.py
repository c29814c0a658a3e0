"""Names under which other packages look for things in a Result."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ..errors import RenamedWarning, tell

if TYPE_CHECKING:
    import pandas as pd


RENAMED = {"weight": "tuning_weight", "mixing": "lambda_matrix", "norm": "moment_norm"}
"""What fields of a Result were called before."""


class FormerNames:
    """Fields of a Result under their names in earlier versions, with a warning."""

    @property
    def weight(self: Any) -> Any:
        """Former name of ``tuning_weight``."""
        return _renamed(self, "weight")

    @property
    def mixing(self: Any) -> Any:
        """Former name of ``lambda_matrix``."""
        return _renamed(self, "mixing")

    @property
    def norm(self: Any) -> Any:
        """Former name of ``moment_norm``."""
        return _renamed(self, "norm")

    def __setstate__(self: Any, state: dict[str, Any]) -> None:
        """Read pickles that hold the former names."""
        self.__dict__.update({RENAMED.get(name, name): value for name, value in state.items()})


def _renamed(found: Any, former: str) -> Any:
    tell(f"Result.{former} is now called {RENAMED[former]}; the former name goes in a later release.", RenamedWarning)
    return getattr(found, RENAMED[former])


class StatsmodelsNames:
    """Read-only aliases under the names statsmodels uses."""

    @property
    def params(self: Any) -> pd.Series[Any]:
        """Statsmodels' name for :meth:`coef`."""
        return self.coef()

    @property
    def bse(self: Any) -> pd.Series[Any]:
        """Statsmodels' name for :meth:`se`."""
        return self.se()

    @property
    def tvalues(self: Any) -> pd.Series[Any]:
        """Statsmodels' name for :meth:`tstat`."""
        return self.tstat()

    @property
    def pvalues(self: Any) -> pd.Series[Any]:
        """Statsmodels' name for :meth:`pvalue`."""
        return self.pvalue()

    def conf_int(self: Any, alpha: float | None = None) -> pd.DataFrame:
        """Statsmodels' name for :meth:`confint`, with its column names 0 and 1."""
        import pandas as pd

        table = self.confint(alpha=alpha)
        table.columns = pd.Index([0, 1])
        return table

    def cov_params(self: Any) -> pd.DataFrame:
        """Statsmodels' name for the covariance."""
        return self.vcov_matrix


def register_maketables() -> None:
    """Have maketables read karat Results by their own protocol.

    It asks extractors of other packages first, and the one for statsmodels would take a Result for its
    own because of the aliases. Called whenever a Result is made while maketables is loaded.
    """
    module = sys.modules.get("maketables.extractors")
    registry = getattr(module, "_EXTRACTOR_REGISTRY", None)
    if module is None or registry is None or any(isinstance(e, _Marked) for e in registry):
        return
    from .result import Result

    class Extractor(module.PluginExtractor, _Marked):  # type: ignore[name-defined]
        def can_handle(self, model: Any) -> bool:
            return isinstance(model, Result)

    registry.insert(0, Extractor())


class _Marked:
    """Tells our extractor from others."""


class MaketablesProtocol:
    """What maketables reads to put a Result into a regression table."""

    @property
    def __maketables_coef_table__(self: Any) -> pd.DataFrame:
        """Coefficient table with the columns maketables reads."""
        import pandas as pd

        bounds = self.confint(0.05)
        return pd.DataFrame(
            {
                "b": self.theta,
                "se": self.se(),
                "t": self.tstat(),
                "p": self.pvalue(),
                "ci95l": bounds.iloc[:, 0],
                "ci95u": bounds.iloc[:, 1],
            },
            index=pd.Index(self.names, name="Coefficient"),
        )

    def __maketables_stat__(self: Any, key: str) -> Any:
        """Statistics maketables may ask for, None where there is none."""
        found: dict[str, Any] = {
            "N": self.n_units,
            "n_gold": self.n_gold,
            "design": self.sampling.design,
            "estimator": self.estimator,
            "se_type": self.vcov_kind + (f" ({self.cluster})" if self.cluster else ""),
            "kish": self.sampling.kish,
        }
        return found.get(key)

    @property
    def __maketables_depvar__(self: Any) -> str:
        """Name of the outcome."""
        return self.formula.split("~")[0].strip()

    @property
    def __maketables_vcov_info__(self: Any) -> dict[str, Any]:
        """How standard errors were made."""
        return {"vcov_type": self.vcov_kind, "clustervar": self.cluster or None}

    @property
    def __maketables_default_stat_keys__(self: Any) -> list[str]:
        """Statistics shown unless others are asked for."""
        return ["N", "n_gold", "estimator", "se_type"]
