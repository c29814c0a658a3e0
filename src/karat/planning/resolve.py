"""From a design as the user writes it to a design whose sample size is open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._core.types import Floats, Ints
from ..designs import Bernoulli, Clustered, Drawn, Labelling, Sample, SimpleRandom, Stratified
from ..designs.entries import group_totals
from ..designs.given import codes_of, columns_in
from ..errors import ArgumentError, DesignError
from ..frames import Table
from ..results import Result
from .pilot import Profile
from .reach import by_stratum
from .schemes import ClusteredScheme, IndependentScheme, Scheme, StratifiedScheme, simple_random, stratum_spread


def resolve_scheme(
    design: Any, allocation: object, profile: Profile, table: Table | None, pilot: Result | None, aims: Sequence[str]
) -> Scheme:
    """The design to plan for (None: the pilot's); ``aims`` are the figures that Neyman's allocation serves."""
    scheme = getattr(design, "scheme", None)
    if isinstance(scheme, Scheme):
        found: Scheme = scheme
    else:
        drawn = design.design if isinstance(design, Sample) else design
        base = drawn.base if isinstance(drawn, Drawn) else drawn
        found = _of_design(base, allocation, profile, table, pilot, aims)
    has_strata = isinstance(found, StratifiedScheme) and found.by is not None
    if allocation is not None and (isinstance(scheme, Scheme) or not has_strata):
        raise ArgumentError(
            "allocation= shares a sample out among strata; give design=kt.Stratified(...), or take it out."
        )
    if found.n_frame != profile.n_units:
        raise DesignError(
            f"the design is for {found.n_frame} rows, the pilot was fitted on {profile.n_units}; use the same table."
        )
    return found


def stratified(
    code: Ints, names: Sequence[str], by: Any, allocation: object, profile: Profile, aims: Sequence[str],
    cost: Floats | None = None, expected: Floats | None = None,
) -> StratifiedScheme:  # fmt: skip
    """Stratified sampling with an allocation: ``"proportional"`` (or None), ``"equal"``, ``"neyman"``, or a mapping.

    ``cost`` (S,) is the mean cost of a label in each stratum, for Neyman's; ``expected`` (N,) the squared error of the
    outcome expected of each unit, by default what its stratum shows.
    """
    expected = by_stratum(profile, code) if expected is None else expected
    inside = _reach_inside(profile, code, expected)
    count = np.bincount(code, minlength=len(names)).astype(np.float64)
    words = {"proportional": "in proportion", "equal": "the same in each", "neyman": "Neyman for " + ", ".join(aims)}
    if isinstance(allocation, Mapping):
        share, how = _given_shares(allocation, names), "shares as given"
    elif allocation in (None, "proportional"):
        share, how = count, words["proportional"]
    elif allocation == "equal":
        share, how = np.ones(len(names)), words["equal"]
    elif allocation == "neyman":
        share, how = neyman_shares(profile, code, len(names), aims, inside, cost), words["neyman"]
    else:
        raise ArgumentError(
            f"allocation={allocation!r} is not allowed; choose 'proportional', 'equal', 'neyman', or give a mapping "
            "from stratum to share."
        )
    title = f"stratified by {' x '.join(columns_in(by)) or 'the strata given'}, {how}"
    return StratifiedScheme(code, share, tuple(names), by, title, inside, expected)


def _reach_inside(profile: Profile, code: Ints, expected: Floats | None) -> Floats | None:
    """Squared influence of the outcome's error times its expected square, averaged over each stratum, (S, q)."""
    if profile.reach is None:
        return None
    reach = profile.reach if expected is None else profile.reach * expected[:, None]
    return np.asarray(group_totals(reach, code) / np.bincount(code)[:, None])


def neyman_shares(
    profile: Profile, code: Ints, n_strata: int, aims: Sequence[str], reach: Floats | None = None,
    cost: Floats | None = None,
) -> Floats:  # fmt: skip
    """``N_s sd_s(e) / sqrt(c_s)``, with squared errors of several figures added up in units of their variance.

    Neyman (1934); with costs Cochran (1977), section 5.5.
    """
    spread = stratum_spread(profile, code, n_strata, reach)
    square = spread**2 @ aim_weights(profile, aims)
    count = np.bincount(code, minlength=n_strata)
    return count * np.sqrt(square / (1.0 if cost is None else cost))


def aim_weights(profile: Profile, aims: Sequence[str]) -> Floats:
    """Weight of each figure in the sum to be made small: one over its own labelling variance, shape (q,)."""
    unknown = [name for name in aims if name not in profile.names]
    if unknown or not len(aims):
        raise ArgumentError(f"terms names {unknown}, there are {list(profile.names)}; name one or more of them.")
    variance = (profile.weight[:, None] * profile.error**2).sum(axis=0)
    weight = np.zeros(len(profile.names))
    for name in aims:
        j = profile.names.index(name)
        weight[j] = 1.0 / variance[j] if variance[j] > 0 else 0.0
    if not weight.any():
        raise ArgumentError(
            f"no gold label shows a labelling error that moves {list(aims)}, so that nothing tells where more gold is "
            "needed; label more rows at random first, or name other terms."
        )
    return weight


def _of_design(
    design: Any, allocation: object, profile: Profile, table: Table | None, pilot: Result | None, aims: Sequence[str]
) -> Scheme:
    if design is None:
        return _as_pilot(allocation, profile, table, pilot, aims)
    if isinstance(design, SimpleRandom):
        return simple_random(profile.n_units)
    if isinstance(design, Bernoulli):
        return _independent(design, profile, table)
    if isinstance(design, Clustered):
        code, _ = _codes(table, design.cluster, profile, pilot)
        return ClusteredScheme(code, design.cluster, f"whole clusters of {design.cluster}")
    if isinstance(design, Stratified):
        code, names = _codes(table, design.by, profile, pilot)
        given = design.n if allocation is None and isinstance(design.n, Mapping) else allocation
        return stratified(code, names, design.by, given or design.allocation, profile, aims)
    raise ArgumentError(
        f"design is a {type(design).__name__}; give kt.SimpleRandom, kt.Bernoulli, kt.Stratified or kt.Clustered, what "
        "kt.allocate returned, or leave it out for the pilot's."
    )


def _as_pilot(
    allocation: object, profile: Profile, table: Table | None, pilot: Result | None, aims: Sequence[str]
) -> Scheme:
    """The design of the pilot, as its labelling has it."""
    labelling = profile.labelling
    written = None if pilot is None or pilot.call is None else pilot.call.design
    if type(labelling) is not Labelling:
        raise DesignError("the pilot was drawn in several waves; say with design= how the new sample will be drawn.")
    if not labelling.fixed_size:
        size = labelling.probability
        title = "Bernoulli" if np.ptp(size) == 0 else "Bernoulli, probabilities in proportion to the pilot's"
        return IndependentScheme(size, title)
    if labelling.unit is not None:
        column = written.cluster if isinstance(written, Clustered) else "cluster"
        return ClusteredScheme(labelling.unit, column, f"whole clusters of {column}")
    if labelling.stratum is None:
        return simple_random(profile.n_units)
    by: Any = None
    names = [""] * (int(labelling.stratum.max()) + 1)
    if isinstance(written, Stratified):
        by = written.by
        if table is not None:
            names = codes_of(table, by, "design")[1]
    count = np.bincount(labelling.stratum)
    if allocation is None:
        share = np.bincount(labelling.stratum[labelling.gold], minlength=len(count)).astype(np.float64)
        on = " x ".join(columns_in(by)) or "the pilot's strata"
        title = f"stratified by {on}, shared out as in the pilot"
        expected = by_stratum(profile, labelling.stratum)
        inside = _reach_inside(profile, labelling.stratum, expected)
        return StratifiedScheme(labelling.stratum, share, tuple(names), by, title, inside, expected)
    return stratified(labelling.stratum, names, by, allocation, profile, aims)


def _independent(design: Bernoulli, profile: Profile, table: Table | None) -> IndependentScheme:
    given = design.probability
    if isinstance(given, (int, float)):
        return IndependentScheme(np.ones(profile.n_units), "Bernoulli")
    if isinstance(given, str) and table is None:
        raise ArgumentError(f"the design names the column {given!r}; give data= as well.")
    rows = table if table is not None else Table.read({"row": np.arange(profile.n_units)})
    return IndependentScheme(design._values(rows), "Bernoulli, probabilities in proportion to those given")


def _codes(table: Table | None, by: Any, profile: Profile, pilot: Result | None) -> tuple[Ints, list[str]]:
    """Codes of the groups that columns form, from the frame, or from the pilot where it knows them."""
    if table is not None:
        return codes_of(table, by, "design")
    written = None if pilot is None or pilot.call is None else pilot.call.design
    labelling, code = profile.labelling, None
    parts = None if pilot is None else pilot.parts
    if isinstance(written, Stratified) and columns_in(written.by) == columns_in(by):
        code = labelling.stratum
    elif isinstance(written, Clustered) and written.cluster == by:
        code = labelling.unit
    if code is None and parts is not None and parts.units.cluster_name == by:
        code = parts.units.cluster
    if code is not None:
        return code, [""] * (int(code.max()) + 1)
    raise ArgumentError(f"the design names {by!r}, which the fit does not hold; give the pilot's table as data=.")


def _given_shares(allocation: Mapping[Any, Any], names: Sequence[str]) -> Floats:
    asked = {str(key): value for key, value in allocation.items()}
    if set(asked) != set(names):
        raise ArgumentError(
            f"allocation must name every stratum: unknown {sorted(set(asked) - set(names))}, left out "
            f"{sorted(set(names) - set(asked))}."
        )
    share = np.array([float(asked[name]) for name in names])
    if not np.isfinite(share).all() or (share < 0).any() or not share.any():
        raise ArgumentError("the shares in allocation must be 0 or more, and not all 0.")
    return share
