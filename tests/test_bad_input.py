"""Bad input is refused with an error that names the column or argument and says how to mend it."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import BaseEstimator

import karat as kt
from karat import errors as e

from . import corpora

FRAME = corpora.masked(corpora.corpus(120, seed=61), np.arange(120) % 2 == 0, "y", "stance", "topic", "vote")
FULL = corpora.corpus(120, seed=61)
KNOWN = FRAME.assign(y=FULL["y"])  # the outcome is observed, so that covariates may be the labels
ROWS = np.arange(120)
GOLD = ROWS % 2 == 0


def fit(model="ols", formula="y ~ z", data=None, surrogates=None, *, alter=None, **options):
    frame = FRAME.copy() if data is None else data
    if alter is not None:
        frame = frame.assign(**{name: change(frame) for name, change in alter.items()})
    surrogates = {"y": "y_llm"} if surrogates is None else surrogates
    options = {"learner": None, "compare": False} | options
    return kt.regress(formula, frame, model=model, surrogates=surrogates, **options)


def holed(name, where, value):
    """Put a value into some rows of a column."""
    return {name: lambda f: f[name].astype(float).mask(where, value)}


CASES = {}


def case(name, error, *words, warning=None):
    """Register a call that must fail with an error of this class whose message holds these words."""

    def register(call):
        CASES[name] = (call, error, words, warning)
        return call

    return register


def simple(name, error, *words, **arguments):
    case(name, error, *words)(lambda: fit(**arguments))


# ---- unknown columns

simple("formula: unknown column", e.FormulaError, "'xyzzy'", "not a column", "Columns:", formula="y ~ xyzzy")
simple("formula: misspelt column", e.FormulaError, "'sze'", "Did you mean 'size'", formula="y ~ sze")
simple("formula: unknown outcome", e.FormulaError, "'tone'", "not a column", formula="tone ~ z")
simple(
    "surrogates: unknown surrogate",
    e.DataError,
    "surrogates['y']",
    "'y_lm'",
    "Did you mean 'y_llm'",
    surrogates={"y": "y_lm"},
)
simple("surrogates: unknown gold", e.DataError, "surrogates", "'tone'", surrogates={"tone": "y_llm"})
simple(
    "surrogates: not in the formula",
    e.ArgumentError,
    "'stance'",
    "does not use",
    "features=",
    surrogates={"y": "y_llm", "stance": "stance_llm"},
)
simple("features: unknown column", e.DataError, "features", "'y_ll'", "'y_llm'", features="y_ll", learner="linear")
simple("design: unknown column", e.DataError, "Bernoulli", "'pii'", "'pi'", design="pii")
simple("cluster: unknown column", e.DataError, "cluster", "'autor'", "'author'", cluster="autor")
simple("weights: unknown column", e.DataError, "weights", "'wieght'", "'weight'", weights="wieght")
simple("labelled: unknown column", e.DataError, "labelled", "'golden'", labelled="golden")
simple("predictions: unknown column", e.DataError, "predictions['y']", "'guess'", predictions={"y": "guess"})
simple(
    "predictions: not every label",
    e.ArgumentError,
    "predictions",
    "'y'",
    "'stance'",
    predictions={"stance": "stance_llm"},
)

# ---- gold and design


@case("gold where nothing was drawn", e.DesignError, "1 row(s)", "not drawn", "position 1", "set their gold missing")
def _():
    sample = kt.SimpleRandom(30).draw(FULL, seed=1)
    gold = sample.labelled.copy()
    assert not gold[1]
    gold[1] = True
    fit(data=corpora.masked(FULL, gold, "y"), design=sample.design)


for value, what in ((0.0, "zero or negative"), (-0.2, "zero or negative"), (1.2, "above 1"), (np.nan, "missing")):
    simple(
        f"pi is {value}", e.DesignError, "'pi'", what, "1 row(s)", "position 4", "(0, 1]",
        alter=holed("pi", ROWS == 4, value), design="pi",
    )  # fmt: skip
    simple(f"design={value}", e.ArgumentError, f"probability={value}", "above 0 and at most 1", design=value)
simple(
    "pi is infinite", e.DataError, "'pi'", "1 infinite", "replace", alter=holed("pi", ROWS == 4, np.inf), design="pi"
)
simple("pi is text", e.DataError, "'region'", "text", "recode", design="region")
simple("pi of another length", e.ArgumentError, "5 rows", "120", "one value per row", design=np.full(5, 0.5))
simple("no gold at all", e.DataError, "'y'", "no row has gold", "needed", alter={"y": lambda f: np.nan})
simple("no gold row left", e.DataError, "'z'", "no gold row is left", "fill", alter=holed("z", GOLD, np.nan))
simple(
    "gold of only some labels", e.ArgumentError, "part of the labels", "clusters", "labelled=",
    formula="y ~ count", surrogates={"y": "y_llm", "count": "count_llm"}, cluster="size",
)  # fmt: skip
simple("marked as labelled without gold", e.DataError, "60 row(s)", "position 1", "labelled=", labelled=np.ones(120))
simple("labelled is no indicator", e.ArgumentError, "labelled", "true/false", labelled="size")
simple("sure to be drawn, but no gold", e.DesignError, "probability 1", "no gold", "label them", design=1.0)

# ---- columns

simple(
    "constant column", e.DataError, "three", "constant", "drop", alter={"three": lambda f: 3.0}, formula="y ~ z + three"
)
simple(
    "collinear columns", e.DataError, "column(s)",
    "combination of the other columns", "drop",
    alter={"twice": lambda f: 2 * f["z"] - 1}, formula="y ~ twice + z",
)  # fmt: skip
simple(
    "constant among gold", e.DataError, "column(s) rare", "gold rows", "label units",
    alter={"rare": lambda f: (ROWS == 3) * 1.0}, formula="y ~ z + rare",
)  # fmt: skip
simple(
    "category without gold", e.DataError, "C(word)[T.c]", "gold rows", "merge",
    alter={"word": lambda f: np.where(ROWS == 3, "c", np.where(ROWS % 3 == 0, "a", "b"))}, formula="y ~ C(word)",
)  # fmt: skip
simple(
    "more coefficients than gold",
    e.DataError,
    "2 gold rows",
    "3 coefficients",
    "label more",
    formula="y ~ z + size",
    alter=holed("y", ROWS > 3, np.nan),
)
simple("empty column", e.DataError, "'z'", "missing", alter={"z": lambda f: np.nan})
for column, role in (("z", "z"), ("y_llm", "surrogate of 'y'"), ("y", "'y'")):
    simple(f"infinite {column}", e.DataError, role, "1", "finite", alter=holed(column, ROWS == 4, np.inf))
simple(
    "infinite feature",
    e.DataError,
    "'size'",
    "1 infinite",
    "replace",
    learner="linear",
    features="size",
    alter=holed("size", ROWS == 5, -np.inf),
)
simple(
    "infinite surrogate of a learner",
    e.DataError,
    "'y_llm'",
    "1 infinite",
    "replace",
    learner="linear",
    alter=holed("y_llm", ROWS == 5, np.inf),
)
simple(
    "infinite feature array",
    e.DataError,
    "features",
    "infinite",
    "fill",
    learner="linear",
    features=np.full((120, 2), np.inf),
)
simple(
    "infinite weight",
    e.DataError,
    "'weight'",
    "infinite",
    "replace",
    weights="weight",
    alter=holed("weight", ROWS == 4, np.inf),
)
simple(
    "logarithm of zero",
    e.DataError,
    "np.log(size)",
    "1 row",
    "position 7",
    "Correct",
    formula="y ~ np.log(size)",
    alter=holed("size", ROWS == 7, 0.0),
)
simple("text covariate inside a product", e.KaratError, "region", formula="y ~ I(region * 2.0)")
simple("text outcome", e.KaratError, "'region'", "number", formula="region ~ z + y", surrogates={"y": "y_llm"})
simple(
    "text gold for numbers",
    e.DataError,
    "'y'",
    "'high'",
    "recode",
    alter={"y": lambda f: f["y"].astype(object).mask(ROWS == 2, "high")},
)
simple(
    "text gold among 0/1",
    e.DataError,
    "'stance'",
    "'?'",
    "recode",
    formula="y ~ stance",
    surrogates={"stance": "stance_llm"},
    data=KNOWN,
    alter={"stance": lambda f: f["stance"].astype(object).mask(ROWS == 2, "?")},
)
simple("text surrogate of a number", e.DataError, "'region'", "'y'", "text", "recode", surrogates={"y": "region"})
simple("text weights", e.DataError, "'region'", "text", "recode", weights="region")
simple("text labelled", e.DataError, "'region'", "text", "recode", labelled="region")
simple(
    "two columns of one name",
    e.DataError,
    "two columns named 'z'",
    "rename",
    data=pd.concat([FRAME, FRAME[["z"]]], axis=1),
)
simple(
    "missing surrogate without a learner",
    e.DataError,
    "'y'",
    "1 row(s)",
    "fill",
    "learner",
    alter=holed("y_llm", ROWS == 9, np.nan),
)
simple(
    "missing covariate, by option",
    e.DataError,
    "'z' (3)",
    "fill",
    "missing='drop'",
    missing="raise",
    alter=holed("z", ROWS < 3, np.nan),
)
simple(
    "missing cluster, by option",
    e.DataError,
    "'cluster=' (3)",
    "fill",
    missing="raise",
    cluster="author",
    alter=holed("author", ROWS < 3, np.nan),
)
simple(
    "missing feature array",
    e.DataError,
    "features",
    "missing",
    "fill",
    learner="linear",
    features=np.full((120, 2), np.nan),
)
simple(
    "feature missing throughout",
    e.DataError,
    "'hole'",
    "every row",
    "leave it out",
    learner="linear",
    features="hole",
    alter={"hole": lambda f: np.nan},
)
simple(
    "features of another length",
    e.ArgumentError,
    "features",
    "3 rows",
    "120",
    learner="linear",
    features=np.ones((3, 2)),
)
simple("features of a wrong kind", e.ArgumentError, "features", "column names", learner="linear", features={"size": 1})

# ---- classes

simple(
    "gold class without a surrogate counterpart", e.DataError, "'war'", "'topic'", "'topic_llm'", "recode", "features=",
    formula="y ~ topic", surrogates={"topic": "topic_llm"}, data=KNOWN,
    alter={"topic_llm": lambda f: f["topic_llm"].replace("war", "law")},
)  # fmt: skip
simple(
    "class that no gold row has", e.DataError, "'sport'", "'topic'", "'topic_llm'", "recode", "features=",
    formula="y ~ topic", surrogates={"topic": "topic_llm"}, data=KNOWN,
    alter={"topic_llm": lambda f: f["topic_llm"].mask(ROWS == 5, "sport")},
)  # fmt: skip
simple(
    "probabilities for other classes", e.DataError, "'topic'", "'sport'", "'war'", "one column per gold class",
    formula="y ~ topic", surrogates={"topic": {"economy": "p_economy", "law": "p_law", "sport": "p_war"}}, data=KNOWN,
)  # fmt: skip
simple(
    "probabilities that do not add up", e.DataError, "'topic'", "add up to 1", "120 row(s)",
    formula="y ~ topic", surrogates={"topic": {"economy": "p_economy", "law": "p_law", "war": "p_law"}}, data=KNOWN,
)  # fmt: skip
simple(
    "probability above one", e.DataError, "'stance'", "[0, 1]", "learner",
    formula="y ~ stance", surrogates={"stance": "size"}, data=KNOWN,
)  # fmt: skip
simple(
    "text surrogate of a 0/1 label", e.DataError, "'topic_llm'", "'stance'", "recode",
    formula="y ~ stance", surrogates={"stance": "topic_llm"}, data=KNOWN,
)  # fmt: skip
simple(
    "wrong number of probabilities", e.DataError, "'topic'", "2 columns for 3 classes",
    "one probability per gold class",
    formula="y ~ topic", surrogates={"topic": "topic_llm"}, predictions={"topic": np.full((120, 2), 0.5)}, data=KNOWN,
)  # fmt: skip
simple(
    "too many classes",
    e.ArgumentError,
    "class combinations",
    "merge",
    formula="y ~ C(many)",
    surrogates={"many": "y_llm"},
    learner="linear",
    data=KNOWN,
    alter={"many": lambda f: pd.Series(ROWS.astype(float)).mask(ROWS > 80)},
)
simple(
    "label inside and outside C()",
    e.ArgumentError,
    "'stance'",
    "C(...)",
    formula="y ~ C(stance) + stance:z",
    surrogates={"stance": "stance_llm"},
    data=KNOWN,
)
simple("label on both sides", e.ArgumentError, "'y'", "both sides", formula="y ~ np.exp(y)")

# ---- sizes

simple(
    "fewer clusters than folds",
    e.LearnerError,
    "3 clusters with gold",
    "folds=5",
    "lower folds",
    learner="linear",
    cluster="group",
    alter={"group": lambda f: ROWS % 6 // 2},
)
simple(
    "fewer gold than folds",
    e.LearnerError,
    "4 gold rows",
    "folds=5",
    "lower folds",
    learner="linear",
    alter=holed("y", ROWS > 7, np.nan),
)
simple("a single cluster", e.DataError, "single cluster", "at least two", cluster="group", alter={"group": lambda f: 1})
simple("an empty frame", e.DataError, "no rows", "at least one", data=FRAME.iloc[:0])
simple("an empty polars frame", e.DataError, "no rows", data=pl.from_pandas(FRAME).head(0))
simple("no columns at all", e.KaratError, "no rows", data=pd.DataFrame())
simple(
    "negative weights",
    e.DataError,
    "2 row(s)",
    "position 3",
    "0 or more",
    weights="weight",
    alter=holed("weight", (ROWS == 3) | (ROWS == 8), -1.0),
)
simple("weights all zero", e.DataError, "weights are zero", "positive", weights=np.zeros(120))
simple("no weight on gold", e.DataError, "weight", "gold", weights=np.where(GOLD, 0.0, 1.0))
simple("weights of another length", e.ArgumentError, "weights", "7 rows", "120", weights=np.ones(7))

# ---- models


def separated(frame):
    return (frame["z"] > 0).astype(float).where(GOLD)


simple(
    "separation in logit",
    e.SeparationError,
    "separated",
    "Drop or merge",
    "label more",
    model="logit",
    formula="vote ~ z",
    surrogates={"vote": "vote_llm"},
    alter={"vote": separated},
)
simple(
    "separation in probit",
    e.SeparationError,
    "separated",
    "Drop or merge",
    model="probit",
    formula="vote ~ z",
    surrogates={"vote": "vote_llm"},
    alter={"vote": separated},
)
simple(
    "quasi-separation by a category",
    e.SeparationError,
    "separated",
    model="logit",
    formula="vote ~ z + C(mark)",
    surrogates={"vote": "vote_llm"},
    alter={"mark": lambda f: np.where(FULL["vote"] == 1, ROWS % 4 == 0, False) * 1},
)
simple("outcome of a logit that is no 0/1", e.DataError, "'y'", "0 or 1", "Recode", model="logit")
simple(
    "outcome of a logit that is constant",
    e.DataError,
    "'vote'",
    "always 1",
    "Label more",
    model="logit",
    formula="vote ~ z",
    surrogates={"vote": "vote_llm"},
    alter=holed("vote", FRAME["vote"].notna(), 1.0),
)
simple("negative count", e.DataError, "'y'", "negative", "0 or more", model="poisson")
simple("counts all zero", e.DataError, "'y'", "always 0", model="poisson", alter=holed("y", GOLD, 0.0))
simple("unknown model", e.ArgumentError, "model='lm'", "'ols'", model="lm")

# ---- arguments

simple("surrogates is no mapping", e.ArgumentError, "surrogates", "map", surrogates="y_llm")
simple("surrogates is empty", e.ArgumentError, "surrogates", "map", surrogates={})
simple("surrogates of a label are empty", e.ArgumentError, "surrogates['y']", "at least one", surrogates={"y": []})
simple("surrogate of another length", e.ArgumentError, "surrogates['y']", "4 rows", "120", surrogates={"y": np.ones(4)})
simple(
    "several surrogates without a learner",
    e.ArgumentError,
    "'y'",
    "2 surrogates",
    "learner",
    surrogates={"y": ["y_llm", "count_llm"]},
)
simple("formula without outcome", e.FormulaError, "'~ z'", "outcome", formula="~ z")
simple("formula without covariates", e.FormulaError, "nothing to estimate", formula="y ~ 0")
simple("formula that cannot be read", e.FormulaError, "'y ~ z +* size'", "cannot be read", formula="y ~ z +* size")
simple("power of a column", e.FormulaError, "'z**2'", "'z' itself", "I(z**2)", formula="y ~ size + z**2")
simple(
    "power of a quoted column",
    e.FormulaError,
    "I(`a b`**3)",
    formula="y ~ z + `a b`^3",
    data=FRAME.assign(**{"a b": 1.0}),
)
simple("category as in R", e.FormulaError, "'y ~ as.factor(size)'", "C(size)", formula="y ~ as.factor(size)")
simple("category as in R, too", e.FormulaError, "'factor'", "C(column)", formula="y ~ factor(size)")
simple("all other columns", e.FormulaError, "name the covariates", formula="y ~ .")
simple("fixed effects of single rows", e.DataError, "alone in z", "single row", "label others.", formula="y ~ size | z")
simple("one constant beside the intercept", e.DataError, "size are constant", alter={"size": lambda f: 3.0},
       formula="y ~ z + size")  # fmt: skip
simple("numbers without digits left", e.DataError, "size are constant as far as", "subtract a number",
       alter={"size": lambda f: 2**50 + ROWS}, formula="y ~ z + size")  # fmt: skip
simple("function over labels of other rows", e.FormulaError, "labels of other rows", "fixed numbers",
       formula="size ~ f(y)", context={"f": lambda v: v - v.mean()})  # fmt: skip
simple("outcome over labels of other rows", e.FormulaError, "labels of other rows",
       formula="f(y) ~ size", context={"f": lambda v: v / v.max()})  # fmt: skip
simple("module that formulas do not know", e.FormulaError, "context={'pd': pd}", formula="y ~ pd.cut(z, 3)")
simple("comparison by itself", e.FormulaError, "I(z == 1)", formula="y ~ (z == 1) + size")
simple("seed that is a list", e.ArgumentError, "seed=[1, 2]", "whole number", seed=[1, 2])
simple("context that is no mapping", e.ArgumentError, "context=", "{'f': f}", context=3)
simple("flag that is a word", e.ArgumentError, "compare='no'", "True, False", compare="no")
simple("exposure of counts", e.ArgumentError, "offset(np.log(exposure))", exposure="size")
simple("mean of classes", e.FormulaError, "I(topic ==", "kt.shares", model="mean", formula="topic ~ 1",
       surrogates={"topic": "topic_llm"})  # fmt: skip
simple("a table for a word", e.ArgumentError, "tuning=", "choose one of", tuning=FRAME)


@case("mapping of single values", e.ArgumentError, "give each column a list")
def _():
    fit().predict({"z": 1.0})


@case("bootstrap of no function", e.ArgumentError, "statistic='mean'", "lambda")
def _():
    kt.bootstrap("mean", FRAME, surrogates={"y": "y_llm"})


@case("bootstrap of a function of one argument", e.ArgumentError, "two arguments", "lambda")
def _():
    kt.bootstrap(lambda t: t["y"].mean(), FRAME, surrogates={"y": "y_llm"})


@case("kappa of labels", e.DataError, "codes of classes", "karat.labels.agreement")
def _():
    kt.labels.cohen_kappa(["a", "b"], ["a", "a"], 2)


@case("alpha of labels", e.DataError, "counts must be", "karat.labels.agreement")
def _():
    kt.labels.krippendorff_alpha([["a", "b"], ["a", "a"]])


@case("events of units treated in 0", e.DataError, "never treated", "not 0")
def _():
    frame = pd.DataFrame({"y": 1.0, "u": ROWS // 4, "t": ROWS % 4, "g": (ROWS % 8 < 4) * 2})
    kt.did("y", frame, unit="u", time="t", cohort="g")


simple("formula is no text", e.FormulaError, "int", "such as", formula=3)
simple("two outcomes", e.FormulaError, "exactly one outcome", formula="y + vote ~ z")
simple("an effect that is no column", e.FormulaError, "C(author)", "state + year", formula="y ~ z | C(author)")
simple("instruments", e.FormulaError, "first stage", "write it once", formula="y ~ z | author | z ~ words")
simple(
    "a labelled fixed effect",
    e.ArgumentError,
    "'stance'",
    "C(stance)",
    formula="y ~ z | stance",
    surrogates={"stance": "stance_llm"},
    data=KNOWN,
)
simple("a covariate the effects hold", e.DataError, "within author", "drop them", formula="y ~ z + I(author) | author")
simple(
    "scale of a label",
    e.FormulaError,
    "'scale(stance)'",
    "fixed numbers",
    formula="y ~ scale(stance)",
    surrogates={"stance": "stance_llm"},
    data=KNOWN,
)
simple(
    "offset of a label",
    e.KaratError,
    "offset",
    "stance",
    formula="y ~ z + offset(stance)",
    surrogates={"stance": "stance_llm"},
    data=KNOWN,
)
simple(
    "column named like a function", e.KaratError, "'C'", "rename", formula="y ~ C + z", alter={"C": lambda f: f["size"]}
)
simple("data is no table", e.ArgumentError, "data", "list", "table", data=[1, 2])
simple("data is a path to another kind of file", e.ArgumentError, "corpus.csv", ".parquet", data="corpus.csv")
simple("data is a single column", e.ArgumentError, "Series", "table", data=FRAME["z"])
simple("unknown learner", e.ArgumentError, "learner='gpt'", "'linear'", "scikit-learn", learner="gpt")
simple("learner is a class", e.ArgumentError, "learner", "dict()", learner=dict)
simple("folds of another length", e.ArgumentError, "folds", "one value per row", learner="linear", folds=np.zeros(5))
simple("features without a learner", e.ArgumentError, "features=", "learner", features="size")
simple("one fold", e.ArgumentError, "folds=1", "at least 2", learner="linear", folds=1)
simple("no repeats", e.ArgumentError, "repeats=0", "at least 1", learner="linear", repeats=0)
simple("vcov needs clusters", e.ArgumentError, "'CRV1'", "{'CRV1': 'column'}", vcov="CRV1")
simple("vcov ignores clusters", e.ArgumentError, "'HC3'", "cluster=", vcov="HC3", cluster="author")
simple("two clusters", e.ArgumentError, "vcov", "cluster=", "one of them", vcov={"CRV1": "author"}, cluster="region")
simple("two kinds of covariance", e.ArgumentError, "vcov", "one entry", vcov={"CRV1": "author", "CRV3": "author"})
simple("HC by cluster", e.ArgumentError, "vcov", "'CRV1'", vcov={"HC1": "author"})
for argument, value in (
    ("vcov", "HC9"), ("tuning", "best"), ("estimator", "magic"), ("imputation", "mode"), ("combine", "sum"),
    ("target", "moon"), ("missing", "keep"), ("df", "residual"), ("df", -3),
):  # fmt: skip
    simple(f"{argument}={value}", e.ArgumentError, f"{argument}={value!r}", "not allowed", **{argument: value})
for value in (0, 1, 1.5, -0.1, "5%", np.nan):
    simple(f"alpha={value}", e.ArgumentError, f"alpha={value!r}", "above 0 and below 1", alpha=value)
simple("finite target without gold", e.ArgumentError, "target='finite'", "gold", target="finite", estimator="surrogate")


class Broken(BaseEstimator):
    """A learner of the user that fails."""

    def __init__(self, how="fit"):
        self.how = how

    def fit(self, x, y):
        if self.how == "fit":
            raise RuntimeError("out of tokens")
        return self

    def predict(self, x):
        return np.full(len(x), np.nan)


simple("learner that cannot be fitted", e.LearnerError, "Broken", "'y'", "out of tokens", learner=Broken())
simple(
    "learner that predicts nothing", e.LearnerError, "Broken", "'y'", "missing or infinite", learner=Broken("predict")
)


@case("classifier of a number", e.LearnerError, "LogisticRegression", "'y' is a number", "regressor")
def _():
    from sklearn.linear_model import LogisticRegression

    fit(learner=LogisticRegression())


@case("regressor of three classes", e.LearnerError, "LinearRegression", "'topic'", "3 classes", "classifier")
def _():
    from sklearn.linear_model import LinearRegression

    data = FRAME.assign(y=FULL["y"])
    fit(formula="y ~ topic", data=data, surrogates={"topic": "topic_llm"}, learner=LinearRegression())


@case("non-convergence", e.ConvergenceError, "did not converge", "label more")
def _():
    from unittest import mock

    from karat.estimate.root import newton

    with mock.patch.object(newton, "__defaults__", (1,)):  # one iteration at most
        fit(
            "poisson",
            "count ~ z + size",
            surrogates={"count": "count_llm"},
            alter={"count": lambda f: f["count"].where(GOLD)},
        )


@case("cluster column of with_vcov", e.ArgumentError, "'author'", "array")
def _():
    fit().with_vcov({"CRV1": "author"})


@case("cluster values of with_vcov", e.ArgumentError, "cluster", "120")
def _():
    fit().with_vcov({"CRV1": np.arange(7)})


@case("mean of a formula", e.ArgumentError, "variable", "by=")
def _():
    kt.mean("y ~ z", FRAME, surrogates={"y": "y_llm"})


@case("mean by an unknown column", e.DataError, "by", "'regoin'", "'region'")
def _():
    kt.mean("y", FRAME, surrogates={"y": "y_llm"}, by="regoin")


@pytest.mark.filterwarnings("ignore::karat.errors.KaratWarning", "ignore:divide by zero:RuntimeWarning")
@pytest.mark.parametrize("name", CASES)
def test_refused(name):
    call, error, words, _ = CASES[name]
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert isinstance(caught.value, kt.KaratError)
    assert [word for word in words if word not in message] == [], message
    assert len(message) < 700
    assert "\x1b" not in message


# ---- what is mended rather than refused --------------------------------------------------------------------


def test_missing_covariates_are_dropped_and_counted():
    frame = FRAME.assign(z=FRAME["z"].mask(ROWS < 4), size=FRAME["size"].mask((ROWS > 1) & (ROWS < 9)))
    found = fit(formula="y ~ z + size", data=frame)
    assert found.sampling.dropped == {"size": 7, "z": 4}
    assert found.n_units == 120 - 9
    assert "size: 7" in str(found.summary())
    assert "z: 4" in found.summary()._repr_html_()
    assert found.glance()["n_dropped"].iloc[0] == 9
    stay = frame.iloc[9:]
    again = fit(formula="y ~ z + size", data=stay, design=kt.Bernoulli(0.5))
    with_design = fit(formula="y ~ z + size", data=frame, design=kt.Bernoulli(0.5))
    np.testing.assert_array_equal(with_design.theta, again.theta)


def test_missing_weights_and_clusters_are_dropped_and_counted():
    frame = FRAME.assign(weight=FRAME["weight"].mask(ROWS < 4), author=FRAME["author"].astype(float).mask(ROWS > 116))
    found = fit(data=frame, weights="weight", cluster="author")
    assert found.sampling.dropped == {"weights=": 4, "cluster=": 3}
    assert found.n_units == 113


def test_duplicate_index_does_no_harm():
    frame = FRAME.set_axis(np.zeros(120, dtype=int), axis=0)
    for learner in (None, "linear"):
        options = {"learner": learner, "seed": 1, "compare": True, "cluster": "author", "weights": "weight"}
        options |= {} if learner is None else {"features": "size"}
        one, other = fit(data=frame, **options), fit(**options)
        np.testing.assert_array_equal(one.theta, other.theta)
        np.testing.assert_array_equal(one.covariance, other.covariance)


def test_surrogate_that_cannot_stand_for_the_label_still_serves_a_learner():
    frame = FRAME.assign(llm=FRAME["y_llm"].mask(ROWS % 7 == 0), y=FRAME["y"])
    found = fit(data=frame, surrogates={"y": "llm"}, learner="linear", seed=1, compare=True)
    assert [c.title for c in found.compare().columns] == ["Gold only", "DSL"]
    assert "missing" in str(found.compare())
