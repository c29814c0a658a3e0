"""Scores from comparisons of two at a time: the model of Bradley and Terry, with ties and an effect of the order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArgumentError, ConvergenceError, DataError, SeparationError, one_of
from ..tables.render import build_frame

if TYPE_CHECKING:
    from ..._core.types import Array, Floats, Ints

_SIDES = ("first", "second", "tie")
_STEPS, _SMALL, _BLOCK = 100, 1e-10, 256
_SHOWN = 5


@dataclass(frozen=True, eq=False)
class PairScores:
    """Scores of texts that were compared two at a time.

    Parameters
    ----------
    items : ndarray, shape (n,)
        Sorted.
    score : ndarray, shape (n,)
        Log odds scale: the log odds that a text wins against an average one. Scores add up to 0.
    se : ndarray, shape (n,)
        Standard errors.
    order_effect, order_se : float or None
        By how much standing first raises the log odds; None where it was not estimated.
    tie_weight : float
        Weight of a tie against two equal texts, one of which wins: 2 is as many ties as decisions; 0 without ties.
    n_pairs : int
    name : str

    Examples
    --------
    >>> import karat as kt
    >>> games = {"a": [1, 2, 3, 1, 3, 2], "b": [2, 3, 1, 3, 2, 1], "won": ["first"] * 3 + ["second", "tie", "second"]}
    >>> kt.labels.bradley_terry(games, first="a", second="b", winner="won", order=False).frame().round(2)
       item  score  score_se  n_pairs
    0     1   0.00      0.74        4
    1     2  -0.42      0.77        4
    2     3   0.42      0.77        4
    """

    items: Array
    score: Floats = field(repr=False)
    se: Floats = field(repr=False)
    order_effect: float | None
    order_se: float | None
    tie_weight: float
    n_pairs: int
    per_item: Ints = field(repr=False)
    name: str = "score"

    @property
    def reliability(self) -> float:
        """Share of the variance of scores that is not noise of the comparisons."""
        spread = float(np.var(self.score, ddof=1))
        return max(0.0, 1.0 - float(np.mean(self.se**2)) / spread) if spread > 0 else 0.0

    def frame(self, backend: str = "pandas") -> Any:
        """One row per text.

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow"}

        Returns
        -------
        data frame
            ``item``, the score, its standard error (``_se``), ``n_pairs``.
        """
        columns = {"item": self.items, self.name: self.score, f"{self.name}_se": self.se, "n_pairs": self.per_item}
        return build_frame(columns, backend)

    def join(self, data: Any, id: str) -> Any:
        """The data with score and standard error as columns, for ``surrogates={"gold": "score"}``.

        Parameters
        ----------
        data : data frame
        id : str
            Column that names the texts.

        Returns
        -------
        data frame
            Of the library of ``data``; missing where a text was not compared.
        """
        import narwhals as nw

        from ...frames import Table

        table = Table.read(data)
        if taken := [c for c in (self.name, f"{self.name}_se") if c in table.columns]:
            raise DataError(f"data has the column {taken[0]!r} already; give the scores another name=.")
        place = {item: i for i, item in enumerate(self.items.tolist())}
        at = [place.get(item) for item in table.column(id, "id").tolist()]
        library = table.native.implementation
        columns = [
            nw.new_series(name, [float("nan") if i is None else float(values[i]) for i in at], backend=library)
            for name, values in ((self.name, self.score), (f"{self.name}_se", self.se))
        ]
        return table.put(columns).to_native()


def bradley_terry(
    data: Any,
    *,
    first: str,
    second: str,
    winner: str | None = None,
    probabilities: Mapping[Any, str] | None = None,
    order: bool = True,
    vcov: str = "auto",
    name: str = "score",
) -> PairScores:
    r"""Scores of texts from comparisons of two at a time.

    Parameters
    ----------
    data : data frame
        One row per comparison.
    first, second : str
        Columns that name the two texts, in the order in which they were shown.
    winner : str, optional
        Column that holds ``"first"``, ``"second"`` or ``"tie"``; rows where it is missing are left out.
    probabilities : mapping, optional
        Instead: ``{"first": column, "second": column, "tie": column}`` (without ``"tie"`` where there are none), such
        as ``labels.columns``.
    order : bool
        Estimate by how much standing first helps; models, like people, favour a place.
    vcov : {"auto", "model", "robust"}
        Standard errors from the model, which hold for winners of independent comparisons, or robust (HC1): these
        for probabilities, which vary less than winners.
    name : str
        Column of the scores.

    Returns
    -------
    PairScores

    Raises
    ------
    DataError
        If the comparisons do not connect all texts: scores of parts that never meet cannot be compared. The parts are
        named.
    SeparationError
        If some texts are never beaten by the others: their scores have no finite estimate.

    Notes
    -----
    With :math:`\eta = s_a - s_b + \delta` the first text wins with a probability proportional to :math:`e^{\eta/2}`,
    the second to :math:`e^{-\eta/2}`, and they tie with :math:`\nu`. Without ties this is a logit. Maximum likelihood
    by Newton's method on sparse matrices; standard errors are those of scores that add up to 0, one solution of a
    sparse system each.

    References
    ----------
    Bradley and Terry (1952), Biometrika 39; Davidson (1970), JASA 65, for ties; Davidson and Beaver (1977), Biometrics
    33, for the order; Ford (1957), American Mathematical Monthly 64, for when the estimate exists.

    Examples
    --------
    >>> import karat as kt
    >>> games = {"a": [1, 2, 1, 2, 1], "b": [2, 1, 2, 1, 2], "won": ["first", "first", "first", "second", "second"]}
    >>> scores = kt.labels.bradley_terry(games, first="a", second="b", winner="won")
    >>> round(float(scores.score[0] - scores.score[1]), 3)  # log odds 2 : 1 first, 1 : 1 second
    0.347
    """
    one_of("vcov", vcov, ("auto", "model", "robust"))
    items, a, b, y = _read(data, first, second, winner, probabilities)
    if not (y[:, :2] > 0).any():
        raise SeparationError("all comparisons are ties, so nothing tells the texts apart; compare other ones.")
    _check_connected(items, a, b, y)
    fit = _Fit(a, b, y, len(items), order)
    theta = fit.solve()
    robust = vcov == "robust" or (vcov == "auto" and winner is None)
    score, se, order_se = fit.errors(theta, robust)
    per_item = np.bincount(np.concatenate([a, b]), minlength=len(items))
    delta = float(theta[fit.at_order]) if order else None
    ties = float(np.exp(theta[-1])) if fit.ties else 0.0
    return PairScores(items, score, se, delta, order_se, ties, len(a), per_item, name)


def _read(
    data: Any, first: str, second: str, winner: str | None, probabilities: Mapping[Any, str] | None
) -> tuple[Array, Ints, Ints, Floats]:
    """Texts, places of both among them, and outcomes (m, 3)."""
    from ...frames import Table
    from ...frames.table import as_float

    table = Table.read(data)
    if (winner is None) == (probabilities is None):
        raise ArgumentError("give winner= or probabilities=, one of them.")
    if winner is not None:
        told = table.column(winner, "winner").tolist()
        keep = np.array([v is not None and v == v for v in told], dtype=bool)
        odd = sorted({str(v) for v, k in zip(told, keep) if k and v not in _SIDES})
        if odd:
            raise DataError(f"winner column {winner!r} holds {odd[:_SHOWN]}; it must be 'first', 'second' or 'tie'.")
        y = np.array([[float(v == side) for side in _SIDES] for v in told])
    else:
        assert probabilities is not None
        if set(probabilities) - {"tie"} != {"first", "second"}:
            raise ArgumentError(
                f"probabilities names {list(probabilities)}; it must name 'first', 'second' (and 'tie')."
            )
        y = np.zeros((table.n_rows, 3))
        for k, side in enumerate(_SIDES):
            if side in probabilities:
                column = probabilities[side]
                y[:, k] = as_float(table.column(column, "probabilities"), column, "probability")
        keep = np.asarray(np.isfinite(y).all(axis=1), dtype=bool)
        wrong = keep & ((y < 0).any(axis=1) | (np.abs(y.sum(axis=1) - 1) > 1e-6))
        if wrong.any():
            raise DataError(f"probabilities of row {np.flatnonzero(wrong)[0]} are not three shares that add up to 1.")
    sides = [table.column(column, what) for column, what in ((first, "first"), (second, "second"))]
    if any(side.isna().any() for side in sides):
        raise DataError("first or second is missing in some rows; every comparison has two texts.")
    names = np.array([*sides[0].tolist(), *sides[1].tolist()], dtype=object)[np.tile(keep, 2)]
    if not len(names):
        raise DataError("no comparison has an outcome.")
    try:
        items, codes = np.unique(names, return_inverse=True)
    except TypeError:
        raise DataError("first and second name texts in types that cannot be ordered; use texts or numbers.") from None
    a, b = codes[: len(codes) // 2].astype(np.intp), codes[len(codes) // 2 :].astype(np.intp)
    if (a == b).any():
        raise DataError(f"the text {items[a[a == b][0]]!r} is compared with itself; leave these rows out.")
    return np.asarray(items.tolist()), a, b, y[keep]


def _check_connected(items: Array, a: Ints, b: Ints, y: Floats) -> None:
    """Raise where texts are in parts that never meet, or of which one is never beaten by the others."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    n = len(items)
    met = coo_matrix((np.ones(len(a)), (a, b)), shape=(n, n))
    parts, code = connected_components(met, directed=False)
    if parts > 1:
        raise DataError(
            f"the comparisons do not connect: they fall into {parts} parts that never meet ({_parts(items, code)}), "
            "whose scores cannot be compared. Add comparisons between the parts, see kt.annotate.pairs."
        )
    forward, back = y[:, 0] + y[:, 2] > 0, y[:, 1] + y[:, 2] > 0  # to the winner
    wins = coo_matrix(
        (np.ones(int(forward.sum() + back.sum())), (np.r_[b[forward], a[back]], np.r_[a[forward], b[back]])),
        shape=(n, n),
    )
    strong, code = connected_components(wins, directed=True, connection="strong")
    if strong > 1:
        raise SeparationError(
            f"some texts are never beaten by some others, in {strong} layers ({_parts(items, code)}), so that their "
            "scores have no finite estimate. Compare them more often, or give probabilities= instead of winners."
        )


