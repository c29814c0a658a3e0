"""What travels between sites and centre: a question, and sums that answer it, as JSON that people can read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..designs.store import path_of, read_sealed, sealed
from ..errors import ArgumentError, DataError

_VERSION = 2
_OF_ASK, _OF_SUMS = "karat question to sites", "karat sums of a site"


@dataclass(frozen=True)
class Ask:
    """What the centre asks of every site in a round.

    Made by :func:`karat.combine_sums`, answered by :func:`karat.site_sums`. It holds coefficients, and matrices of
    their size; nothing of any site but the levels of categories.

    Parameters
    ----------
    round : int
        Rounds of sums there were before.
    question : dict
        Which sums, and the coefficients at which they are taken.
    columns : dict
        Levels of categories on which the sites agreed.

    Examples
    --------
    >>> Ask(1, {"kind": "start"}, {})
    <karat Ask: round 1, start>
    """

    round: int
    question: dict[str, Any]
    columns: dict[str, Any] = field(repr=False)

    def __repr__(self) -> str:
        return f"<karat Ask: round {self.round}, {self.question['kind']}>"

    @property
    def digest(self) -> str:
        """Tells one question from another."""
        text = json.dumps(plain([self.round, self.question, self.columns]), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def save(self, path: str | Path) -> None:
        """Write it as JSON.

        Parameters
        ----------
        path : str or Path
        """
        content = {"round": self.round, "question": self.question, "columns": self.columns}
        _write(path, sealed(_OF_ASK, _VERSION, plain(content)))

    @classmethod
    def read(cls, path: str | Path) -> Ask:
        """Read what :meth:`save` wrote.

        Raises
        ------
        DataError
            If the file is missing, is something else, or was edited since.
        """
        text = read_sealed(path, _OF_ASK, _VERSION, "ask the centre for it again")
        return cls(int(text["round"]), text["question"], text["columns"])

    @classmethod
    def of(cls, ask: Ask | str | Path, settings: Mapping[str, Any]) -> Ask:
        """The question, or that of a file.

        Raises
        ------
        ArgumentError
            If it is about another fit than the settings of a call.
        """
        one = ask if isinstance(ask, Ask) else cls.read(ask)
        asked = one.question["settings"]
        if asked != settings:
            changed = [name for name in {**asked, **settings} if asked.get(name) != settings.get(name)]
            raise ArgumentError(
                f"the centre asks about another fit: {', '.join(changed)} differ from what this call says; make the "
                "call of the first round again, with ask= beside it."
            )
        return one


@dataclass(frozen=True)
class SiteSums:
    """The sums with which a site answers.

    Made by :func:`karat.site_sums`, put together by :func:`karat.combine_sums`. What it holds is all that leaves the
    site; :meth:`save` writes it as JSON to be looked at before it is sent.

    Parameters
    ----------
    site : str
    round : int
    asked : str
        Digest of the question that was answered; empty in the first round.
    settings : dict
        What is fitted.
    facts : dict
        Names, and what is a smallest or largest value; in the first round levels of categories.
    sums : dict
        Sums over the rows of the site.

    Examples
    --------
    >>> SiteSums("Ghent", 0, "", {}, {}, {"n_units": 500})
    <karat SiteSums: 'Ghent', round 0, 1 numbers>
    """

    site: str
    round: int
    asked: str
    settings: dict[str, Any] = field(repr=False)
    facts: dict[str, Any] = field(repr=False)
    sums: dict[str, Any] = field(repr=False)

    def __repr__(self) -> str:
        return f"<karat SiteSums: {self.site!r}, round {self.round}, {_numbers(self.sums)} numbers>"

    def save(self, path: str | Path) -> None:
        """Write them as JSON.

        Parameters
        ----------
        path : str or Path
        """
        content = {name: getattr(self, name) for name in ("site", "round", "asked", "settings", "facts", "sums")}
        _write(path, sealed(_OF_SUMS, _VERSION, plain(content)))

    @classmethod
    def read(cls, path: str | Path) -> SiteSums:
        """Read what :meth:`save` wrote.

        Raises
        ------
        DataError
            If the file is missing, is something else, or was edited since.
        """
        text = read_sealed(path, _OF_SUMS, _VERSION, "ask the site for them again")
        names = ("site", "round", "asked", "settings", "facts", "sums")
        return cls(**{name: text[name] for name in names})


def added(sums: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Sums over sites, name by name; what a site does not have counts as 0.

    Examples
    --------
    >>> added([{"n": 2, "gold": {"score": [1.0]}}, {"n": 3, "gold": {"score": [0.5]}}])
    {'n': 5, 'gold': {'score': array([1.5])}}
    """
    out: dict[str, Any] = {}
    for one in sums:
        for name, value in one.items():
            if isinstance(value, Mapping):
                out[name] = added([out.get(name, {}), value])
                continue
            number = np.asarray(value, dtype=np.float64) if np.ndim(value) else value
            if name in out and np.shape(out[name]) != np.shape(number):
                raise DataError(f"the sums {name!r} of two sites have other shapes; all must fit the same formula.")
            out[name] = out[name] + number if name in out else number
    return out


def plain(value: Any) -> Any:
    """Values that JSON can hold."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _numbers(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(_numbers(item) for item in value.values())
    return int(np.size(value))


def _write(path: str | Path, text: str) -> None:
    try:
        path_of("path", path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be written: {error.strerror}.") from None
