"""A gold sample in two parts: one to develop a prompt on, one to draw conclusions from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DesignError, ProtocolError, generator, number
from ..frames import Table
from .base import Drawn, Sample
from .frame import FrameRecord
from .given import seed_number
from .labelling import Labelling

if TYPE_CHECKING:
    from .._core.types import Bools, Floats, Ints

_LEAST_LEFT = 2
"""Units that each stratum keeps for inference: with fewer there is no variance of labelling."""


@dataclass(frozen=True)
class DevelopmentPart(Drawn):
    """The draw of rows on which a prompt was developed; estimates from it alone are refused.

    Examples
    --------
    >>> import karat as kt
    >>> development, inference = kt.SimpleRandom(n=6).draw({"document": list(range(20))}, seed=1).split(1 / 3, seed=1)
    >>> len(development.positions), len(inference.positions)
    (2, 6)
    """

    def realised(self, table: Table, labelled: Bools) -> Labelling:
        """Refuse: labels look better in these rows than elsewhere."""
        raise ProtocolError(
            "design is the development part of a gold sample. Prompt and model were chosen for how well they do in "
            "these rows, so that they do better there than elsewhere and intervals would be too short. Pass the "
            "inference part, in which development rows have weight 1."
        )


def split(sample: Sample, share: float, seed: int | np.random.Generator | None) -> tuple[Sample, Sample]:
    """Development and inference part, see :meth:`karat.designs.Sample.split`."""
    share, rng = number("share", share, above=0, below=1), generator(seed)
    whole = sample.labelling
    if type(whole) is not Labelling or whole.first is not None or whole.caution:
        raise DesignError(
            f"a {whole.description or type(whole).__name__} cannot be split; split a single draw with known "
            "probabilities before any further wave, sample.split(...)."
        )
    if isinstance(sample.design, DevelopmentPart):
        raise ProtocolError("this is a development part already; split the sample that was drawn.")
    unit = np.arange(whole.n_rows) if whole.unit is None else np.unique(whole.unit, return_inverse=True)[1]
    first = whole.first_rows
    stratum = np.zeros(whole.n_rows, dtype=np.intp) if whole.stratum is None else whole.stratum
    keys = None if sample.design.frame is None else sample.design.frame.keys
    order = first if keys is None else first[np.argsort(keys[first], kind="stable")]  # of content, not of the file
    chosen, rate = np.zeros(len(first), dtype=bool), np.zeros(len(first))
    at = unit[order]
    chosen[at], rate[at] = _choose(
        whole.probability[order], whole.labelled[order], stratum[order], whole.fixed_size, share, rng
    )
    drawn, rate = chosen[unit], rate[unit]
    development = replace(
        whole,
        probability=whole.probability * np.where(rate > 0, rate, 1.0),
        labelled=drawn,
        description=f"development part, {int(drawn.sum()):,} of {whole.n_gold:,} gold rows",
    )
    inference = replace(
        whole,
        probability=_left(whole, drawn, rate),
        description=f"{whole.description}; {int(drawn.sum()):,} of them for development, with weight 1",
    )
    design, number_ = sample.design, seed_number(seed)
    return (
        Sample(development, DevelopmentPart(design.base, development, design.frame), number_),
        Sample(inference, Drawn(design.base, inference, design.frame), number_),
    )


def cut(sample: Sample, data: object, rows: object) -> Sample:
    """The sample as a draw from some of the rows, see :meth:`karat.designs.Sample.subgroup`."""
    table = Table.read(data)
    inside = table.marked(rows, "rows")
    labelling = sample.design.aligned(table)
    if not labelling.labelled[inside].any():
        raise DesignError("none of the drawn rows is in the subgroup, so nothing is known of it; draw a further wave.")
    kept, part = labelling.keep(inside), table.filter(inside)
    old = sample.design.frame
    id, origin = (None, "") if old is None or old.id is None else (old.id, old.origin or old.hash)
    record = FrameRecord.of(part, id, [c for c in sample.design.columns if c in part.columns], origin)
    kind = DevelopmentPart if isinstance(sample.design, DevelopmentPart) else Drawn
    return Sample(kept, kind(sample.design.base, kept, record), sample.seed, sample.sent)


def _choose(
    pi: Floats, labelled: Bools, stratum: Ints, fixed: bool, share: float, rng: np.random.Generator
) -> tuple[Bools, Floats]:
    """Units for development, and the probability with which a drawn unit of each unit's kind becomes one."""
    chosen, rate, chance = np.zeros(len(pi), dtype=bool), np.zeros(len(pi)), pi < 1.0
    for s in np.unique(stratum) if fixed else [None]:
        inside = chance if s is None else chance & (stratum == s)
        drawn = np.flatnonzero(inside & labelled)
        if fixed:
            size = max(0, min(round(share * len(drawn)), len(drawn) - _LEAST_LEFT))
            chosen[rng.permutation(drawn)[:size]] = True
            rate[inside] = size / max(len(drawn), 1)
        else:
            chosen[drawn[rng.random(len(drawn)) < share]] = True
            rate[inside] = share
    rest = int((chance & labelled & ~chosen).sum())
    if not chosen.any() or rest < _LEAST_LEFT:
        raise DesignError(
            f"share={share:g} leaves {int(chosen.sum())} units for development and {rest} for inference of "
            f"{int((chance & labelled).sum())} that chance has drawn; draw more, or choose another share."
        )
    return chosen, rate


def _left(whole: Labelling, drawn: Bools, rate: Floats) -> Floats:
    """Probabilities of inference given the development part, whose own rows are certain."""
    out = np.ones(whole.n_rows)
    if whole.fixed_size:
        out[~drawn] = whole.keep(~drawn).probability
    else:
        pi = whole.probability[~drawn]
        out[~drawn] = pi * (1.0 - rate[~drawn]) / (1.0 - pi * rate[~drawn])
    return out
