"""What a site answers to each question of the centre: sums over its rows, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..designs.entries import dense, group_totals, side_by_side
from ..errors import DataError
from ..estimate import index
from ..estimate.basis import in_basis, to_coefficients
from ..estimate.clusters import count
from ..estimate.covariance import over_drawn, stack_all, stack_clusters
from ..estimate.influence import Linear, linear_at_gold, linear_at_root
from ..estimate.root import Root
from ..estimate.shares import group_means, most_varied
from ..estimate.totals import Moments, linear_predictor, n_coefficients, row_scores, weighted_gram
from ..estimate.tune import pulls
from ..regression.unseen import moved as by_labels
from ..regression.unseen import shown as of_wrong_labels
from .left_out import alone_scores, corrected, fitted_scores, pull_of, shown

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
    from ..designs import Labelling
    from ..estimate.augment import Units
    from ..estimate.rows import Rows
    from ..estimate.scores import Scores
    from ..moments import Model
    from .opened import Site

Sums = dict[str, Any]
"""Names -> numbers, arrays, or the like of their own: what adds up over sites."""


def answer(site: Site, question: Mapping[str, Any]) -> Sums:
    """The sums that a question asks for.

    Parameters
    ----------
    site : Site
    question : mapping
        ``"kind"``, and what it is asked at.

    Returns
    -------
    dict
    """
    kinds: dict[str, Callable[[Site, Mapping[str, Any]], Sums]] = {
        "start": start, "totals": totals, "scores": scores, "weights": weights, "left out": left_out,
        "variance": variance,
    }  # fmt: skip
    return kinds[str(question["kind"])](site, question)


def facts(site: Site) -> dict[str, Any]:
    """What must be the same at all sites, or is a smallest or largest value."""
    labelling, cluster = site.sample.units.labelling, site.sample.units.cluster
    if not site.sample.units.labelling.n_gold:
        raise DataError("this site has no gold row.")
    return {
        "names": list(site.names),
        "columns": list(site.columns),
        "title": site.title,
        "design": labelling.description,
        "independent": bool(labelling.independent and labelling.unit is None),
        "single": bool(labelling.independent),
        "groups": bool(group_means(site.sample.gold.x)),
        "binary": not site.classes and bool(np.isin(site.sample.gold.y, (0.0, 1.0)).all()),
        "smallest_probability": float(labelling.probability[labelling.kind_of_gold].min()),
        "largest_weight": float(labelling.weight.max()),
        "caution": labelling.caution,
        "clustered": cluster is not None,
        "notes": list(site.prepared.notes),
    }


def counts(site: Site) -> Sums:
    """How many units, gold rows and clusters there are."""
    sample, labelling = site.sample, site.sample.units.labelling
    w, cluster = labelling.weight, sample.units.cluster
    return {
        "n_units": labelling.n_rows, "n_gold": labelling.n_gold, "n_chance": labelling.n_chance,
        "n_strata": labelling.n_strata, "n_drawn_units": labelling.n_units, "n_dropped": sample.units.n_dropped,
        "weight": w.sum(), "weight_squares": (w**2).sum(),
        "clusters": 0 if cluster is None else min(count(cluster)),
        "gold_clusters": 0 if cluster is None else min(count(cluster, labelling.gold)),
        "dropped": dict(site.prepared.dropped),
        "classes": {
            label.name: np.bincount(
                label.gold_codes(site.prepared.gold).astype(np.intp), minlength=len(label.classes)
            ).astype(np.float64)
            for label in site.prepared.labels if label.classes
        },
    }  # fmt: skip


def start(site: Site, question: Mapping[str, Any]) -> Sums:
    """Counts, cross products of the gold rows, and where Newton starts."""
    sample, model, gold = site.sample, site.model, site.sample.gold
    out: Sums = {**counts(site), "gram": weighted_gram(gold.x, sample.units.gold_weight)}
    if model.linear:
        return {**out, **_totals(Moments.of(model, sample), np.zeros(n_coefficients(model, gold)))}
    return {**out, "working": gold.x.T @ index.weighted(_working(model, gold, w := sample.units.gold_weight), w)}


def _working(model: Model, gold: Rows, weight: Floats) -> Floats:
    """Linear predictors near which Newton starts; 0 where the site's own outcomes do not tell."""
    if gold.y.ndim > 1:
        return np.zeros_like(gold.y)
    with np.errstate(divide="ignore"):
        working = model.working(gold.y, gold.x, weight / weight.sum())
    working = np.where(np.isfinite(working), working, 0.0)
    return working if gold.offset is None else working - gold.offset


