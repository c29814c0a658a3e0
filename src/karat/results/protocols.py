"""Names under which other packages look for things in a Result."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


_EXTRACTORS = "maketables.extractors"


_ELSEWHERE = {
    **dict.fromkeys(
        ("slopes", "marginal_effects", "margins", "get_margeff", "ame"), "average slopes are karat.slopes(fit, data)"
    ),
    **dict.fromkeys(("comparisons", "avg_comparisons"), "comparisons are karat.comparisons(fit, data, ...)"),
    **dict.fromkeys(
        ("predictions", "avg_predictions"),
        "average predictions are karat.predictions(fit, data), those of single rows fit.predict(new)",
    ),
    **dict.fromkeys(
        ("fittedvalues", "fitted", "resid", "residuals", "resids"),
        "a fit keeps no data; fit.predict(data) gives expected outcomes, in its column 'fit'",
    ),
    **dict.fromkeys(("vcov", "get_robustcov_results"), "another covariance is fit.with_vcov({'CRV1': data['column']})"),
    **dict.fromkeys(("t_test", "f_test", "wald_test"), "tests are fit.wald('x = 0')"),
    **dict.fromkeys(("coefficients", "coeftable"), "estimates are fit.coef(), their table fit.tidy()"),
    **dict.fromkeys(("etable", "summary_col"), "tables of fits are karat.table([fit, ...])"),
    **dict.fromkeys(("iplot", "plot_coefs"), "a plot of coefficients is fit.plot()"),
    **dict.fromkeys(
        ("llf", "aic", "bic", "rsquared", "rsquared_adj", "deviance"),
        "estimates solve moment equations, so there is no likelihood and no share of variance explained",
    ),
}
"""Attributes that users of other packages look for, and where they are."""


class StatsmodelsNames:
    """Read-only aliases under the names statsmodels uses; where what other packages call otherwise is."""

    def __getattr__(self, name: str) -> Any:
        """Say where it is, or that there is no such thing."""
        hint = f"; {_ELSEWHERE[name]}" if name in _ELSEWHERE else ""
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}")

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
    """Have maketables read karat's Results by their own protocol.

    It asks extractors of other packages first, and the one for statsmodels would take a Result for its own because of
    the aliases.
    """
    module: Any = sys.modules[_EXTRACTORS]
    registry = getattr(module, "_EXTRACTOR_REGISTRY", None)
    if registry is None or not hasattr(module, "PluginExtractor"):
        return

    class Extractor(module.PluginExtractor):
        def can_handle(self, model: Any) -> bool:
            return isinstance(model, MaketablesProtocol)

    registry.insert(0, Extractor())


class _WhenMaketablesComes(MetaPathFinder):
    """Registers as soon as maketables is imported, which may be after karat."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if name != _EXTRACTORS:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def executed(module: Any) -> None:
                execute(module)
                register_maketables()

            spec.loader.exec_module = executed  # type: ignore[method-assign]
        return spec


def meet_maketables() -> None:
    """Register with maketables, now or when it is imported; called once, when Results are loaded."""
    if _EXTRACTORS in sys.modules:
        register_maketables()
    else:
        sys.meta_path.insert(0, _WhenMaketablesComes())


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


meet_maketables()
