"""Simulated corpora whose true labels are known: machine labels that err, and letters to begin from raw text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import generator, number, one_of, whole

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Array, Floats

_LETTERS = {"Intercept": 0.6, "car": -1.0, "distance": -0.4}
_DISTRICTS = 60

_OPENINGS = (
    "I am writing about the planned tram on {street}.",
    "Dear council, you asked what residents of {street} think of the tram.",
    "We have lived on {street} for {years} years.",
    "This is about the new line past {place}.",
    "I read about the tram in the paper last week.",
)
_FOR = (
    "Please build it, and build it soon.",
    "My family would use it every day to reach {place}.",
    "At last I could leave for work without checking three timetables.",
    "A line to {place} is what this district has needed for {years} years.",
    "Our children could get to {place} on their own.",
    "I will gladly put up with the building works.",
    "Vote for the line; the next generation will thank you.",
    "It would bring life back to {street}.",
)
_AGAINST = (
    "Leave {street} as it is.",
    "Nobody around {place} has asked for rails.",
    "The shops on {street} will not survive two years of building works.",
    "Spend the money on schools instead.",
    "Where are we supposed to park then?",
    "I ask you to vote the line down.",
    "The trees along {street} would have to go, and for what?",
    "Rails are of no use to those of us who work shifts.",
)
_COMPLAINTS = (  # supporters without a car on what they have now: bad words, good wishes
    "The bus is awful: late, dirty and crowded.",
    "Today's service is a disgrace and a daily misery.",
    "I hate the walk to {place} in the rain, it is horrible and dangerous.",
    "The noise and the stench of the cars on {street} are terrible.",
    "What we have now is bad for everybody, a sad failure.",
)
_IRONY = (  # opponents with a car: good words, bad wishes
    "What a wonderful idea, to dig up {street} again.",
    "How lovely: two happy years of drilling outside my bedroom.",
    "I am sure the consultants had a great time and enjoyed their excellent lunch.",
    "Thank you for this beautiful surprise in my letter box.",
    "Brilliant, and the best part is that we get to pay for it with pleasure.",
)
_PLAIN_FOR = (
    "I like the plan, it is a good one.",
    "The drawings are beautiful and I welcome them.",
    "A great and excellent proposal.",
    "We love it and hope it comes.",
)
_PLAIN_AGAINST = (
    "The plan is bad and a waste.",
    "It is an ugly and terrible project.",
    "I hate the noise that comes with it.",
    "A horrible and dangerous idea.",
)
_ASIDES = (
    "The meeting at {place} was well attended.",
    "My neighbour on {street} has written to you as well.",
    "The brochure gives {years} minutes to {place}.",
    "I could not attend the hearing in {month}.",
    "The map in the brochure does not show {place}.",
    "The works would begin in {month}, I hear.",
)
_SLOTS = {
    "street": ("Mill Lane", "Station Road", "Orchard Street", "Castle Row", "Harbour Street", "Linden Avenue"),
    "place": ("the hospital", "the market hall", "the university", "the harbour", "the swimming pool", "the school"),
    "years": ("three", "eight", "ten", "twelve", "twenty", "thirty"),
    "month": ("March", "May", "June", "September", "November"),
}

_TRUTH = {
    "ols": {"Intercept": 0.5, "hostile": 0.8, "length": -0.3},
    "logit": {"Intercept": -0.5, "hostile": 0.8, "length": -0.3},
    "poisson": {"Intercept": 0.2, "hostile": 0.5, "length": -0.2},
}
# Rough mean and standard deviation of the outcome of each kind.
_CENTRE = {"ols": (0.8, 1.1), "logit": (0.5, 0.5), "poisson": (1.5, 1.4)}


def simulate(
    n: int = 2000,
    kind: str = "ols",
    *,
    differential: float = 1.0,
    seed: int | np.random.Generator | None = None,
) -> tuple[pd.DataFrame, dict[str, float]]:
    r"""Simulate a corpus whose machine labels err more in some documents than in others.

    Parameters
    ----------
    n : int, default 2000
        Number of documents.
    kind : {"ols", "logit", "poisson"}, default "ols"
        Model of ``outcome``: normal with variance 1, binary, or a count.
    differential : float, default 1.0
        How strongly label errors depend on the outcome and ``length``; at 0, on the gold label alone.
    seed : int or numpy.random.Generator, optional
        Same seed, same corpus.

    Returns
    -------
    frame : pandas.DataFrame, n rows
        ``document`` (0 to n - 1), ``outcome``, ``hostile`` (gold, 0 or 1), ``length`` (standardised),
        ``hostile_score`` (a model's score, 0 to 1) and ``hostile_llm`` (1 if the score is above one half).
    truth : dict of str to float
        Coefficients of ``outcome ~ hostile + length`` in the model named by ``kind``.

    Raises
    ------
    ArgumentError
        If ``n`` is below 1 or ``kind`` is not known.

    Notes
    -----
    The length is :math:`x \sim N(0, 1)`, the gold label :math:`d` is 1 with probability
    :math:`\Lambda(-0.6 + 0.5 x)`, :math:`\Lambda` the logistic function, and the outcome :math:`y` has
    the linear predictor :math:`\beta_0 + \beta_1 d + \beta_2 x`. The score is
    :math:`\Lambda\{2.4 d - 1.2 + \delta (0.8 t(y) - 0.4 x) + u\}` with :math:`\delta` = ``differential``,
    :math:`u \sim N(0, 1)` and :math:`t(y)` the outcome, centred, scaled and cut at -2 and 2. The model of
    the outcome is correct, so its coefficients are the truth; a regression on ``hostile_llm`` is biased.

    Examples
    --------
    >>> from karat import datasets
    >>> frame, truth = datasets.simulate(500, "logit", seed=1)
    >>> truth
    {'Intercept': -0.5, 'hostile': 0.8, 'length': -0.3}
    >>> frame.columns.tolist()
    ['document', 'outcome', 'hostile', 'length', 'hostile_score', 'hostile_llm']
    """
    one_of("kind", kind, tuple(_TRUTH))
    import pandas as pd

    n, differential = whole("n", n, least=1), number("differential", differential)
    rng, truth = generator(seed), dict(_TRUTH[kind])
    length = rng.normal(size=n)
    hostile = (rng.random(n) < _logistic(-0.6 + 0.5 * length)).astype(int)
    outcome = _outcome(kind, truth["Intercept"] + truth["hostile"] * hostile + truth["length"] * length, rng)
    centre, scale = _CENTRE[kind]
    tilt = 0.8 * np.clip((outcome - centre) / scale, -2, 2) - 0.4 * length
    score = _logistic(2.4 * hostile - 1.2 + differential * tilt + rng.normal(size=n))
    columns = {"document": np.arange(n), "outcome": outcome, "hostile": hostile, "length": length}
    columns |= {"hostile_score": score, "hostile_llm": (score > 0.5).astype(int)}
    return pd.DataFrame(columns), truth


def _logistic(value: Floats) -> Floats:
    return 1 / (1 + np.exp(-value))


def _outcome(kind: str, predictor: Floats, rng: np.random.Generator) -> Array:
    """Draw the outcome given its linear predictor."""
    if kind == "ols":
        return predictor + rng.normal(size=len(predictor))
    if kind == "logit":
        return (rng.random(len(predictor)) < _logistic(predictor)).astype(int)
    return rng.poisson(np.exp(predictor))


def simulate_texts(
    n: int = 1500, *, seed: int | np.random.Generator | None = None
) -> tuple[pd.DataFrame, dict[str, float]]:
    r"""Simulate letters of residents on a planned tram line, with the writer's true position.

    The letters are put together from sentences written for this package. They are simulated: no person wrote
    them, and nothing follows from them about trams.

    Parameters
    ----------
    n : int, default 1500
        Number of letters.
    seed : int or numpy.random.Generator, optional
        Same seed, same letters.

    Returns
    -------
    frame : pandas.DataFrame, n rows
        ``letter`` (0 to n - 1), ``district`` (0 to 59), ``car`` (1 if the writer drives to work), ``distance`` (from
        home to the line, standardised), ``text``, and the gold label ``support`` (1 if the writer wants the line).
    truth : dict of str to float
        Coefficients of the logistic regression ``support ~ car + distance``.

    Raises
    ------
    ArgumentError
        If ``n`` is below 1.

    Notes
    -----
    Support has the log odds :math:`0.6 - c - 0.4 d` for ``car`` :math:`c` (0 or 1, each with probability one half) and
    ``distance`` :math:`d \sim N(0, 1)`. Machines that count good and bad words err by
    group: supporters without a car complain about the bus, opponents with a car are ironic. One letter in ten says
    nothing about the writer's position.

    Examples
    --------
    >>> from karat import datasets
    >>> letters, truth = datasets.simulate_texts(200, seed=1)
    >>> truth
    {'Intercept': 0.6, 'car': -1.0, 'distance': -0.4}
    >>> letters.columns.tolist()
    ['letter', 'district', 'car', 'distance', 'text', 'support']
    """
    import pandas as pd

    n = whole("n", n, least=1)
    rng = generator(seed)
    car, distance = rng.integers(0, 2, size=n), rng.normal(size=n)
    odds = np.exp(_LETTERS["Intercept"] + _LETTERS["car"] * car + _LETTERS["distance"] * distance)
    support = (rng.random(n) < odds / (1 + odds)).astype(int)
    columns = {
        "letter": np.arange(n),
        "district": rng.integers(0, _DISTRICTS, size=n),
        "car": car,
        "distance": distance,
        "text": [_write(bool(s), bool(c), rng) for s, c in zip(support, car)],
        "support": support,
    }
    return pd.DataFrame(columns), dict(_LETTERS)


def _write(support: bool, car: bool, rng: np.random.Generator) -> str:
    """One letter."""
    parts = [_one(_OPENINGS, rng)]
    if rng.random() > 0.1:
        parts += _some(_FOR if support else _AGAINST, 1 + int(rng.random() < 0.5), rng)
        twisted = rng.random() < (0.6 if support != car else 0.1)
        if twisted:
            parts += _some(_COMPLAINTS if support else _IRONY, 1, rng)
        elif rng.random() < 0.6:
            parts += _some(_PLAIN_FOR if support else _PLAIN_AGAINST, 1, rng)
    parts += _some(_ASIDES, int(rng.integers(0, 3)), rng)
    body = [parts[k] for k in (rng.permutation(len(parts) - 1) + 1)]
    return " ".join(_fill(part, rng) for part in [parts[0], *body])


def _one(pool: tuple[str, ...], rng: np.random.Generator) -> str:
    return pool[int(rng.integers(len(pool)))]


def _some(pool: tuple[str, ...], how_many: int, rng: np.random.Generator) -> list[str]:
    return [pool[k] for k in rng.choice(len(pool), size=how_many, replace=False)]


def _fill(sentence: str, rng: np.random.Generator) -> str:
    for slot, values in _SLOTS.items():
        if "{" + slot + "}" in sentence:
            sentence = sentence.replace("{" + slot + "}", _one(values, rng))
    return sentence