def _parts(items: Array, code: Ints) -> str:
    sizes = np.bincount(code)
    listed = []
    for part in np.argsort(-sizes, kind="stable")[:3]:
        inside = [str(item) for item in items[code == part][:_SHOWN]]
        more = f" and {sizes[part] - len(inside)} more" if sizes[part] > len(inside) else ""
        listed.append(", ".join(inside) + more)
    return "; ".join(listed) + ("; ..." if len(sizes) > 3 else "")


class _Fit:
    """Maximum likelihood; the score of the first text is held at 0 while it is sought."""

    def __init__(self, a: Ints, b: Ints, y: Floats, n: int, order: bool) -> None:
        from scipy.sparse import csr_matrix, hstack

        m, rows = len(a), np.arange(len(a))
        signs = np.concatenate([np.ones(m), -np.ones(m)])
        met = csr_matrix((signs, (np.tile(rows, 2), np.concatenate([a, b]))), shape=(m, n))[:, 1:]
        if order:
            self._check_order(met)
        self.design = csr_matrix(hstack([met, csr_matrix(np.ones((m, 1)))])) if order else met
        self.y, self.n, self.order, self.ties = y, n, order, bool((y[:, 2] > 0).any())
        self.at_order = n - 1
        self.width = self.design.shape[1] + self.ties

    @staticmethod
    def _check_order(met: Any) -> None:
        from scipy.sparse.linalg import lsqr

        found = lsqr(met, np.ones(met.shape[0]), atol=1e-14, btol=1e-14, iter_lim=20 * met.shape[1] + 1000)
        if found[3] < 1e-6 * np.sqrt(met.shape[0]):
            raise DataError(
                "the effect of the order cannot be told from the scores: every text always stands before, or behind, "
                "the same others. Show pairs in both orders, or set order=False."
            )

    def chances(self, theta: Floats) -> Floats:
        """Probabilities of first, second, tie, shape (m, 3)."""
        eta = self.design @ theta[: self.design.shape[1]]
        logs = np.column_stack([eta / 2, -eta / 2, np.full(len(eta), theta[-1] if self.ties else -np.inf)])
        logs -= logs.max(axis=1, keepdims=True)
        out = np.exp(logs)
        return np.asarray(out / out.sum(axis=1, keepdims=True))

    def likelihood(self, theta: Floats) -> float:
        """Log-likelihood."""
        p = self.chances(theta)
        return float((self.y * np.log(np.where(self.y > 0, np.maximum(p, 1e-300), 1.0))).sum())

    def scores(self, p: Floats) -> Any:
        """Derivatives of each comparison, sparse (m, width)."""
        from scipy.sparse import csr_matrix, diags, hstack

        g = ((self.y - p) @ np.array([0.5, -0.5, 0.0]))[:, None]
        rows = diags(g[:, 0]) @ self.design
        if self.ties:
            rows = hstack([rows, csr_matrix((self.y - p)[:, 2:])])
        return csr_matrix(rows)

    def information(self, p: Floats) -> Any:
        """Minus the second derivative, sparse (width, width)."""
        from scipy.sparse import bmat, csc_matrix, diags

        gap = p[:, 0] - p[:, 1]
        core = self.design.T @ diags((p[:, 0] + p[:, 1] - gap**2) / 4) @ self.design
        if not self.ties:
            return csc_matrix(core)
        side = csc_matrix(self.design.T @ (-gap * p[:, 2] / 2)[:, None])
        corner = csc_matrix([[float((p[:, 2] * (1 - p[:, 2])).sum())]])
        return csc_matrix(bmat([[core, side], [side.T, corner]]))

    def solve(self) -> Floats:
        """The root."""
        theta = np.zeros(self.width)
        value = self.likelihood(theta)
        for _ in range(_STEPS):
            p = self.chances(theta)
            gradient = np.asarray(self.scores(p).sum(axis=0)).ravel()
            step = _factor(self.information(p)).solve(gradient)
            size = 1.0
            while (new := self.likelihood(theta + size * step)) < value - 1e-12 * abs(value) and size > 1e-6:
                size /= 2
            theta, value = theta + size * step, new
            if np.abs(size * step).max() < _SMALL * (1 + np.abs(theta).max()):
                return theta
        raise ConvergenceError("scores were not found in 100 steps; compare texts more often, or give probabilities=.")

    def errors(self, theta: Floats, robust: bool) -> tuple[Floats, Floats, float | None]:
        """Scores that add up to 0, their standard errors, that of the order."""
        p, n = self.chances(theta), self.n
        inverse, rows = _factor(self.information(p)), self.scores(p)
        factor = len(p) / max(len(p) - self.width, 1)

        def variances(contrasts: Floats) -> Floats:
            x = inverse.solve(contrasts)
            if robust:
                return np.asarray(factor * np.square(rows @ x).sum(axis=0))
            return np.asarray((contrasts * x).sum(axis=0))

        variance = np.empty(n)
        for start in range(0, n, _BLOCK):
            block = np.arange(start, min(start + _BLOCK, n))
            contrasts = np.zeros((self.width, len(block)))
            contrasts[: n - 1] = -1.0 / n
            inner = block[block > 0]
            contrasts[inner - 1, inner - start] += 1.0
            variance[block] = variances(contrasts)
        order_se = None
        if self.order:
            unit = np.zeros((self.width, 1))
            unit[self.at_order] = 1.0
            order_se = float(np.sqrt(variances(unit)[0]))
        score = np.concatenate([[0.0], theta[: n - 1]])
        return score - score.mean(), np.sqrt(variance), order_se


def _factor(matrix: Any) -> Any:
    """A symmetric sparse matrix, ready to solve systems."""
    from scipy.sparse.linalg import splu

    return splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
