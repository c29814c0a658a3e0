"""Every kind of estimate has the same face, and its parts agree with each other."""

import warnings

import matplotlib
import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.errors import KaratError
from karat.results.estimates import Estimates

matplotlib.use("Agg")


@pytest.fixture(scope="module")
def corpus():
    table, _ = kt.datasets.simulate(800, seed=1)
    table = table.assign(
        high=(table["outcome"] > table["outcome"].median()).astype(float),
        counts=np.floor(np.abs(table["outcome"])),
        second=1.0 - table["hostile_llm"],
    )
    sample = kt.SimpleRandom(n=200).draw(table, seed=1)
    return kt.datasets.mask_gold(table, sample, "hostile"), sample


def _fit(corpus, model="ols", formula="outcome ~ hostile + length", **options):
    labelled, sample = corpus
    return kt.regress(
        formula, labelled, model=model, surrogates={"hostile": "hostile_llm"}, design=sample, seed=1, **options
    )


def _bootstrap(corpus):
    def slope(data, weights):
        x = np.column_stack([np.ones(len(data)), data["hostile"]]).astype(float) * np.sqrt(weights)[:, None]
        found = np.linalg.lstsq(x, data["outcome"].to_numpy() * np.sqrt(weights), rcond=None)[0]
        return pd.Series(found, index=["Intercept", "hostile"])

    return kt.bootstrap(slope, corpus[0], surrogates={"hostile": "hostile_llm"}, draws=60, seed=1)


def _durations(corpus):
    rng = np.random.default_rng(1)
    group = np.repeat(["a", "b", "c_<d>"], 150)
    t = rng.exponential(np.select([group == "a", group == "b"], [1.0, 2.0], 1.5))
    c = rng.exponential(3.0, size=450)
    data = pd.DataFrame({"time": np.minimum(t, c), "event": t <= c, "group": group})
    return kt.rmst_contrast("group", data, time="time", event="event", tau=3.0)


KINDS = {
    "ols": _fit,
    "logit": lambda c: _fit(c, "logit", "high ~ hostile + length"),
    "probit": lambda c: _fit(c, "probit", "high ~ hostile + length"),
    "poisson": lambda c: _fit(c, "poisson", "counts ~ hostile + length"),
    "mean": lambda c: kt.mean("hostile", c[0], surrogates={"hostile": "hostile_llm"}, design=c[1], seed=1),
    "slopes": lambda c: kt.slopes(_fit(c, "logit", "high ~ hostile + length"), c[0]),
    "ratios": lambda c: _fit(c, "logit", "high ~ hostile + length").ratios(),
    "combined": lambda c: _fit(c) - _fit(c, formula="outcome ~ hostile"),
    "bootstrap": _bootstrap,
    "contrast": _durations,
    "sequence": lambda c: kt.confidence_sequence(_fit(c), planned=300),
    "multiverse": lambda c: kt.multiverse(
        "outcome ~ hostile + length", c[0], surrogates={"hostile": ["hostile_llm", "second"]}, design=c[1], seed=1
    ),
}


@pytest.fixture(scope="module", params=KINDS)
def estimates(request, corpus):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return request.param, KINDS[request.param](corpus)


def test_the_common_face_agrees_with_itself(estimates):
    kind, found = estimates
    assert isinstance(found, Estimates)
    coef, se, bounds = found.coef(), found.se(), found.confint()
    table = found.tidy("broom").set_index("term")
    assert list(table.index) == list(coef.index) == list(se.index) == list(bounds.index)
    assert np.array_equal(table["estimate"], coef)
    assert np.array_equal(table["std_error"], se)
    assert np.array_equal(table[["conf_low", "conf_high"]], bounds)
    no_effect = np.log(coef) / (se / coef) if kind == "ratios" else coef / se
    assert np.allclose(table["statistic"], no_effect)
    assert np.array_equal(table["p_value"], found.pvalue())
    assert np.allclose(np.sqrt(np.diag(found.vcov_matrix)), se)
    assert list(found.vcov_matrix.index) == list(coef.index)
    assert ((bounds.iloc[:, 0] <= coef) & (coef <= bounds.iloc[:, 1])).all()
    wider = found.confint(alpha=0.01)
    assert (wider.iloc[:, 0] < bounds.iloc[:, 0]).all()
    assert list(wider.columns) == ["0.5%", "99.5%"]
    assert found.params.equals(coef)
    assert found.bse.equals(se)
    assert list(found.conf_int().columns) == [0, 1]
    if kind not in ("sequence", "multiverse"):
        assert np.array_equal(found.tidy().iloc[:, [0, 1, 4, 5]], np.column_stack([coef, se, bounds]))


def test_tables_show_the_same_numbers(estimates):
    kind, found = estimates
    latex, markdown, text = found.to_latex("a & b", "tab:x", 4), found.to_markdown(4), str(found.summary())
    assert r"\caption{a \& b}" in latex
    assert r"\label{tab:x}" in latex
    html = Estimates.summary(found)._repr_html_()
    for name, value, error in zip(found.coef().index, found.coef(), found.se()):
        for told in (f"{value:.4f}", f"{error:.4f}"):
            assert told in latex
            assert told in markdown
        assert f"{value:.4g}" in html
        assert str(name).replace("<", "&lt;").replace(">", "&gt;") in html
        if kind != "multiverse":  # whose summary compares universes
            assert str(name) in text
            assert f"{value:.4f}"[:-1] in text
    assert found._repr_html_().startswith("<div>")
    assert "<d>" not in found._repr_html_()


def test_tests_and_plots(estimates):
    kind, found = estimates
    name = str(found.coef().index[-1])
    axes = np.ravel(found.plot())
    assert len(axes)
    assert all(ax.has_data() for ax in axes)
    matplotlib.pyplot.close("all")
    matrix = np.eye(len(found.coef()))[-1:]
    if kind == "sequence":
        for call in (found.wald, found.contrast):
            with pytest.raises(KaratError, match="one look only"):
                call(name)
        return
    if kind == "ratios":
        for call in (found.wald, found.contrast):
            with pytest.raises(KaratError, match="logarithms"):
                call(name)
        found = found.logarithms()
    tested = found.wald(matrix)
    assert tested.statistic == pytest.approx((found.coef().iloc[-1] / found.se().iloc[-1]) ** 2)
    assert tested.p_value == pytest.approx(found.pvalue().iloc[-1])
    assert np.allclose(found.contrast(matrix).iloc[0], found.tidy("broom").iloc[-1, 1:7].astype(float), rtol=1e-9) or (
        kind == "mean"  # its interval is made for shares
    )
    assert found.delta(lambda b: b[-1]).iloc[0, 1] == pytest.approx(found.se().iloc[-1])


def test_answers_of_two_terms_are_not_tested_together(corpus):
    many = KINDS["multiverse"](corpus)
    u, p = len(many), len(many.coef())
    within, across = np.zeros((2, 1, p))
    within[0, :2] = 1.0, -1.0
    across[0, [0, u]] = 1.0
    assert many.wald(within).df_numerator == 1
    with pytest.raises(KaratError, match="covariance between"):
        many.wald(across)


def test_differences_stand_in_the_table_of_the_contrast():
    found = _durations(None)
    assert np.allclose(found.tidy(), found.differences, rtol=1e-7)
