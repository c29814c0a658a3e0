import warnings
from pathlib import Path

import matplotlib as mpl
import pytest

import karat as kt

from . import corpora, profiles

mpl.use("Agg")
profiles.load()


SLOW = frozenset((Path(__file__).parent / "slow.txt").read_text().split())
SLOW_ROOMS = ("tests/statistical/", "tests/test_vignettes.py")


def pytest_collection_modifyitems(items):
    """Mark what ``make test`` leaves to ``make test-slow``."""
    for item in items:
        name = item.nodeid.split("[")[0]
        if name in SLOW or name.startswith(SLOW_ROOMS):
            item.add_marker("slow")


@pytest.fixture
def quiet():
    """Samples of a test are small on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kt.errors.SmallSampleWarning)
        yield


@pytest.fixture(scope="session")
def corpus():
    return corpora.corpus(400, seed=11)


@pytest.fixture(scope="session")
def labelled(corpus):
    """Gold stance in 150 of 400 documents."""
    sample = kt.SimpleRandom(150).draw(corpus, seed=5)
    return corpora.masked(corpus, sample.labelled, "stance")


@pytest.fixture(scope="session")
def fit(labelled):
    return kt.ols("y ~ stance + z + size", labelled, surrogates={"stance": "stance_llm"}, seed=3)
