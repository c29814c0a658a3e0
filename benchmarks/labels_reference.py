"""Make tests/labels/crowdkit.json: what crowd-kit 1.4.2 answers on a small data set.

Run with a Python that has crowd-kit 1.4.2: ``python benchmarks/labels_reference.py``.
"""

import json
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

warnings.simplefilter("ignore")


def main() -> None:
    from crowdkit.aggregation import DawidSkene, Wawa, ZeroBasedSkill

    assert version("crowd-kit") == "1.4.2"
    # crowd-kit 1.4.2 calls a check that newer versions of scikit-learn refuse; it is of no consequence here.
    import crowdkit.aggregation.classification.wawa as wawa
    import crowdkit.aggregation.classification.zero_based_skill as zero

    wawa.check_is_fitted = zero.check_is_fitted = lambda *_, **__: None
    out = {"three": answers(3, {"dawid_skene": DawidSkene(n_iter=600, tol=-1)})}
    # Two classes and five labels each: no majority is tied, so that rules for ties do not matter.
    out["two"] = answers(2, {"wawa": Wawa(), "zero_based_skill": ZeroBasedSkill()})
    place = Path(__file__).resolve().parents[1] / "tests" / "labels" / "crowdkit.json"
    place.write_text(json.dumps(out))


def answers(k: int, models: dict[str, Any]) -> dict[str, object]:
    """Simulated annotations with k classes, and the probabilities of each model."""
    rng = np.random.default_rng(5)
    n, w, per = 300, 12, 5
    truth = rng.integers(k, size=n)
    accuracy = rng.uniform(0.4, 0.9, w)
    task = np.repeat(np.arange(n), per)
    worker = np.concatenate([rng.permutation(w)[:per] for _ in range(n)])
    right = rng.random(n * per) < accuracy[worker]
    label = np.where(right, truth[task], (truth[task] + rng.integers(1, k, n * per)) % k)
    frame = pd.DataFrame({"task": task, "worker": worker, "label": label})
    out: dict[str, object] = {"annotations": {c: frame[c].tolist() for c in frame}}
    for name, model in models.items():
        p = model.fit_predict_proba(frame)
        out[name] = p.sort_index()[sorted(p.columns)].to_numpy().round(12).tolist()
    return out


if __name__ == "__main__":
    main()
