"""Labelling rules: several noisy functions that may abstain, and may be correlated, into soft labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from inspect import signature
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.arguments import known_arguments
from .._core.machine import needs
from ..errors import ArgumentError, DataError, number, one_of, whole
from ..frames import Table
from .aggregation.base import one_hot, softmax_rows
from .aggregation.soft import SoftLabels
from .tables.codes import UNKNOWN, class_tuple, classes_in, codes_in, objects, sorted_codes
from .tables.render import backend_of

if TYPE_CHECKING:
    from .._core.types import Array, Floats, Ints

_LARGEST_GROUP = 3


@dataclass(eq=False, repr=False)
class RuleModel:
    r"""Label model for rules (data programming), with abstentions and correlated rules.

    Given the class, a rule names each class or abstains with probabilities of its own; rules found or declared to be
    correlated share one joint table. Abstaining is an answer like any other: a rule that abstains on one class says
    something.

    Parameters
    ----------
    correlated : "auto", None or sequence of sequences of int
        Look for correlated rules, take all as independent, or the groups (positions of rules).
    accuracy : float
        Prior guess of the accuracy of a rule where it speaks; this, not the data, says which class is which.
    strength : float
        Pseudo-observations per class behind the prior guess.
    n_iter : int
    tol : float
        Stop when the log likelihood per task grows by less.

    Attributes
    ----------
    tables_ : list of ndarray, shape (number of joint answers, K)
        Answer probabilities of each group given the class.
    groups_ : tuple of tuple of int
        Rules that share a table.
    prior_ : ndarray, shape (K,)
    accuracy_, coverage_ : ndarray, shape (m,)
        Accuracy where a rule speaks, and how often it does.
    probabilities_ : ndarray, shape (n, K)
    converged_ : bool
    n_iter_ : int

    References
    ----------
    Ratner, De Sa, Wu, Selsam, Re (2016), Data programming, NIPS 29; Bach, He, Ratner, Re (2017), Learning the structure
    of generative models without labeled data, ICML.

    Examples
    --------
    >>> import numpy as np
    >>> import karat as kt
    >>> said = np.array([[0, 0, -1], [1, 1, 1], [0, -1, 0], [1, 1, -1]])
    >>> kt.labels.RuleModel(correlated=None).fit(said, 2).probabilities_.argmax(axis=1)
    array([0, 1, 0, 1])
    """

    correlated: str | Sequence[Sequence[int]] | None = "auto"
    accuracy: float = 0.7
    strength: float = 2.0
    n_iter: int = 500
    tol: float = 1e-8
    tables_: list[Floats] = field(init=False)
    groups_: tuple[tuple[int, ...], ...] = field(init=False)
    prior_: Floats = field(init=False)
    accuracy_: Floats = field(init=False)
    coverage_: Floats = field(init=False)
    probabilities_: Floats = field(init=False)
    converged_: bool = field(init=False)
    n_iter_: int = field(init=False)

    def fit(self, said: Ints, n_classes: int, gold: Ints | None = None) -> RuleModel:
        """Fit to the answers of the rules.

        Parameters
        ----------
        said : ndarray of int, shape (n, m)
            Class code each rule names, -1 where it abstains.
        n_classes : int
        gold : ndarray of int, shape (n,), optional
            Known classes, -1 elsewhere; they are held fixed and inform the tables.

        Returns
        -------
        RuleModel
            Itself.

        Raises
        ------
        ArgumentError, DataError
        """
        n_classes = whole("n_classes", n_classes, least=2)
        said = _checked(said, n_classes)
        self._check(said.shape[1], n_classes)
        alone = tuple((j,) for j in range(said.shape[1]))
        if isinstance(self.correlated, str):
            groups = _find_groups(said, n_classes, gold, self)
        elif self.correlated is None:
            groups = alone
        else:
            declared = [tuple(sorted(g)) for g in self.correlated]
            groups = tuple(declared) + tuple(a for a in alone if not any(a[0] in g for g in declared))
        fit = _Fit(said, n_classes, gold, groups, self).run()
        self.tables_, self.groups_, self.prior_ = fit.tables, groups, fit.prior
        self.probabilities_, self.converged_, self.n_iter_ = fit.posterior, fit.converged, fit.rounds
        spoke = said >= 0
        right = np.where(spoke, np.take_along_axis(fit.posterior, np.maximum(said, 0), axis=1), 0.0)
        self.coverage_ = spoke.mean(axis=0)
        self.accuracy_ = right.sum(axis=0) / np.maximum(spoke.sum(axis=0), 1)
        return self

    def predict_proba(self, said: Ints) -> Floats:
        """Class probabilities for new answers of the same rules.

        Parameters
        ----------
        said : ndarray of int, shape (n, m)

        Returns
        -------
        ndarray, shape (n, K)
        """
        if not hasattr(self, "tables_"):
            raise ArgumentError("RuleModel is not fitted; call fit first.")
        said = _checked(said, len(self.prior_))
        if said.shape[1] != len(self.coverage_):
            raise DataError(f"said has {said.shape[1]} rules, the model was fitted with {len(self.coverage_)}.")
        scores = np.tile(np.log(self.prior_), (len(said), 1))
        for group, table in zip(self.groups_, self.tables_):
            scores += np.log(table)[_symbols(said, group, len(self.prior_))]
        return softmax_rows(scores)[0]

    def _check(self, n_rules: int, n_classes: int) -> None:
        if isinstance(self.correlated, str):
            one_of("correlated", self.correlated, ("auto",))
        elif self.correlated is not None:
            flat = [j for g in self.correlated for j in g]
            if len(set(flat)) < len(flat) or any(not 0 <= j < n_rules for j in flat):
                raise ArgumentError(
                    f"correlated={self.correlated!r} must be groups of different rules 0 to {n_rules - 1}."
                )
            if any(len(g) > _LARGEST_GROUP for g in self.correlated):
                raise ArgumentError(f"correlated has a group of more than {_LARGEST_GROUP} rules; merge or drop some.")
        number("accuracy", self.accuracy, above=1 / n_classes, below=1)
        number("strength", self.strength, above=0)
        self.n_iter = whole("n_iter", self.n_iter, least=1)
        number("tol", self.tol, least=0)


@dataclass
class _Fit:
    """EM for given groups of rules."""

    said: Ints
    k: int
    gold: Ints | None
    groups: tuple[tuple[int, ...], ...]
    model: RuleModel
    converged: bool = False
    rounds: int = 0

    def run(self) -> _Fit:
        k, strength = self.k, self.model.strength
        coverage = (self.said >= 0).mean(axis=0)
        answers = sum(float(k + 1) ** len(g) for g in self.groups)
        needs(
            8.0 * k * (4 * answers + 4 * len(self.said)),
            f"tables of {answers:,.0f} joint answers of rules by {k:,} classes",
            "merge rare classes, or set correlated=None",
        )
        guesses = [_guess(g, coverage, k, self.model.accuracy) for g in self.groups]
        codes = [_symbols(self.said, g, k) for g in self.groups]
        self.tables, self.prior = guesses, np.full(k, 1.0 / k)
        last = -np.inf
        for _ in range(self.model.n_iter):
            self.rounds += 1
            scores = np.tile(np.log(self.prior), (len(self.said), 1))
            for table, code in zip(self.tables, codes):
                scores += np.log(table)[code]
            self.posterior, log_sum = softmax_rows(scores)
            value = float(log_sum.mean())
            if self.gold is not None:
                known = self.gold >= 0
                value += float(np.log(np.maximum(self.posterior[known, self.gold[known]], 1e-300)).sum()) / len(log_sum)
                self.posterior[known] = one_hot(self.gold[known], k)
            self.prior = (self.posterior.sum(axis=0) + 1) / (len(log_sum) + k)
            self.tables = [_table(code, self.posterior, guess, strength) for code, guess in zip(codes, guesses)]
            value += sum(strength * float((g * np.log(t)).sum()) for g, t in zip(guesses, self.tables)) / len(log_sum)
            if abs(value - last) < self.model.tol:
                self.converged = True
                break
            last = value
        return self


def rules(
    data: object,
    columns: Sequence[str],
    *,
    gold: str | None = None,
    id: str | None = None,
    classes: Sequence[Any] | None = None,
    correlated: str | Sequence[Sequence[str]] | None = "auto",
    **settings: Any,
) -> SoftLabels:
    """Soft labels from labelling rules, one column per rule.

    Parameters
    ----------
    data : data frame
        One row per task; a rule column holds a class, or is missing where the rule abstains.
    columns : sequence of str
        Rule columns, three or more (two with gold).
    gold : str, optional
        Column with the known class of some rows, missing elsewhere.
    id : str, optional
        Column with the name of the task; by default the row number.
    classes : sequence, optional
        All classes; by default those that occur.
    correlated : "auto", None or sequence of sequences of str
        Look for correlated rules, take all as independent, or groups of rule columns.
    **settings
        ``accuracy``, ``strength``, ``n_iter``, ``tol`` of :class:`RuleModel`.

    Returns
    -------
    SoftLabels
        ``skills["accuracy"]`` is the accuracy of each rule where it speaks, ``notes`` name correlated rules.

    Raises
    ------
    ArgumentError, DataError

    Examples
    --------
    >>> import karat as kt
    >>> rows = {"r1": ["pro", "anti", None], "r2": ["pro", "anti", "anti"], "r3": ["pro", None, "anti"]}
    >>> kt.labels.rules(rows, ["r1", "r2", "r3"]).hard().tolist()
    ['pro', 'anti', 'anti']
    """
    table = Table.read(data)
    few = isinstance(columns, str) or not isinstance(columns, Sequence) or len(columns) < (2 if gold is not None else 3)
    if few or len(set(columns)) < len(columns):
        raise ArgumentError(f"columns={columns!r}: give three different rule columns or more (two with gold).")
    series = [table.as_given(c, "columns") for c in columns]
    truth = table.as_given(gold, "gold") if gold is not None else None
    known_arguments(settings, "rules", ("accuracy", "strength", "n_iter", "tol", *signature(rules).parameters))
    every = series if truth is None else [*series, truth]
    order = class_tuple(classes_in(*every, what="rule columns and gold") if classes is None else classes)
    said = np.column_stack([codes_in(s, order, f"rule {c!r}: label", c) for s, c in zip(series, columns)])
    if not (said >= 0).any():
        raise DataError("every rule abstains everywhere; there is nothing to learn from.")
    position = {c: j for j, c in enumerate(columns)}
    groups: Any = correlated
    if correlated is not None and not isinstance(correlated, str):
        if any(isinstance(g, str) or not isinstance(g, Sequence) for g in correlated):
            raise ArgumentError(f"correlated={correlated!r} must be a list of lists of rule columns.")
        stray = [c for g in correlated for c in g if c not in position]
        if stray:
            raise ArgumentError(f"correlated names {stray}, which are not among the rule columns {list(columns)}.")
        groups = [[position[c] for c in g] for g in correlated]
    model = RuleModel(groups, **settings).fit(
        said, len(order), None if truth is None else codes_in(truth, order, "gold class", str(gold))
    )
    names: Any = objects(list(columns))
    joint = [" + ".join(map(str, names[list(g)])) for g in model.groups_ if len(g) > 1]
    notes = tuple(f"rules taken as correlated: {j}" for j in joint)
    if not model.converged_:
        notes += (f"stopped after {model.n_iter_} rounds before it settled",)
    tasks: Array = np.arange(len(said))
    if id is not None:
        named, code = sorted_codes(table.as_given(id, "id"), f"column {id!r} (id)")
        if len(named) < len(code) or (code < 0).any():
            raise DataError(f"column {id!r} (id) must name every row differently, none missing.")
        tasks = named[code]
    spoken = (said >= 0).astype(np.float64)
    return SoftLabels(
        tasks, order, model.probabilities_, spoken.sum(axis=1), "rules", names, spoken.sum(axis=0),
        skills={"accuracy": model.accuracy_, "coverage": model.coverage_}, notes=notes,
        id_column=id or "task", backend=backend_of(data),
    )  # fmt: skip


def _checked(said: Any, n_classes: int) -> Ints:
    """Answers of rules as codes."""
    codes = np.asarray(said)
    whole_codes = codes.dtype.kind in "iu" or (codes.dtype.kind == "f" and bool((codes % 1 == 0).all()))
    if codes.ndim != 2 or not codes.size or not whole_codes or codes.min() < UNKNOWN or codes.max() >= n_classes:
        raise DataError(
            f"said must be a table of codes from -1 (abstains) to {n_classes - 1}: a row per task, a column per rule."
        )
    return codes.astype(np.intp)


def _symbols(said: Ints, group: tuple[int, ...], k: int) -> Ints:
    """Code of the joint answer of a group; abstaining is answer 0."""
    out = np.zeros(len(said), dtype=np.intp)
    for j in group:
        out = out * (k + 1) + said[:, j] + 1
    return out


def _guess(group: tuple[int, ...], coverage: Floats, k: int, accuracy: float) -> Floats:
    """Prior guess of a group's table: independent rules, equally accurate for every class."""
    out = np.ones((1, k))
    for j in group:
        c = min(max(float(coverage[j]), 1e-3), 1 - 1e-3)
        one = np.full((k + 1, k), c * (1 - accuracy) / (k - 1))
        one[0] = 1 - c
        one[np.arange(1, k + 1), np.arange(k)] = c * accuracy
        out = (out[:, None, :] * one[None, :, :]).reshape(-1, k)
    return out


