"""Several waves: a pilot, then more, drawn with probabilities that earlier waves may have taught."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .._core.types import Bools, Ints
from ..errors import ArgumentError, DesignError, ProtocolError, generator, number
from ..frames import Table
from ..frames.table import as_float
from .base import Design, Drawn, Sample, draw_in_order
from .frame import FrameRecord, as_text
from .given import codes_of, seed_number
from .labelling import Labelling
from .sequential import SequentialLabelling, Wave
from .split import DevelopmentPart


@dataclass(frozen=True)
class Waves(Design):
    r"""Gold drawn in several waves, each among the rows that no earlier wave had drawn.

    Drawing with it draws all waves at once; for waves that learn from the labels of earlier ones use
    :meth:`karat.designs.Sample.next_wave`, which ends in this design. With a column that says which wave
    labelled a row it also reads gold that is there.

    Parameters
    ----------
    designs : sequence of Design
        How each wave was drawn, in time order.
    shares : sequence of float, optional
        Share of each wave in the estimate, scaled to add up to 1. By default proportional to
        ``n_k / {N_k (N_k - n_k)}`` with ``N_k`` units left to wave k and ``n_k`` (expected to be) drawn: to sample
        sizes when samples are small parts of the corpus, and simple random waves then give exactly the
        estimate of one simple random sample.
    wave : str, optional
        Column that holds the wave (1, 2, ...) of each labelled row, missing or 0 elsewhere; only needed to read gold
        without the sample that was drawn.

    Notes
    -----
    With ``phi_k = h + {drawn before wave k + R_k / pi_k} (m - h)`` the estimate is :math:`\sum_k o_k \phi_k` and its
    labelling variance :math:`\sum_k o_k^2 V_k`. Shares must not be chosen by looking at estimates. Taking all waves
    for one sample with its realised probabilities is not valid when later probabilities depended on earlier labels.

    Examples
    --------
    >>> import karat as kt
    >>> corpus = {"document": list(range(20))}
    >>> kt.Waves([kt.SimpleRandom(4), kt.SimpleRandom(4)]).draw(corpus, seed=1).labelling.weight[:2].round(6).tolist()
    [2.5, 2.5]
    """

    designs: Any
    shares: Any = field(default=None, kw_only=True)
    wave: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        designs = tuple(self.designs) if isinstance(self.designs, Sequence) else ()
        if not designs or not all(isinstance(d, Design) and not isinstance(d, Waves) for d in designs):
            raise ArgumentError(
                "Waves(designs) needs a sequence of designs, one per wave, for example [kt.SimpleRandom(100), "
                f"kt.Unequal('size', n=300)]; got {self.designs!r}."
            )
        object.__setattr__(self, "designs", designs)
        if self.shares is not None:
            given = tuple(self.shares) if np.ndim(self.shares) == 1 else ()
            if len(given) != len(designs):
                raise ArgumentError(
                    f"shares={self.shares!r} must be one positive number for each of {len(designs)} waves."
                )
            object.__setattr__(self, "shares", tuple(number("shares", share, above=0) for share in given))
        if not (self.wave is None or isinstance(self.wave, str)):
            raise ArgumentError(f"wave={self.wave!r} is not allowed; give the name of a column, or None.")

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns the designs read."""
        return tuple(dict.fromkeys(column for design in self.designs for column in design.columns))

    def restricted(self, rows: Bools | Ints, table: Table) -> Design:
        """The designs for some of the rows."""
        return replace(self, designs=tuple(design.restricted(rows, table) for design in self.designs))

    def select(self, table: Table, rng: np.random.Generator) -> Labelling:
        """Draw wave after wave."""
        left, parts = np.ones(table.n_rows, dtype=bool), []
        for design in self.designs:
            if not left.any():
                raise DesignError("earlier waves have drawn every row; there is nothing left for another wave.")
            part = design.restricted(left, table).select(table.filter(left), rng)
            parts.append((left, part))
            left = left.copy()
            left[left] = ~part.labelled
        return combined(parts, self.shares)

    def realised(self, table: Table, labelled: Bools) -> Labelling:
        """Read each wave from the gold the wave column gives to it."""
        if self.wave is None:
            raise DesignError(
                "which wave labelled a row is not known; pass the drawn sample (design=sample.design), or name the "
                "column that says so, kt.Waves(..., wave='wave')."
            )
        number = as_float(table.column(self.wave, "Waves(wave)"), self.wave, "wave")
        number = np.where(np.isnan(number), 0.0, number)
        bad = ~np.isin(number, np.arange(len(self.designs) + 1))
        if bad.any():
            raise DesignError(
                f"wave column {self.wave!r} holds {number[bad][0]:g}; it must be 1 to {len(self.designs)} in labelled "
                "rows, missing or 0 elsewhere."
            )
        contradiction = np.flatnonzero((number > 0) != labelled)
        if len(contradiction):
            raise DesignError(
                f"{len(contradiction)} row(s) have gold but no wave, or a wave but no gold, first at position "
                f"{contradiction[0]}; correct {self.wave!r} or the gold."
            )
        left, parts = np.ones(table.n_rows, dtype=bool), []
        for k, design in enumerate(self.designs):
            parts.append((left, design.restricted(left, table).realised(table.filter(left), (number == k + 1)[left])))
            left = left & (number != k + 1)
        return combined(parts, self.shares)


