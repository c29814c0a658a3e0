"""Public names: loaded lazily, documented with examples."""

import inspect
import re
import subprocess
import sys

import pytest

import karat as kt

FUNCTIONS = [
    "regress",
    "ols",
    "logit",
    "probit",
    "poisson",
    "mean",
    "bootstrap",
    "rmst",
    "rmst_contrast",
    "duration_from_dates",
    "confidence_sequence",
    "diagnose",
    "sensitivity",
    "multiverse",
    "plan",
    "allocate",
    "strata",
    "budget",
]
CLASSES = [
    "Bernoulli",
    "SimpleRandom",
    "Stratified",
    "Clustered",
    "Unequal",
    "Waves",
    "Propensity",
    "Result",
    "ConfidenceSequence",
]


@pytest.mark.parametrize("name", kt.__all__)
def test_every_public_name_is_there(name):
    assert getattr(kt, name) is not None


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_say_what_they_take_give_and_raise(name):
    text = inspect.getdoc(getattr(kt, name))
    for section in ("Parameters", "Returns", "Raises", "References", "Examples"):
        assert f"{section}\n---" in text, section
    assert ">>>" in text


@pytest.mark.parametrize("name", CLASSES)
def test_classes_say_what_they_hold(name):
    text = inspect.getdoc(getattr(kt, name))
    assert "Parameters\n---" in text
    assert ">>>" in text


def test_every_argument_of_regress_is_documented():
    text = inspect.getdoc(kt.regress)
    for name in inspect.signature(kt.regress).parameters:
        assert f"\n{name} : " in text, name


def test_every_argument_of_rmst_is_documented():
    text = re.sub(r",\n\s+", ", ", inspect.getdoc(kt.rmst))
    documented = {name for line in re.findall(r"^([\w, ]+)(?: :|$)", text, re.M) for name in line.split(", ")}
    assert set(inspect.signature(kt.rmst).parameters) <= documented


def test_import_is_light():
    code = "import sys, karat; print(any(m in sys.modules for m in ('torch', 'sklearn', 'statsmodels', 'pandas')))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'olz'"):
        _ = kt.olz
