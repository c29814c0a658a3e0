"""Wrong keyword arguments."""

import pathlib

import numpy as np
import pytest

import karat as kt
from karat.errors import ArgumentError
from karat.regression.options import OPTIONS

from .. import corpora

FRAME = corpora.masked(corpora.corpus(60, seed=5), np.arange(60) % 2 == 0, "y")
GIVEN = {"surrogates": {"y": "y_llm"}}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kt.ols("y ~ z", FRAME, learnr="auto", **GIVEN), r"ols\(\) has no argument 'learnr'. Did.* learner="),
        (lambda: kt.logit("y ~ z", FRAME, clusters="author", **GIVEN), r"logit\(\).*Did you mean cluster="),
        (lambda: kt.mean("y", FRAME, surrogate={"y": "y_llm"}), r"mean\(\).*Did you mean surrogates="),
        (lambda: kt.regress("ols", "y ~ z", FRAME, vcv="HC0", **GIVEN), r"regress\(\).*Did you mean vcov="),
        (lambda: kt.probit("y ~ z", FRAME, model="ols", **GIVEN), r"probit\(\) has no argument 'model'. It takes"),
        (lambda: kt.rmst("y ~ z", FRAME, evnt="vote", tau=1.0), r"rmst\(\).*Did you mean event="),
        (lambda: kt.rmst_contrast(FRAME, "region", time="y", event="vote", tao=1.0), r"Did you mean tau="),
        (lambda: kt.poisson("y ~ z", FRAME), r"poisson\(\).*surrogates"),
    ],
)  # fmt: skip
def test_the_function_that_was_called_answers(call, words):
    with pytest.raises(ArgumentError, match=words):
        call()


def test_every_argument_is_listed_with_its_default():
    """Editors and help see what a function hands on."""
    import inspect

    theirs = inspect.signature(kt.regress).parameters
    for door in (kt.ols, kt.logit, kt.probit, kt.poisson, kt.mean):
        ours = inspect.signature(door).parameters
        assert {name for name in theirs if name not in ("model", "formula")} <= set(ours)
        assert all(ours[name].default == theirs[name].default for name in ours if name in theirs)
        assert all(f"    {name} : " in door.__doc__ for name in OPTIONS)
    assert all(f"    {name} : " in kt.regress.__doc__ for name in OPTIONS)


WRONG = 'kt.ols("y ~ x", None, surrogates={"y": "s"}, tuning="nonsense")'
RIGHT = 'kt.ols("y ~ x", None, surrogates={"y": "s"}, tuning="full", vcov={"CRV3": "a"})'


def test_a_type_checker_refuses_a_wrong_option(tmp_path, monkeypatch):
    """Only the modules that declare the options are read, so that this takes seconds."""
    api = pytest.importorskip("mypy.api")
    root = pathlib.Path(kt.__file__).parent
    monkeypatch.setenv("MYPYPATH", str(root.parent))
    names = ("_core/arguments", "_core/types", "regression/__init__", "regression/options")
    files = [str(root / f"{name}.py") for name in ("__init__", *names, "regression/entry_points")]
    snippet = tmp_path / "snippet.py"
    snippet.write_text(f"import karat as kt\n{WRONG}\n{RIGHT}\n")
    how = ["--config-file=", "--follow-imports=skip", "--ignore-missing-imports", f"--cache-dir={tmp_path / 'cache'}"]
    out, _, _ = api.run([*how, *files, str(snippet)])
    found = [line for line in out.splitlines() if "snippet.py" in line and "error" in line]
    assert len(found) == 1, out
    assert "snippet.py:2" in found[0]
    assert "'nonsense'" in found[0]


@pytest.mark.parametrize(
    ("function", "refused"),
    [
        (kt.multiverse, ("compare", "scores", "progress", "learner", "predictions")),
        (kt.rmst_contrast, ("link",)),
        (kt.plan, ("scores", "compare")),
        (kt.allocate, ("design", "scores", "compare")),
    ],
)
def test_help_does_not_list_what_a_function_refuses(function, refused):
    """Signature and help leave it out; who gives it anyway is told why."""
    import inspect

    for name in refused:
        assert name not in inspect.signature(function).parameters
        assert f"\n    {name} : " not in function.__doc__
        with pytest.raises(ArgumentError, match=f"{name}= cannot be set here; "):
            function(**{name: None})


def test_sensitivity_shows_its_own_default():
    import inspect

    assert inspect.signature(kt.sensitivity).parameters["nonresponse"].default == "ignorable"
