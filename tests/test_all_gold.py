"""With every row gold, karat is the classical estimator: held against statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

import karat as kt

from . import corpora

FORMULAS = {
    "ols": "y ~ stance * topic + z",
    "logit": "vote ~ stance + C(topic) + z",
    "probit": "vote ~ stance + topic + z",
    "poisson": "count ~ stance + np.log(size) + z",
}
CLOSE = {"rtol": 1e-8, "atol": 1e-13}


@pytest.fixture(scope="module")
def frame():
    return corpora.corpus(250, seed=31)


def classical(model, frame, weights=None):
    formula = FORMULAS[model]
    if model == "ols":
        return smf.ols(formula, frame) if weights is None else smf.wls(formula, frame, weights=weights)
    if weights is not None:
        family = {"logit": sm.families.Binomial, "poisson": sm.families.Poisson}[model]()
        return smf.glm(formula, frame, family=family, var_weights=weights)
    return {"logit": smf.logit, "probit": smf.probit, "poisson": smf.poisson}[model](formula, frame)


def sandwich(model, frame, kind, weights=None):
    """Coefficients and covariance of a curved model: statsmodels gives score and Hessian, leverage is ours."""
    reference = classical(model, frame, weights)
    fit = reference.fit(disp=0) if weights is None else reference.fit(tol=1e-14, maxiter=100)
    theta = fit.params
    for _ in range(3):
        theta = theta - np.linalg.solve(reference.hessian(theta), reference.score(theta))
    bread = np.linalg.inv(-reference.hessian(theta))
    scores = np.asarray(reference.score_obs(theta))
    x = np.asarray(reference.exog)
    n, p = x.shape
    curvature = np.abs(reference.hessian_factor(theta))
    leverage = curvature * np.einsum("ij,jk,ik->i", x, bread, x)
    scale = {"HC0": 1.0, "HC1": np.sqrt(n / (n - p)), "HC2": (1 - leverage) ** -0.5, "HC3": 1 / (1 - leverage)}[kind]
    psi = scores * np.broadcast_to(scale, n)[:, None] @ bread
    return theta, psi.T @ psi


def karat(model, frame, **options):
    """All rows gold, labels on both sides; the design is probability one."""
    surrogates = {"stance": "stance_llm"}
    return kt.regress(FORMULAS[model], frame, model=model, surrogates=surrogates, design=1.0, **options)


def in_order(fit, names):
    return [fit.names.index(name) for name in names]


@pytest.mark.parametrize("kind", ["HC0", "HC1", "HC2", "HC3"])
@pytest.mark.parametrize("weights", [None, "weight"])
def test_ols(frame, kind, weights):
    expected = classical("ols", frame, None if weights is None else frame[weights]).fit(cov_type=kind)
    fit = karat("ols", frame, vcov=kind, weights=weights)
    order = in_order(fit, expected.params.index)
    np.testing.assert_allclose(fit.theta[order], expected.params, **CLOSE)
    np.testing.assert_allclose(fit.covariance[np.ix_(order, order)], expected.cov_params(), **CLOSE)


@pytest.mark.parametrize("kind", ["HC0", "HC1", "HC2", "HC3"])
@pytest.mark.parametrize(
    ("model", "weights"),
    [("logit", None), ("probit", None), ("poisson", None), ("logit", "weight"), ("poisson", "weight")],
)
def test_curved_models(frame, model, weights, kind):
    theta, covariance = sandwich(model, frame, kind, None if weights is None else frame[weights])
    fit = karat(model, frame, vcov=kind, weights=weights)
    order = in_order(fit, theta.index)
    np.testing.assert_allclose(fit.theta[order], theta, **CLOSE)
    np.testing.assert_allclose(fit.covariance[np.ix_(order, order)], covariance, **CLOSE)


@pytest.mark.parametrize("model", ["logit", "probit", "poisson"])
def test_robust_covariance_of_statsmodels_itself(frame, model):
    """The same without our algebra in between, as far as statsmodels offers it for curved models."""
    expected = classical(model, frame).fit(disp=0, cov_type="HC0", method="newton", maxiter=100)
    fit = karat(model, frame, vcov="HC0")
    order = in_order(fit, expected.params.index)
    np.testing.assert_allclose(fit.theta[order], expected.params, **CLOSE)
    np.testing.assert_allclose(fit.covariance[np.ix_(order, order)], expected.cov_params(), **CLOSE)


@pytest.mark.parametrize("model", ["ols", "logit", "probit", "poisson"])
@pytest.mark.parametrize("kind", ["CRV0", "CRV1"])
def test_clusters(frame, model, kind):
    options = {} if model == "ols" else {"disp": 0, "method": "newton", "maxiter": 100}
    expected = classical(model, frame).fit(
        cov_type="cluster", cov_kwds={"groups": frame["author"], "use_correction": kind == "CRV1"}, **options
    )
    fit = karat(model, frame, vcov={kind: "author"})
    order = in_order(fit, expected.params.index)
    np.testing.assert_allclose(fit.theta[order], expected.params, **CLOSE)
    np.testing.assert_allclose(fit.covariance[np.ix_(order, order)], expected.cov_params(), **CLOSE)


@pytest.mark.parametrize("weights", [None, "weight"])
def test_cr3_is_the_leave_one_cluster_out_jackknife(frame, weights):
    v = None if weights is None else frame[weights]
    whole = classical("ols", frame, v).fit().params
    gaps = []
    for author in frame["author"].unique():
        keep = frame["author"] != author
        gaps.append(classical("ols", frame[keep], None if v is None else v[keep]).fit().params - whole)
    g = len(gaps)
    expected = (g - 1) / g * sum(np.outer(gap, gap) for gap in gaps)
    fit = karat("ols", frame, vcov={"CRV3": "author"}, weights=weights)
    order = in_order(fit, whole.index)
    np.testing.assert_allclose(fit.covariance[np.ix_(order, order)], expected, **CLOSE)


@pytest.mark.parametrize(
    "options", [{"learner": None}, {"estimator": "gold"}, {"estimator": "ppi"}, {"tuning": "full"}]
)
@pytest.mark.parametrize("design", [1.0, kt.SimpleRandom(), kt.Stratified("region"), kt.Clustered("author"), None])
def test_every_way_to_all_gold_is_the_same(frame, design, options):
    expected = classical("ols", frame).fit(cov_type="HC3")
    fit = kt.ols(
        FORMULAS["ols"], frame, surrogates={"stance": "stance_llm"}, design=design, vcov="HC3", compare=False, **options
    )
    order = in_order(fit, expected.params.index)
    np.testing.assert_allclose(fit.theta[order], expected.params, **CLOSE)
    np.testing.assert_allclose(fit.se().iloc[order], expected.bse, **CLOSE)
    assert not fit.labelling_covariance.any()


def test_finite_target_has_no_variance_left_when_all_are_labelled(frame):
    assert not karat("ols", frame, target="finite").covariance.any()


def test_t_intervals_of_the_classical_fit(frame):
    """Degrees of freedom given by the user are used for p-values and intervals."""
    expected = classical("ols", frame).fit(cov_type="HC1", use_t=True)
    fit = karat("ols", frame, vcov="HC1", df=expected.df_resid)
    order = in_order(fit, expected.params.index)
    np.testing.assert_allclose(fit.pvalue().iloc[order], expected.pvalues, rtol=1e-7, atol=1e-14)
    np.testing.assert_allclose(fit.confint().iloc[order], expected.conf_int(), rtol=1e-7)
    normal = karat("ols", frame, vcov="HC1", df="normal")
    reference = classical("ols", frame).fit(cov_type="HC1", use_t=False)
    np.testing.assert_allclose(normal.pvalue().iloc[order], reference.pvalues, rtol=1e-7, atol=1e-14)


def test_offset(frame):
    frame = frame.assign(exposure=np.log(frame["size"]))
    reference = smf.poisson("count ~ stance + z", frame, offset=frame["exposure"]).fit(
        disp=0, cov_type="HC0", method="newton", maxiter=100
    )
    fit = kt.poisson(
        "count ~ stance + z + offset(exposure)", frame, surrogates={"stance": "stance_llm"}, design=1.0, vcov="HC0"
    )
    np.testing.assert_allclose(fit.theta, reference.params, **CLOSE)
    np.testing.assert_allclose(fit.covariance, reference.cov_params(), **CLOSE)
    inline = kt.poisson(
        "count ~ stance + z + offset(np.log(size))", frame, surrogates={"stance": "stance_llm"}, design=1.0, vcov="HC0"
    )
    np.testing.assert_allclose(inline.theta, reference.params, **CLOSE)


# ---- gold alone, in a sample --------------------------------------------------------------------------------


@pytest.mark.parametrize("vcov", ["HC0", "HC1", "HC2", "HC3", "CRV0", "CRV1"])
def test_gold_only_with_one_probability_for_all_is_the_regression_on_the_gold_rows(frame, vcov):
    """Equal weights cancel; independent draws from a superpopulation are a sample from it."""
    gold = np.random.default_rng(5).random(len(frame)) < 0.5
    rows = frame[gold]
    reference = smf.ols("y ~ stance + z", rows)
    if vcov.startswith("CRV"):
        clusters = {"groups": rows["author"], "use_correction": vcov == "CRV1"}
        expected = reference.fit(cov_type="cluster", cov_kwds=clusters)
    else:
        expected = reference.fit(cov_type=vcov)
    fit = kt.ols(
        "y ~ stance + z", corpora.masked(frame, gold, "stance"), surrogates={"stance": "stance_llm"}, design=0.5,
        estimator="gold", compare=False, vcov={vcov: "author"} if vcov.startswith("CRV") else vcov,
    )  # fmt: skip
    np.testing.assert_allclose(fit.theta, expected.params, **CLOSE)
    np.testing.assert_allclose(fit.covariance, expected.cov_params(), **CLOSE)