def _table(code: Ints, posterior: Floats, guess: Floats, strength: float) -> Floats:
    columns = [np.bincount(code, column, minlength=len(guess)) for column in posterior.T]
    counts = np.column_stack(columns) + strength * guess
    return np.asarray(counts / counts.sum(axis=0))


def _find_groups(said: Ints, k: int, gold: Ints | None, model: RuleModel) -> tuple[tuple[int, ...], ...]:
    """Join the most dependent pair of rules, refit, and look again, until no pair stands out."""
    groups: tuple[tuple[int, ...], ...] = tuple((j,) for j in range(said.shape[1]))
    while len(groups) > 2:
        fit = _Fit(said, k, gold, groups, model).run()
        pair = _most_dependent(said, fit)
        if pair is None:
            break
        joined = tuple(sorted({j for g in groups if pair[0] in g or pair[1] in g for j in g}))
        groups = (*(g for g in groups if not set(g) & set(joined)), joined)
    return tuple(sorted(groups))


def _most_dependent(said: Ints, fit: _Fit) -> tuple[int, int] | None:
    """The pair of rules whose joint answers fit independence given the class worst, if any stands out."""
    # The class is judged by the other groups and gold: a pair of copies would otherwise make itself the truth.
    from scipy.stats import chi2

    n, m = said.shape
    home = {j: g for g, members in enumerate(fit.groups) for j in members}
    logs = [np.log(t)[_symbols(said, g, fit.k)] for g, t in zip(fit.groups, fit.tables)]
    total = np.log(fit.prior) + sum(logs)
    best, found = 0.03, None
    for a, b in combinations(range(m), 2):
        if home[a] == home[b] or len(fit.groups[home[a]]) + len(fit.groups[home[b]]) > _LARGEST_GROUP:
            continue
        posterior = softmax_rows(total - logs[home[a]] - logs[home[b]])[0]
        if fit.gold is not None:
            known = fit.gold >= 0
            posterior[known] = one_hot(fit.gold[known], fit.k)
        codes = [_symbols(said, (j,), fit.k) for j in (a, b)]
        one, two = (_given_class(code, posterior, fit.k) for code in codes)
        expected = one @ (two * posterior.mean(axis=0)).T * n
        joint = np.bincount(codes[0] * (fit.k + 1) + codes[1], minlength=expected.size).reshape(expected.shape)
        seen = joint > 0
        g2 = 2 * float((joint[seen] * np.log(joint[seen] / np.maximum(expected[seen], 1e-12))).sum())
        moved = 0.5 * float(np.abs(joint - expected).sum()) / n
        if moved > best and chi2.sf(g2, fit.k**2) < 1e-3 / (m * (m - 1) / 2):
            best, found = moved, (a, b)
    return found


def _given_class(code: Ints, posterior: Floats, k: int) -> Floats:
    """Answer probabilities given the class, when the class is known up to a posterior from other sources."""
    table = _table(code, posterior, np.full((k + 1, k), 1.0 / (k + 1)), 0.1)
    for _ in range(50):
        weight = posterior * table[code]
        weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-300)
        table = _table(code, weight, np.full((k + 1, k), 1.0 / (k + 1)), 0.1)
    return table
