"""A second, slow and plain way to every number: loops over units, formulas as the methods page writes them.

Nothing here is taken from karat. A unit holds its gold row, its predicted rows (one per class, with
probabilities) and how it was drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import erf, exp, pi, sqrt

import numpy as np


@dataclass
class Unit:
    """``gold`` is (x, y) or None; ``predicted`` a list of (share, x, y)."""

    gold: tuple[np.ndarray, float] | None
    predicted: list[tuple[float, np.ndarray, float]]
    probability: float
    weight: float = 1.0
    offset: float = 0.0
    stratum: object = 0
    drawn_with: object = None
    cluster: object = None
    facts: dict = field(default_factory=dict)

    @property
    def w(self) -> float:
        return 0.0 if self.gold is None else 1.0 / self.probability


def factor(model: str, eta: float, y: float) -> tuple[float, float]:
    """Score factor and minus its derivative."""
    if model == "ols":
        return y - eta, 1.0
    if model == "poisson":
        return y - exp(eta), exp(eta)
    if model == "logit":
        mu = 1.0 / (1.0 + exp(-eta))
        return y - mu, mu * (1.0 - mu)
    density, mu = exp(-0.5 * eta**2) / sqrt(2 * pi), 0.5 * (1 + erf(eta / sqrt(2)))
    up, down = density / mu, density / (1 - mu)
    return y * up - (1 - y) * down, y * up * (up + eta) + (1 - y) * down * (down - eta)


def gold_moment(model, theta, unit):
    x, y = unit.gold
    s, c = factor(model, float(x @ theta) + unit.offset, y)
    return s * x, c * np.outer(x, x)


def predicted_moment(model, theta, unit):
    """The moment averaged over the classes a unit may have."""
    total, slope = np.zeros(len(theta)), np.zeros((len(theta), len(theta)))
    for share, x, y in unit.predicted:
        s, c = factor(model, float(x @ theta) + unit.offset, y)
        total += share * s * x
        slope += share * c * np.outer(x, x)
    return total, slope


def equation(model, theta, units, mixing):
    """``sum v {w m - (w - 1) Lambda h}`` and minus its derivative."""
    p = len(theta)
    total, slope = np.zeros(p), np.zeros((p, p))
    for unit in units:
        if unit.gold is not None:
            m, dm = gold_moment(model, theta, unit)
            total += unit.weight * unit.w * m
            slope += unit.weight * unit.w * dm
        if mixing.any():
            h, dh = predicted_moment(model, theta, unit)
            total -= unit.weight * (unit.w - 1.0) * mixing @ h
            slope -= unit.weight * (unit.w - 1.0) * mixing @ dh
    return total, slope


def root(model, units, mixing, start=None):
    theta = np.zeros(len(mixing)) if start is None else np.array(start, dtype=float)
    for _ in range(100):
        total, slope = equation(model, theta, units, mixing)
        step = np.linalg.solve(slope, total)
        if model != "ols":
            step /= max(1.0, np.abs(step).max() / 2.0)
        theta = theta + step
        if np.abs(step).max() < 1e-13 * (1.0 + np.abs(theta).max()):
            break
    return theta, equation(model, theta, units, mixing)[1]


def labelling_cross(units, left, right, design):
    """Covariance of two inverse-probability totals over repeated draws; ``left``, ``right`` by gold unit."""
    gold = [u for u in units if u.gold is not None]
    out = np.zeros((left.shape[1], right.shape[1]))
    if design == "bernoulli":
        for unit, a, b in zip(gold, left, right):
            out += (1 - unit.probability) / unit.probability**2 * np.outer(a, b)
        return out
    key = (lambda u: u.drawn_with) if design == "clusters" else id
    for stratum in sorted({u.stratum for u in units}, key=str):
        everyone = {key(u) for u in units if u.stratum == stratum}
        totals = {}
        for unit, a, b in zip(gold, left, right):
            if unit.stratum == stratum:
                before = totals.get(key(unit), (0.0, 0.0))
                totals[key(unit)] = (before[0] + a, before[1] + b)
        big_n, n = len(everyone), len(totals)
        mean_a = sum(t[0] for t in totals.values()) / n
        mean_b = sum(t[1] for t in totals.values()) / n
        spread = np.zeros_like(out)
        for a, b in totals.values():
            spread += np.outer(a - mean_a, b - mean_b) / (n - 1)
        out += big_n**2 * (1 / n - 1 / big_n) * spread
    return out


def lambda_of(method, m, h, curvature, units, design):
    """Methods, section 3, as written: omega sums of moments, Psi = J^-1."""
    psi = np.linalg.inv(curvature)
    v_mh, v_hh = labelling_cross(units, m, h, design), labelling_cross(units, h, h, design)
    if method == "full":
        return v_mh @ np.linalg.inv(v_hh)
    top, bottom = psi @ v_mh @ psi.T, psi @ v_hh @ psi.T
    if method == "scalar":
        return np.trace(top) / np.trace(bottom) * np.eye(len(psi))
    return curvature @ np.diag(np.diag(top) / np.diag(bottom)) @ psi


@dataclass
class Answer:
    theta: np.ndarray
    covariance: np.ndarray
    labelling: np.ndarray
    mixing: np.ndarray
    influence: np.ndarray
    error: np.ndarray
    curvature: np.ndarray


def solve(model, units, *, design="bernoulli", tuning=None, target="superpopulation", clustered=False, p=None):
    """The rectified estimate with its HC0 or CRV0 covariance.

    Root at Lambda = I, Lambda from the scores there, one Newton step, variance from the scores at the end.
    """
    p = p or next(len(u.gold[0]) for u in units if u.gold is not None)
    gold = [u for u in units if u.gold is not None]
    mixing, pay = np.eye(p), np.ones(p)
    theta, curvature = root(model, units, mixing, root(model, units, np.zeros((p, p)))[0])
    psi = np.linalg.inv(curvature)
    if tuning is not None:
        m = np.array([u.weight * gold_moment(model, theta, u)[0] for u in gold])
        h = np.array([u.weight * predicted_moment(model, theta, u)[0] for u in gold])
        mixing = lambda_of(tuning, m, h, curvature, units, design)
        pay = price_of_tuning(p if tuning == "full" else 1, (m - h) @ psi.T, gold, design)
        theta = theta + psi @ equation(model, theta, units, mixing)[0]
    influence, errors = [], []
    for unit in units:
        h = unit.weight * psi @ mixing @ predicted_moment(model, theta, unit)[0]
        if unit.gold is None:
            influence.append(h)
        else:
            m = unit.weight * psi @ gold_moment(model, theta, unit)[0]
            errors.append((m - h) * pay)
            influence.append(m + (unit.w - 1.0) * errors[-1])
    influence, errors = np.array(influence), np.array(errors)
    labelling = labelling_cross(units, errors, errors, design)
    if target == "finite":
        return Answer(theta, labelling, labelling, mixing, influence, errors, curvature)
    total = population_part(units, influence, errors, design, clustered, labelling) + labelling
    return Answer(theta, total, labelling, mixing, influence, errors, curvature)


def population_part(units, influence, errors, design, clustered, labelling):
    """Methods, section 4: squares of moments of gold units; with analysis clusters, of totals of clusters."""
    gold = [i for i, u in enumerate(units) if u.gold is not None]
    if design == "bernoulli":
        return sandwich(units, influence, clustered) - as_if_independent(units, errors, design, clustered)
    if not clustered:
        moments = [influence[i] - (units[i].w - 1.0) * e for i, e in zip(gold, errors)]
        return sum(units[i].w * np.outer(m, m) for i, m in zip(gold, moments))
    influence, errors = known_moved(units, influence, errors, design)
    found = sandwich(units, influence, clustered) - as_if_independent(units, errors, design, clustered)
    size = np.sqrt(np.maximum(np.diag(found), np.diag(found + labelling)))
    values, vectors = np.linalg.eigh(found / np.outer(size, size))
    return (vectors * np.maximum(values, 0.0)) @ vectors.T * np.outer(size, size)


def known_moved(units, influence, errors, design):
    """In a stratum the mean error per labelling unit counts as predicted: its weighted total is known."""
    influence, errors = influence.copy(), errors.copy()
    gold = [i for i, u in enumerate(units) if u.gold is not None]
    key = (lambda i: units[i].drawn_with) if design == "clusters" else (lambda i: i)
    for stratum in {u.stratum for u in units}:
        inside = [i for i, u in enumerate(units) if u.stratum == stratum]
        drawn = {key(i) for i in inside if units[i].gold is not None}
        size = {k: sum(key(i) == k for i in inside) for k in {key(i) for i in inside}}
        level = sum(errors[gold.index(i)] for i in inside if units[i].gold is not None) / len(drawn)
        for i in inside:
            influence[i] += level / size[key(i)] * (1.0 - units[i].w)
            if units[i].gold is not None:
                errors[gold.index(i)] -= level / size[key(i)]
    return influence, errors


def sandwich(units, influence, clustered):
    """Outer products of influences, added up within analysis clusters first."""
    groups = {}
    for i, unit in enumerate(units):
        key = unit.cluster if clustered else i
        groups[key] = groups.get(key, 0.0) + influence[i]
    return sum(np.outer(g, g) for g in groups.values())


def as_if_independent(units, errors, design, clustered):
    """The labelling part that the sandwich holds already."""
    gold = [u for u in units if u.gold is not None]
    groups = {}
    for i, unit in enumerate(gold):
        together = design == "clusters" and clustered
        key = (unit.drawn_with, unit.cluster) if together else i
        root_weight = sqrt((1 - unit.probability) / unit.probability**2)
        groups[key] = groups.get(key, 0.0) + root_weight * errors[i]
    return sum(np.outer(g, g) for g in groups.values())


def price_of_tuning(q, error, gold, design):
    """``sqrt(d / (d - q))``, d the gold units that carry the labelling variance (by fourth moments)."""
    pieces = {}
    for i, unit in enumerate(gold):
        key = unit.drawn_with if design == "clusters" else i
        pieces[key] = pieces.get(key, 0.0) + sqrt(1 - unit.probability) / unit.probability * error[i]
    rows = np.array(list(pieces.values()))
    d = np.clip(3 * (rows**2).sum(0) ** 2 / (rows**4).sum(0) - 1, 2, len(rows))
    return np.sqrt(d / np.maximum(d - q, d / 2))
