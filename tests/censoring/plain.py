"""Censoring distributions written again, plainly and slowly, from their definitions."""

from itertools import pairwise

import numpy as np


def censoring_survival(time, event, weight, u, strict=True):
    """Product-limit P(C >= u) (strict) or P(C > u): events precede censorings at a tied time."""
    out = 1.0
    for t in np.unique(time[(event == 0) & (weight > 0)]):
        if t < u or (t == u and not strict):
            risk = weight[(time > t) | ((time == t) & (event == 0))].sum()
            out *= 1.0 - weight[(time == t) & (event == 0)].sum() / risk
    return out


def event_survival(time, event, weight, u):
    """Kaplan-Meier P(T > u)."""
    out = 1.0
    for t in np.unique(time[(event == 1) & (time <= u)]):
        out *= 1.0 - weight[(time == t) & (event == 1)].sum() / weight[time >= t].sum()
    return out


def restricted_mean(time, event, weight, tau):
    """Area under Kaplan-Meier up to tau."""
    cuts = np.concatenate(([0.0], np.unique(time[time < tau]), [tau]))
    return sum((b - a) * event_survival(time, event, weight, a) for a, b in pairwise(cuts))


def beran(time, event, weight, v, bandwidth, at, u, strict=True):
    """Beran's P(C >= u | V = at), Epanechnikov kernel."""
    z = (v - at) / bandwidth
    return censoring_survival(time, event, weight * np.where(np.abs(z) < 1, 0.75 * (1 - z**2), 0.0), u, strict)


def cox_loglik(time, event, weight, x, beta):
    """Breslow's log partial likelihood of being censored."""
    risk = weight * np.exp(x @ beta)
    total = 0.0
    for i in np.flatnonzero(event == 0):
        at = (time > time[i]) | ((time == time[i]) & (event == 0))
        total += weight[i] * (x[i] @ beta - np.log(risk[at].sum()))
    return total
