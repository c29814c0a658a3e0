"""Unit means as the data of regressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..regression.second_stage import SecondStage
from .means import UnitMeans
from .second import regress_units
from .units_plan import UnitsPlan, plan_units

if TYPE_CHECKING:
    from ..results import Result


@dataclass(frozen=True, eq=False, repr=False)
class Aggregate(UnitMeans, SecondStage):
    """Unit means of labelled documents, corrected by gold; the data of a second regression.

    The target of each mean is that of all documents of the unit that are in the table.

    Parameters
    ----------
    by : tuple of str
        Columns that name the units.
    labels : tuple of str, length q
        The means.
    keys : pandas.DataFrame, C rows
        Names of the units.
    means : ndarray, shape (C, q)
        Mean prediction plus the weighted errors of the gold documents; unbiased over draws.
    predicted, surrogate : ndarray, shape (C, q)
        Mean predictions, and means of the first surrogate (missing where it is on another scale).
    own : ndarray, shape (C, q, q)
        Design covariances, unbiased unit by unit; 0 for a unit without gold.
    pooled : ndarray, shape (C, q, q)
        The same with the level that all gold shows, for standard errors of single units.
    documents, n_gold : ndarray of int, shape (C,)
    errors : GoldErrors
    sampling : Sampling
        Counts of documents.
    alpha : float
    notes : tuple of str
    columns : pandas.DataFrame or None
        Further variables of the units, from :meth:`join`.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(3000, seed=1)
    >>> corpus["author"] = [f"a{i % 100}" for i in range(3000)]
    >>> sample = kt.SimpleRandom(n=300).draw(corpus, seed=1)
    >>> posts = kt.datasets.mask_gold(corpus, sample, "hostile")
    >>> people = kt.aggregate("hostile", posts, by="author", surrogates={"hostile": "hostile_llm"},
    ...                       design=sample.design, seed=1)
    >>> people
    <karat Aggregate: hostile of 100 units, 3,000 documents, 300 gold>
    """

    def _regress(self, formula: str, model: str, options: Mapping[str, Any]) -> Result:
        return regress_units(self, formula, model, options).result

    def plan(self, formula: str, gold: Sequence[int] | None = None, *, model: str = "ols", **options: Any) -> UnitsPlan:
        """Reliability and standard errors of a second regression at other numbers of gold documents.

        Parameters
        ----------
        formula : str
            Of the second regression.
        gold : sequence of int, optional
            Numbers of gold documents; by default half to eight times as many as there are.
        model : str
            As in :func:`karat.regress`.
        **options
            Of the second regression.

        Returns
        -------
        UnitsPlan
            ``tidy()`` has a row per number of gold documents, drawn as those here with all probabilities in
            proportion.
        """
        return plan_units(self, formula, model, options, gold)
