"""What a site answers to each question about shares: sums within cells, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..designs.entries import column_sums, dense, power
from ..estimate.cell_weights import candidates, mixed, pull_of, shares_of_weight
from ..estimate.cells import Cells, Moved, combined, gold_alone, linear, squares
from ..estimate.tune import Tuning
from .answers import counts, group_counts, parts_of, size_of
from .answers import facts as facts_of

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..estimate.cell_weights import CellScores
    from ..estimate.rectify import Estimate
    from ..estimate.scores import Scores
    from .answers import Sums
    from .opened import Site


@dataclass(frozen=True)
class CellSite:
    """What a site sums over.

    Parameters
    ----------
    sites : tuple of Site
        One for each label.
    cells : tuple of Cells
        One for each of K classes, or codes.
    names : tuple of str
    classes : list
        What the names stand for.
    whole : bool
        Whether shares of a cell add up to one, and share their weights.
    """

    sites: tuple[Site, ...]
    cells: tuple[Cells, ...]
    names: tuple[str, ...]
    classes: list[Any]
    whole: bool

    def groups(self, question: Mapping[str, Any]) -> list[list[PartOfCells]]:
        """Outcomes that share their weights, told of the sizes of cells of all sites."""
        every, gold = np.array(question["sizes"]), np.array(question["gold sizes"])
        found = [PartOfCells(one.rows, one.gold, one.column, every, gold) for one in self.cells]
        return [found] if self.whole else [[one] for one in found]


@dataclass(frozen=True)
class PartOfCells(Cells):
    """Cells of one site, whose means are divided by the sizes of all sites, shape (C,) each."""

    of_all: Floats = field(repr=False)
    of_gold: Floats = field(repr=False)

    @property
    def sizes(self) -> Floats:
        """Totals of the weights of all units of all sites."""
        return self.of_all

    @property
    def gold_sizes(self) -> Floats:
        """The same as the gold units of all sites tell it."""
        return self.of_gold


def facts(site: CellSite) -> dict[str, Any]:
    """What must be the same at all sites, or is a smallest or largest value."""
    out = {**facts_of(site.sites[0]), "names": list(site.names), "classes": site.classes, "binary": True}
    return {**out, "notes": list(dict.fromkeys(note for one in site.sites for note in one.prepared.notes))}


def answer(site: CellSite, question: Mapping[str, Any]) -> Sums:
    """The sums that a question asks for."""
    kinds: dict[str, Callable[[CellSite, Mapping[str, Any]], Sums]] = {
        "start": _start, "scores": _scores, "weights": _weights, "left out": _left_out, "variance": _variance,
    }  # fmt: skip
    return kinds[str(question["kind"])](site, question)


def _start(site: CellSite, question: Mapping[str, Any]) -> Sums:
    """Counts, and totals within cells of weights, of gold labels and of what stands for them."""
    first, units = site.cells[0], site.cells[0].units
    found = [counts(one) for one in site.sites]
    out: Sums = {
        **found[0], "classes": {name: n for one in found for name, n in one["classes"].items()},
        "sizes": first.sizes, "gold sizes": first.gold_sizes,
        "gold": np.stack([one.total(units.gold_weight * one.gold) for one in site.cells]),
        "groups": group_counts(first.spread(np.ones(len(first.gold))), first.inside, units),
    }  # fmt: skip
    if first.column is not None:
        out["everywhere"] = np.stack([one.predicted_total for one in site.cells])
        out["back"] = np.stack([one.total(units.gold_weight * one.predicted_gold) for one in site.cells])
    return out


def _each(site: CellSite, question: Mapping[str, Any], values: Any) -> list[tuple[str, list[PartOfCells], Any]]:
    """Groups of outcomes with their part of K values."""
    out, at = [], 0
    for g, cells in enumerate(site.groups(question)):
        out.append((str(g), cells, values[at : at + len(cells)]))
        at += len(cells)
    return out


def _at(cells: Sequence[PartOfCells], theta: Any, at_root: bool) -> list[CellScores]:
    return [linear(one, np.array(own), at_root) for one, own in zip(cells, theta)]


def _scores(site: CellSite, question: Mapping[str, Any]) -> Sums:
    """What weights are chosen from, at the means of weight 1 and at those of gold alone."""
    labelling, out = site.cells[0].units.labelling, {}
    each = zip(_each(site, question, question["one"]), _each(site, question, question["alone"]))
    for (name, cells, one), (_, _, alone) in each:
        roots, starts = _at(cells, one, True), _at(cells, alone, False)
        errors = [(r.left_out_m - r.left_out_h, s.left_out_m) for r, s in zip(roots, starts)]
        out[name] = {
            "root": _of_root(roots, labelling), "start": _of_root(starts, labelling),
            "surrogate": _sizes([r.spread(r.h) for r in roots], labelling),
            "one": sum(r.variance(e, e, labelling) for r, (e, _) in zip(roots, errors)),
            "alone": sum(s.variance(e, e, labelling) for s, (_, e) in zip(starts, errors)),
            "negative": int((labelling.spread < 0).sum()),
        }  # fmt: skip
    return out


def _of_root(scores: Sequence[CellScores], labelling: Any) -> Sums:
    own = np.arange(len(scores[0].size))
    return {
        "mh": sum(one.variance(one.m, one.h, labelling) for one in scores),
        "hh": sum(one.variance(one.h, one.h, labelling) for one in scores),
        "known": shares_of_weight(scores, labelling, own)[1],
        "error": _sizes([one.spread(one.m - one.h) for one in scores], labelling),
    }


def _sizes(values: Sequence[Any], labelling: Any) -> Sums:
    found = [size_of(dense(one), labelling) for one in values]
    return {name: np.stack([one[name] for one in found]) for name in ("second", "fourth")}


def _chosen(cells: Sequence[PartOfCells], told: Mapping[str, Any], one: Any, alone: Any) -> tuple[Any, ...]:
    """Scores at the roots that cells use, their pools, and what the weight of a unit's pool owes to it."""
    at_gold, pool = np.array(told["at gold"], dtype=bool), np.array(told["pool"], dtype=np.intp)
    size = np.where(at_gold, cells[0].gold_sizes, cells[0].sizes)
    scores = [mixed(r, s, at_gold, size) for r, s in zip(_at(cells, one, True), _at(cells, alone, False))]
    return scores, pool, pull_of(scores, cells[0].units.labelling, pool, np.array(told["total"]))


