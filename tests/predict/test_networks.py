"""Torch networks: together as alone, the scikit-learn face, heads against their formulas, bad input."""

import pickle

import numpy as np
import pytest
import torch
from scipy.stats import laplace
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils.estimator_checks import parametrize_with_checks

import karat as kt
from karat.errors import ArgumentError, DataError, LearnerError
from karat.predict import TorchClassifier, TorchRegressor
from karat.predict.networks.fit import Problem, fit_networks
from karat.predict.networks.heads import class_head
from karat.predict.networks.layout import Layout
from karat.predict.networks.linear import linear_start
from karat.predict.networks.number_heads import number_head
from karat.predict.networks.rows import DROP, Rows, hold_out, keep_units, stream
from karat.predict.networks.settings import Settings, find_device
from karat.predict.networks.train import Objective, train

from .. import corpora

CHECKED = [TorchClassifier(), TorchRegressor()]


@parametrize_with_checks(CHECKED)
def test_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 5))
    score = x[:, 0] - x[:, 1] + 2.0 * (x[:, 2] * x[:, 3] > 0) - 1.0
    return x, score, rng


def problem(head, x, target, networks=6, weight=None, seed=0):
    """Training sets of different sizes, so that networks take different numbers of steps."""
    rng = np.random.default_rng(seed)
    rows = tuple(np.flatnonzero(rng.random(len(x)) < share) for share in np.linspace(0.5, 0.95, networks))
    weight = np.ones(len(x)) if weight is None else weight
    return Problem(head, x, target, weight, rows, tuple(range(10, 10 + networks)))


def heads(x, score):
    rng = np.random.default_rng(1)
    three = np.digitize(score + rng.logistic(size=len(x)), [-1, 1])
    counts = rng.poisson(np.exp(0.4 * score)).astype(float)[:, None]
    yield class_head(2, False), np.eye(2)[(score > 0).astype(int)]
    yield class_head(3, False), np.eye(3)[three]
    yield class_head(3, True), np.eye(3)[three]
    for name in ("squared", "gaussian", "huber", "poisson", "laplace", "bitwise"):
        yield number_head(name, counts), counts


# ---- together as alone -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dropout": 0.3, "hidden": (8, 8)},
        {"early_stopping": False, "max_epochs": 3},
        {"refit": False},
        {"hidden": ()},
    ],
)
def test_networks_together_are_networks_alone(data, options):
    x, score, _ = data
    target = np.eye(2)[(score > 0).astype(int)]
    settings = Settings(**{"hidden": (8,), "max_epochs": 12, "batch_size": 32} | options)
    whole = problem(class_head(2, False), x, target, weight=np.random.default_rng(2).uniform(0.5, 2, len(x)))
    together = fit_networks(whole, settings)
    alone = [fit_networks(whole.one(m), settings) for m in range(6)]
    assert together.epochs.tolist() == [int(a.epochs[0]) for a in alone]
    if settings.early_stopping and settings.hidden:
        assert len(set(together.epochs.tolist())) > 1
    np.testing.assert_allclose(together.mean(x), np.concatenate([a.mean(x) for a in alone]), atol=2e-6)


def test_every_head_together_as_alone(data):
    x, score, _ = data
    settings = Settings(hidden=(6,), max_epochs=4, precision="float64")
    for head, target in heads(x, score):
        whole = problem(head, x, target, networks=3)
        together = fit_networks(whole, settings)
        alone = np.concatenate([fit_networks(whole.one(m), settings).mean(x) for m in range(3)])
        np.testing.assert_allclose(together.mean(x), alone, rtol=1e-4, atol=1e-5, err_msg=type(head).__name__)


def test_networks_of_one_seed_do_not_touch_each_other(data):
    """Changing one network's training rows leaves the others' numbers alone."""
    x, score, _ = data
    whole = problem(class_head(2, False), x, np.eye(2)[(score > 0).astype(int)], networks=3)
    fewer = (whole.rows[0], whole.rows[1][::2], whole.rows[2])
    other = Problem(whole.head, whole.x, whole.target, whole.weight, fewer, whole.seeds)
    settings = Settings(hidden=(8,), max_epochs=8)
    before, after = fit_networks(whole, settings).mean(x), fit_networks(other, settings).mean(x)
    np.testing.assert_allclose(after[[0, 2]], before[[0, 2]], atol=1e-6)
    assert np.abs(after[1] - before[1]).max() > 1e-3


