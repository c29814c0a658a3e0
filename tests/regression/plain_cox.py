"""A plain Cox regression on an augmented sample: loops over events, nothing shared with karat."""

import numpy as np


class Plain:
    """Units with a labelled covariate x (0/1, probability p) and an observed one z."""

    def __init__(self, data, gold, probability, ties, strata=None, entry=None, weights=None):
        self.data, self.gold, self.ties = data, gold, ties
        self.n = len(data)
        self.time, self.event = data["time"].to_numpy(), data["event"].to_numpy() == 1
        self.start = np.full(self.n, -1.0) if entry is None else data[entry].to_numpy()
        self.stratum = np.zeros(self.n) if strata is None else np.unique(data[strata], return_inverse=True)[1]
        self.v = np.ones(self.n) if weights is None else weights
        self.probability = probability
        self.w = np.where(gold, 1 / probability, 0.0)
        z, p = data["z"].to_numpy(), data["p"].to_numpy()
        self.x_gold = np.column_stack([data["x"], z])
        self.rows = [(np.column_stack([np.full(self.n, k), z]), q) for k, q in ((0.0, 1 - p), (1.0, p))]
        self.unsafe = set()

    def parts(self, which):
        """Rows with the weights they have."""
        gold = [(self.x_gold, self.v * self.w)]
        if which == "gold":
            return gold
        if which == "everywhere":
            return [(x, self.v * q) for x, q in self.rows]
        return gold + [(x, self.v * (1 - self.w) * q) for x, q in self.rows]

    def moments(self):
        """Distinct event times within strata."""
        return sorted({(self.stratum[i], self.time[i]) for i in np.flatnonzero(self.event)})

    def at(self, moment):
        """At risk, and ending, at an event time."""
        g, t = moment
        at_risk = (self.stratum == g) & (self.start < t) & (self.time >= t)
        return at_risk, at_risk & self.event & (self.time == t)

    def steps(self, theta, which):
        """(at risk, ending, share gone, E, hazard, S0, S1) of every step of every event time."""
        for moment in self.moments():
            at_risk, ending = self.at(moment)
            tied = int(ending.sum()) if self.ties == "efron" else 1
            mass = sum(weight[ending].sum() for _, weight in self.parts(which))
            for step in range(tied):
                share = step / tied
                own = self.sums(theta, self.parts(which), at_risk, ending, share)
                used = own
                if which == "augmented" and moment in self.unsafe:
                    used = self.sums(theta, self.parts("everywhere"), at_risk, ending, share)
                if used[0] > 0:
                    yield at_risk, ending, share, used[1] / used[0], mass / tied / used[0], own

    @staticmethod
    def sums(theta, parts, at_risk, ending, share):
        s0, s1 = 0.0, 0.0
        for x, weight in parts:
            e = weight * np.exp(x @ theta) * (at_risk - share * ending)
            s0, s1 = s0 + e.sum(), s1 + e @ x
        return s0, s1

    def mark(self, theta):
        """Event times at which the augmented risk set is not clear of noise."""
        gap = np.exp(self.x_gold @ theta) - sum(q * np.exp(x @ theta) for x, q in self.rows)
        spread = np.where(self.gold, (1 - self.probability) / self.probability**2, 0.0)
        noise = spread * (self.v * gap) ** 2
        self.unsafe = set()
        for moment in self.moments():
            at_risk, ending = self.at(moment)
            tied = int(ending.sum()) if self.ties == "efron" else 1
            for share in (0.0, (tied - 1) / tied):
                s0, _ = self.sums(theta, self.parts("augmented"), at_risk, ending, share)
                if not s0 > 4 * np.sqrt((noise * (at_risk - share * ending) ** 2).sum()):
                    self.unsafe.add(moment)
        return np.array([moment in self.unsafe for moment in self.moments()])

    def row_scores(self, theta, x, steps):
        """Lin and Wei's score of each row, and its curvature summed with weights."""
        e = np.exp(x @ theta)
        score, curvature = np.zeros((self.n, 2)), np.zeros((self.n, 2, 2))
        for at_risk, ending, share, mean, jump, _ in steps:
            count = max(int(ending.sum()), 1) if self.ties == "efron" else 1
            gone = (at_risk - share * ending) * e * jump
            score += (x - mean) * (ending / count - gone)[:, None]
            curvature += gone[:, None, None] * (x - mean)[:, :, None] * (x - mean)[:, None, :]
        return score, curvature

    def scores(self, theta, which):
        """Scores of units at gold and at predicted labels, times their weight, and the inverse of the curvature."""
        steps = list(self.steps(theta, which))
        m, gold = self.row_scores(theta, self.x_gold, steps)
        h, predicted = np.zeros_like(m), np.zeros_like(gold)
        for x, q in self.rows:
            score, curvature = self.row_scores(theta, x, steps)
            h, predicted = h + q[:, None] * score, predicted + q[:, None, None] * curvature
        w = self.w[:, None, None]
        own = w * gold if which == "gold" else w * gold + (1 - w) * predicted
        total = (self.v[:, None, None] * own).sum(axis=0)
        v = self.v[:, None]
        return v * m, v * h, np.linalg.inv(total)

    def total(self, theta, which):
        m, h, inverse = self.scores(theta, which)
        w = self.w[:, None]
        return (w * m if which == "gold" else w * m - (w - 1) * h).sum(axis=0), inverse

    def solve(self, which):
        """Newton from the gold-only root, from which the marks are made."""
        theta = np.zeros(2)
        if which == "augmented":
            theta = self.solve("gold")
            self.mark(theta)
        for _ in range(60):
            score, inverse = self.total(theta, which)
            theta = theta + inverse @ score
            if np.abs(inverse @ score).max() < 1e-12:
                break
        return theta
