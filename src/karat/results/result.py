"""The outcome of a fit: frozen, picklable, without the data."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import KaratError, check_alpha
from ..estimate.infer import read_vcov
from .estimates import Fitted
from .protocols import MaketablesProtocol
from .reporting import Reporting
from .without import Leaving

if TYPE_CHECKING:
    import pandas as pd

    from .comparison import Comparison
    from .effects import Ratios
    from .instruments import AndersonRubin, FirstStage
    from .summary import Summary


@dataclass(frozen=True, eq=False)
class Result(MaketablesProtocol, Leaving, Reporting, Fitted):
    """Estimates with intervals that are valid whatever the surrogates do.

    Parameters
    ----------
    model, title, formula, estimator : str
        What was fitted.
    names : tuple of str, length p
        Coefficients.
    theta : ndarray, shape (p,)
        Estimates.
    covariance : ndarray, shape (p, p)
        Covariance of the estimates for the target.
    labelling_covariance : ndarray, shape (p, p)
        The part that labelling only a sample adds.
    df : ndarray, shape (p,)
        Degrees of freedom of the t quantiles; infinite for normal ones.
    vcov_kind, cluster, target : str
        Form of the covariance, name of the cluster column, population.
    alpha : float
        One minus the confidence level.
    sampling : Sampling
    choice : tuple of str
        Weight each coefficient gives to the surrogate moment: gold, one, coefficient, full, scalar; where labels have
        gold in different rows or come from a cascade, gold, full rows, one, levels (methods, section 1.4).
    tuning_weight : ndarray, shape (p,)
        Lambda on the diagonal, in coefficient space.
    lambda_matrix : ndarray, shape (p, p), or None
        Lambda in moment space.
    r_squared : ndarray, shape (p,)
        Share of the gold-only labelling variance that surrogates remove.
    skill : tuple of Skill
        Out-of-fold skill of the predictor.
    moment_norm : float
        Norm of the moment with weight 1 at its root.
    iterations : int
    notes : tuple of str
    split_share : float or None
        Largest share of a coefficient's variance due to random splits.
    interval : {"wald", "beta"}
        Form of the intervals; "beta" is Clopper and Pearson's at the effective size.
    effective_clusters : ndarray, shape (p,), or None
        Analysis clusters of equal weight that would carry each coefficient as those in the data do (Carter, Schnepel
        and Steigerwald 2017); None without clusters.
    shares : Shares or None
        What the gold of each group can carry, for means and shares.
    rows : tuple of str
        Rows of the tables, where there are more than coefficients: a group without gold has a row of missing values.
    comparison : Comparison or None
    checks : Checks or None
        What was found out about the gold sample; :func:`karat.diagnose` reads it out.
    spec : MatrixSpec or None
        For predictions.
    parts : Parts or None
        Influence scores, when kept.
    call : Call or None
        Arguments of the fit, without the data.
    stage : Stage or None
        First stage and reduced form, of two-stage least squares.
    baseline : Baseline or None
        Hazards of a Cox regression and covariates of its units, for :func:`karat.survival` and
        :func:`karat.proportional_hazards`; None where scores are not kept.
    seed : int or None
        Seed that was used; None where it was a generator.
    withdrawal : Withdrawal or None
        What :meth:`without` did.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(2000, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
    >>> fit = kt.ols("outcome ~ hostile + length", labelled, surrogates={"hostile": "hostile_llm"}, seed=1)
    >>> list(fit.tidy().columns)
    ['Estimate', 'Std. Error', 't value', 'Pr(>|t|)', '2.5%', '97.5%']
    """

    def __post_init__(self) -> None:
        for array in (
            self.theta,
            self.covariance,
            self.labelling_covariance,
            self.df,
            self.tuning_weight,
            self.r_squared,
        ):
            array.flags.writeable = False

    def __repr__(self) -> str:
        return (
            f"<karat Result: {self.estimator} {self.model}, {self.formula!r}, N={self.n_units}, "
            f"{self.n_gold} gold, {len(self.names)} coefficients>"
        )

    def replace(self, **changes: Any) -> Result:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    # ---------------------------------------------------------------- estimates

    @property
    def nobs(self) -> int:
        """Statsmodels' name for the number of units."""
        return self.n_units

    def glance(self) -> pd.DataFrame:
        """One row about the whole fit: sizes, design, estimator, smallest probability, skill."""
        import pandas as pd

        s = self.sampling
        row: dict[str, Any] = {
            "model": self.model,
            "estimator": self.estimator,
            "n_units": s.n_units,
            "n_gold": s.n_gold,
            "n_dropped": s.n_dropped,
            "design": s.design,
            "vcov": self.vcov_kind,
            "target": self.target,
            "smallest_probability": s.smallest_probability,
            "largest_weight": s.largest_weight,
            "kish": s.kish,
            "sum_of_weights": s.sum_of_weights,
            "moment_norm": self.moment_norm,
            "split_share": self.split_share,
        }
        for skill in self.skill:
            row[f"r_squared[{skill.name}]"] = skill.r_squared
        return pd.DataFrame([row])

    def summary(self) -> Summary:
        """Summary that prints as text and shows as HTML in a notebook."""
        from .summary import Summary

        return Summary(self)

    def compare(self) -> Comparison:
        """Surrogates alone, gold alone and this estimate side by side, with the difference test.

        Returns
        -------
        Comparison

        Raises
        ------
        KaratError
            If the fit was made with ``compare=False``.
        """
        if self.comparison is None:
            raise KaratError("this fit was made with compare=False; fit again with compare=True.")
        from .described import facts_of

        return dataclasses.replace(self.comparison, facts=tuple(facts_of(self).items()))

    # ---------------------------------------------------------------- covariance

    def with_vcov(self, vcov: object, cluster: object = None) -> Result:
        """The same estimates with another covariance.

        Parameters
        ----------
        vcov : str or mapping
            As in :func:`karat.regress`; a cluster may be the column of the fit or an array of shape (N,).
        cluster : str or array_like, optional
            Cluster, if not inside ``vcov``.

        Returns
        -------
        Result

        Raises
        ------
        KaratError
            If influence scores were not kept.
        """
        from .revise import with_vcov

        kind, given = read_vcov(vcov, cluster)
        return with_vcov(self, kind, given)

    def simultaneous(
        self,
        alpha: float | None = None,
        *,
        terms: Sequence[str] | None = None,
        draws: int = 10_000,
        seed: Any = None,
    ) -> pd.DataFrame:
        """Intervals that hold for several coefficients at once (max-t by multiplier bootstrap).

        Parameters
        ----------
        alpha : float, optional
        terms : sequence of str, optional
            Coefficients in the family; by default all but the intercept.
        draws : int
            Bootstrap draws.
        seed : int or Generator, optional

        Returns
        -------
        pandas.DataFrame
        """
        from .simultaneous import simultaneous

        return simultaneous(self, self._level(alpha), terms, draws, seed)

    # ---------------------------------------------------------------- elsewhere

    def predict(self, new: object, alpha: float | None = None, context: Any = None) -> pd.DataFrame:
        """Expected outcome for new rows, with intervals of the mean.

        Parameters
        ----------
        new : data frame
            Covariates, labelled ones with their values.
        alpha : float, optional
        context : mapping, optional
            Functions the formula uses.

        Returns
        -------
        pandas.DataFrame, shape (m, 4)
            ``fit``, ``se``, and the bounds; made on the scale of the linear predictor. Of an outcome with classes
            the probabilities of all: ``predict(new)["fit"]`` has a column for each.
        """
        from .prediction import predict

        return predict(self, new, self._level(alpha), context)

    def ratios(self) -> Ratios:
        """Odds ratios (logits) or ratios of means (log links): exponentials of the coefficients.

        Not of cut points and dispersions: of an ordered logit, the odds of being above any cut.

        Returns
        -------
        Ratios
            Intervals are those of the coefficients, carried over; standard errors are by the delta method, and
            p-values those of the hypothesis that a ratio is 1.

        Raises
        ------
        KaratError
            For other models, whose coefficients are not logarithms of ratios.
        """
        from .effects import ratios

        return ratios(self)

    coefplot = Fitted.plot

    def _title(self) -> str:
        return self.formula

    def _about(self) -> str:
        s, by = self.sampling, f" by {self.cluster}" if self.cluster else ""
        return f"{self.title}; {s.n_units:,} units, {s.n_gold:,} gold; {s.design}; {self.vcov_kind}{by}"

    def to_json(self) -> str:
        """Everything but influence scores and the formula's machinery, as JSON."""
        from .export import to_json

        return to_json(self)

    @classmethod
    def from_json(cls, text: str) -> Result:
        """Read :meth:`to_json` back."""
        from .export import from_json

        return from_json(text)

    def first_stage(self) -> FirstStage:
        """The first stage of two-stage least squares, with robust and effective F.

        Returns
        -------
        FirstStage
            Coefficients of the instruments with the covariance of the fit, robust F, effective F, its critical value.

        Raises
        ------
        KaratError
            If the Result is not one of :func:`karat.iv`, or does not hold its first stage.

        References
        ----------
        Montiel Olea and Pflueger (2013), *A robust test for weak instruments*, JBES 31.

        Examples
        --------
        >>> import karat as kt
        >>> corpus, truth = kt.datasets.simulate(1500, seed=1)
        >>> corpus["assigned"] = (corpus["hostile"] + corpus["length"] > 0.5) * 1.0
        >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
        >>> fit = kt.iv("outcome ~ length + [hostile ~ assigned]", labelled,
        ...             surrogates={"hostile": "hostile_llm"}, seed=1)
        >>> fit.first_stage().effective_f > 10
        True
        """
        from .instruments import first_stage

        return first_stage(self)

    def anderson_rubin(self, alpha: float | None = None) -> AndersonRubin:
        """Confidence set of the endogenous covariate that holds its level however weak the instruments are.

        Parameters
        ----------
        alpha : float, optional
            By default that of the fit.

        Returns
        -------
        AndersonRubin
            An interval, two rays, the whole line, or nothing: all coefficients that the joint test of the reduced form
            does not reject.

        Raises
        ------
        KaratError
            If there are several endogenous covariates, or the Result is not one of :func:`karat.iv`.

        References
        ----------
        Anderson and Rubin (1949); Andrews, Stock and Sun (2019), *Weak instruments in IV regression*.

        Examples
        --------
        >>> import karat as kt
        >>> corpus, truth = kt.datasets.simulate(1500, seed=1)
        >>> corpus["assigned"] = (corpus["hostile"] + corpus["length"] > 0.5) * 1.0
        >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
        >>> fit = kt.iv("outcome ~ length + [hostile ~ assigned]", labelled,
        ...             surrogates={"hostile": "hostile_llm"}, seed=1)
        >>> fit.theta[2] in fit.anderson_rubin()
        True
        """
        from .instruments import anderson_rubin

        return anderson_rubin(self, self.alpha if alpha is None else check_alpha(alpha))

    def as_means(self) -> Result:
        """Read the coefficients as group means: plain names, and intervals of shares within 0 and 1."""
        from .revise import as_means

        return as_means(self)

    def __add__(self, other: object) -> Any:
        from .combine import combine

        return combine([(self, 1.0), (other, 1.0)])

    def __sub__(self, other: object) -> Any:
        from .combine import combine

        return combine([(self, 1.0), (other, -1.0)])
