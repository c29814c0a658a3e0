"""No answer is paid twice and none is lost: kills, full disks and several processes, for batches and cascades too.

Processes are real and are killed outright; the full disk is a small file system of its own where that can be mounted.
"""

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.annotate import Endpoint, Question, label, submit
from karat.errors import CacheError

from .batch_server import BatchServer
from .server import reply

QUESTION = Question("Is the letter for the tram?", classes=["yes", "no"])
TEXTS = [f"letter {i} p={0.1 + 0.8 * i / 39:.3f} end" for i in range(40)]
BILL = 50 * 2 + 10
"""Price of a request to the server, in millionths."""


@pytest.fixture
def server():
    running = BatchServer()
    yield running
    running.close()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of three megabytes."""
    place = tmp_path / "small"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", place], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def point(server, model="m", **settings):
    given = {"backoff": 0.01, "timeout": 20.0, "retries": 2, "price": (2.0, 10.0), "concurrency": 2}
    return Endpoint(server.url, model, **given | settings)


def spent(folder):
    with sqlite3.connect(folder / "answers.sqlite") as link:
        return link.execute("SELECT SUM(cost) FROM answers").fetchone()[0] / 10**6


def count(folder, where="state = 'answered'"):
    if not (folder / "answers.sqlite").exists():
        return 0
    with sqlite3.connect(folder / "answers.sqlite") as link:
        if not link.execute("SELECT 1 FROM sqlite_master WHERE name = 'answers'").fetchone():
            return 0
        return link.execute(f"SELECT COUNT(*) FROM answers WHERE {where}").fetchone()[0]


def started(code, **names):
    said = "\n".join(f"{name} = {value!r}" for name, value in names.items())
    return subprocess.Popen([sys.executable, "-c", said + "\n" + textwrap.dedent(code)])


def killed_when(process, reached, seconds=60.0):
    """Kill a process outright as soon as something is so; says whether it was still running."""
    until = time.monotonic() + seconds
    while process.poll() is None and not reached() and time.monotonic() < until:
        time.sleep(0.002)
    running = process.poll() is None
    if running:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return running


# ---- batches ---------------------------------------------------------------------------------------------------

SLOWLY = """
    import time
    from karat.annotate import Endpoint, Question, submit
    from karat.annotate.answer_store import AnswerStore
    settle = AnswerStore.settle
    def slowly(self, *arguments, **named):
        settle(self, *arguments, **named)
        time.sleep(0.05)
    AnswerStore.settle = slowly
    question = Question("Is the letter for the tram?", classes=["yes", "no"])
    batch = submit(texts, question, Endpoint(url, "m", price=(2.0, 10.0)), cache=folder, size=25)
    batch.wait(every=0.05).collect()
"""


def test_a_process_killed_while_it_fetches_a_batch(server, tmp_path):
    """Three times, each time a few answers further."""
    submit(TEXTS, QUESTION, point(server), cache=tmp_path, size=25)
    server.work()
    killed = 0
    for least in (3, 11, 28):
        process = started(SLOWLY, texts=TEXTS, url=server.url, folder=str(tmp_path))
        killed += killed_when(process, lambda least=least: count(tmp_path) >= least)
    assert killed == 3
    assert 28 <= count(tmp_path) < 40
    got = submit(TEXTS, QUESTION, point(server), cache=tmp_path, size=25).collect()
    assert got.labelled.all()
    assert len(server.batches) == 2, "nothing was handed in again"
    assert not server.requests, "nor asked directly"
    assert spent(tmp_path) == 40 * BILL


def _at_once(url, folder, barrier, out):
    barrier.wait()
    model = Endpoint(url, "m", price=(2.0, 10.0), backoff=0.01)
    batch = submit(TEXTS, QUESTION, model, cache=folder, size=25)
    out.put(batch.wait(every=0.05).collect().probabilities)


def test_processes_that_hand_in_and_fetch_at_the_same_moment(server, tmp_path):
    spawn = multiprocessing.get_context("spawn")
    barrier, out = spawn.Barrier(3), spawn.Queue()
    children = [spawn.Process(target=_at_once, args=(server.url, tmp_path, barrier, out)) for _ in range(3)]
    for child in children:
        child.start()
    until = time.monotonic() + 60
    while len(server.batches) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.3)
    server.work()
    found = [out.get(timeout=60) for _ in children]
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert len(server.batches) == 2
    assert sorted(server.asked) == sorted(TEXTS)
    assert not server.requests
    assert spent(tmp_path) == 40 * BILL
    assert all((p == found[0]).all() for p in found)


def test_a_disk_that_is_really_full_while_a_batch_is_fetched(server, small_disk):
    """What came is kept as far as there is room; with room again the rest follows, and is fetched, not bought."""
    long = "x" * 100_000  # so that all answers together need four megabytes
    fine = server.answer
    server.answer = lambda line: {"status_code": 200, "body": fine(line)["body"] | {"padding": long}}
    batch = submit(TEXTS, QUESTION, point(server), cache=small_disk)
    server.work()
    with pytest.raises(CacheError, match=r"disk is full|no room"):
        batch.state()
    assert 0 < count(small_disk) < 40
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    got = submit(TEXTS, QUESTION, point(server), cache=small_disk).collect()
    assert got.labelled.all()
    assert len(server.batches) == 1
    assert not server.requests
    assert spent(small_disk) == 40 * BILL
    assert not list(small_disk.glob("*.spill"))


def test_a_disk_that_is_really_full_before_a_batch_is_handed_in(server, small_disk):
    (small_disk / "ballast").write_bytes(bytes(2_950_000))
    with pytest.raises(CacheError):
        submit(TEXTS, QUESTION, point(server), cache=small_disk / "cache")
    assert not server.batches, "nothing is handed in that could not be written down"
    (small_disk / "ballast").unlink()
    submit(TEXTS, QUESTION, point(server), cache=small_disk / "cache")
    assert len(server.batches) == 1


# ---- one by one ------------------------------------------------------------------------------------------------


def test_a_disk_that_is_really_full_while_texts_are_asked(server, small_disk, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def padded(body, text):
        return reply(body, text, padding="x" * 100_000)

    server.always = padded
    # two are on their way: whether the first to find no room is an answer or the next question is up to them
    with pytest.raises(CacheError, match=r"disk is full|no room"):
        label(TEXTS, QUESTION, point(server), cache=small_disk)
    asked = len(server.requests)
    assert asked < 40, "nothing more is asked once answers cannot be kept"
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    for spare in sorted(Path(tmp_path).glob("spare-*.spill")):  # where an error says that it put answers
        spare.rename(small_disk / spare.name)
    got = label(TEXTS, QUESTION, point(server), cache=small_disk)
    assert got.labelled.all()
    assert Counter(server.texts) == Counter(TEXTS), "every text once"
    assert spent(small_disk) == 40 * BILL


# ---- cascades --------------------------------------------------------------------------------------------------

CASCADE = """
    import numpy as np, pandas as pd, karat as kt
    from karat.annotate import Endpoint, Question, label
    question = Question("Is the letter for the tram?", classes=["yes", "no"])
    corpus = pd.DataFrame({"letter": range(len(texts)), "text": texts})
    about = {"price": (2.0, 10.0), "concurrency": 2, "backoff": 0.01}
    settings = {"text": "text", "cache": folder, "budget": 1.0, "study": "cascade"}
    label(corpus, question, Endpoint(url, "cheap", **about), **settings)
    asked = kt.SimpleRandom(n=25).draw(corpus[["letter"]], seed=1, id="letter")
    label(corpus[asked.labelled], question, Endpoint(url, "strong", **about), **settings)
