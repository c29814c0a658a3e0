"""Small corpora whose machine labels err in a way that depends on the outcome and on a covariate."""

from __future__ import annotations

import numpy as np
import pandas as pd

TOPICS = np.array(["economy", "law", "war"])


def corpus(n: int, seed: int, authors: int = 25) -> pd.DataFrame:
    """A complete corpus: outcomes, labels, surrogates of each kind, probabilities, weights, groups."""
    rng = np.random.default_rng(seed)
    author = rng.permutation(np.arange(n) % authors)
    z = 0.5 * rng.standard_normal(authors)[author] + rng.standard_normal(n)
    size = 1.0 + rng.gamma(3.0, 1.0, n)
    stance = (rng.random(n) < logistic(0.2 + 0.6 * z)).astype(float)
    weight = np.exp(np.column_stack([np.zeros(n), 0.4 * z, -0.3 * z]))
    topic = (rng.random(n)[:, None] > np.cumsum(weight / weight.sum(1, keepdims=True), axis=1)).sum(1)
    eta = 0.3 + 0.7 * stance - 0.4 * z + 0.3 * (topic == 2)
    y = eta + 0.3 * rng.standard_normal(authors)[author] + rng.standard_normal(n) * (0.6 + 0.4 * stance)
    vote = (rng.random(n) < logistic(eta - 0.4)).astype(float)
    count = rng.poisson(np.exp(0.4 * eta)).astype(float)
    stance_prob = logistic(2.6 * stance - 1.3 + 0.5 * np.tanh(y) + 0.6 * rng.standard_normal(n))
    vote_prob = logistic(2.4 * vote - 1.2 + 0.4 * z + 0.6 * rng.standard_normal(n))
    shares = np.exp(2.0 * np.eye(3)[topic] + 0.5 * rng.standard_normal((n, 3)))
    shares /= shares.sum(axis=1, keepdims=True)
    frame = pd.DataFrame(
        {
            "y": y,
            "vote": vote,
            "count": count,
            "stance": stance,
            "topic": TOPICS[topic],
            "z": z,
            "size": size,
            "author": author,
            "region": np.array(["east", "north", "west"])[(z > -0.6).astype(int) + (z > 0.6)],
            "weight": 0.5 + rng.random(n),
            "pi": np.clip(0.5 * logistic(0.8 * z) + 0.1, 0.1, 0.9),
            "y_llm": 0.2 + 0.8 * y + 0.3 * z + 0.5 * rng.standard_normal(n),
            "vote_prob": vote_prob,
            "vote_llm": (vote_prob > 0.5).astype(float),
            "count_llm": np.maximum(np.round(0.8 * count + 0.5 * rng.standard_normal(n)), 0.0),
            "stance_prob": stance_prob,
            "stance_llm": (stance_prob > 0.5).astype(float),
            "topic_llm": TOPICS[shares.argmax(axis=1)],
        }
    )
    for k, name in enumerate(TOPICS):
        frame[f"p_{name}"] = shares[:, k]
    return frame


def masked(frame: pd.DataFrame, labelled: np.ndarray, *columns: str) -> pd.DataFrame:
    """A copy in which the gold columns are missing where a row is not labelled."""
    out = frame.copy()
    for name in columns:
        out[name] = out[name].where(np.asarray(labelled))
    return out


def logistic(value: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-value))
