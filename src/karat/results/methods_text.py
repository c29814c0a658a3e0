"""Sentences for the methods section of a paper, with the numbers of a fit, and the references they lean on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._version import __version__
from .estimates import Fitted
from .verdicts import findings

REFERENCES = {
    "dsl": "Egami, N., Hinck, M., Stewart, B. M., & Wei, H. (2023). Using imperfect surrogates for downstream "
    "inference: design-based supervised learning for social science applications of large language models. NeurIPS. "
    "arXiv:2306.04746.",
    "ppi": "Angelopoulos, A. N., Bates, S., Fannjiang, C., Jordan, M. I., & Zrnic, T. (2023). Prediction-powered "
    "inference. Science, 382, 669-674.",
    "tuning": "Angelopoulos, A. N., Duchi, J. C., & Zrnic, T. (2023). PPI++: Efficient prediction-powered inference. "
    "arXiv:2311.01453.",
    "crossfit": "Chernozhukov, V., Chetverikov, D., Demirer, M., Duflo, E., Hansen, C., Newey, W., & Robins, J. "
    "(2018). Double/debiased machine learning for treatment and structural parameters. The Econometrics Journal, 21, "
    "C1-C68.",
    "HC": "MacKinnon, J. G., & White, H. (1985). Some heteroskedasticity-consistent covariance matrix estimators with "
    "improved finite sample properties. Journal of Econometrics, 29, 305-325.",
    "CRV": "MacKinnon, J. G., Nielsen, M. Ø., & Webb, M. D. (2023). Fast and reliable jackknife and bootstrap methods "
    "for cluster-robust inference. Journal of Applied Econometrics, 38, 671-694.",
    "df": "Satterthwaite, F. E. (1946). An approximate distribution of estimates of variance components. Biometrics "
    "Bulletin, 2, 110-114.",
    "beta": "Clopper, C. J., & Pearson, E. S. (1934). The use of confidence or fiducial limits illustrated in the case "
    "of the binomial. Biometrika, 26, 404-413.",
    "sampling": "Särndal, C.-E., Swensson, B., & Wretman, J. (1992). Model Assisted Survey Sampling. Springer.",
    "difference": "Hausman, J. A. (1978). Specification tests in econometrics. Econometrica, 46, 1251-1271.",
    "cox": "Cox, D. R. (1972). Regression models and life-tables. Journal of the Royal Statistical Society B, 34, "
    "187-220.",
    "ate": "Robins, J. M., Rotnitzky, A., & Zhao, L. P. (1994). Estimation of regression coefficients when some "
    "regressors are not always observed. Journal of the American Statistical Association, 89, 846-866.",
}  # fmt: skip


def surrogates_of(fit: Fitted) -> dict[str, list[str]]:
    """Labelled columns of a fit and their surrogates, as far as they are known.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1500, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=200).draw(corpus, seed=1), "hostile")
    >>> surrogates_of(kt.ols("outcome ~ hostile", labelled, surrogates={"hostile": "hostile_llm"}, seed=1))
    {'hostile': ['hostile_llm']}
    """
    given = fit.call.arguments.get("surrogates") if fit.call is not None else None
    if not isinstance(given, Mapping):
        return {skill.name: [] for skill in fit.skill}
    return {str(name): _names(value) for name, value in given.items()}


def _names(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [name for part in value.values() for name in _names(part)]
    return [name for part in value for name in _names(part)] if isinstance(value, (list, tuple)) else []


def methods_text(fit: Fitted) -> tuple[list[str], list[str]]:
    """Paragraphs and references.

    Parameters
    ----------
    fit : Result

    Returns
    -------
    (list of str, list of str)

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1500, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=200).draw(corpus, seed=1), "hostile")
    >>> fit = kt.ols("outcome ~ hostile", labelled, surrogates={"hostile": "hostile_llm"}, seed=1)
    >>> methods_text(fit)[0][0][:53]
    'Gold labels of hostile are known for 200 of the 1,500'
    """
    used: dict[str, None] = {}
    paragraphs = [
        _labels(fit, used),
        _estimator(fit, used),
        _inference(fit, used),
        _comparison(fit, used),
        _checks(fit),
    ]
    done = f"Estimates were made with the Python package karat, version {__version__}."
    return [p for p in (*paragraphs, done) if p], [REFERENCES[key] for key in REFERENCES if key in used]


def _labels(fit: Fitted, used: dict[str, None]) -> str:
    s, known = fit.sampling, surrogates_of(fit)
    things = "documents" if s.documents else "units"
    total = s.documents or s.n_units
    what = f" of {_listed(known)}" if known else ""
    if fit.estimator == "surrogate":
        return f"Labels{what} are those of machines, taken as they are, for all {total:,} {things}."
    if s.n_gold == total:
        return f"All {total:,} {things} have gold labels{what}." if known else f"The analysis uses {total:,} {things}."
    used["sampling"] = None
    assumed = " (assumed for the analysis: no design was recorded)" if s.assumed else ""
    text = f"Gold labels{what} are known for {s.n_gold:,} of the {total:,} {things}; design: {s.design}{assumed}"
    text += " (Särndal et al., 1992)."
    told = [f"{name} by {_listed(columns)}" for name, columns in known.items() if columns]
    if told and fit.estimator in ("dsl", "ppi", "corrected"):
        text += f" All {things} have surrogate labels: {'; '.join(told)}."
    if s.kish < 0.999 * s.n_gold:
        text += (
            f" Inclusion probabilities are {s.smallest_probability:.3g} or more, and the gold sample is worth "
            f"{s.kish:,.0f} equally weighted labels (Kish's effective size)."
        )
    return text


def _estimator(fit: Fitted, used: dict[str, None]) -> str:
    model = f"Model: {fit.title}, {fit.formula}."
    used |= {fit.model: None} if fit.model in REFERENCES else {}
    if fit.estimator == "surrogate":
        return f"{model} It was fitted to the machine labels; its intervals are not valid."
    if fit.estimator == "gold":
        rest = "" if fit.n_gold == fit.n_units else ", weighted by the inverse of their inclusion probabilities"
        return f"{model} It was fitted to the units with gold labels{rest}."
    if fit.estimator == "corrected":
        return f"{model} It was fitted to unit means of labels, and corrected for the noise of these means."
    ways = {
        "dsl": "design-based supervised learning (Egami et al., 2023)",
        "ppi": "prediction-powered inference (Angelopoulos, Bates et al., 2023)",
    }
    name, key = ways[fit.estimator], fit.estimator
    used[key] = None
    text = (
        f"{model} It was estimated by {name}: surrogates enter for all units, and their errors are "
        "taken out by gold labels with the inverse of their inclusion probabilities as weights, so that estimates are "
        "consistent whatever errors the surrogates make, if gold labels are right and were drawn as stated."
    )
    arguments = fit.call.arguments if fit.call is not None else {}
    for skill in fit.skill:
        right = "" if skill.accuracy is None else f", {100 * skill.accuracy:.0f} % of classes right"
        text += f" {skill.name} was predicted from its surrogates by a cross-fitted learner ({skill.learner}"
        text += f", {arguments['folds']} folds" if isinstance(arguments.get("folds"), int) else ""
        text += f"; Chernozhukov et al., 2018); out of fold R² is {skill.r_squared:.2f}{right}."
        used["crossfit"] = None
    if set(fit.choice) & {"coefficient", "scalar", "full", "gold"}:
        text += (
            " How much the surrogates count was chosen from the data so that variances are smallest (Angelopoulos, "
            "Duchi, & Zrnic, 2023)."
        )
        used["tuning"] = None
    return text


def _inference(fit: Fitted, used: dict[str, None]) -> str:
    if fit.estimator == "surrogate":
        return ""
    s, level = fit.sampling, f"{100 * (1 - fit.alpha):g} %"
    if fit.cluster:
        used["CRV"] = None
        text = (
            f"Standard errors allow for {s.clusters:,} clusters of {fit.cluster} ({fit.vcov_kind}; MacKinnon et al., "
        )
        text += "2023)"
    elif fit.vcov_kind.startswith("HC"):
        used["HC"] = None
        text = f"Standard errors are robust to unequal variances ({fit.vcov_kind}; MacKinnon & White, 1985)"
    else:
        text = f"Standard errors are of the form {fit.vcov_kind}"
    text += (
        ""
        if s.n_gold == (s.documents or s.n_units)
        else " and count what labelling only a sample adds under its design"
    )
    if fit.interval == "beta":
        used["beta"] = None
        return (
            text
            + f"; {level} intervals are those of Clopper and Pearson (1934) at the effective number of gold labels."
        )
    finite = fit.df[np.isfinite(fit.df)]
    if len(finite):
        used["df"] = None
        least = f"{finite.min():,.0f} or more degrees of freedom"
        return text + f"; {level} intervals are t intervals with {least} (Satterthwaite, 1946)."
    return text + f"; {level} intervals are normal."


def _comparison(fit: Fitted, used: dict[str, None]) -> str:
    found = fit.comparison
    if found is None or fit.estimator not in ("dsl", "ppi"):
        return ""
    text = []
    size = found.effective_gold[np.isfinite(found.effective_gold)]
    if len(size):
        low, high = f"{min(size.min(), fit.n_units):,.0f}", f"{min(size.max(), fit.n_units):,.0f}"
        span = f"{low} of them" if low == high else f"{low} to {high} of them, depending on the coefficient,"
        text.append(f"With gold labels alone, {span} would have been needed for the same labelling variance.")
    if found.difference is not None:
        d = found.difference
        used["difference"] = None
        p = "< .001" if d.p_value < 0.001 else f"= {d.p_value:.3f}"
        verdict = "differ from" if d.p_value < 0.05 else "do not differ significantly from"
        text.append(
            f"The estimates {verdict} those of surrogates alone (joint test in the manner of Hausman, 1978: p {p})."
        )
    return " ".join(text)


def _checks(fit: Fitted) -> str:
    if fit.checks is None or fit.estimator == "surrogate":
        return ""
    bad = [f.check.lower() for f in findings(fit) if f.verdict == "problem"]
    if bad:
        return f"CHECK BEFORE USE: the checks of the gold sample found a problem with {_listed(bad)}."
    balance = fit.checks.balance
    if balance is None or np.isnan(balance.p_value):
        return "The checks of the gold sample found no problem."
    said = "differ" if balance.p_value < 0.05 else "do not differ by more than chance"
    return (
        f"Weighted gold and all units {said} in what is known of both (joint test of {len(balance.rows)} variables: "
        f"p {'< .001' if balance.p_value < 0.001 else f'= {balance.p_value:.3f}'})."
    )


def _listed(words: Any) -> str:
    found = list(words)
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}" if found else ""
