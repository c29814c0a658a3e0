"""Names that users may rely on: listed in docs/stability.md, importable, documented with an example."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import karat as kt

STABILITY = Path(__file__).resolve().parents[1] / "docs" / "stability.md"


def listed() -> dict[str, tuple[set[str], set[str]]]:
    """Room -> (public names, building blocks) as docs/stability.md lists them."""
    rows = re.findall(r"^\| `([\w.]+)` \| (.*?) \|(.*?)\|$", STABILITY.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {room: (names(public), names(blocks)) for room, public, blocks in rows}


def names(cell: str) -> set[str]:
    return {name.strip() for name in cell.replace("\\", "").split(",") if name.strip()}


def offered(room: str) -> list[str]:
    """Names that a room offers: its ``__all__``, and the classes of karat.errors."""
    module = importlib.import_module(room)
    if room != "karat.errors":
        return list(module.__all__)
    roots = (kt.KaratError, kt.KaratWarning)
    return [name for name, thing in vars(module).items() if isinstance(thing, type) and issubclass(thing, roots)]


ROOMS = listed()
EVERYTHING = [(room, name) for room in ROOMS for name in offered(room)]


def test_every_room_is_listed() -> None:
    rooms = {f"karat.{name}" for name in kt.__all__ if inspect.ismodule(getattr(kt, name))}
    assert set(ROOMS) == rooms | {"karat"}


@pytest.mark.parametrize("room", ROOMS)
def test_the_list_and_the_package_agree(room: str) -> None:
    """A name that goes takes a release with a warning first; a new one is decided on, not let in by accident."""
    public, blocks = ROOMS[room]
    assert not public & blocks
    assert public | blocks == set(offered(room)), "correct docs/stability.md, or put the name back"


def test_names_are_where_they_are_said_to_be() -> None:
    assert set(kt.__all__) == {"__version__", *kt._HOMES, *kt._MODULES}
    assert len(kt.__all__) == len(set(kt.__all__))
    assert dir(kt) == sorted(kt.__all__)


def test_a_name_of_another_package_is_answered_with_the_nearest() -> None:
    with pytest.raises(AttributeError, match=r"did you mean karat\.ols\?"):
        kt.feols  # noqa: B018


@pytest.mark.parametrize(("room", "name"), EVERYTHING, ids=lambda part: part)
def test_every_name_is_documented_with_an_example(room: str, name: str) -> None:
    thing = getattr(importlib.import_module(room), name)
    text = thing.__doc__ or ""
    if name == "__version__":
        assert re.fullmatch(r"\d+\.\d+\.\d+(\.?(dev|a|b|rc)\d+)?", thing)
    elif isinstance(thing, type) and issubclass(thing, (kt.KaratError, kt.KaratWarning)):
        assert text, "says when it is raised; karat.errors itself holds the example"
        assert ">>>" in (kt.errors.__doc__ or "")
    elif inspect.ismodule(thing):
        assert text
    else:
        assert ">>>" in text


def test_users_can_name_what_they_pass_around() -> None:
    """Checked when it runs, and by mypy, which reads this file as it would a user's."""

    def analyse(sample: kt.Sample, design: kt.Design | kt.designs.Stratified) -> tuple[kt.Design, kt.designs.Labelling]:
        return sample.design, sample.labelling

    hints = typing.get_type_hints(analyse)
    assert hints["sample"] is kt.designs.Sample
    sample = kt.SimpleRandom(n=2).draw({"document": [1, 2, 3]}, seed=1)
    design, labelling = analyse(sample, kt.SimpleRandom(n=2))
    assert isinstance(design, kt.Design)
    assert isinstance(labelling, kt.designs.Labelling)


def test_importing_karat_loads_nothing_else() -> None:
    """Rooms and libraries come when they are used: what `import karat` loads is karat and its version."""
    code = "import sys; before = set(sys.modules); import karat; print(*sorted(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    own = {name for name in loaded if name.split(".")[0] == "karat"}
    assert own == {"karat", "karat._version"}
    assert {name.split(".")[0] for name in set(loaded) - own} <= set(sys.stdlib_module_names)
