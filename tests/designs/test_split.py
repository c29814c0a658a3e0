"""A gold sample in a development and an inference part: probabilities of both, and estimates from the rest."""

import json
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.errors import ArgumentError, DesignError, ProtocolError

CORPUS = pd.DataFrame({"document": range(60), "party": ["a"] * 40 + ["b"] * 20, "size": np.linspace(1, 4, 60)})
DESIGNS = {
    "simple": kt.SimpleRandom(n=15),
    "strata": kt.Stratified("party", n={"a": 10, "b": 6}),
    "unequal": kt.Unequal("size", n=15),
    "bernoulli": kt.Bernoulli(0.4),
}


@pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS)
def test_parts_make_up_the_sample(design):
    sample = design.draw(CORPUS, seed=4, id="document")
    development, inference = sample.split(1 / 3, seed=4)
    assert (inference.labelled == sample.labelled).all()
    assert (development.labelled <= sample.labelled).all()
    assert (inference.probability[development.labelled] == 1).all()
    assert 0 < development.labelled.sum() < sample.labelled.sum()
    total = inference.labelling.weight[~development.labelled[inference.positions]].sum()
    if inference.labelling.fixed_size and "size" not in design.columns:
        assert total == pytest.approx(60 - development.labelled.sum()), "weights of the rest add up to the rest"


def test_given_development_the_rest_is_a_draw_with_the_probabilities_said():
    """All samples of 4 of 7 and all their splits, listed: how often a unit is in inference given the development."""
    seen = {}
    for drawn in combinations(range(7), 4):
        for part in combinations(drawn, 2):
            seen.setdefault(part, []).append(set(drawn) - set(part))
    frame = {"document": list(range(7))}
    sample = kt.SimpleRandom(n=4).draw(frame, seed=1)
    development, inference = sample.split(0.5, seed=2)
    rest = seen[tuple(development.positions.tolist())]
    for unit in np.flatnonzero(~development.labelled):
        assert np.mean([unit in part for part in rest]) == pytest.approx(inference.probability[unit])
    assert development.probability == pytest.approx(2 / 7)


def test_independent_draws_given_development():
    sample = kt.Bernoulli(0.4).draw(CORPUS, seed=1)
    development, inference = sample.split(0.25, seed=1)
    assert development.probability == pytest.approx(0.1)
    assert inference.probability[~development.labelled] == pytest.approx(0.3 / 0.9)


def test_unequal_sizes_keep_their_odds():
    sample = kt.Unequal("size", n=15).draw(CORPUS, seed=1)
    development, inference = sample.split(1 / 3, seed=1)
    out = ~development.labelled
    odds = [p[out] / (1 - p[out]) for p in (sample.probability, inference.probability)]
    assert odds[1] / odds[0] == pytest.approx(np.full(out.sum(), (odds[1] / odds[0])[0]))
    assert inference.probability[out].sum() == pytest.approx(10)


def test_totals_are_unbiased_and_their_variance_is_right_given_development():
    """Every draw of inference given one development part, listed."""
    y = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0])
    error = y[:, None]
    development, inference = kt.SimpleRandom(n=5).draw({"document": list(range(7))}, seed=1).split(0.4, seed=1)
    estimates, variances = [], []
    for rest in combinations(np.flatnonzero(~development.labelled), 3):
        labelled = development.labelled.copy()
        labelled[list(rest)] = True
        draw = kt.designs.Labelling(inference.probability, labelled, fixed_size=True)
        estimates.append(draw.weight @ y[draw.gold])
        variances.append(draw.cross(error[draw.gold], error[draw.gold])[0, 0])
    assert np.mean(estimates) == pytest.approx(y.sum())
    assert np.mean(variances) == pytest.approx(np.var(estimates))


