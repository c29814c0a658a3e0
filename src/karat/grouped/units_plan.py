"""How much gold a second regression on unit means needs: reliability and standard errors at other numbers of gold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, whole
from .second import regress_units

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats
    from .means import UnitMeans

_TIMES = (0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, eq=False)
class UnitsPlan:
    """Planned standard errors of a regression on unit means.

    Parameters
    ----------
    formula : str
    names : tuple of str, length p
    gold : ndarray of int, shape (m,)
        Numbers of gold documents.
    reliability : dict of str to ndarray, shape (m,)
        Of each mean among the covariates, given the others.
    se : ndarray, shape (m, p)

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(3000, seed=1)
    >>> corpus["author"] = [f"a{i % 100}" for i in range(3000)]
    >>> votes = corpus.groupby("author", as_index=False)["outcome"].mean()
    >>> posts = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
    >>> people = kt.aggregate("hostile", posts, by="author", surrogates={"hostile": "hostile_llm"}, seed=1)
    >>> people.join(votes).plan("hostile ~ outcome", gold=[300, 600]).tidy().index.tolist()
    [300, 600]
    """

    formula: str
    names: tuple[str, ...]
    gold: Any
    reliability: Mapping[str, Floats] = field(repr=False)
    se: Floats = field(repr=False)

    def tidy(self) -> pd.DataFrame:
        """One row per number of gold documents: reliabilities, and the standard error of each coefficient."""
        import pandas as pd

        table = {f"reliability of {name}": values for name, values in self.reliability.items()}
        table |= {f"se of {name}": self.se[:, j] for j, name in enumerate(self.names)}
        return pd.DataFrame(table, index=pd.Index(self.gold, name="gold"))

    def __repr__(self) -> str:
        return f"{self.formula}\n{self.tidy().round(4)}"

    def _repr_html_(self) -> str:
        told: str = self.tidy().round(4).to_html()
        return told


def plan_units(
    people: UnitMeans, formula: str, model: str, options: Mapping[str, Any], gold: Sequence[int] | None
) -> UnitsPlan:
    """See :meth:`karat.grouped.units.Aggregate.plan`.

    With ``k = (N / n - 1) / (N / n_0 - 1)`` the noise of all means is k times what it is; the part of the covariance
    that is linear in it grows with k, that of pairs of gold documents in a unit with its square.
    """
    fit = regress_units(people, formula, model, {**options, "compare": False})
    documents, now = people.sampling.n_units, people.sampling.n_gold
    if now == documents:
        raise ArgumentError(
            "every document is gold, so more gold changes nothing; plan from a sample of the documents."
        )
    given = [round(now * t) for t in _TIMES if round(now * t) <= documents] if gold is None else list(gold)
    counts = np.array([whole("gold", n, least=1, most=documents, instead="or fewer") for n in given])
    factor = (documents / counts - 1.0) / (documents / now - 1.0)
    v = np.array([np.diag(part) for part in (fit.result.covariance, fit.linear, fit.pairs)])
    variance = v[0] + (factor - 1.0)[:, None] * v[1] + (factor**2 - 1.0)[:, None] * v[2]
    least = np.maximum(v[0] - v[1] - v[2], 0.0)
    reliability = {name: now_ / (now_ + (1.0 - now_) * factor) for name, now_ in fit.reliability.items()}
    return UnitsPlan(formula, fit.result.names, counts, reliability, np.sqrt(np.maximum(variance, least)))