def next_wave(
    sample: Sample, design: Design, data: object, seed: int | np.random.Generator | None, share: float | None
) -> Sample:
    """Draw a further wave, see :meth:`karat.designs.Sample.next_wave`."""
    if not isinstance(design, Design) or isinstance(design, (Waves, Drawn)):
        raise ArgumentError(f"next_wave needs the design of one wave, for example kt.Unequal(...); got {design!r}.")
    if isinstance(sample.design, DevelopmentPart):
        raise ProtocolError(
            "a further wave after the development part would put its rows into the estimate; draw the wave with the "
            "sample that was split, before it is split."
        )
    if share is not None:
        share = number("share", share, above=0, below=1, instead="or None")
    table, rng = Table.read(data), generator(seed)
    before = sample.design.aligned(table)
    left = ~before.labelled
    if not left.any():
        raise DesignError("every row has been drawn; there is nothing left for another wave.")
    _refuse_used_up(design, table, left)
    frame = sample.design.frame
    id, origin = (None, "") if frame is None else (frame.id, frame.origin or frame.hash)
    part = draw_in_order(design.restricted(left, table), table.filter(left), rng, id)
    earlier = before.waves if isinstance(before, SequentialLabelling) else (Wave(left | True, before, 1.0),)
    old = sample.design.base
    shares: tuple[float, ...] | None = None
    if share is not None:
        shares = (*(w.share * (1.0 - share) for w in earlier), share)
    elif isinstance(old, Waves) and old.shares is not None:
        raise ArgumentError("earlier waves were given shares by hand; give share= for the new one too.")
    labelling = combined([*((w.rows, w.labelling) for w in earlier), (left, part)], shares)
    base = Waves((*(old.designs if isinstance(old, Waves) else (old,)), design), shares=shares)
    record = FrameRecord.of(table, id, [c for c in base.columns if c in table.columns], origin)
    return Sample(labelling, Drawn(base, labelling, record), seed_number(seed), len(earlier))


def _refuse_used_up(design: Design, table: Table, left: Bools) -> None:
    """Raise where units are asked for in a stratum of which earlier waves have drawn every row."""
    by, n = getattr(design, "by", None), getattr(design, "n", None)
    if by is None or not isinstance(n, Mapping):
        return
    codes, names = codes_of(table, by, "by")
    rest = np.bincount(codes[left], minlength=len(names))
    used = {names[s] for s in np.flatnonzero(rest == 0)} & set(as_text(n))
    if used:
        further = {name: size for name, size in zip(as_text(n), n.values()) if name not in used}
        raise DesignError(
            f"earlier waves have drawn every row of stratum {', '.join(map(repr, sorted(used)))}, so that nothing is "
            f"left to draw there; leave it out of n (n={further}), or merge it with another stratum."
        )


def combined(parts: Sequence[tuple[Bools, Labelling]], shares: Sequence[float] | None) -> SequentialLabelling:
    """Waves, as rows left to each and its draw among them, with their shares (None for the default)."""
    given = np.asarray([_information(part) for _, part in parts] if shares is None else shares, dtype=np.float64)
    if np.isinf(given).any():
        given = np.isinf(given).astype(float)
    given = given / given.sum()
    return SequentialLabelling.of(tuple(Wave(rows, part, float(o)) for (rows, part), o in zip(parts, given)))


def _information(part: Labelling) -> float:
    """``n / {N (N - n)}`` of a wave, with n expected to be drawn among N labelling units."""
    pi = part.probability[part.first_rows]
    n, big_n = float(pi.sum()), len(pi)
    return np.inf if (pi == 1.0).all() else n / (big_n * (big_n - n))