def test_clusters_go_whole():
    frame = pd.DataFrame({"outlet": np.repeat(np.arange(12), 5), "row": range(60)})
    sample = kt.Clustered("outlet", n=8).draw(frame, seed=1)
    development, inference = sample.split(0.25, seed=1)
    assert (pd.Series(development.labelled).groupby(frame["outlet"]).nunique() == 1).all()
    assert development.labelled.sum() == 10
    assert inference.labelling.n_chance == 6


def test_rows_in_another_order_are_split_alike():
    other = CORPUS.sample(frac=1, random_state=1).reset_index(drop=True)
    names = [
        set(
            frame["document"][
                kt.SimpleRandom(n=15).draw(frame, seed=4, id="document").split(1 / 3, seed=4)[0].positions
            ]
        )
        for frame in (CORPUS, other)
    ]
    assert names[0] == names[1]


def test_estimates_from_development_are_refused(tmp_path):
    corpus, _ = kt.datasets.simulate(400, seed=1)
    sample = kt.SimpleRandom(n=90).draw(corpus, seed=1)
    development, inference = sample.split(1 / 3, seed=1)
    surrogates = {"hostile": "hostile_llm"}
    gold = kt.datasets.mask_gold(corpus, development, "hostile")
    with pytest.raises(ProtocolError, match="design is the development part"):
        kt.mean("hostile", gold, surrogates=surrogates, design=development.design, seed=1)
    with pytest.raises(DesignError, match="drawn row"):
        kt.mean("hostile", gold, surrogates=surrogates, design=inference.design, seed=1)
    inference.save(tmp_path / "sample.json")
    back = kt.read_sample(tmp_path / "sample.json")
    fits = [
        kt.mean("hostile", kt.datasets.mask_gold(corpus, s, "hostile"), surrogates=surrogates, design=s, seed=1)
        for s in (inference, back)
    ]
    assert fits[0].n_gold == 90
    assert fits[0].se().tolist() == fits[1].se().tolist()


def test_the_refusal_outlives_files_subgroups_and_waves(tmp_path):
    corpus, _ = kt.datasets.simulate(400, seed=1)
    sample = kt.SimpleRandom(n=90).draw(corpus, seed=1)
    development, inference = sample.split(1 / 3, seed=1)
    gold = kt.datasets.mask_gold(corpus, development, "hostile")
    path = tmp_path / "development.json"
    development.save(path)
    inference.save(tmp_path / "inference.json")
    versions = [json.loads(p.read_text())["version"] for p in (path, tmp_path / "inference.json")]
    assert versions == [3, 2], "releases that would forget the refusal cannot read the first"
    content = json.loads(path.read_text())
    content.pop("development")
    content.pop("checksum")
    earlier = tmp_path / "earlier.json"
    earlier.write_text(json.dumps({**content, "version": 1}))
    half = np.arange(400) < 200
    for design, data in (
        (kt.read_sample(path), gold),
        (kt.read_sample(earlier), gold),
        (development.subgroup(corpus, half), gold[half]),
    ):
        with pytest.raises(ProtocolError, match="design is the development part"):
            kt.mean("hostile", data, surrogates={"hostile": "hostile_llm"}, design=design, seed=1)
    with pytest.raises(ProtocolError, match="further wave after the development part"):
        kt.read_sample(path).next_wave(kt.SimpleRandom(n=4), corpus, seed=1)
    assert kt.read_sample(tmp_path / "inference.json").labelling.n_gold == 90


def test_what_cannot_be_split_is_refused():
    sample = kt.SimpleRandom(n=4).draw(CORPUS, seed=1)
    with pytest.raises(ArgumentError, match="share=1"):
        sample.split(1, seed=1)
    with pytest.raises(DesignError, match="leaves 0 units for development"):
        sample.split(0.1, seed=1)
    waves = sample.next_wave(kt.SimpleRandom(n=4), CORPUS, seed=1)
    with pytest.raises(DesignError, match="cannot be split"):
        waves.split(0.5, seed=1)
    with pytest.raises(ProtocolError, match="development part already"):
        sample.split(0.5, seed=1)[0].split(0.5, seed=1)
