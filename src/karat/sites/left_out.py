"""HC2 and HC3 across sites: gold units at the estimate without them, as all sites together have it.

What leaving a unit out changes follows from its own row and the curvature of all rows, which the centre tells. How
long vectors are, and what squares were to be expected of units that happened to be drawn, are sums over all sites: a
round of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..designs.entries import by_row
from ..estimate import index
from ..estimate.basis import to_coefficients
from ..estimate.cell_rows import CellBlocks
from ..estimate.influence import Linear, UnitBlocks, calibration, squares
from ..estimate.scores import Scores, StoredBlocks, growth
from ..estimate.tune import column, pulls

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core.types import Floats
    from ..designs import Labelling
    from ..estimate.scores import Block
    from ..estimate.totals import Moments

KINDS = ("HC2", "HC3")


def alone_scores(moments: Moments, at: Linear) -> Scores:
    """Influences of gold rows on the estimate from gold alone."""
    gold, left = (to_coefficients(moments.sample, part) for part in (at.m, at.left_out_m))
    units = moments.sample.units
    stored = StoredBlocks(gold * units.labelling.weight[:, None], np.zeros(len(gold)))
    return Scores(stored, gold, gold, (left, left), units, np.zeros(len(gold)), gold_alone=True)


def fitted_scores(
    moments: Moments, question: Mapping[str, Any], at: Linear, pull: Floats | None, alone: Scores
) -> Scores:
    """Influences at the chosen weights, left out too; those of gold alone where it was chosen."""
    sample = moments.sample
    p = at.m.shape[1]
    basis = np.eye(p) if sample.basis is None else index.repeated(sample.basis, p)
    weight, inflation = np.array(question["weights"]) @ basis, np.array(question["inflation"])
    moment, left_moment = at.m @ basis.T, at.left_out_m @ basis.T
    error = (moment - at.h @ weight.T) * inflation
    left_error = (left_moment - at.left_out_h @ weight.T) * (inflation if pull is None else pull)
    told = question.get("corrected", {})
    left_moment, left_error = (
        part.copy() if told.get(name) is None else part @ np.array(told[name]).T
        for name, part in (("moments", left_moment), ("errors", left_error))
    )
    to_theta = weight @ at.inverse
    for j in question["gold"]:
        moment[:, j], error[:, j], to_theta[j] = alone.moment[:, j], alone.error[:, j], 0.0
        left_moment[:, j], left_error[:, j] = alone.left_out[0][:, j], alone.left_out[1][:, j]
    source = UnitBlocks(moments.model, sample, np.array(question["at"]["theta"]), at.inverse, to_theta)
    return Scores(source, moment, error, (left_moment, left_error), sample.units, np.zeros(len(moment)))


def pull_of(h: Floats, told: Mapping[str, Any], labelling: Labelling) -> Floats:
    """Factor on the left-out error of each gold unit, as if its weights had been chosen without it, shape (n, q)."""
    factor = pulls(h, np.array(told["hh"]), labelling, np.array(told["known"]))
    return np.column_stack([column(factor.get(choice), j, len(h)) for j, choice in enumerate(told["choice"])])


def shown(moments: Moments, question: Mapping[str, Any], at: Linear | None, fit: Scores | None, alone: Scores) -> Any:
    """Sums that corrections for what leaving a unit out changes are made of."""
    out: dict[str, Any] = {"alone": alone.moment.T @ alone.moment}
    if fit is not None and at is not None:
        out |= {"moment": fit.moment.T @ fit.moment, "error": fit.error.T @ fit.error}
        theta = np.array(question["at"]["theta"])
        for name, parts in zip(("moments", "errors"), squares(moments, theta, at)):
            both = {"whole": parts[1], "found": parts[2]}
            out[name] = {"shown": parts[0], **{k: {"squares": a, "plain": b} for k, (a, b) in both.items()}}
    return out


def corrections(found: Mapping[str, Any], curvature: Floats, basis: Floats, kind: str) -> dict[str, Any]:
    """What sites multiply left-out moments and errors by, and the squares in which lengths are taken."""
    out: dict[str, Any] = {"kind": kind}
    if kind == "HC2":
        out["lengths"] = {name: found[name] for name in ("alone", "moment", "error") if name in found}
    inverse = np.linalg.inv(curvature)
    for name in ("moments", "errors"):
        if name in found:
            one = found[name]
            whole, some = ((one[key]["squares"], one[key]["plain"]) for key in ("whole", "found"))
            root = calibration(one["shown"], whole, some, inverse)
            if root is not None:
                factor = inverse @ root @ curvature
                out[name] = np.linalg.solve(basis.T, (basis @ factor).T).T
    return out


@dataclass(frozen=True)
class _As:
    """Influences of all units with a small-sample correction, whatever is asked for."""

    source: Callable[[str], Iterator[Block]]
    kind: str

    def __call__(self, kind: str) -> Iterator[Block]:
        return self.source(self.kind)


def corrected(one: Scores, told: Mapping[str, Any], lengths: Sequence[Floats]) -> Scores:
    """The scores with the correction that was asked for in the place of left-out moments and errors.

    ``lengths`` are the squares in which moments and errors are measured, for HC2.
    """
    left, kind = one.left_out, str(told["kind"])
    if kind == "HC2":
        moment, error = (
            by_row(np.multiply, plain, growth(plain, out, size))
            for plain, out, size in zip((one.moment, one.error), one.left_out, lengths)
        )
        left = moment, error
    source = replace(one.source, kind=kind) if isinstance(one.source, CellBlocks) else _As(one.source, kind)
    return replace(one, source=source, left_out=left)
