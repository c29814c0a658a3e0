"""Whether a model behind a name is still the same: the same texts asked again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, number, whole
from ..frames import Table

if TYPE_CHECKING:
    from .._core.types import Bools, Floats
    from .panel import Panel
    from .result import Annotation

_FLIPS = 9_999


@dataclass(frozen=True)
class Drift:
    """How two answers to the same texts differ.

    Parameters
    ----------
    n : int
        Texts that have a label both times.
    changed : int
        Texts whose label is another one.
    low, high : float
        Interval of the share of changed labels among texts such as these.
    moved : float
        Mean total variation between the two distributions of a text, from 0 to 1.
    p_shift : float
        Test that answers lean the same way both times.
    p_excess : float or None
        Test that labels change no more often than between two askings on the same day; None without these.
    level : float

    Examples
    --------
    >>> from karat.annotate.asked_again import Drift
    >>> print(Drift(100, 8, 0.035, 0.152, 0.06, 0.002, None, 0.95))
    8 of 100 labels changed (8.0%, 95% interval 3.5% to 15.2%); shift of the answers: p = 0.002
    """

    n: int
    changed: int
    low: float
    high: float
    moved: float
    p_shift: float
    p_excess: float | None
    level: float

    @property
    def share(self) -> float:
        """Share of labels that changed."""
        return self.changed / self.n

    def __str__(self) -> str:
        more = (
            "" if self.p_excess is None else f"; more changes than from one asking to the next: p = {self.p_excess:.3g}"
        )
        return (
            f"{self.changed} of {self.n} labels changed ({self.share:.1%}, {self.level:.0%} interval {self.low:.1%} to "
            f"{self.high:.1%}); shift of the answers: p = {self.p_shift:.3g}{more}"
        )


def drift(before: Annotation, after: Annotation, *, again: Annotation | None = None, level: float = 0.95) -> Drift:
    """Compare what a model said about the same texts at two times.

    Parameters
    ----------
    before, after : Annotation
        Of the same rows in the same order, to the same question.
    again : Annotation, optional
        Asked a second time when ``before`` was: what changes between these two is chance. Where it is left out and the
        model answers at temperature 0, any change beyond the endpoint's rounding is a change of the model.
    level : float

    Returns
    -------
    Drift

    Raises
    ------
    DataError
        If rows, classes or questions differ, or no text has a label both times.

    Notes
    -----
    The interval is that of Clopper and Pearson. ``p_shift`` is a test by 9,999 random signs: if nothing has changed,
    a text's two answers may trade places, so that each difference of probabilities (after less before) could as well
    have the other sign; the statistic is the mean difference in units of its spread, over all classes. ``p_excess``
    is McNemar's exact test: among texts whose label changed in one of the two comparisons only, ``after`` has half.

    References
    ----------
    Clopper and Pearson (1934), Biometrika 26; McNemar (1947), Psychometrika 12; Chen, Zaharia and Zou (2023), How is
    ChatGPT's behavior changing over time?, for why to look.

    Examples
    --------
    >>> import karat as kt
    >>> kt.annotate.drift(labels_of_may, labels_of_june)  # doctest: +SKIP
    """
    from scipy import stats

    level = number("level", level, above=0, below=1)
    others = [after] if again is None else [after, again]
    for other in others:
        _same(before, other)
    keep = np.logical_and.reduce([m.labelled for m in (before, *others)])
    n = int(keep.sum())
    if not n:
        raise DataError("no text has a label both times, so nothing can be compared.")
    moved = _changed(before, after)[keep]
    interval = stats.binomtest(int(moved.sum()), n).proportion_ci(level, method="exact")
    differences = (after.probabilities - before.probabilities)[keep]
    excess = None
    if again is not None:
        noise = _changed(before, again)[keep]
        later, earlier = int((moved & ~noise).sum()), int((noise & ~moved).sum())
        total = later + earlier
        excess = float(stats.binomtest(later, total, alternative="greater").pvalue) if total else 1.0
    return Drift(
        n,
        int(moved.sum()),
        float(interval.low),
        float(interval.high),
        float(np.abs(differences).sum(axis=1).mean() / 2),
        _shift(differences),
        excess,
        level,
    )


def ask_again(
    study: Any,
    data: object,
    labels: Annotation | Panel,
    *,
    text: str,
    n: int,
    model: Any,
    occasion: str | None,
    progress: bool,
) -> Any:
    """See :meth:`Study.ask_again`."""
    n = whole("n", n, least=1)
    table, locked = Table.read(data), study.protocol
    assert locked is not None
    labels.hold_against(table)
    texts = table.column(text, "text").tolist()
    known = labels.labelled
    first = {t: i for i, t in reversed(list(enumerate(texts))) if known[i]}
    fixed = sorted(first, key=lambda t: hashlib.blake2b(t.encode("utf-8", "surrogatepass"), digest_size=8).digest())[:n]
    after = study._run(
        fixed, locked.question, study._same(model), text=None, id=None, method=locked.method, votes=locked.votes,
        failures="keep", progress=progress, occasion=occasion or f"{datetime.now(UTC):%Y-%m-%d}",
    )  # fmt: skip
    before = labels.take(np.array([first[t] for t in fixed]))
    found = {book.name: drift(*both) for book, *both in zip(study.books, before.parts, after.parts)}
    return found if len(found) > 1 else next(iter(found.values()))


def _same(before: Annotation, other: Annotation) -> None:
    if before.classes != other.classes:
        raise DataError(f"the labels have the classes {list(before.classes)} and {list(other.classes)}; ask the same.")
    digests = [m.provenance.get("rows", {}).get("digest") for m in (before, other)]
    if len(before.ids) != len(other.ids) or (None not in digests and digests[0] != digests[1]):
        raise DataError("the labels are of other texts, or in another order; ask about the same texts.")


def _changed(before: Annotation, other: Annotation) -> Bools:
    return np.asarray([a != b for a, b in zip(before.label.tolist(), other.label.tolist())])


def _shift(differences: Floats) -> float:
    """Chance of so large a mean difference if every row could have the other sign."""
    if not np.abs(differences).max(initial=0.0) > 1e-12:
        return 1.0
    spread = np.linalg.pinv(differences.T @ differences, hermitian=True)
    rng = np.random.default_rng(0)

    def statistic(signs: Floats) -> Floats:
        totals = signs @ differences
        return np.asarray(np.einsum("ij,jk,ik->i", totals, spread, totals))

    seen = statistic(np.ones((1, len(differences))))[0]
    least = 0
    for start in range(0, _FLIPS, 500):
        size = min(500, _FLIPS - start)
        least += int((statistic(rng.choice([-1.0, 1.0], (size, len(differences)))) >= seen * (1 - 1e-9)).sum())
    return (1 + least) / (1 + _FLIPS)
