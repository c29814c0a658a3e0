"""What the wheel gives a bare environment: the import, a bundled table, a small fit and the command line."""

import html
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

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

with tempfile.TemporaryDirectory() as folder:
    report = html.unescape(fit.report(Path(folder) / "report.html").read_text(encoding="utf-8"))
    assert "pip install 'karat[plot]'" in report
    corpus.head(200).to_csv(Path(folder) / "corpus.csv", index=False)
    command = Path(sys.executable).parent / "karat"
    draw = "draw corpus.csv --n 20 --seed 7 --id snippet --out gold"
    subprocess.run([command, *draw.split()], cwd=folder, check=True)
    assert (Path(folder) / "gold" / "sample.json").exists()
print(f"The wheel of karat {kt.__version__} works on its required dependencies alone.")