def test_training_keeps_the_best_epoch(data):
    """The held-out loss of what is kept is the least of all epochs, the start included."""
    x, score, _ = data
    target = np.eye(2)[(score > 0).astype(int)]
    head, layout = class_head(2, False), Layout(5, (16,), 1)
    features = torch.from_numpy(x)
    into, out = [np.arange(0, 200)] * 2, [np.arange(200, 300)] * 2
    start = torch.from_numpy(layout.start([1, 2])).double()
    rows, held = (Rows.gather(features, target, np.ones(300), r) for r in (into, out))
    objective = Objective(head, {})

    def loss(flat):
        with torch.no_grad():
            return objective.held_out(layout.forward(layout.views(flat), held.features()), None, held, None).mean(dim=1)

    settings = Settings(max_epochs=25, patience=100, learning_rate=0.03)
    kept = train(layout, start, rows, objective, [1, 2], settings, held=held)
    path = [loss(start)]
    path += [loss(train(layout, start, rows, objective, [1, 2], settings, epochs=[e, e]).flat) for e in range(1, 26)]
    path = torch.stack(path)
    np.testing.assert_allclose(loss(kept.flat), path.min(dim=0).values, atol=1e-9)
    assert kept.epochs.tolist() == path.argmin(dim=0).tolist()


def test_adam_is_torchs(data):
    """One network, all rows at once, no decay: the same path as torch.optim.Adam."""
    x, score, _ = data
    layout = Layout(5, (4,), 1)
    target = np.eye(2)[(score > 0).astype(int)]
    start = torch.from_numpy(layout.start([3])).double()
    rows = Rows.gather(torch.from_numpy(x), target, np.ones(300), [np.arange(300)])
    settings = Settings(batch_size=300, weight_decay=0.0, learning_rate=0.01)
    ours = train(layout, start, rows, Objective(class_head(2, False), {}), [3], settings, epochs=[20]).flat
    parameters = {k: v.clone().requires_grad_() for k, v in layout.views(start).items()}
    optimiser = torch.optim.Adam(parameters.values(), lr=0.01)
    for _ in range(20):
        optimiser.zero_grad()
        logit = layout.forward(parameters, torch.from_numpy(x)[None])[0, :, 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logit, torch.from_numpy(target[:, 1]))
        loss.backward()
        optimiser.step()
    theirs = torch.cat([p.detach().flatten(1) for p in parameters.values()], dim=1)
    np.testing.assert_allclose(ours, theirs, atol=1e-10)


# ---- the linear start --------------------------------------------------------------------------------------


def standard(x):
    return (x - x.mean(axis=0)) / x.std(axis=0)


@pytest.mark.parametrize("wide", [False, True])
def test_linear_start_is_penalised_regression(wide):
    rng = np.random.default_rng(4)
    n, p = (40, 90) if wide else (200, 5)
    x = rng.standard_normal((n, p))
    y = x[:, 0] + rng.standard_normal(n)
    z = standard(x)
    options = {"max_epochs": 0, "penalty": 2.0, "early_stopping": False, "precision": "float64"}
    found = TorchRegressor(**options).fit(x, y).predict(x)
    np.testing.assert_allclose(found, Ridge(alpha=2.0).fit(z, y).predict(z), rtol=1e-5, atol=1e-6)
    found = TorchClassifier(calibrate=False, **options).fit(x, y > 0).predict_proba(x)
    theirs = LogisticRegression(C=0.5, tol=1e-12, max_iter=5000).fit(z, y > 0).predict_proba(z)
    np.testing.assert_allclose(found, theirs, atol=2e-5)
    three = np.digitize(y, [-0.5, 0.5])
    found = TorchClassifier(calibrate=False, **options).fit(x, three).predict_proba(x)
    theirs = LogisticRegression(C=0.5, tol=1e-12, max_iter=5000).fit(z, three).predict_proba(z)
    np.testing.assert_allclose(found, theirs, atol=3e-3)


