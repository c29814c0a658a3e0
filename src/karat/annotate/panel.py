"""Labels of several models or several questions side by side."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DataError
from .result import Annotation

if TYPE_CHECKING:
    from .._core.types import Bools, Ints
    from ..frames import Table


@dataclass(frozen=True)
class Panel:
    """Labels of several models or several questions for the same texts.

    Parameters
    ----------
    members : tuple of Annotation

    Examples
    --------
    >>> import karat as kt
    >>> kt.annotate.Panel(()).members
    ()
    """

    members: tuple[Annotation, ...]

    def __iter__(self) -> Iterator[Annotation]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, place: int) -> Annotation:
        return self.members[place]

    @property
    def parts(self) -> tuple[Annotation, ...]:
        """The members, as a study takes labels."""
        return self.members

    @property
    def labelled(self) -> Bools:
        """Rows with a label of every member, shape (N,)."""
        return np.asarray(np.all([m.labelled for m in self.members], axis=0))

    @property
    def shown(self) -> Bools:
        """Rows that any prompt shows, shape (N,)."""
        return np.asarray(np.any([m.shown for m in self.members], axis=0))

    @property
    def provenance(self) -> Mapping[str, Any]:
        """How the labels of a form were made: what its members have in common, with the form as the question.

        Raises
        ------
        DataError
            If they are not those of one form.
        """
        forms = [m.provenance.get("form") for m in self.members]
        asked = [m.provenance.get("question", {}) for m in self.members]
        told = [] if not forms or forms[0] is None else forms[0]["fields"]
        named = [{key: value for key, value in field.items() if key != "name"} for field in told]
        if not named or any(form != forms[0] for form in forms) or named != list(asked):
            raise DataError("the labels are not those of all fields of one form, as label(...) gives them.")
        record = {key: value for key, value in self.members[0].provenance.items() if key != "form"}
        return record | {"question": forms[0]}

    def hold_against(self, table: Table) -> None:
        """Raise where a table does not hold the rows that were labelled, in their order."""
        for member in self.members:
            member.hold_against(table)

    def take(self, rows: Ints) -> Panel:
        """Some of the rows.

        Parameters
        ----------
        rows : ndarray of int, shape (n,)
        """
        return Panel(tuple(member.take(rows) for member in self.members))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a JSON file.

        Parameters
        ----------
        path : str or Path
        """
        from .result_file import save

        save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Panel:
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        Panel

        Raises
        ------
        DataError
            If the file holds something else.
        """
        from .result_file import load

        return Panel(load(path).parts)

    @property
    def probabilities(self) -> dict[Any, str]:
        """Class -> column of :meth:`long`, for ``kt.labels.aggregate(..., probabilities=...)``.

        Raises
        ------
        ArgumentError
            If the members' questions have different classes.
        """
        if len({m.classes for m in self.members}) != 1:
            raise ArgumentError("the questions have different classes; aggregate them one by one.")
        return {c: f"p_{c}" for c in self.members[0].classes}

    def long(self, backend: str = "pandas") -> Any:
        """A long table: task, worker, label, a probability for each class; rows the prompts show are left out.

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow"}

        Returns
        -------
        data frame
            For :func:`karat.labels.aggregate`.
        """
        from ..labels.tables.render import build_frame

        shown, names = self.shown, self.probabilities
        parts = {"task": [], "worker": [], "label": [], **{name: [] for name in names.values()}}  # type: ignore[var-annotated]
        for member in self.members:
            keep = member.labelled & ~shown
            parts["task"].append(member.ids[keep])
            parts["worker"].append(np.full(int(keep.sum()), member.worker, dtype=object))
            parts["label"].append(member.label[keep])
            for k, name in enumerate(names.values()):
                parts[name].append(member.probabilities[keep, k])
        return build_frame({name: np.concatenate(values) for name, values in parts.items()}, backend)

    def join(self, data: Any, *, drop_shown: bool = True) -> Any:
        """The data with the columns of all members, without rows that any prompt shows.

        Parameters
        ----------
        data : data frame
        drop_shown : bool

        Returns
        -------
        data frame
        """
        import narwhals as nw

        for member in self.members:
            data = member.join(data, drop_shown=False)
        shown = self.shown
        if drop_shown and shown.any():
            return nw.from_native(data, eager_only=True).filter((~shown).tolist()).to_native()
        return data
