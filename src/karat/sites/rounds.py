"""What all sites must say alike, and the rounds of what they sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, DataError, whole
from .files import Ask, SiteSums, added, plain

if TYPE_CHECKING:
    from ..regression.options import Arguments


def named(site: object, least: int) -> int:
    """The least number of rows, checked, and the name of the site too."""
    if not isinstance(site, str) or not site:
        raise ArgumentError(f"site={site!r} is not allowed; give the name of this site.")
    return whole("least", least, least=1)


def with_clusters(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with the covariance by clusters that sums can tell, where only clusters are named."""
    given = dict(options)
    if given.get("vcov") is None and given.get("cluster") is not None:
        given["vcov"] = {"CRV1": given.pop("cluster")}
    return given


def settings_of(options: Arguments) -> dict[str, Any]:
    """What all sites must fit alike."""
    names = ("estimator", "tuning", "target", "df", "alpha", "imputation", "missing", "parameters", "compare")
    learnt = options.estimator == "dsl" and options.learner is not None and options.predictions is None
    out = {"model": options.model, "formula": options.formula, **{name: options.given[name] for name in names}}
    out |= {
        "vcov": options.vcov, "cluster": options.cluster or "", "crossfitted": learnt,
        "labels": sorted(map(str, options.surrogates)), "weights": options.given["weights"] is not None,
        "subset": options.given["subset"] is not None,
    }  # fmt: skip
    return dict(plain(out))


class Unanswered(Exception):
    """The centre has a question that nobody has answered."""

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self.ask = ask


@dataclass
class Rounds:
    """What each site sent in each round, the sites in the order of their names.

    Parameters
    ----------
    each : list of dict
        Round -> site -> sums.
    columns : dict
        What the sites have agreed on, for the next question.
    """

    each: list[dict[str, SiteSums]]
    columns: dict[str, Any] = field(default_factory=dict)
    _asked: int = 0

    @property
    def settings(self) -> dict[str, Any]:
        """What is fitted."""
        return next(iter(self.each[0].values())).settings

    @property
    def told(self) -> dict[str, Mapping[str, Any]]:
        """Site -> what it told besides sums in the round after the first; empty before."""
        return {site: one.facts for site, one in self.each[1].items()} if len(self.each) > 1 else {}

    def facts(self, number: int, name: str) -> dict[str, Any]:
        """Site -> what it told of something in a round."""
        return {site: one.facts[name] for site, one in self.each[number].items()}

    def ask(self, question: dict[str, Any]) -> Mapping[str, Any]:
        """Sums over all sites that answer a question.

        Raises
        ------
        Unanswered
            If they have not answered it yet.
        """
        self._asked += 1
        if self._asked >= len(self.each):
            raise Unanswered(Ask(self._asked, plain({**question, "settings": self.settings}), self.columns))
        return added([one.sums for one in self.each[self._asked].values()])

    def alike(self, name: str) -> Any:
        """What all sites tell alike.

        Raises
        ------
        DataError
            If they do not.
        """
        values = {site: one[name] for site, one in self.told.items()}
        first = next(iter(values.values()))
        for site, value in values.items():
            if value != first:
                raise DataError(f"site {site!r} has other {name} than the first one: {value} and {first}.")
        return tuple(first) if isinstance(first, list) else first

    @classmethod
    def of(cls, sums: Sequence[SiteSums]) -> Rounds:
        """All that came, in any order.

        Raises
        ------
        ArgumentError, DataError
            If a site is missing in a round or sent twice, or fits something else.
        """
        rounds: dict[int, dict[str, SiteSums]] = {}
        for one in sorted(sums, key=lambda given: (given.round, given.site)):
            if one.site in rounds.setdefault(one.round, {}):
                raise ArgumentError(f"site {one.site!r} comes twice in round {one.round}; give each file once.")
            rounds[one.round][one.site] = one
        out = [rounds[number] for number in sorted(rounds)]
        if sorted(rounds) != list(range(len(rounds))):
            raise ArgumentError(f"rounds {sorted(rounds)} came; give the sums of all rounds so far, from 0 on.")
        for number, each in enumerate(out):
            if lacking := sorted(set(out[0]) ^ set(each)):
                raise ArgumentError(
                    f"sites {', '.join(lacking)} did not send sums in every round up to {number}; all sites of the "
                    "first round answer each question."
                )
            if len({one.asked for one in each.values()}) > 1:
                raise DataError(f"the sites answered different questions in round {number}; send all the same Ask.")
        _refuse_others({site: one.settings for each in out for site, one in each.items()})
        return cls(out)


def _refuse_others(settings: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise where a site fits something else."""
    first = next(iter(settings.values()))
    for site, own in settings.items():
        if changed := [name for name in {**first, **own} if first.get(name) != own.get(name)]:
            raise DataError(f"site {site!r} fits something else than the first one: {', '.join(changed)} differ.")