def test_linear_start_minimises_its_objective(data):
    """Whatever the head: the gradient in the slopes is zero."""
    x, score, _ = data
    features = torch.from_numpy(x)[None]
    for head, target in heads(x, score):
        weight = np.ones(len(x))
        scales = head.scales(target, weight)
        begin, extra = head.begin(target, weight, scales)
        held = {k: torch.from_numpy(v)[None, None] for k, v in scales.items()}
        spare = torch.from_numpy(extra)[None, None] if head.n_extra else None
        t = torch.from_numpy(target)[None]
        slope, intercept = linear_start(
            head, features, t, torch.ones(1, 300).double(), torch.from_numpy(begin)[None], spare,
            torch.full((5,), 3.0).double(), held,
        )  # fmt: skip
        slope.requires_grad_()
        value = head.loss(features @ slope + intercept, spare, t, held).sum() + 1.5 * slope.square().sum()
        (gradient,) = torch.autograd.grad(value, slope)
        assert gradient[..., : head.starts_at()].abs().max() < 0.05, type(head).__name__


# ---- heads -------------------------------------------------------------------------------------------------


def test_ordinal_head_is_cumulative_logits():
    head = class_head(4, True)
    out = torch.tensor([[[0.3], [-2.0]]]).double()
    extra = torch.tensor([[[-1.0, 0.5, 0.2]]]).double()
    gap = np.log1p(np.exp([0.5, 0.2])) + 1e-6
    cut = np.concatenate([[-1.0], -1.0 + np.cumsum(gap)])
    below = 1 / (1 + np.exp(-(cut - out.numpy()[0])))
    expected = np.diff(np.column_stack([np.zeros(2), below, np.ones(2)]), axis=1)
    np.testing.assert_allclose(head.log_probability(out, extra).exp()[0], expected, atol=1e-12)


def test_laplace_head_is_a_rounded_laplace_distribution():
    head = number_head("laplace", np.array([[0.0], [4.0]]))
    scales = {"centre": torch.tensor([[[2.3]]]).double(), "spread": torch.tensor([[[1.5]]]).double()}
    out = torch.tensor([[[0.4, -0.3], [-3.0, 0.2], [1.0, 1.1]]]).double()
    location, scale = 2.3 + 1.5 * out[0, :, :1].numpy(), 1.5 * np.exp(out[0, :, 1:].numpy())
    support = np.arange(400)
    upper = laplace.cdf(support + 0.5, location, scale)
    expected = np.diff(np.column_stack([np.zeros(3), upper]), axis=1)
    found = head.probability(out, scales, torch.from_numpy(support))[0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-7)
    np.testing.assert_allclose(head.mean(out, None, scales)[0], expected @ support, atol=1e-6)
    y = torch.tensor([[[1.0], [0.0], [7.0]]]).double()
    loss = head.loss(out, None, y, scales)[0].numpy()
    np.testing.assert_allclose(loss, -np.log(expected[np.arange(3), [1, 0, 7]]), rtol=1e-6)


def test_bitwise_head_is_a_product_of_bernoullis():
    head = number_head("bitwise", np.array([[3.0], [9.0]]))
    assert head.n_outputs == 3
    scales = {"low": torch.tensor([[[3.0]]]).double(), "used": torch.ones(1, 1, 3).double()}
    out = torch.tensor([[[0.4, -0.3, 1.0]]]).double()
    p = 1 / (1 + np.exp(-out.numpy()[0, 0]))
    expected = np.array([np.prod([p[b] if j >> b & 1 else 1 - p[b] for b in range(3)]) for j in range(8)])
    support = torch.arange(1, 13)
    found = head.probability(out, scales, support)[0, 0].numpy()
    np.testing.assert_allclose(found, [0, 0, *expected, 0, 0], atol=1e-12)
    assert head.mean(out, None, scales).item() == pytest.approx(expected @ np.arange(3, 11))
    assert head.loss(out, None, torch.tensor([[[8.0]]]).double(), scales).item() == pytest.approx(-np.log(expected[5]))


