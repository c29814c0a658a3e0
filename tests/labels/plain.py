"""Plain re-implementations with dictionaries and loops, written from the definitions, as oracles."""

import math

import numpy as np
from scipy.optimize import minimize
from scipy.special import digamma, expit

import karat as kt


def simulate(n_tasks=40, n_workers=8, n_classes=3, per_task=4, seed=0):
    """Rows (task, worker, label) with workers of different accuracy; and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(n_classes, size=n_tasks)
    accuracy = rng.uniform(0.35, 0.95, size=n_workers)
    rows = []
    for i in range(n_tasks):
        for w in rng.permutation(n_workers)[:per_task]:
            right = rng.random() < accuracy[w]
            label = truth[i] if right else (truth[i] + rng.integers(1, n_classes)) % n_classes
            rows.append((i, int(w), int(label)))
    return rows, truth


def columns(rows):
    task, worker, label = zip(*rows)
    return {"task": list(task), "worker": list(worker), "label": list(label)}


def read(rows, **options):
    return kt.labels.read_annotations(columns(rows), **options)


def vote_share(rows, n, k):
    out = np.zeros((n, k))
    for i, _, y in rows:
        out[i, y] += 1
    return out / out.sum(axis=1, keepdims=True)


def argmax_shared(row):
    top = max(row)
    tied = [j for j, v in enumerate(row) if abs(v - top) < 1e-9]
    return {j: 1 / len(tied) for j in tied}


def wawa(rows, n, k):
    share = vote_share(rows, n, k)
    winner = [argmax_shared(share[i]) for i in range(n)]
    skill = {}
    for w in {w for _, w, _ in rows}:
        mine = [(i, y) for i, v, y in rows if v == w]
        skill[w] = sum(winner[i].get(y, 0) for i, y in mine) / len(mine)
    return weighted(rows, n, k, skill), skill


def weighted(rows, n, k, skill):
    out = np.zeros((n, k))
    for i, w, y in rows:
        out[i, y] += skill[w]
    return out / out.sum(axis=1, keepdims=True)


def zero_based_skill(rows, n, k, rounds=100):
    skill = {w: 1 / k + 1e-5 for _, w, _ in rows}
    step = 1.0
    for r in range(1, rounds + 1):
        if r % 20 == 0:
            step *= 0.5
        votes = np.zeros((n, k))
        for i, w, y in rows:
            votes[i, y] += skill[w]
        winner = [argmax_shared(v) for v in votes]
        for w in skill:
            mine = [(i, y) for i, v, y in rows if v == w]
            agreed = sum(winner[i].get(y, 0) for i, y in mine) / len(mine)
            skill[w] += step * (agreed - skill[w])
    return weighted(rows, n, k, skill), skill


def dawid_skene(rows, n, k, rounds):
    w_all = sorted({w for _, w, _ in rows})
    p = vote_share(rows, n, k)
    for r in range(rounds + 1):
        prior = [sum(p[i][c] for i in range(n)) / n for c in range(k)]
        error = {}
        for w in w_all:
            for c in range(k):
                counts = {}
                for i, v, y in rows:
                    if v == w:
                        counts[y] = counts.get(y, 0) + p[i][c]
                total = sum(max(v, 1e-10) for v in counts.values())
                for y, v in counts.items():
                    error[w, y, c] = max(v, 1e-10) / total
        if r == rounds:
            break
        new = np.zeros((n, k))
        for i in range(n):
            logs = [math.log(max(prior[c], 1e-10)) for c in range(k)]
            for j, w, y in rows:
                if j == i:
                    logs = [logs[c] + math.log(max(error[w, y, c], 1e-10)) for c in range(k)]
            top = max(logs)
            e = [math.exp(v - top) for v in logs]
            new[i] = [v / sum(e) for v in e]
        p = new
    return p, error


def mace(rows, n, k, knowing, habits, rounds, prior=(0.5, 0.5), strategy_prior=10.0):
    """Variational EM from given starts: knowing[w] = (not copying, copying), habits[w] = answer weights."""
    knowing, habits = knowing.copy(), habits.copy()
    workers = range(len(knowing))
    for r in range(rounds + 1):
        p = np.zeros((n, k))
        for i in range(n):
            for c in range(k):
                value = 1 / k
                for j, w, y in rows:
                    if j == i:
                        value *= knowing[w][0] * habits[w][y] + knowing[w][1] * (y == c)
                p[i, c] = value
        marginal = p.sum(axis=1)
        p /= marginal[:, None]
        if r == rounds:
            return p, float(np.log(marginal).sum()), knowing, habits
        know = {w: [0.0, 0.0] for w in workers}
        habit = {w: [0.0] * k for w in workers}
        for i, w, y in rows:
            copied = p[i, y] * knowing[w][1] / (knowing[w][0] * habits[w][y] + knowing[w][1])
            know[w][1] += copied
            know[w][0] += 1 - copied
            habit[w][y] += 1 - copied
        for w in workers:
            a = np.array(know[w]) + prior
            knowing[w] = np.exp(digamma(a)) / np.exp(digamma(a.sum()))
            b = np.array(habit[w]) + strategy_prior
            habits[w] = np.exp(digamma(b)) / np.exp(digamma(b.sum()))


def glad(rows, n, k, rounds=80):
    """EM with a general-purpose optimiser in every M-step, to convergence."""
    n_workers = max(w for _, w, _ in rows) + 1
    i, w, y = (np.array(c) for c in zip(*rows))
    theta = np.ones(n_workers + n)
    for _ in range(rounds):
        alpha, beta = theta[:n_workers], theta[n_workers:]
        right = expit(alpha[w] * np.exp(beta[i]))
        logs = np.zeros((n, k))
        for c in range(k):
            np.add.at(logs[:, c], i, np.where(y == c, np.log(right), np.log((1 - right) / (k - 1))))
        p = np.exp(logs - logs.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        g = p[i, y]

        def loss(t, g=g):
            z = t[:n_workers][w] * np.exp(t[n_workers:])[i]
            value = (g * np.log(expit(z)) + (1 - g) * np.log(expit(-z))).sum() - 0.5 * ((t - 1) ** 2).sum()
            slope = g - expit(z)
            da = np.bincount(w, slope * np.exp(t[n_workers:])[i], minlength=n_workers) - (t[:n_workers] - 1)
            db = np.bincount(i, slope * z, minlength=n) - (t[n_workers:] - 1)
            return -value, -np.concatenate([da, db])

        new = minimize(
            loss, theta, jac=True, method="L-BFGS-B", options={"maxiter": 500, "ftol": 1e-15, "gtol": 1e-9}
        ).x
        moved = np.abs(new - theta).max()
        theta = new
        if moved < 1e-6:
            break
    return p, theta[:n_workers], np.exp(theta[n_workers:])
