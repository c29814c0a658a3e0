"""Names of columns in formulas are names, whatever they hold."""

import numpy as np
import pytest

import karat as kt
from karat.errors import FormulaError
from karat.frames.formula import parse
from karat.frames.quoting import quote

from .. import corpora

FRAME = corpora.masked(corpora.corpus(120, seed=5), np.arange(120) % 2 == 0, "y")
NAMES = [
    "1", "0", "a.b", "class", "True", "two words", "it's", 'qu"ote', "back`tick", "br[a]cket", "p(a)r", "a:b", "a+b",
    "np", "C", "_column_0", "x~y",
]  # fmt: skip


def options(**more):
    return {"surrogates": {"y": "y_llm"}, "learner": None, "compare": False} | more


@pytest.mark.parametrize("name", NAMES)
def test_any_name_can_be_a_covariate_a_group_and_an_outcome(name):
    plain = kt.ols("y ~ z + C(region)", FRAME, **options())
    other = FRAME.rename(columns={"z": name})
    found = kt.ols(f"y ~ {quote(name)} + C(region)", other, **options())
    np.testing.assert_array_equal(found.theta, plain.theta)
    assert name in found.names
    np.testing.assert_array_equal(found.predict(other)["fit"], plain.predict(FRAME)["fit"])
    groups = kt.mean("y", FRAME.rename(columns={"region": name}), by=name, **options())
    np.testing.assert_array_equal(groups.theta, kt.mean("y", FRAME, by="region", **options()).theta)
    assert groups.names == tuple(f"{name}={level}" for level in ("east", "north", "west"))
    outcome = kt.mean(name, FRAME.rename(columns={"y": name}), **options(surrogates={name: "y_llm"}))
    np.testing.assert_array_equal(outcome.theta, kt.mean("y", FRAME, **options()).theta)


@pytest.mark.parametrize(
    "given", ["z` + open('{}','w').close() + `z", "z) + C(open('{}','w').close()", "open('{}','w')"]
)
def test_a_name_is_never_run(given, tmp_path):
    name = given.format(tmp_path / "ran")
    data = FRAME.assign(**{name: FRAME["region"]})
    assert kt.mean("y", data, by=name, **options()).names == tuple(f"{name}={v}" for v in ("east", "north", "west"))
    kt.mean(name, FRAME.rename(columns={"y": name}), **options(surrogates={name: "y_llm"}))
    kt.rmst_contrast(name, data.assign(t=np.arange(1.0, 121), e=1), time="t", event="e", tau=50.0, surrogates=None)
    with pytest.raises(kt.KaratError):
        kt.mean("y", FRAME, by=name, **options())
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("y ~ a.b", "is written `a.b`"),
        ("y ~ C(class)", "is written `class`"),
        ("y ~ `z", "leaves a backtick open"),
        ("y ~ `two word`", "Did you mean `two words`"),
        ("y ~ Intercept", "name of the constant"),
        ("y ~ z + `Intercept`", "name of the constant"),
        ("y ~ z | region + nothing", "not a column"),
        ("y ~ z | z ~ region", "outside"),
        ("y ~ [z ~ ]", "both sides"),
        ("y ~ (1|region)", "not supported"),
    ],
)
def test_formulas_that_cannot_be_read(formula, words):
    columns = ["y", "z", "region", "a.b", "class", "two words", "Intercept"]
    with pytest.raises(FormulaError, match=words):
        parse(formula, columns)


def test_quoted_names_inside_functions_and_strings():
    table = FRAME.rename(columns={"z": "a z", "region": "my region"})
    found = kt.ols("y ~ I(`a z`**2) + I(`my region` == 'west') + `a z`:C(`my region`)", table, **options())
    plain = kt.ols("y ~ I(z**2) + I(region == 'west') + z:C(region)", FRAME, **options())
    np.testing.assert_array_equal(found.theta, plain.theta)
    assert found.names[1] == "I(`a z` ** 2)"
    assert found.names[3] == "a z:C(`my region`)[east]"
