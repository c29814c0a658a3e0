"""The package from outside: front doors, defaults, documented methods."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import karat as kt

from . import corpora

DOORS = {"ols": "y ~ stance", "logit": "vote ~ stance", "probit": "vote ~ stance", "poisson": "count ~ stance"}


@pytest.mark.parametrize("name", [n for n in vars(kt.Result) if not n.startswith("_")])
def test_methods_of_a_result_are_documented(name):
    thing = inspect.getattr_static(kt.Result, name)
    if callable(thing) or isinstance(thing, property | classmethod):
        assert inspect.getdoc(getattr(kt.Result, name))


@pytest.mark.parametrize("name", DOORS)
def test_front_doors_are_one_door(name):
    frame = corpora.corpus(200, seed=111)
    table = corpora.masked(frame, np.arange(200) % 2 == 0, "stance")
    options = {
        "surrogates": {"stance": "stance_llm"},
        "learner": None,
        "design": 0.5,
        "cluster": "author",
        "alpha": 0.1,
    }
    by_name = getattr(kt, name)(DOORS[name], table, **options)
    by_argument = kt.regress(DOORS[name], table, model=name, **options)
    assert by_name.model == name
    np.testing.assert_array_equal(by_name.theta, by_argument.theta)
    np.testing.assert_array_equal(by_name.covariance, by_argument.covariance)
    with pytest.raises(kt.errors.ArgumentError, match="learner="):
        getattr(kt, name)(DOORS[name], table, surrogates={"stance": "stance_llm"}, lerner=None)


def test_defaults():
    """HC3, or CRV3 with clusters; a simple random sample when nothing is said; five folds, five repeats."""
    frame = corpora.corpus(200, seed=111)
    table = corpora.masked(frame, np.arange(200) % 2 == 0, "stance")
    plain = kt.ols("y ~ stance", table, surrogates={"stance": "stance_llm"}, seed=1)
    spelt = kt.ols(
        "y ~ stance", table, surrogates={"stance": "stance_llm"}, seed=1, vcov="HC3", design=kt.SimpleRandom(100),
        learner="linear", folds=5, repeats=5, tuning="auto", imputation="moment", estimator="dsl", df="auto",
        target="superpopulation", missing="drop", combine="mean", alpha=0.05, n_jobs=1,
    )  # fmt: skip
    np.testing.assert_array_equal(plain.theta, spelt.theta)
    np.testing.assert_array_equal(plain.covariance, spelt.covariance)
    np.testing.assert_array_equal(plain.df, spelt.df)
    clustered = kt.ols("y ~ stance", table, surrogates={"stance": "stance_llm"}, seed=1, cluster="author")
    assert (plain.vcov_kind, clustered.vcov_kind) == ("HC3", "CRV3")


def test_weights_of_a_unit_add_up():
    from karat.estimate.augment import AugmentedSample, Units
    from karat.estimate.rows import Memory, Rows

    frame = corpora.corpus(50, seed=1)
    draw = kt.Bernoulli("pi").draw(frame, seed=1).labelling
    v = frame["weight"].to_numpy()
    rows = Rows(np.ones((50, 1)), np.zeros(50))
    sample = AugmentedSample(rows.take(draw.gold), Memory((rows,)), Units(draw, v))
    gold, predicted = sample.unit_weights()
    np.testing.assert_allclose(gold + predicted, v)
    np.testing.assert_allclose(gold, np.where(draw.labelled, v / frame["pi"], 0.0))
    np.testing.assert_allclose(sample.units.gold_weight, gold[draw.labelled])


def test_torch_is_imported_by_the_predictor_layer_alone():
    """At module level or inside functions; everything else works without it, as the next test shows."""
    source = Path(kt.__file__).parent
    users = set()
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            if any(name.split(".")[0] in ("torch", "transformers", "sentence_transformers") for name in names):
                users.add(path.relative_to(source).parts[0])
    assert users <= {"predict", "annotate"}, "transformers' own classes may be named by karat.annotate.LocalModel"
    local = (source / "annotate" / "local.py").read_text(encoding="utf-8")
    assert "import torch" not in local


def test_what_works_without_the_heavy_libraries():
    """Regressions, plans, tables and reports do; plots, files of Word and Excel and networks say how to install."""
    code = """
import sys
gone = ("torch", "matplotlib", "docx", "openpyxl", "maketables", "polars", "pyarrow", "dask", "transformers")
class Finder:
    def __init__(self, finders):
        self.finders = finders
    def find_spec(self, name, path=None, target=None):
        found = (f.find_spec(name, path, target) for f in self.finders if name.partition(".")[0] not in gone)
        return next(filter(None, found), None)
sys.meta_path[:] = [Finder(list(sys.meta_path))]
import tempfile, warnings, karat as kt
warnings.simplefilter("ignore")
corpus, _ = kt.datasets.simulate(600, seed=1)
sample = kt.SimpleRandom(n=150).draw(corpus, seed=1)
labelled = kt.datasets.mask_gold(corpus, sample, "hostile")
told = dict(surrogates={"hostile": "hostile_llm"}, design=sample.design, seed=1)
fit = kt.ols("outcome ~ hostile", labelled, **told)
kt.plan(fit, n=[200]).tidy()
folder = tempfile.mkdtemp()
fit.report(folder + "/report.html")
doors = [
    lambda: fit.plot(),
    lambda: kt.table(fit).save(folder + "/table.docx"),
    lambda: kt.table(fit).save(folder + "/table.xlsx"),
    lambda: kt.ols("outcome ~ hostile", labelled, **told, learner="torch"),
    lambda: kt.predict.TorchClassifier,
    lambda: kt.predict.TransformerClassifier,
    lambda: kt.predict.TextEncoder("some/model").fit_transform(["a"]),
    lambda: kt.ols("outcome ~ hostile", kt.Partitions("x.parquet"), **told),
    lambda: kt.ols("outcome ~ hostile", folder + "/x.parquet", **told),
    lambda: kt.datasets.load("editorials", backend="polars"),
]
for door in doors:
    try:
        door()
        print("no error")
    except kt.KaratError as error:
        print("pip install " + str(error).rpartition("pip install ")[2])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    small = "torch --index-url https://download.pytorch.org/whl/cpu"
    wanted = ["'karat[plot]'", "'karat[tables]'", "'karat[tables]'", small, small, small]
    found = done.stdout.splitlines()
    assert found[:6] == [f"pip install {name}" for name in wanted]
    assert all(line.startswith("pip install ") and "no error" not in line for line in found[6:]), found
