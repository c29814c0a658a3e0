"""Every design that draws can be saved and read back."""

import inspect

import numpy as np
import pytest

import karat as kt
from karat.designs.store import _DESIGNS

FRAME = {
    "id": np.arange(60),
    "group": np.arange(60) % 3,
    "cluster": np.arange(60) // 4,
    "size": 1.0 + np.arange(60) % 5,
}
EXAMPLES = {
    "Bernoulli": kt.Bernoulli(0.3),
    "SimpleRandom": kt.SimpleRandom(12),
    "Stratified": kt.Stratified("group", n=12, allocation="equal"),
    "Clustered": kt.Clustered("cluster", n=5),
    "Unequal": kt.Unequal("size", n=12, by="group"),
}
NOBODY_DREW = {"Propensity"}
PUBLIC = {
    name for name in kt.designs.__all__
    if inspect.isclass(found := getattr(kt.designs, name)) and issubclass(found, kt.Design)
} - {"Design", "Drawn"}  # fmt: skip


def test_every_public_design_can_be_saved():
    assert set(_DESIGNS) == PUBLIC - NOBODY_DREW
    assert set(EXAMPLES) == set(_DESIGNS) - {"Waves"}


@pytest.mark.parametrize("name", [*EXAMPLES, "Waves"])
def test_there_and_back(name, tmp_path):
    if name == "Waves":
        sample = kt.SimpleRandom(10).draw(FRAME, seed=1).next_wave(kt.Stratified("group", n=12), FRAME, seed=2)
        assert isinstance(sample.design.base, kt.Waves)
    else:
        sample = EXAMPLES[name].draw(FRAME, seed=1)
    sample.save(tmp_path / "sample.json")
    back = kt.read_sample(tmp_path / "sample.json")
    assert back.labelling.same(sample.labelling)
    assert back.design.base == sample.design.base
    assert back.rows(FRAME)["id"] is not None


@pytest.mark.parametrize("name", NOBODY_DREW)
def test_what_nobody_drew_has_no_sample(name):
    with pytest.raises(kt.KaratError):
        kt.Propensity("size").draw(FRAME, seed=1)
