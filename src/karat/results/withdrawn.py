"""What taking units out of a fit did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats


@dataclass(frozen=True, eq=False)
class Withdrawal:
    """What taking units out did to the coefficients.

    Parameters
    ----------
    names : tuple of str
    n_units, n_gold : int
        Units taken out, and gold among them.
    before : ndarray, shape (p,)
        Estimates with them.
    one_step : ndarray, shape (p,)
        Estimates without them by influences.
    remainder : ndarray, shape (p,)
        Size of what these leave out: terms of second order, and that weights of surrogates are chosen anew.
    exact : ndarray, shape (p,), or None
        Estimates of the fit made again, where there were data.

    Examples
    --------
    >>> import numpy as np
    >>> one = np.array([1.0])
    >>> Withdrawal(("x",), 2, 1, one, one + 0.1, one / 100, None).table().columns.tolist()
    ['before', 'one step', 'left out']
    """

    names: tuple[str, ...]
    n_units: int
    n_gold: int
    before: Floats
    one_step: Floats
    remainder: Floats
    exact: Floats | None = None

    def table(self) -> pd.DataFrame:
        """Estimates before and after; with data the exact ones, and how far one step is from them."""
        import pandas as pd

        columns = {"before": self.before, "one step": self.one_step, "left out": self.remainder}
        if self.exact is not None:
            columns |= {"exact": self.exact, "one step - exact": self.one_step - self.exact}
        return pd.DataFrame(columns, index=list(self.names))

    def __str__(self) -> str:
        told = "fitted again" if self.exact is not None else "one step by influences"
        return f"without {self.n_units:,} withdrawn units, {self.n_gold:,} of them gold ({told})"