def test_soft_targets_are_weighted_hard_ones(data):
    """A distribution as target is one weighted row for each class or number."""
    x, _, _ = data
    x = x[:30]
    rng = np.random.default_rng(3)
    soft = rng.dirichlet(np.ones(3), 30)
    options = {"hidden": (4,), "early_stopping": False, "max_epochs": 5, "batch_size": 200, "random_state": 1}
    rows = np.repeat(np.arange(30), 3)
    whole = TorchClassifier(**options).fit(x, soft).predict_proba(x)
    long = TorchClassifier(**options).fit(x[rows], np.tile(np.arange(3), 30), soft.ravel()).predict_proba(x)
    np.testing.assert_allclose(whole, long, atol=1e-4)
    for name in ("poisson", "laplace", "bitwise"):
        whole = TorchRegressor(distribution=name, **options).fit(x, soft).predict(x)
        long = TorchRegressor(distribution=name, **options).fit(x[rows], np.tile(np.arange(3), 30), soft.ravel())
        np.testing.assert_allclose(whole, long.predict(x), rtol=5e-3, atol=5e-3, err_msg=name)


def test_distributions():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((500, 2))
    counts = rng.poisson(np.exp(0.5 + 0.5 * x[:, 0]))
    for name in ("poisson", "laplace", "bitwise"):
        model = TorchRegressor(distribution=name, random_state=0).fit(x, counts)
        found = model.predict_distribution(x[:50])
        np.testing.assert_allclose(found.probability.sum(axis=1), 1.0, atol=1e-5)
        np.testing.assert_allclose(found.probability @ found.support, model.predict(x[:50]), rtol=1e-4, atol=1e-4)
        assert np.corrcoef(model.predict(x), np.exp(0.5 * x[:, 0]))[0, 1] > 0.85, name
    noise = np.exp(0.8 * x[:, 1])
    y = x[:, 0] + noise * rng.standard_normal(500)
    found = TorchRegressor(distribution="gaussian", random_state=0).fit(x, y).predict_distribution(x)
    assert np.corrcoef(np.log(found.variance), x[:, 1])[0, 1] > 0.6
    y[:25] += 50.0
    robust = TorchRegressor(distribution="huber", random_state=0).fit(x, y).predict(x)
    plain = TorchRegressor(random_state=0).fit(x, y).predict(x)
    assert np.abs(robust - x[:, 0]).mean() < 0.5 * np.abs(plain - x[:, 0]).mean()


# ---- what the options do -----------------------------------------------------------------------------------


def test_it_learns_what_a_line_cannot_and_stays_a_line_where_that_is_right():
    rng = np.random.default_rng(6)
    x = rng.standard_normal((700, 4))
    bent = 2.0 * np.abs(x[:, 0]) + 0.3 * rng.standard_normal(700)
    straight = x[:, 0] + rng.standard_normal(700)
    for y, better in ((bent, 0.5), (straight, 1.03)):
        net = TorchRegressor(random_state=0).fit(x[:300], y[:300])
        line = Ridge(alpha=1.0).fit(x[:300], y[:300])
        error = [((m.predict(x[300:]) - y[300:]) ** 2).mean() for m in (net, line)]
        assert error[0] < better * error[1]


def test_same_seed_same_network_and_pickles(data):
    x, score, _ = data
    model = TorchClassifier(random_state=3, dropout=0.2).fit(x, score > 0)
    again = clone(model).fit(x, score > 0)
    np.testing.assert_array_equal(model.predict_proba(x), again.predict_proba(x))
    np.testing.assert_array_equal(model.predict_proba(x), pickle.loads(pickle.dumps(model)).predict_proba(x))
    other = clone(model).set_params(random_state=4).fit(x, score > 0)
    assert np.abs(other.predict_proba(x) - model.predict_proba(x)).max() > 1e-4


