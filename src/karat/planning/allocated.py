"""Allocations side by side: what to look at before sampling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from ..designs import Design
from ..errors import ArgumentError
from .active import Sizing
from .basis import Basis
from .report import text_table
from .schemes import IndependentScheme, Scheme

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats

_NOTICEABLE = 0.02


@dataclass(frozen=True, eq=False)
class Allocation:
    """One way to share the gold out, ready to draw.

    Parameters
    ----------
    name : str
    scheme : Scheme
    n : int
        Gold rows (expected, where units are drawn on their own).
    se : ndarray, shape (q,)
        Predicted standard errors.
    cost : float or None
        Expected cost of the gold labels.
    """

    name: str
    scheme: Scheme = field(repr=False)
    n: int
    se: Floats
    cost: float | None

    @property
    def design(self) -> Design:
        """Hand this to ``draw``, or to :func:`karat.plan`."""
        return self.scheme.design(self.n)

    @property
    def probability(self) -> Floats:
        """Inclusion probability of each row, shape (N,)."""
        return self.scheme.probability(self.n)

    @property
    def sizes(self) -> dict[str, int]:
        """Gold rows per stratum; empty without strata."""
        design = self.design
        wanted = getattr(design, "n", None)
        return dict(wanted) if isinstance(wanted, Mapping) else {}


@dataclass(frozen=True, eq=False)
class Allocations(Mapping[str, Allocation]):
    """Allocations by name, with the table of standard errors to look at before sampling.

    Parameters
    ----------
    found : dict of str to Allocation
    names : tuple of str
        Coefficients and contrasts.
    aims : tuple of str
        Those that Neyman's and the optimal allocation serve.
    remarks : tuple of str
    basis : Basis
    sizing : Sizing or None
        Sizes of units behind the optimal allocation.
    """

    found: dict[str, Allocation]
    names: tuple[str, ...]
    aims: tuple[str, ...]
    remarks: tuple[str, ...]
    basis: Basis = field(repr=False)
    sizing: Sizing | None = field(repr=False)

    def __getitem__(self, name: str) -> Allocation:
        if name not in self.found:
            raise ArgumentError(f"there is no allocation {name!r}; there are {list(self.found)}.")
        return self.found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def __repr__(self) -> str:
        return f"<karat Allocations: {', '.join(self.found)}>"

    def __str__(self) -> str:
        lines = [f"Predicted standard errors, for {', '.join(self.aims)}:", *text_table(self._texts())]
        lines += ["", *self.sentences()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        text = "".join(f"<p>{escape(line)}</p>" for line in self.sentences())
        head = f"Predicted standard errors, for {', '.join(self.aims)}"
        return f"<div><b>{escape(head)}</b>{self._texts().to_html()}{text}</div>"

    def table(self, relative: bool = False) -> pd.DataFrame:
        """Predicted standard errors of all coefficients under each allocation.

        Parameters
        ----------
        relative : bool
            Divided by those of the simple random sample.

        Returns
        -------
        pandas.DataFrame, shape (q, number of allocations)
        """
        import pandas as pd

        table = pd.DataFrame({name: item.se for name, item in self.found.items()}, index=list(self.names))
        return table.div(table["simple random"], axis=0) if relative else table

    def path(self, floors: Sequence[float] = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)) -> pd.DataFrame:
        """Standard errors on the way from optimal (floor 0) to equal probabilities (floor 1).

        Parameters
        ----------
        floors : sequence of float
            Shares of the sample drawn with equal probabilities.

        Returns
        -------
        pandas.DataFrame
            One row per floor: smallest probability, then the standard errors.
        """
        import pandas as pd

        if self.sizing is None:
            raise ArgumentError("there is no optimal allocation here; allocate with features or a pilot.")
        rows, s = [], self.sizing
        for floor in floors:
            if not 0 <= floor <= 1:
                raise ArgumentError(
                    f"floors holds {floor!r}; give numbers from 0 (optimal) to 1 (equal probabilities)."
                )
            scheme = IndependentScheme(s.size, "", float(floor), s.honest, s.expected)
            n = self.found["optimal"].n
            row = {"floor": floor, "smallest probability": scheme.probability(n).min()}
            rows.append(row | dict(zip(self.names, self.basis.with_scheme(scheme).at(n).se)))
        return pd.DataFrame(rows).set_index("floor")

    def sentences(self) -> list[str]:
        """What each allocation gains for its aims and costs elsewhere, in words."""
        ratio = self.table(relative=True)
        out = []
        for name in list(self.found)[1:]:
            change = ratio[name] - 1.0
            gains = [f"{term} {100 * change[term]:+.0f} %" for term in self.aims]
            worse = [
                f"{term} {100 * value:+.0f} %"
                for term, value in change.items()
                if term not in self.aims and value > _NOTICEABLE
            ]
            cost = f"; it costs {', '.join(worse)}" if worse else "; nothing else gets worse by more than 2 %"
            out.append(f"{name}, against simple random: {', '.join(gains)}{cost}.")
        return out + [remark[0].upper() + remark[1:] + "." for remark in self.remarks]

    def _texts(self) -> pd.DataFrame:
        import pandas as pd

        base = self.found["simple random"].se
        columns = {}
        for name, item in self.found.items():
            columns[name] = [
                f"{value:.4g}" if item.se is base else f"{value:.4g} ({100 * (value / at - 1):+.0f} %)"
                for value, at in zip(item.se, base)
            ]
            columns[name] += [f"{item.n:,}", f"{item.probability.min():.3g}"]
            if item.cost is not None:
                columns[name].append(f"{item.cost:,.0f}")
        extra = ["(gold labels)", "(smallest probability)"]
        extra += ["(cost)"] if next(iter(self.found.values())).cost is not None else []
        return pd.DataFrame(columns, index=[*self.names, *extra])
