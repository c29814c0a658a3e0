"""What a frame was when a sample was drawn from it, so that another frame is refused later.

A digest of every column is kept, the same for every data-frame library and file format: numbers count by their
first twelve digits (so that a round trip through text changes nothing), booleans as 0 and 1, dates as instants,
missing values as missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.types import Array, Bools, Ints
from ..errors import DataError, DesignError
from ..frames import Table
from ..frames.order import canonical_order, number_parts

if TYPE_CHECKING:
    import pandas as pd

_CHUNK = 100_000
_SUBGROUP = "For a subgroup pass the sample cut to it: design=sample.subgroup(data, rows), with rows true inside."


@dataclass(frozen=True)
class FrameRecord:
    """A frame as it was when a sample was drawn.

    Parameters
    ----------
    n_rows : int
    columns : dict of str to str
        Digest of each column that is held against later frames: all columns, or, where rows have an id, the id
        and the columns of the design.
    id : str or None
        Column that names the rows.
    keys : ndarray of uint64, shape (N,), or None
        Hash of each row's id.
    origin : str
        Hash of the frame at the first wave; documents keep their names over waves.

    Notes
    -----
    Gold is filled in after drawing. A column that differs from the draw is taken for gold, and not held against it,
    where it is missing in every row that was not drawn (nor carries gold); columns that are new or gone do not
    matter. With an id, rows may also come in another order.

    Examples
    --------
    >>> import karat as kt
    >>> record = kt.SimpleRandom(n=2).draw({"document": [1, 2, 3, 4, 5]}, seed=1, id="document").design.frame
    >>> record.n_rows, record.id
    (5, 'document')
    """

    n_rows: int
    columns: dict[str, str]
    id: str | None = None
    keys: Array | None = field(default=None, repr=False)
    origin: str = ""

    @classmethod
    def of(cls, table: Table, id: str | None = None, columns: Iterable[str] = (), origin: str = "") -> FrameRecord:
        """Record a frame.

        Parameters
        ----------
        table : Table
        id : str, optional
            Column that names each row, unique and never missing.
        columns : iterable of str
            Columns the design reads; held against later frames also where there is an id.
        origin : str
            Origin of an earlier wave.

        Raises
        ------
        DataError
            If an id is missing or stands twice.
        """
        if id is None:
            digests = {name: digest(table.column(name, "data")) for name in table.columns}
            return cls(table.n_rows, digests, origin=origin)
        keys = _hashes(unique_keys(table, id))
        names = [id, *(c for c in dict.fromkeys(columns) if c != id)]
        return cls(table.n_rows, {name: digest(table.column(name, "data")) for name in names}, id, keys, origin)

    @property
    def hash(self) -> str:
        """One digest of all that is held against later frames, 32 hexadecimal digits."""
        whole = hashlib.blake2b(f"{self.n_rows}\n{self.id or ''}".encode(), digest_size=16)
        for name in sorted(self.columns):
            whole.update(f"\n{name}\t{self.columns[name]}".encode())
        return whole.hexdigest()

    def documents(self, rows: Ints) -> list[str]:
        """Names under which annotators get some rows: they give nothing away, and differ from sample to sample.

        Parameters
        ----------
        rows : ndarray of int, shape (n,)
            Positions as the frame stood when the sample was drawn.
        """
        origin = self.origin or self.hash
        marks = rows.tolist() if self.keys is None else self.keys[rows].tolist()
        return ["d" + hashlib.blake2b(f"{origin}:{mark}".encode(), digest_size=6).hexdigest() for mark in marks]

    def match(self, table: Table, drawn: Bools, labelled: Bools | None = None) -> Ints | None:
        """Hold a frame against the record.

        Parameters
        ----------
        table : Table
        drawn : ndarray of bool, shape (N,)
            Rows drawn, as the frame stood then.
        labelled : ndarray of bool, shape (N,), optional
            Rows of the table that carry gold.

        Returns
        -------
        ndarray of int, shape (N,), or None
            Where each row stood when the sample was drawn; None when nothing moved.

        Raises
        ------
        DesignError
            If it is another frame: rows added, removed or (without an id) reordered, or values changed.
        """
        if self.id is None and table.n_rows != self.n_rows:
            raise DesignError(
                f"the sample was drawn from {self.n_rows} rows, the data have {table.n_rows}; pass the frame that was "
                f"drawn from, in the same order. {_SUBGROUP if table.n_rows < self.n_rows else ''}".rstrip()
            )
        order = None if self.id is None else self._order(table)
        place = None if order is None else np.argsort(order)
        looked_at = drawn if order is None else drawn[order]
        looked_at = looked_at if labelled is None else looked_at | labelled
        known = [name for name in self.columns if name in table.columns]
        if not known:
            raise DesignError(
                f"none of the columns {list(self.columns)[:6]} of the frame that was drawn from is in the data, so "
                "they cannot be recognised; keep at least one (best an id, and draw with id=)."
            )
        changed, same = [], 0
        for name in known:
            column = table.column(name, "data")
            ordered = column if place is None else column.iloc[place].reset_index(drop=True)
            if digest(ordered) == self.columns[name]:
                same += 1
            elif looked_at.all() or not column.isna().to_numpy()[~looked_at].all():  # gold is missing elsewhere
                changed.append(name)
        if changed:
            what = f"the column(s) {', '.join(map(repr, changed[:5]))} differ"
            if not same and self.id is None:
                what = "all columns differ, so the rows may be in another order"
            raise DesignError(
                f"the data have changed since the sample was drawn: {what}. Pass the frame that was drawn from, with "
                "gold "
                "filled in and columns added at most; to edit or reorder it in between, draw with id= naming its rows."
            )
        return order

    def as_written(self, name: str, read: pd.Series[Any], cells: pd.Series[Any]) -> bool:
        """Whether a column of the frame that was drawn from held the cells of a file, ``0001``, not numbers, ``1``."""
        if name == self.id and self.keys is not None:
            keys = set(self.keys.tolist())
            return not (keys >= set(_hashes(as_text(read)).tolist())) and keys >= set(_hashes(as_text(cells)).tolist())
        return self.columns.get(name) not in (None, digest(read)) and digest(cells) == self.columns[name]

    def _order(self, table: Table) -> Ints | None:
        """Where each row of a table stood when the sample was drawn, by id."""
        assert self.id is not None
        assert self.keys is not None
        if self.id not in table.columns:
            raise DesignError(f"the sample was drawn with id={self.id!r}, which is not in the data; keep that column.")
        names = unique_keys(table, self.id)
        keys = _hashes(names)
        if len(keys) == len(self.keys) and (keys == self.keys).all():
            return None
        sorter = np.argsort(self.keys)
        place = sorter[np.minimum(np.searchsorted(self.keys[sorter], keys), len(sorter) - 1)]
        new = np.flatnonzero(self.keys[place] != keys)
        gone = self.n_rows - (len(keys) - len(new))
        if len(new) or gone:
            example = f" (for example {self.id} {names[new[0]]!r})" if len(new) else ""
            raise DesignError(
                f"the data have changed since the sample was drawn: {gone} row(s) of then are gone, {len(new)} are "
                f"new{example}. Pass the frame that was drawn from; rows may be reordered, not added or removed. "
                f"{_SUBGROUP if gone and not len(new) else ''}".rstrip()
            )
        return place.astype(np.intp)


def drawing_order(table: Table, id: str | None) -> Ints:
    """Positions of the rows in the order they are drawn in: by the hash of their id, or of all they hold."""
    if id is not None:
        return np.argsort(_hashes(unique_keys(table, id)), kind="stable")
    return canonical_order({name: table.column(name, "data") for name in table.columns})


def unique_keys(table: Table, id: str) -> list[str]:
    """Ids of all rows as text. Raises DataError if one is missing or stands twice."""
    column = table.column(id, "id")
    if column.isna().any():
        raise DataError(f"id {id!r} is missing in {int(column.isna().sum())} row(s); every row needs one.")
    names = as_text(column.tolist())
    if len(set(names)) < len(names):
        seen: set[str] = set()
        twice = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise DataError(f"id {id!r} names several rows {twice!r}; give each row its own.")
    return names


def as_text(values: Iterable[object]) -> list[str]:
    """Values as text, whole numbers without a decimal point."""
    return [str(int(v)) if isinstance(v, float) and v.is_integer() else str(v) for v in values]


def digest(column: pd.Series[Any]) -> str:
    """Digest of a column, 32 hexadecimal digits, whatever library or file it came from.

    >>> import pandas as pd
    >>> digest(pd.Series([1, 2])) == digest(pd.Series([1.0, 2.0])) == digest(pd.Series([1, 2.0], dtype=object))
    True
    >>> digest(pd.Series([1, 2])) == digest(pd.Series([2, 1]))
    False
    """
    out = hashlib.blake2b(digest_size=16)
    missing = column.isna().to_numpy()
    out.update(missing.tobytes())
    numbers = number_parts(column, missing)
    if numbers is not None:
        for part in numbers:
            out.update(part.tobytes())
        return out.hexdigest()
    values = column.tolist()
    for start in range(0, len(values), _CHUNK):
        chunk = values[start : start + _CHUNK]
        texts = ["" if gone else str(v) for v, gone in zip(chunk, missing[start : start + _CHUNK])]
        out.update("".join(texts).encode("utf-8", "surrogatepass"))
        out.update(np.fromiter(map(len, texts), dtype="<i8", count=len(texts)).tobytes())
    return out.hexdigest()


def _hashes(keys: list[str]) -> Array:
    digests = (hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest() for key in keys)
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)