def _moments(site: Site, question: Mapping[str, Any]) -> Moments:
    """The three totals in the coordinates of the question."""
    basis = question.get("basis")
    return Moments.of(site.model, in_basis(site.model, site.sample, None if basis is None else np.array(basis)))


def _totals(moments: Moments, theta: Floats) -> Sums:
    parts = {"gold": moments.gold, "everywhere": moments.everywhere, "back": moments.back}
    out: Sums = {}
    for name, part in parts.items():
        if part is not None:
            score, curvature = part(theta)
            out[name] = {"score": score, "curvature": curvature}
    gold, model = moments.sample.gold, moments.model
    score, _ = model.evaluate(linear_predictor(model, gold, theta), gold.y)
    phi = index.scores(gold.scored, index.weighted(score, moments.sample.units.gold_weight), model.first)
    return {**out, "squares": phi.T @ phi}


def totals(site: Site, question: Mapping[str, Any]) -> Sums:
    """Total score and curvature of gold rows, of all predicted rows, and of the predicted rows of gold units."""
    return _totals(_moments(site, question), np.array(question["theta"]))


def _at(moments: Moments, question: Mapping[str, Any], where: str) -> Linear:
    """Scores of the gold units at a root of all sites."""
    asked = question[where]
    root = Root(np.array(asked["theta"]), np.array(asked["curvature"]), 0.0, True, 0)
    if where == "alone":
        moments = replace(moments, predicted_gold=())
    return linear_at_root(moments, root) if asked.get("of") == "all" else linear_at_gold(moments, root)


def size_of(values: Floats, labelling: Labelling) -> Sums:
    """Second and fourth powers of errors times the root of their spread, by labelling unit."""
    scaled = values * np.sqrt(labelling.spread)[:, None]
    if labelling.unit is not None:
        scaled = group_totals(scaled, np.unique(labelling.unit[labelling.labelled], return_inverse=True)[1])
    return {"second": (scaled**2).sum(axis=0), "fourth": (scaled**4).sum(axis=0)}


def scores(site: Site, question: Mapping[str, Any]) -> Sums:
    """What weights are chosen from: design covariances of gold and predicted scores, and their sizes."""
    moments = _moments(site, question)
    sample, labelling = moments.sample, moments.sample.units.labelling
    at = _at(moments, question, "at")
    m, h, left_m, left_h = (to_coefficients(sample, part) for part in (at.m, at.h, at.left_out_m, at.left_out_h))
    alone = to_coefficients(sample, _at(moments, question, "alone").left_out_m)
    theta, error = np.array(question["at"]["theta"]), left_m - left_h
    out: Sums = {
        "mh": labelling.cross(m, h), "hh": labelling.cross(h, h), "error": size_of(m - h, labelling),
        "surrogate": size_of(h, labelling),
        "known": (labelling.spread[:, None] * labelling.known_part(h)[0] ** 2).sum(axis=0),
        "one": np.diag(labelling.cross(error, error)), "alone": np.diag(labelling.cross(alone, alone)),
        "negative": int((labelling.spread < 0).sum()),
    }  # fmt: skip
    out |= {name: part["score"] for name, part in _totals(moments, theta).items() if name != "squares"}
    if question.get("direction") is not None:
        out["noise"] = _noise(site.model, moments, theta, np.array(question["direction"]))
    return out