def test_class_balance():
    rng = np.random.default_rng(7)
    x = rng.standard_normal((600, 3))
    y = (x[:, 0] + rng.standard_normal(600) > 1.9).astype(int)
    plain = TorchClassifier(random_state=0).fit(x, y).predict_proba(x)[:, 1].mean()
    assert plain == pytest.approx(y.mean(), abs=0.02)
    for options in ({"class_weight": "balanced"}, {"class_weight": {0: 1, 1: 8}}, {"logit_adjustment": 1.0}):
        assert TorchClassifier(random_state=0, **options).fit(x, y).predict_proba(x)[:, 1].mean() > 1.8 * plain


def test_temperature_mends_overconfidence():
    """Trained long on few rows, probabilities are too sure; the temperature takes that back."""
    rng = np.random.default_rng(8)
    x = rng.standard_normal((2000, 30))
    y = (x[:, 0] + rng.logistic(size=2000) > 0).astype(int)
    loss = {}
    for calibrate in (True, False):
        model = TorchClassifier(penalty=0.01, calibrate=calibrate, random_state=0, refit=False).fit(x[:150], y[:150])
        p = model.predict_proba(x[150:])[np.arange(1850), y[150:]]
        loss[calibrate] = -np.log(p).mean()
    assert loss[True] < loss[False] - 0.02
    assert TorchClassifier(penalty=0.01, random_state=0).fit(x[:150], y[:150]).networks_.scales["temperature"] > 1.1


def test_rows_of_weight_zero_are_no_rows(data):
    x, score, _ = data
    weight = (np.arange(300) % 3 > 0).astype(float)
    some = TorchClassifier(random_state=0).fit(x, score > 0, weight).predict_proba(x)
    kept = TorchClassifier(random_state=0).fit(x[weight > 0], (score > 0)[weight > 0]).predict_proba(x)
    np.testing.assert_array_equal(some, kept)


def test_torch_threads_are_put_back(data):
    x, score, _ = data
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    state = torch.get_rng_state()
    TorchClassifier(max_epochs=1).fit(x, score > 0)
    assert torch.get_num_threads() == 2
    assert torch.equal(torch.get_rng_state(), state)
    torch.set_num_threads(before)


def test_progress_bar_only_when_asked(data, capfd):
    x, score, _ = data
    TorchClassifier(max_epochs=1).fit(x, score > 0)
    assert capfd.readouterr() == ("", "")
    TorchClassifier(max_epochs=1, progress=True).fit(x, score > 0)
    assert "training" in capfd.readouterr().err


def test_draws():
    train_rows, held = hold_out(1, 0.25, np.repeat([0, 1, 2], [100, 60, 40]), 200)
    assert sorted([*train_rows, *held]) == list(range(200))
    np.testing.assert_allclose(np.bincount(np.repeat([0, 1, 2], [100, 60, 40])[held]), [25, 15, 10], atol=1)
    keep = keep_units(stream(1, DROP), (400, 500), 0.25)
    assert (keep == 0).mean() == pytest.approx(0.25, abs=0.005)
    assert keep.mean() == pytest.approx(1.0, abs=0.01)


def test_bfloat16_is_near_float32(data):
    x, score, _ = data
    exact = TorchClassifier(random_state=0, max_epochs=5).fit(x, score > 0).predict_proba(x)
    rough = TorchClassifier(random_state=0, max_epochs=5, precision="bfloat16").fit(x, score > 0).predict_proba(x)
    assert 0 < np.abs(exact - rough).max() < 0.1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_a_gpu_gives_the_numbers_of_the_cpu(data):
    x, score, _ = data
    options = {"random_state": 0, "max_epochs": 5, "precision": "float32"}
    cpu, gpu = (TorchClassifier(device=d, **options).fit(x, score > 0).predict_proba(x) for d in ("cpu", "cuda"))
    np.testing.assert_allclose(gpu, cpu, atol=1e-3)


# ---- bad input ---------------------------------------------------------------------------------------------


