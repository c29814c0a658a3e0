"""Agreement with marginaleffects, where it can average: no covariate is labelled, so that its rows are complete."""

import re

import numpy as np
import pandas as pd
import pytest

import karat as kt

from .. import corpora

pytestmark = pytest.mark.filterwarnings("ignore::karat.errors.SmallSampleWarning")


@pytest.fixture(scope="module")
def fitted():
    frame = corpora.corpus(500, seed=11)
    frame["region"] = frame["region"].astype("category")
    sample = kt.SimpleRandom(200).draw(frame, seed=1)
    data = corpora.masked(frame, sample.labelled, "vote", "y")
    options = {"design": sample.design, "learner": None, "compare": False}
    logit = kt.logit("vote ~ z * size + region", data, surrogates={"vote": "vote_llm"}, **options)
    line = kt.ols("y ~ z + size + I(z**2)", data, surrogates={"y": "y_llm"}, **options)
    return data, {"logit": logit, "ols": line}


def adapter(fit, data):
    """A Result as marginaleffects wants a model: coefficients, covariance, and predictions at a design matrix."""
    polars, classes = pytest.importorskip("polars"), pytest.importorskip("marginaleffects.classes.model")
    import formulaic

    if not polars.__version__.startswith("1."):
        pytest.skip("marginaleffects 0.6 reads numbers with polars 1 only")
    columns = re.findall(r"\w+", fit.formula)
    table = data[[name for name in data if name in columns]].assign(**{columns[0]: 0.0})
    spec = formulaic.Formula(fit.formula.partition("~")[2]).get_model_matrix(table).model_spec

    class Adapter(classes.ModelAbstract):
        def get_exog(self, newdata):
            return spec.get_model_matrix(newdata.to_pandas()).to_numpy()

        def get_predict(self, params, newdata):
            eta = np.asarray(newdata) @ np.asarray(params)
            mean = 1.0 / (1.0 + np.exp(-eta)) if fit.model == "logit" else eta
            return polars.DataFrame({"rowid": np.arange(len(mean)), "estimate": mean}).with_columns(
                polars.col("rowid").cast(polars.Int32)
            )

        def get_vcov(self, vcov=True):
            return fit.vcov_matrix.to_numpy()

    names = np.array(fit.names)
    assert list(spec.column_names) == list(names)
    vault = classes.ModelVault(
        coef=np.array(fit.theta), coefnames=names, formula=fit.formula, modeldata=polars.from_pandas(table),
        variable_names=[columns[0], *dict.fromkeys(c for c in columns[1:] if c in table)],
    )  # fmt: skip
    return Adapter(fit, vault)


@pytest.mark.parametrize("model", ["logit", "ols"])
def test_average_slopes_and_predictions(fitted, model):
    effects = pytest.importorskip("marginaleffects")
    data, fits = fitted
    fit = fits[model]
    theirs = effects.avg_slopes(adapter(fit, data), variables="z")
    ours = kt.slopes(fit, data, "z", covariates="fixed")
    assert theirs["estimate"][0] == pytest.approx(ours.theta[0], rel=1e-5)
    assert theirs["std_error"][0] == pytest.approx(ours.se().iloc[0], rel=1e-4)
    theirs = effects.avg_predictions(adapter(fit, data))
    ours = kt.predictions(fit, data, covariates="fixed")
    assert theirs["estimate"][0] == pytest.approx(ours.theta[0], rel=1e-8)
    assert theirs["std_error"][0] == pytest.approx(ours.se().iloc[0], rel=1e-4)


def test_slopes_by_group(fitted):
    effects = pytest.importorskip("marginaleffects")
    data, fits = fitted
    theirs = pd.DataFrame(
        effects.avg_slopes(adapter(fits["logit"], data), variables="z", by="region").to_dict()
    ).sort_values("region")
    ours = kt.slopes(fits["logit"], data, "z", by="region", covariates="fixed")
    np.testing.assert_allclose(theirs["estimate"], ours.theta, rtol=1e-5)
    np.testing.assert_allclose(theirs["std_error"], ours.se(), rtol=1e-3)  # theirs are finite differences