def _noise(model: Model, moments: Moments, theta: Floats, u: Floats) -> float:
    """Labelling variance of the Jacobian in a direction."""
    sample = moments.sample
    _, curvatures = row_scores(model, theta, (sample.gold, *moments.predicted_gold))
    error = index.quadratic(sample.gold.x, curvatures[0], u, model.first)
    for rows, curvature in zip(moments.predicted_gold, curvatures[1:]):
        error = error - index.quadratic(rows.x, curvature, u, model.first)
    error = (error * sample.units.gold_analysis_weight)[:, None]
    return float(sample.units.labelling.cross(error, error)[0, 0])


def weights(site: Site, question: Mapping[str, Any]) -> Sums:
    """Labelling variance of each coefficient under each candidate weight."""
    moments = _moments(site, question)
    sample, labelling = moments.sample, moments.sample.units.labelling
    at = _at(moments, question, "at")
    h, left_m, left_h = (to_coefficients(sample, part) for part in (at.h, at.left_out_m, at.left_out_h))
    factor = pulls(h, np.array(question["hh"]), labelling, np.array(question["known"]))
    out: Sums = {}
    for name, row in question["candidates"].items():
        error = (left_m - left_h @ np.array(row).T) * factor.get(name, 1.0)
        out[name] = np.diag(labelling.cross(error, error))
    return out


def _influences(moments: Moments, question: Mapping[str, Any]) -> tuple[Linear | None, Scores | None, Scores]:
    """Scores of the gold units at the estimate, influences at the chosen weights, and those of gold alone."""
    alone = alone_scores(moments, _at(moments, question, "alone"))
    if "at" not in question:
        return None, None, alone
    at, pull = _at(moments, question, "at"), None
    if (told := question.get("pulled")) is not None:
        h = to_coefficients(moments.sample, _at(moments, told, "at").h)
        pull = pull_of(h, told, moments.sample.units.labelling)
    return at, fitted_scores(moments, question, at, pull, alone), alone


def left_out(site: Site, question: Mapping[str, Any]) -> Sums:
    """What HC2 and HC3 need to know of all sites."""
    moments = _moments(site, question)
    return dict(shown(moments, question, *_influences(moments, question)))


def variance(site: Site, question: Mapping[str, Any]) -> Sums:
    """Labelling and population part at the estimate, of the fit and of gold alone."""
    _, fit, alone = _influences(_moments(site, question), question)
    told, groups = question.get("corrected"), question.get("groups")
    out: Sums = {}
    for name, one, parts in (("alone", alone, ("alone", "alone")), ("fit", fit, ("moment", "error"))):
        if one is not None:
            lengths = [] if told is None else [np.array(told["lengths"][k]) for k in parts if "lengths" in told]
            out[name] = parts_of([one], told, [lengths], groups is not None)
    if fit is not None and groups is None and (more := _unseen(site, question)) is not None:
        out["unseen"] = more
    if groups is not None:
        x = site.sample.gold.x
        found = group_counts(x, x.argmax(axis=1), site.sample.units)
        rest = site.sample.gold.y - np.array(groups)[x.argmax(axis=1)]
        out["groups"] = {**found, "rest": float((site.sample.units.gold_weight * rest**2).sum())}
    return out


def _unseen(site: Site, question: Mapping[str, Any]) -> Sums | None:
    """What the gold rows show of wrong labels, of which some may have been missed (methods, section 9)."""
    at, p = question["at"], len(question["at"]["theta"])
    basis = question.get("basis")
    turn = np.eye(p) if basis is None else index.repeated(np.array(basis), p)
    theta, chosen = turn @ np.array(at["theta"]), list(question["gold"])
    theta[chosen] = (turn @ np.array(question["alone"]["theta"]))[chosen]
    inverse = turn @ np.linalg.inv(np.array(at["curvature"])) @ turn.T
    found = of_wrong_labels(site.prepared, site.sample)
    if found is None:
        return None
    moved = by_labels(found, site.model, site.prepared, site.matrix, site.sample, theta, inverse)
    return {"size": found.size, "spread": found.spread, "wrong": found.wrong, "moved": moved.T @ moved}


