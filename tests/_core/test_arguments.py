"""Wrong keyword arguments."""

import pathlib

import numpy as np
import pytest

import karat as kt
from karat._core.arguments import checked_arguments
from karat.errors import ArgumentError, RenamedWarning
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
        (lambda: kt.regress("y ~ z", FRAME, model="ols", vcv="HC0", **GIVEN), r"regress\(\).*Did you mean vcov="),
        (lambda: kt.probit("y ~ z", FRAME, model="ols", **GIVEN), r"probit\(\) has no argument 'model'. It takes"),
        (lambda: kt.rmst("y ~ z", FRAME, evnt="vote", tau=1.0), r"rmst\(\).*Did you mean event="),
        (lambda: kt.rmst_contrast("region", FRAME, time="y", event="vote", tao=1.0), r"Did you mean tau="),
        (lambda: kt.poisson("y ~ z", FRAME), r"poisson\(\).*surrogates"),
        (lambda: kt.ordered("y ~ z", FRAME, order=[1, 2], **GIVEN), r"no argument 'order'.*levels="),
        (lambda: kt.ols("y ~ z", FRAME, cov_type="HC1", **GIVEN), "no argument 'cov_type'. Write vcov="),
        (lambda: kt.ols("y ~ z", FRAME, vcov="hetero", **GIVEN), "'HC1'"),
        (lambda: kt.ols("y ~ z", FRAME, vcov="iid", **GIVEN), "always robust"),
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
        assert {name for name in theirs if name not in ("model", "formula", "parameters")} <= set(ours)
        apart = {"surrogates"} if door is kt.mean else set()  # means are of documents alone
        shared = set(ours) & set(theirs) - apart
        assert all(ours[name].default == theirs[name].default for name in shared)
        assert all(f"    {name} : " in door.__doc__ for name in OPTIONS if name != "parameters")
    assert all(f"    {name} : " in kt.regress.__doc__ for name in OPTIONS)


HANDED_ON = {
    "ols": 'kt.ols("y ~ x", None, surrogates={"y": "s"}',
    "regress": 'kt.regress("y ~ x", None, surrogates={"y": "s"}, model="logit"',
    "multiverse": 'kt.multiverse("y ~ x", None, surrogates={"y": ["s", "r"]}',
    "sensitivity": 'kt.sensitivity("y ~ x", None, surrogates={"y": "s"}',
    "plan": 'kt.plan("y ~ x", None, surrogates={"y": "s"}',
    "allocate": 'kt.allocate("y ~ x", None, 100, surrogates={"y": "s"}',
    "rmst": 'kt.rmst("y ~ x", None, event="e", tau=1.0, form="ipcw"',
    "rmst_contrast": 'kt.rmst_contrast("g", None, time="t", event="e", tau=1.0, form="ipcw"',
    "bootstrap": 'kt.bootstrap(print, None, surrogates={"y": "s"}',
}
"""The beginning of a call of each function that takes options of a regression."""

WRONG = ['tuning="nonsense"', "labelled=3", "weights=0.5", 'cluster={"a": 1}']
RIGHT = ['tuning="full"', 'labelled="gold"', "weights=np.ones(3)", 'cluster=["a", "b"]', "seed=1", "alpha=0.1"]
WRONG_DESIGN = ["design=print", "design={1: 0.5}"]
RIGHT_DESIGN = ["design=0.5", 'design={"a": 0.5}', 'design="p"', "design=np.ones(3)", "design=Drawn()", "design=None"]
NO_DESIGN = ("plan", "allocate")
HEAD = """import numpy as np
import karat as kt

class Drawn:
    labelling = 1
    design = 2

"""
DECLARING = (
    "__init__", "_core/__init__", "_core/arguments", "_core/machine", "_core/types", "regression/__init__",
    "regression/options", "regression/entry_points", "regression/durations/__init__", "regression/durations/options",
    "regression/durations/rmst", "regression/durations/contrast", "robustness/__init__", "robustness/bootstrap",
    "robustness/multiverse", "robustness/sensitivity", "planning/__init__", "planning/plan", "planning/allocate",
)  # fmt: skip


def test_a_type_checker_refuses_a_wrong_option(tmp_path, monkeypatch):
    """Only the modules that declare the options are read, so that this takes seconds."""
    api = pytest.importorskip("mypy.api")
    root = pathlib.Path(kt.__file__).parent
    monkeypatch.setenv("MYPYPATH", str(root.parent))
    calls = {
        f"{call}, {option})": option in (*WRONG, *WRONG_DESIGN)
        for door, call in HANDED_ON.items()
        for option in WRONG + RIGHT + ([] if door in NO_DESIGN else WRONG_DESIGN + RIGHT_DESIGN)
    }
    snippet = tmp_path / "snippet.py"
    snippet.write_text(HEAD + "\n".join(calls) + "\n")
    settings = tmp_path / "mypy.ini"
    settings.write_text(
        "[mypy]\nfollow_imports = skip\nignore_missing_imports = True\n[mypy-numpy.*]\nfollow_imports = silent\n"
    )
    how = [f"--config-file={settings}", f"--cache-dir={tmp_path / 'cache'}"]
    out, _, _ = api.run([*how, *(str(root / f"{name}.py") for name in DECLARING), str(snippet)])
    found = {int(line.split(":")[1]) for line in out.splitlines() if "snippet.py" in line and "error" in line}
    first = HEAD.count("\n") + 1
    wrong = {call for at, call in enumerate(calls, first) if at in found}
    assert wrong == {call for call, refused in calls.items() if refused}, out


@pytest.mark.parametrize(
    ("function", "refused"),
    [
        (kt.multiverse, ("compare", "scores", "progress", "learner", "predictions")),
        (kt.rmst_contrast, ("link",)),
        (kt.sensitivity, ("subset",)),
        (kt.bootstrap, ("subset",)),
        (kt.plan, ("scores", "compare", "subset")),
        (kt.allocate, ("design", "scores", "compare", "subset")),
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


def test_a_former_name_works_and_warns():
    @checked_arguments(renamed={"old": "new"})
    def door(a, *, new=None):
        return a, new

    with pytest.warns(RenamedWarning, match=r"^old= of door\(\) is now called new="):
        assert door(1, old=2) == (1, 2)
    with pytest.raises(ArgumentError, match="old= is the former name of new="):
        door(1, new=1, old=1)
    assert issubclass(RenamedWarning, FutureWarning)
