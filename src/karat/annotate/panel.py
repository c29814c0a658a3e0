"""Labels of several models or several questions side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentError
from .result import Annotation


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

        shown = np.any([m.shown for m in self.members], axis=0)
        names = self.probabilities
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
        shown = np.any([m.shown for m in self.members], axis=0)
        if drop_shown and shown.any():
            return nw.from_native(data, eager_only=True).filter((~shown).tolist()).to_native()
        return data
