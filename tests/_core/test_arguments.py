"""Wrong keyword arguments."""

import pathlib

import numpy as np
import pytest

import karat as kt
from karat._core.arguments import Renamed, Reordered, checked_arguments
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


FORMER = {
    "regress": (lambda **k: kt.regress("y ~ z", FRAME, **GIVEN, **k), {"prompt": np.arange(60) == 1}, "shown"),
    "ols": (lambda **k: kt.ols("y ~ z", FRAME, **GIVEN, **k), {"prompt": np.arange(60) == 1}, "shown"),
    "plan, level": (lambda **k: kt.plan(FIT, n=40, **k), {"level": 0.9}, "band_alpha"),
    "plan, target": (lambda **k: kt.plan(FIT, **k), {"target": {"z": {"se": 0.5}}}, "goal"),
    "plan, groups": (lambda **k: kt.plan(FIT, n=40, **k), {"groups": 0}, "jackknife"),
    "allocate, strata": (lambda **k: kt.allocate(FIT, FRAME, 30, **k), {"strata": "region"}, "by"),
    "allocate, floor": (lambda **k: kt.allocate(FIT, FRAME, 30, **k), {"floor": 0.5}, "equal_share"),
    "allocations": (lambda **k: kt.allocate(FIT, FRAME, 30).path(**k), {"floors": [0.5]}, "equal_shares"),
    "budget": (lambda **k: kt.budget({"a": 0.5}, gold_cost=1.0, surrogate_cost=0.0, population=99, **k),
               {"spend": 50}, "budget"),
    "diagnose": (lambda **k: kt.diagnose(FIT, FRAME, **k), {"prompt": np.arange(60) == 1}, "shown"),
    "agreement": (lambda **k: kt.labels.agreement(VOTES, **k), {"n_bootstrap": 20}, "draws"),
    "weights": (lambda **k: kt.censoring.weights([1.0, 2.0], [1, 1], tau=2.0, **k), {"method": "cox"}, "censoring"),
    "calibration": (lambda **k: kt.censoring.calibration([1.0, 2.0], weights=[1, 1], n_bins=1, **k),
                    {"target": [1.0, 2.0]}, "observed"),
    "calibration, bins": (lambda **k: kt.censoring.calibration([1.0, 2.0], [1.0, 2.0], [1, 1], **k),
                          {"bins": 1}, "n_bins"),
}  # fmt: skip
FIT = kt.ols("y ~ z", FRAME, seed=1, **GIVEN)
VOTES = {"task": [1, 1, 2, 2], "worker": list("abab"), "label": list("xxyx")}


@pytest.mark.parametrize("which", FORMER)
def test_a_former_name_works_and_warns(which):
    call, given, now = FORMER[which]
    former = next(iter(given))
    with pytest.warns(RenamedWarning, match=rf"^{former}= of \w+\(\) is now called {now}="):
        before = call(**given)
    value = 1 - given["level"] if former == "level" else given[former]
    assert str(call(**{now: value})) == str(before)
    with pytest.raises(ArgumentError, match=f"{former}= is the former name of {now}="):
        call(**given, **{now: value})


@pytest.mark.parametrize(
    ("former", "now"),
    [
        (lambda: kt.regress("ols", "y ~ z", FRAME, **GIVEN), lambda: kt.regress("y ~ z", FRAME, **GIVEN)),
        (lambda: kt.regress("ols", "y ~ z", data=FRAME, **GIVEN), lambda: kt.regress("y ~ z", FRAME, **GIVEN)),
        (lambda: kt.rmst_contrast(TIMES, "g", time="t", event="e", tau=30.0),
         lambda: kt.rmst_contrast("g", TIMES, time="t", event="e", tau=30.0)),
    ],
)  # fmt: skip
def test_a_former_order_works_and_warns(former, now):
    with pytest.warns(RenamedWarning, match="former order"):
        before = former()
    assert str(before) == str(now())


TIMES = {"t": np.arange(1.0, 61), "e": np.arange(60) % 5 > 0, "g": ["a", "b"] * 30}


def test_one_rule_for_what_was_called_otherwise():
    """A name that goes on with another meaning is taken for the former one only with values of that kind."""

    @checked_arguments(
        renamed={"size": Renamed("n", turned=int, meant=lambda value: isinstance(value, str)), "old": "new"},
        reordered=Reordered(("b", "a"), lambda args: isinstance(args[0], str)),
    )
    def door(a, b=None, *, size=None, n=None, new=None):
        return a, b, size, n, new

    assert door(1, "b", size=2, new=3) == (1, "b", 2, None, 3)
    with pytest.warns(RenamedWarning, match="size= of door"):
        assert door(1, size="2") == (1, None, None, 2, None)
    with pytest.warns(RenamedWarning, match=r"door\(b, a\) is now door\(a, b\)"):
        assert door("b", 1, new=4) == (1, "b", None, None, 4)
    with pytest.raises(ArgumentError, match="a, b"):
        door("b", 1, a=1)
    with pytest.raises(ArgumentError, match="former name of new="):
        door(1, new=1, old=1)
    assert issubclass(RenamedWarning, FutureWarning)