def parts_of(
    scores: Sequence[Scores], told: Mapping[str, Any] | None, lengths: Sequence[Sequence[Floats]], plain: bool
) -> Sums:
    """Sums of which covariances are made: with the correction asked for, and without where this is needed too."""
    if told is None:
        return sums_of(scores)
    out = sums_of([corrected(one, told, own) for one, own in zip(scores, lengths)], "HC3")
    return {**out, "plain": sums_of(scores)} if plain else out


def sums_of(scores: Sequence[Scores], kind: str = "HC0") -> Sums:
    """Sums of which every covariance of fits side by side is made: by units, by gold units, by clusters."""
    labelling, cluster = scores[0].units.labelling, scores[0].units.cluster
    found = [one.gold_parts(kind) for one in scores]
    moment, error = (dense(side_by_side([part[k] for part in found])) for k in (0, 1))
    every, known = stack_all(scores, kind), labelling.independent_cross(error, error)
    product = every.population + known
    drawn = over_drawn(labelling.shares(error), labelling)
    shares = drawn + over_drawn(labelling.weight[:, None] * moment**2, labelling)
    plain = [dense(side_by_side([getattr(one, name) for one in scores])) for name in ("error", "moment")]
    out: Sums = {
        "labelling": labelling.cross(error, error),
        "units": {
            "product": product, "fourth": every.concentration * np.diag(product) ** 2, "known": known,
            "n": every.groups,
        },
        "gold": {
            "population": (moment * labelling.weight[:, None]).T @ moment, "second": shares.sum(axis=0),
            "fourth": (shares**2).sum(axis=0), "n": len(error),
        },
        "drawn": {"second": drawn.sum(axis=0), "fourth": (drawn**2).sum(axis=0)},
        "errors": (plain[0] ** 2).sum(axis=0), "moments": (plain[1] ** 2).sum(axis=0),
    }  # fmt: skip
    if cluster is not None:
        meat = stack_clusters(scores, cluster, [None] * len(scores))
        assert meat.plain is not None
        own = cluster[labelling.gold] if scores[0].gold_alone else cluster
        out["clusters"] = {
            "population": meat.population, "second": meat.plain, "fourth": meat.concentration * meat.plain**2,
            "n": int(np.unique(own).size), "gold": int(np.unique(cluster[labelling.gold]).size),
        }  # fmt: skip
    return out


def group_counts(x: Any, group: Ints, units: Units) -> Sums:
    """What the gold of each group can carry, for means and shares; ``x`` are the indicators of the gold units."""
    labelling, cluster, v = units.labelling, units.cluster, units.gold_analysis_weight
    p, weight = x.shape[1], v * labelling.weight
    unit = None if labelling.unit is None else labelling.unit[labelling.gold]
    own = None if cluster is None else cluster[labelling.gold]
    spread = v * np.sqrt(np.maximum(labelling.spread, 0.0))
    strata = np.zeros(p)
    if labelling.fixed_size:
        stratum = (
            np.zeros(len(group), dtype=np.intp) if labelling.stratum is None else labelling.stratum[labelling.gold]
        )
        strata = np.bincount(np.unique(np.column_stack([group, stratum]), axis=0)[:, 0], minlength=p).astype(float)
    return {
        "count": np.bincount(group, minlength=p).astype(np.float64),
        "total": np.bincount(group, weight, p), "squares": np.bincount(group, weight**2, p),
        "varied": {str(k): most_varied(x, weight, (codes,)) for k, codes in enumerate((None, unit, own))},
        "spread": {str(k): most_varied(x, spread, (codes,)) for k, codes in enumerate((None, unit))},
        "strata": strata,
    }  # fmt: skip
