"""The main job on bundled real data, where the truth is known because every row has gold."""

import numpy as np
import pytest
import statsmodels.formula.api as smf

import karat as kt


@pytest.fixture(scope="module")
def editorials():
    table = kt.datasets.load("editorials")
    return table.assign(words=table["words"] / 10)


FORMULA = "tone ~ economy + war + law + negation + words"
SURROGATES = {"tone": ["tone_vader", "tone_afinn", "tone_textblob"]}


def test_labelled_outcome(editorials):
    """Tone of editorials: the word lists mislead, 600 gold labels put them right."""
    truth = smf.ols(FORMULA, editorials).fit().params
    sample = kt.Stratified("vader_tercile", n=600).draw(editorials, seed=7)
    labelled = kt.datasets.mask_gold(editorials, sample, "tone")
    fit = kt.ols(FORMULA, labelled, surrogates=SURROGATES, design=sample.design, cluster="editorial", seed=7)
    gap = (fit.coef() - truth) / fit.se()
    assert (np.abs(gap) < 3.5).all()
    gold = fit.compare().table()["Gold only"]["Std. Error"]
    # in one draw a single ratio is noise of several per cent (five coefficients of twelve draws: .87 to .97 on average)
    assert (fit.se() < 1.25 * gold).all()
    assert (fit.se() / gold).mean() < 0.97
    assert (fit.effective_gold >= 590).all()
    naive = fit.compare().table()["Surrogate only"]
    assert (np.abs(naive["Estimate"] - truth) / naive["Std. Error"]).max() > 6
    assert fit.compare().difference.p_value < 1e-3
    assert fit.skill[0].r_squared > 0.2


def test_labelled_covariate(editorials):
    """Does a negative tone make for longer snippets? The surrogate tone is the covariate."""
    formula = "words ~ negative + question + quote"
    truth = smf.ols(formula, editorials).fit().params
    sample = kt.SimpleRandom(n=600).draw(editorials, seed=3)
    labelled = kt.datasets.mask_gold(editorials, sample, "negative")
    fit = kt.ols(
        formula, labelled, surrogates={"negative": ["negative_vader", "tone_vader", "tone_afinn"]},
        design=sample.design, cluster="editorial", seed=3, repeats=2,
    )  # fmt: skip
    assert (np.abs((fit.coef() - truth) / fit.se()) < 3.5).all()
    assert (fit.se() < 1.03 * fit.compare().table()["Gold only"]["Std. Error"]).all()