def _weights(site: CellSite, question: Mapping[str, Any]) -> Sums:
    """Labelling variance of each cell under each candidate weight."""
    out: Sums = {}
    each = zip(_each(site, question, question["one"]), _each(site, question, question["alone"]))
    for (name, cells, one), (_, _, alone) in each:
        told = question["groups"][name]
        scores, pool, pull = _chosen(cells, told, one, alone)
        out[name] = candidates(scores, cells[0].units.labelling, np.array(told["own"])[pool], pull)
    return out


def _estimates(site: CellSite, question: Mapping[str, Any]) -> tuple[list[Estimate], list[Estimate], dict[str, Any]]:
    """Gold alone, and the estimate with chosen weights, of each outcome; where weights were chosen, scores there."""
    every, gold, moved = [], [], {}
    for name, cells, alone in _each(site, question, question["alone"]):
        own = [gold_alone(one, np.array(theta)) for one, theta in zip(cells, alone)]
        told = question.get("groups", {}).get(name)
        gold += own
        if told is None:
            every += own
            continue
        at_gold, factor = np.array(told["at gold"], dtype=bool), np.array(told["factor"])
        paid = None
        if "total" in told:
            _, _, pull = _chosen(cells, told, told["one"], alone)
            paid = np.where(np.array(told["choice"])[cells[0].inside] == "coefficient", pull, 1.0)[:, None]
        size = np.where(at_gold, cells[0].gold_sizes, cells[0].sizes)
        thetas = [np.array(theta) for theta in told["theta"]]
        at = [mixed(linear(c, t, True), linear(c, t, False), at_gold, size) for c, t in zip(cells, thetas)]
        moved[name] = cells, [Moved(t, size, factor, one) for t, one in zip(thetas, at)]
        for k, (one, there) in enumerate(zip(cells, moved[name][1])):
            none = np.zeros(len(factor))
            chosen = Tuning(
                None, np.diag(factor), none, tuple(told["choice"]), none, np.array(told["inflation"][k]), paid
            )
            every.append(combined(one, there, _factors(told, k), chosen, own[k]))
    return every, gold, moved


def _factors(told: Mapping[str, Any], k: int) -> tuple[Floats | None, Floats | None]:
    moments, errors = ((told.get(name) or [None] * (k + 1))[k] for name in ("moments", "errors"))
    return None if moments is None else np.array(moments), None if errors is None else np.diag(np.array(errors))


def _lengths(scores: Sequence[Scores], name: str) -> Floats:
    return np.stack([column_sums(power(getattr(one, name), 2)) for one in scores])


def _left_out(site: CellSite, question: Mapping[str, Any]) -> Sums:
    """What HC2 and HC3 need to know of all sites."""
    every, gold, moved = _estimates(site, question)
    scores = [one.scores for one in every]
    out: Sums = {"alone": _lengths([one.scores for one in gold], "moment")}
    out |= {name: _lengths(scores, name) for name in ("moment", "error")}
    for name, (cells, there) in moved.items():
        for k, parts in enumerate(squares(cells, there)):
            for which, (shown, whole, found) in zip(("moments", "errors"), parts):
                both = {
                    key: {"squares": a, "plain": np.diag(b)} for key, (a, b) in (("whole", whole), ("found", found))
                }
                out.setdefault(name, {}).setdefault(str(k), {})[which] = {"shown": shown, **both}
    return out


def _variance(site: CellSite, question: Mapping[str, Any]) -> Sums:
    """Labelling and population part of all shares together, and of gold alone share by share."""
    every, gold, _ = _estimates(site, question)
    told = question.get("corrected")
    lengths = {} if told is None else {k: np.array(v) for k, v in told.get("lengths", {}).items()}

    def of(name: str, k: int) -> Floats:
        return lengths[name][k] if name in lengths else np.zeros(0)

    own = [[of("moment", k), of("error", k)] for k in range(len(every))]
    out: Sums = {"fit": parts_of([one.scores for one in every], told, own, True), "alone": {}}
    for k, one in enumerate(gold):
        out["alone"][str(k)] = parts_of([one.scores], told, [[of("alone", k), of("alone", k)]], True)
    return out