def test_missing_features_and_single_class(data):
    x, score, _ = data
    with pytest.raises(ValueError, match="NaN"):
        TorchClassifier().fit(np.where(x > 2, np.nan, x), score > 0)
    with pytest.raises(LearnerError, match="one class"):
        TorchClassifier().fit(x, np.ones(len(x)))
    with pytest.raises(DataError, match="adding up to 1"):
        TorchClassifier().fit(x, np.ones((len(x), 2)))
    with pytest.raises(DataError, match="adding up to 1"):
        TorchRegressor(distribution="poisson").fit(x, np.ones((len(x), 2)))
    with pytest.raises(ArgumentError, match="distribution over whole numbers"):
        TorchRegressor().fit(x, np.full((len(x), 2), 0.5))
    with pytest.raises(DataError, match="not a count"):
        TorchRegressor(distribution="poisson").fit(x, score)
    with pytest.raises(DataError, match="not whole"):
        TorchRegressor(distribution="laplace").fit(x, np.abs(score))
    with pytest.raises(DataError, match="negative"):
        TorchRegressor().fit(x, score, -np.ones(len(x)))
    with pytest.raises(DataError, match="zero in every row"):
        TorchRegressor().fit(x, score, np.zeros(len(x)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu"}, "device='tpu'"), ({"precision": "int8"}, "precision='int8'"), ({"hidden": (0,)}, "hidden"),
        ({"dropout": 1.0}, "dropout=1.0"), ({"patience": 0}, "patience=0"), ({"penalty": -1}, "penalty=-1"),
        ({"learning_rate": "fast"}, "learning_rate='fast'"), ({"class_weight": "even"}, "class_weight='even'"),
        ({"class_weight": 3}, "class_weight"), ({"pretrain": "all"}, "pretrain='all'"),
    ],
)  # fmt: skip
def test_options_out_of_range(data, options, message):
    x, score, _ = data
    with pytest.raises(ArgumentError, match=message):
        TorchClassifier(**options).fit(x, score > 0)


def test_device_that_is_not_there():
    if not torch.cuda.is_available():
        with pytest.raises(ArgumentError, match="device='cuda' is not there"):
            find_device("cuda")
    if not torch.backends.mps.is_available():
        with pytest.raises(ArgumentError, match="device='mps' is not there"):
            find_device("mps")


def test_no_distribution_of_a_centre(data):
    x, score, _ = data
    with pytest.raises(ArgumentError, match="not a distribution"):
        TorchRegressor(max_epochs=0).fit(x, score).predict_distribution(x)


# ---- as a learner ------------------------------------------------------------------------------------------


def test_torch_is_imported_only_when_it_is_used():
    import subprocess
    import sys

    code = (
        "import sys, karat as kt\n"
        "frame, _ = kt.datasets.simulate(400, seed=1)\n"
        "sample = kt.SimpleRandom(n=320).draw(frame, seed=1)\n"
        "data = kt.datasets.mask_gold(frame, sample, 'hostile')\n"
        "fit = kt.ols('outcome ~ hostile', data, surrogates={'hostile': 'hostile_llm'}, seed=1, repeats=1)\n"
        "import karat.predict\n"
        "print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize("label", ["y", "stance", "topic"])
def test_learner_by_name(label):
    frame = corpora.corpus(240, seed=51)
    gold = kt.Bernoulli("pi").draw(frame, seed=6).labelled
    surrogate = {"y": "y_llm", "stance": "stance_prob", "topic": "topic_llm"}[label]
    formula = "y ~ z" if label == "y" else f"y ~ {label} + z"
    options = {"surrogates": {label: surrogate}, "design": kt.Bernoulli("pi"), "seed": 1, "compare": False}
    data = corpora.masked(frame, gold, label)
    fit = kt.ols(formula, data, learner="torch", **options)
    line = kt.ols(formula, data, learner="linear", **options)
    assert fit.skill[0].learner == "torch"
    assert fit.skill[0].r_squared > line.skill[0].r_squared - 0.1
    assert (np.abs(fit.theta - line.theta) < line.se().to_numpy()).all()
    again = kt.ols(formula, data, learner="torch", **options)
    np.testing.assert_array_equal(fit.theta, again.theta)