"""


def cascade(server, folder):
    """Cheap labels of all, strong ones of 25, and what a fit with 15 gold labels of these says."""
    corpus = pd.DataFrame({"letter": range(40), "text": TEXTS})
    settings = {"text": "text", "cache": folder, "budget": 1.0, "study": "cascade"}
    cheap = label(corpus, QUESTION, point(server, "cheap"), **settings)
    asked = kt.SimpleRandom(n=25).draw(corpus[["letter"]], seed=1, id="letter")
    strong = label(corpus[asked.labelled], QUESTION, point(server, "strong"), **settings)
    corpus["cheap"], corpus["strong"] = cheap.probabilities[:, 0], np.nan
    corpus.loc[asked.labelled, "strong"] = strong.probabilities[:, 0]
    return corpus[["cheap", "strong"]].to_numpy()


def by_model(server):
    return Counter((r["body"]["model"], r["text"]) for r in server.requests)


def test_a_cascade_that_is_killed_again_and_again(server, tmp_path):
    """Wherever it is killed, only what was on its way at that moment can have been asked once more."""
    server.delay = 0.02
    killed = 0
    for least in (4, 25, 41, 52, 61):
        process = started(CASCADE, texts=TEXTS, url=server.url, folder=str(tmp_path))
        killed += killed_when(process, lambda least=least: server.replies >= least)
        time.sleep(0.1)
    assert killed >= 4
    server.delay = 0.0
    found = cascade(server, tmp_path)
    asked = by_model(server)
    assert len(asked) == 40 + 25
    assert sum(asked.values()) <= 65 + 2 * killed, "two were on their way each time"
    lost = count(tmp_path, "state = 'sent'")
    assert 65 <= sum(asked.values()) <= 65 + lost, "those of which it is not known whether they came"
    assert lost <= 2 * killed
    assert spent(tmp_path) >= 65 * BILL, "and those count in full"
    assert np.array_equal(found, cascade(server, tmp_path / "other"), equal_nan=True), "as if nothing had happened"


def test_two_processes_share_the_journal_of_a_cascade(server, tmp_path):
    server.delay = 0.01
    both = [started(CASCADE, texts=TEXTS, url=server.url, folder=str(tmp_path)) for _ in range(2)]
    assert [process.wait(90) for process in both] == [0, 0]
    assert set(by_model(server).values()) == {1}, "every text once by each model"
    assert len(server.requests) == 65
    assert spent(tmp_path) == 65 * BILL


def test_the_budget_of_a_cascade_is_one(server, tmp_path):
    most = 60 * BILL / 10**6
    settings = {"cache": tmp_path, "budget": most, "study": "cascade"}
    label(TEXTS, QUESTION, point(server, "cheap"), **settings)
    with pytest.raises(kt.errors.BudgetError):
        label(TEXTS, QUESTION, point(server, "strong"), **settings)
    assert 40 < len(server.requests) <= 60
    assert spent(tmp_path) <= most * 10**6
