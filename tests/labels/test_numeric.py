import numpy as np
import pytest

import karat as kt
from karat.labels.aggregation.numeric import _Raters

L = kt.labels


def ratings(n=150, m=8, per=4, seed=0, tau=1.0, phi=0.6):
    rng = np.random.default_rng(seed)
    t, b = 2 + tau * rng.normal(size=n), phi * rng.normal(size=m)
    noise = rng.uniform(0.3, 1.5, m)
    i = np.repeat(np.arange(n), per)
    w = np.concatenate([rng.permutation(m)[:per] for _ in range(n)])
    y = t[i] + b[w] + noise[w] * rng.normal(size=len(i))
    return {"task": i, "worker": w, "label": y}, t, b, noise


def test_posterior_against_the_dense_joint_normal():
    rows, _, _, _ = ratings(20, 5)
    i, w, y = (np.asarray(rows[c]) for c in ("task", "worker", "label"))
    fit = _Raters(i, w, y, 20, 5)
    fit.sigma2 = np.linspace(0.2, 1.0, 5)
    fit._posterior()
    z = np.zeros((len(y), 25))
    z[np.arange(len(y)), i] = 1
    z[np.arange(len(y)), 20 + w] = 1
    prior = np.diag([1 / fit.tau2] * 20 + [1 / fit.phi2] * 5)
    precision = np.diag(1 / fit.sigma2[w])
    covariance = np.linalg.inv(z.T @ precision @ z + prior)
    mean = covariance @ z.T @ precision @ (y - fit.mu)
    np.testing.assert_allclose(fit.t, mean[:20])
    np.testing.assert_allclose(fit.b, mean[20:])
    np.testing.assert_allclose(fit.t_var, np.diag(covariance)[:20])
    np.testing.assert_allclose(fit.b_var, np.diag(covariance)[20:])
    np.testing.assert_allclose(fit.cross, covariance[i, 20 + w])


def test_many_raters_use_the_diagonal(monkeypatch):
    rows, _, _, _ = ratings(400, 40)
    exact = L.rate(rows)
    monkeypatch.setattr("karat.labels.aggregation.numeric._DENSE_WORKERS", 1)
    rough = L.rate(rows)
    np.testing.assert_allclose(rough.value, exact.value, atol=0.05)
    np.testing.assert_allclose(rough.sd, exact.sd, rtol=0.1)


def test_recovers_and_beats_the_mean():
    gain, cover = [], []
    for seed in range(10):
        rows, t, b, noise = ratings(seed=seed)
        fit = L.rate(rows)
        plain = L.rate(rows, "mean")
        gain.append(np.mean((fit.value - t) ** 2) / np.mean((plain.value - t) ** 2))
        cover.append((np.abs(fit.value - t) < 1.96 * fit.sd).mean())
        assert np.corrcoef(fit.bias, b)[0, 1] > 0.9
        assert np.corrcoef(fit.noise, noise)[0, 1] > 0.8
    assert np.mean(gain) < 0.75
    assert 0.9 < np.mean(cover) < 0.98


def test_ordinal_levels_and_frames():
    rows = {"task": [1, 1, 2, 2], "worker": list("abab"), "label": ["low", "mid", "high", "high"]}
    fit = L.rate(rows, "mean", levels=["low", "mid", "high"])
    np.testing.assert_allclose(fit.value, [0.5, 2])
    assert fit.table.columns.tolist() == ["task", "value", "sd", "n_labels"]
    with pytest.raises(kt.errors.DataError, match="not among the known levels"):
        L.rate(rows, levels=["low", "mid"])
    with pytest.raises(kt.errors.DataError, match="text"):
        L.rate(rows)
    with pytest.raises(kt.errors.DataError, match="more than once"):
        L.rate({"task": [1, 1], "worker": ["a", "a"], "label": [1, 2]})


def codes(n=300, seed=0):
    rng = np.random.default_rng(seed)
    names = np.array(["economy", "law", "war"])
    truth = rng.random((n, 3)) < [0.5, 0.2, 0.05]
    sensitivity, specificity = rng.uniform(0.6, 0.95, 6), rng.uniform(0.85, 0.99, 6)
    rows = {"task": [], "worker": [], "label": []}
    for i in range(n):
        for w in rng.permutation(6)[:4]:
            says = np.where(truth[i], rng.random(3) < sensitivity[w], rng.random(3) > specificity[w])
            for column, value in zip(rows.values(), (i, int(w), set(names[says].tolist()))):
                column.append(value)
    return rows, truth, sensitivity, specificity


def test_codes_share_a_worker_model():
    rows, truth, sensitivity, specificity = codes()
    fit = L.aggregate_codes(rows)
    assert fit.codes == ("economy", "law", "war")
    np.testing.assert_allclose(fit.sensitivity, sensitivity, atol=0.12)
    np.testing.assert_allclose(fit.specificity, specificity, atol=0.05)
    np.testing.assert_allclose(fit.prevalence, truth.mean(axis=0), atol=0.05)
    share = L.aggregate_codes(rows, "vote_share")
    brier = [np.mean((f.probabilities - truth) ** 2) for f in (fit, share)]
    assert brier[0] < 0.6 * brier[1]


def test_codes_long_and_wide_agree():
    rows, _, _, _ = codes(40)
    long = {"task": [], "worker": [], "label": []}
    for i, w, s in zip(*rows.values()):
        for code in s or {None}:
            for column, value in zip(long.values(), (i, w, code)):
                column.append(value)
    one, two = L.aggregate_codes(rows), L.aggregate_codes(long)
    np.testing.assert_array_equal(one.probabilities, two.probabilities)


def test_codes_are_checked():
    twice = {"task": [1, 1], "worker": ["a", "a"], "label": [{"x"}, {"y"}]}
    with pytest.raises(kt.errors.DataError, match="two sets of codes"):
        L.aggregate_codes(twice)
    with pytest.raises(kt.errors.DataError, match="no code"):
        L.aggregate_codes({"task": [1], "worker": ["a"], "label": [set()]})
    with pytest.raises(kt.errors.ArgumentError, match="method"):
        L.aggregate_codes(twice, "top_two")
    with pytest.raises(kt.errors.DataError, match="code"):
        L.aggregate_codes({"task": [1, 2], "worker": ["a", "a"], "label": [{"x"}, {"y"}]}, codes=["x"])
