"""Lists of names that are typed out where people read them, held against the registries."""

import re
from pathlib import Path
from typing import get_args

import pytest

import karat as kt
from karat import moments
from karat._core.types import ModelName
from karat.cli import parser
from karat.predict import learners
from karat.regression.options import OPTIONS

DOCS = Path(__file__).resolve().parents[2] / "docs"
MODELS = [name for name in get_args(ModelName) if name != "mean"]


def test_every_model_has_its_name_in_the_types():
    assert set(get_args(ModelName)) == set(moments._MODELS)


@pytest.mark.parametrize("door", [kt.regress, kt.multiverse])
def test_models_in_help_texts(door):
    listed = ", ".join(f'``"{name}"``' for name in MODELS[:-1]) + f' or ``"{MODELS[-1]}"``.'
    assert f"model : str Which regression: {listed}" in re.sub(r"\s+", " ", door.__doc__)


def test_models_of_the_shell(capsys):
    with pytest.raises(SystemExit):
        parser().parse_args(["plan", "--help"])
    assert f"--model {{{','.join(MODELS)}}}" in re.sub(r"\s+", " ", capsys.readouterr().out)


def test_learners_in_help_and_guide():
    table = (DOCS / "learners.md").read_text("utf-8").split("## By name")[1].split("\n\n")[1]
    listed = {name.strip('"') for name in re.findall(r"^\| `(.*?)` \|", table, flags=re.MULTILINE)[1:]}
    assert listed == {"auto", "None", *learners.NAMES}
    assert all(f"'{name}'" in OPTIONS["learner"].doc for name in ("auto", *learners.NAMES))
