"""Fixed effects after a bar, read from columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..designs.labelling import pair_codes
from ..estimate.absorb import FixedEffects

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Bools
    from ..frames.formula import Parsed


def read_effects(parsed: Parsed, frame: pd.DataFrame) -> FixedEffects | None:
    """Fixed effects of the rows of a frame, in which none is missing."""
    import pandas as pd

    if not parsed.effects:
        return None
    codes = []
    for columns in parsed.effects:
        own = pd.factorize(frame[columns[0]])[0].astype(np.intp)
        for name in columns[1:]:
            own = pair_codes(own, pd.factorize(frame[name])[0].astype(np.intp))
        codes.append(own)
    return FixedEffects(parsed.effect_names, np.column_stack(codes))


def drop_singletons(
    parsed: Parsed, frame: pd.DataFrame, complete: Bools, among: Bools, dropped: dict[str, int]
) -> None:
    """Take out of ``complete`` the rows that are alone in a fixed effect: they tell nothing of coefficients."""
    rows = np.flatnonzero(complete & among)
    effects = read_effects(parsed, frame.iloc[rows])
    if effects is None or not len(rows):
        return
    alone = effects.singletons()
    if alone.any():
        complete[rows[alone]] = False
        dropped[f"alone in {' + '.join(parsed.effect_names)}"] = int(alone.sum())
