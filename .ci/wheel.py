"""What the wheel gives a bare environment: the import, a bundled table, a call of every pillar, the command line."""

import html
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf

import karat as kt

home = Path(sys.prefix).resolve()
assert home in Path(kt.__file__).resolve().parents, f"karat comes from {kt.__file__}, not from the wheel"
for optional in ("matplotlib", "maketables", "docx", "openpyxl", "transformers", "polars", "pytest"):
    assert importlib.util.find_spec(optional) is None, f"{optional} is installed, so this environment is not bare"

corpus = kt.datasets.load("editorials")
sample = kt.Stratified("vader_tercile", n=300).draw(corpus, seed=7)
labelled = kt.datasets.mask_gold(corpus, sample, "tone")
fit = kt.ols(
    "tone ~ war + words", labelled, surrogates={"tone": ["tone_vader", "tone_afinn"]}, design=sample.design, seed=7
)
truth = smf.ols("tone ~ war + words", corpus).fit().params
interval = fit.confint()
assert fit.n_gold == 300
assert ((interval.iloc[:, 0] < truth) & (truth < interval.iloc[:, 1])).all()
print(fit.summary())

print(kt.table(fit.compare()))

units, _ = kt.datasets.simulate(1200, seed=1)
rng = np.random.default_rng(1)
units = units.assign(
    party=np.where(rng.random(1200) < 0.5, "left", "right"), state=np.arange(1200) % 40, z=rng.normal(size=1200),
    count=rng.poisson(1.0, 1200), days=rng.exponential(size=1200), ended=(rng.random(1200) < 0.8).astype(int),
)  # fmt: skip
units["rank"] = 1 + (units["length"] > 0) + (units["length"] + units["z"] > 1)
drawn = kt.SimpleRandom(n=300).draw(units, seed=1)
told = dict(
    data=kt.datasets.mask_gold(units, drawn, "hostile"), surrogates={"hostile": "hostile_llm"}, design=drawn.design,
    learner=None, seed=1,
)  # fmt: skip
linear = kt.ols("outcome ~ hostile + length", **told)
votes = pd.DataFrame({"task": np.repeat(np.arange(60), 3), "worker": np.tile(list("abc"), 60)})
votes["label"] = np.where(rng.random(180) < 0.8, (votes["task"] % 2).astype(str), "0")


def sites():
    """One site and the centre, until it asks no more."""
    asked, sums = None, []
    while not sums or isinstance(asked, kt.Ask):
        sums.append(kt.site_sums("outcome ~ hostile", site="one", ask=asked, **told))
        asked = kt.combine_sums(sums)
    return asked.se()


pillars = {
    "means": lambda: kt.mean("hostile", by="party", **told).se(),
    "logit": lambda: kt.logit("hostile ~ length", **told).se(),
    "ordered": lambda: kt.ordered("rank ~ hostile", **told).se(),
    "counts": lambda: kt.poisson("count ~ hostile", **told).se(),
    "fixed effects": lambda: kt.ols("hostile ~ length | state", **told).se(),
    "instruments": lambda: kt.iv("outcome ~ [hostile ~ length]", **told).se(),
    "causal": lambda: kt.ate("outcome ~ hostile", covariates=["length"], **told).se(),
    "durations": lambda: kt.cox("days ~ hostile", event="ended", **told).se(),
    "restricted means": lambda: kt.rmst("days ~ hostile", event="ended", tau=1.0, **told).se(),
    "shares": lambda: kt.shares("hostile", by="party", **told).tidy()["Estimate"],
    "small groups": lambda: kt.small_groups("hostile", by="state", **told).tidy()["estimate"],
    "several": lambda: kt.several("outcome ~ csw(hostile, length)", **told).tidy()["Estimate"],
    "after the fit": lambda: kt.slopes(kt.logit("hostile ~ length", **told), told["data"]).se(),
    "planning": lambda: [kt.plan(linear, goal={"hostile": {"half_width": 0.2}}).needed[0].n],
    "labels": lambda: kt.labels.aggregate(votes).probabilities,
    "sites": sites,
    "learners": lambda: kt.ols("outcome ~ hostile", **{**told, "learner": "torch"}).se(),
}
for name, call in pillars.items():
    assert np.isfinite(np.asarray(call(), dtype=float)).all(), name
    print(f"  {name}: works")

with tempfile.TemporaryDirectory() as folder:
    report = html.unescape(fit.report(Path(folder) / "report.html").read_text(encoding="utf-8"))
    assert "pip install 'karat[plot]'" in report
    corpus.head(200).to_csv(Path(folder) / "corpus.csv", index=False)
    command = Path(sys.executable).parent / "karat"
    draw = "draw corpus.csv --n 20 --seed 7 --id snippet --out gold"
    subprocess.run([command, *draw.split()], cwd=folder, check=True)
    assert (Path(folder) / "gold" / "sample.json").exists()
print(f"The wheel of karat {kt.__version__} works on its required dependencies alone.")
