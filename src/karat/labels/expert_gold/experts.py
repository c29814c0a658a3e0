"""Several experts as gold: say which quantity the regression is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArgumentError, DataError, number, one_of
from ...frames.kinds import is_number
from ..tables.annotations import Annotations
from ..tables.codes import known_rows, listed, name_of, objects, sorted_codes
from ..tables.read import as_annotations
from ..tables.render import backend_of, build_frame
from .agreement import Agreement, agreement
from .expert_errors import dependent_confusion, unbiased_truth

if TYPE_CHECKING:
    import pandas as pd

    from ..._core.types import Array, Floats

ESTIMANDS = ("expert_mean", "latent_truth", "group")


@dataclass(frozen=True, eq=False)
class ExpertGold:
    """Gold made from the labels of several experts, and the quantity it measures.

    Parameters
    ----------
    tasks : ndarray, shape (n,)
        Units that experts labelled, sorted.
    gold : ndarray, shape (n, q)
        Numeric gold columns; NaN where a group labelled nothing.
    names : tuple of str
        Names of the columns.
    estimand : str
    agreement : Agreement or None
        None where no unit has two labels, or labels are weighted, distributions or sets.
    n_experts : ndarray, shape (n,)
        Labels behind each row.
    experts : ndarray
        Names of the experts.
    confusion : ndarray of shape (W, K, K) or None
        ``latent_truth``: estimated error rates, rows are the truth.
    cluster : ndarray of shape (n,) or None
        The expert of each unit, when every unit has one expert: hand it to ``cluster=``.
    notes : tuple of str
    annotations : Annotations
        The labels, for :meth:`sensitivity`.
    id_column, backend : str
    of : tuple of str
        What each column is: the share of which class among the answers, their mean, or which true class it is about.

    Examples
    --------
    >>> import karat as kt
    >>> votes = {"task": [1, 1, 1, 2, 2, 2], "worker": list("abcabc"), "label": [1, 1, 0, 0, 0, 0]}
    >>> kt.labels.experts(votes).gold[:, 0].round(2)
    array([0.67, 0.  ])
    """

    tasks: Array
    gold: Floats = field(repr=False)
    names: tuple[str, ...]
    estimand: str
    agreement: Agreement | None
    n_experts: Floats = field(repr=False)
    experts: Array = field(repr=False)
    confusion: Floats | None = field(default=None, repr=False)
    cluster: Array | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()
    annotations: Annotations | None = field(default=None, repr=False)
    id_column: str = "task"
    backend: str = "pandas"
    of: tuple[str, ...] = ()

    @property
    def table(self) -> Any:
        """Task, gold column(s), n_experts."""
        columns = [(self.id_column, self.tasks), *zip(self.names, self.gold.T)]
        return build_frame([*columns, ("n_experts", self.n_experts)], self.backend)

    def align(self, tasks: object, name: str | None = None) -> Floats:
        """A gold column in the order of a corpus, NaN where no expert labelled the unit.

        Parameters
        ----------
        tasks : array_like, shape (N,)
            Task of each row of the corpus.
        name : str, optional
            Which column; needed when there are several.

        Returns
        -------
        ndarray, shape (N,)

        Raises
        ------
        DataError
            If no task is one that the experts labelled.
        """
        if name is None and len(self.names) > 1:
            raise ArgumentError(f"there are several gold columns; name one of {list(self.names)}.")
        one_of("name", name or self.names[0], self.names)
        column = self.gold[:, self.names.index(name or self.names[0])]
        place = known_rows(tasks, self.tasks)
        return np.where(place >= 0, column[place], np.nan)

    def sensitivity(self, dependence: Sequence[float] = (0.0, 0.1, 0.2, 0.3)) -> DependenceSensitivity:
        """How the gold changes when experts share a part of their errors.

        Parameters
        ----------
        dependence : sequence of float
            Share of units on which one expert (any, equally likely) answers and all others copy.

        Returns
        -------
        DependenceSensitivity
            Fit the regression once with each of its gold columns.

        Raises
        ------
        ArgumentError
            If the estimand is not ``latent_truth``, or a share is not in [0, 1).
        """
        if self.estimand != "latent_truth" or self.annotations is None:
            raise ArgumentError("sensitivity belongs to estimand='latent_truth', which assumes independent errors.")
        if isinstance(dependence, (str, bytes)) or not isinstance(dependence, Iterable):
            raise ArgumentError(f"dependence={dependence!r} is not allowed; give a list of numbers in [0, 1).")
        dependence = [number("dependence", share, least=0, below=1) for share in dependence]
        columns, accuracy, prevalence = [], [], []
        for share in dependence:
            confusion, prior = dependent_confusion(self.annotations, float(share))
            columns.append(unbiased_truth(self.annotations, confusion, prior)[:, -1])
            accuracy.append(np.einsum("c,wcc->w", prior, confusion))
            prevalence.append(prior)
        return DependenceSensitivity(
            tuple(float(r) for r in dependence), self.tasks, np.column_stack(columns), np.array(accuracy),
            np.array(prevalence), self.experts, self.of[-1],
        )  # fmt: skip

    def __str__(self) -> str:
        says = {
            "expert_mean": "mean answer of the experts; the regression is about what experts say on average, "
            "with the errors that they share",
            "latent_truth": "a true class behind the answers, if experts err independently of each other and of the "
            "covariates given the truth; check with .sensitivity()",
            "group": "mean answer of each group of experts; one regression for each column",
        }
        lines = [f"Gold of {len(self.experts)} experts on {len(self.tasks)} units, estimand {self.estimand}"]
        lines += [f"  {name}: {what}" for name, what in zip(self.names, self.of)]
        if self.of[0].startswith("share"):
            lines.append(
                "  a share is a number: give kt.ols a surrogate that is one too (0 and 1, or a probability); for "
                "kt.logit take one class, with aggregate(..., 'majority').hard()"
            )
        lines += [
            f"  {says[self.estimand]}",
            f"  agreement: {self.agreement or 'not known, no two labels of one class each on a unit'}",
        ]
        if self.cluster is not None:
            lines.append(
                "  every unit has one expert: errors are shared within an expert, so give cluster=gold.cluster"
            )
        return "\n".join(lines + [f"  note: {note}" for note in self.notes])

    def summary(self) -> str:
        """What the gold measures, and how far the experts agree."""
        return str(self)


@dataclass(frozen=True, eq=False)
class DependenceSensitivity:
    """Gold under several degrees of dependence between experts.

    Parameters
    ----------
    dependence : tuple of float
    tasks : ndarray, shape (n,)
    gold : ndarray, shape (n, len(dependence))
        One column per degree: gold of the last class.
    accuracy : ndarray, shape (len(dependence), W)
        Accuracy of each expert.
    prevalence : ndarray, shape (len(dependence), K)
    experts : ndarray, shape (W,)
    of : str
        What the gold is: which class it is about.
    """

    dependence: tuple[float, ...]
    tasks: Array
    gold: Floats = field(repr=False)
    accuracy: Floats = field(repr=False)
    prevalence: Floats = field(repr=False)
    experts: Array = field(repr=False)
    of: str = ""

    @property
    def table(self) -> pd.DataFrame:
        """Degree of dependence, mean and lowest accuracy, prevalence of the last class."""
        import pandas as pd

        return pd.DataFrame(
            {
                "dependence": self.dependence,
                "mean accuracy": self.accuracy.mean(axis=1),
                "lowest accuracy": self.accuracy.min(axis=1),
                "prevalence": self.prevalence[:, -1],
            }
        )


def experts(
    annotations: object,
    estimand: str = "expert_mean",
    *,
    groups: Mapping[Any, Any] | None = None,
    level: str = "auto",
    **columns: Any,
) -> ExpertGold:
    """Make numeric gold from the labels of several experts, for a stated estimand.

    Parameters
    ----------
    annotations : data frame or Annotations
        Long table, one row per expert and unit.
    estimand : {"expert_mean", "latent_truth", "group"}
        The mean answer of the experts; a true class behind them (three experts or more who err independently); or
        one mean per group of experts.
    groups : mapping, optional
        Expert -> group, for ``"group"``.
    level : {"auto", "nominal", "ordinal", "interval"}
        Scale of the labels. Interval labels are averaged as numbers; others become shares. ``"auto"``: interval for
        three numbers or more, else nominal.
    **columns
        How to read the table, see :func:`read_annotations`.

    Returns
    -------
    ExpertGold
        Its gold columns are numbers: one column for two classes (the second class, in the order of the classes) or for
        interval labels, else one per class.

    Raises
    ------
    ArgumentError, DataError
        If the estimand cannot be had from these labels; the message says why.

    Notes
    -----
    ``latent_truth`` estimates each expert's confusion matrix M by Dawid-Skene and replaces the label y by row y of
    :math:`M^{-1}`, whose expectation given the truth is the indicator of the truth; experts are combined by
    inverse variance. A posterior probability would not do: it leans towards the prior, and slopes shrink. Errors must
    be independent of the covariates given the truth.

    References
    ----------
    Dawid and Skene (1979); Rosychuk and Thompson (2001) for matrix-method correction.

    Examples
    --------
    >>> import karat as kt
    >>> votes = {"task": [1, 1, 2, 2], "worker": list("abab"), "label": ["no", "yes", "yes", "yes"]}
    >>> gold = kt.labels.experts(votes, "group", groups={"a": "law", "b": "press"})
    >>> gold.names
    ('gold_law', 'gold_press')
    """
    one_of("estimand", estimand, ESTIMANDS)
    one_of("level", level, ("auto", "nominal", "ordinal", "interval"))
    coded = as_annotations(annotations, columns, experts)
    numbers = all(is_number(c) and not isinstance(c, bool) for c in coded.classes)
    if level == "auto":
        level = "interval" if numbers and coded.n_classes > 2 and estimand != "latent_truth" else "nominal"
    if (groups is not None) != (estimand == "group"):
        raise ArgumentError("groups= (expert -> group) goes with estimand='group', and only with it.")
    confusion = None
    notes = list(coded.notes)
    if estimand == "latent_truth":
        _check_latent(coded, level)
        confusion, prior = dependent_confusion(coded, 0.0)
        gold = unbiased_truth(coded, confusion, prior)
        names, _ = _names(coded, level)
        gold = gold[:, -len(names) :]
        of = tuple(f"a number whose mean is 1 where the truth is {c!r}, else 0" for c in coded.classes[-len(names) :])
        notes.append("error rates are estimated; .sensitivity() shows what shared errors would do")
    elif estimand == "group":
        gold, names, of = _by_group(coded, groups, level)
    else:
        gold, (names, of) = _mean_answer(coded, coded.counts, level), _names(coded, level)
    several = (coded.counts.sum(axis=1) > 1 + 1e-9).any() and coded.weight is None and coded.candidates is None
    return ExpertGold(
        coded.tasks, gold, names, estimand, agreement(coded, level) if several else None, coded.n_labels,
        coded.workers, confusion, _cluster(coded), tuple(notes), coded if estimand == "latent_truth" else None,
        str(columns.get("task", "task")), backend_of(annotations), of,
    )  # fmt: skip


def _mean_answer(coded: Annotations, counts: Floats, level: str) -> Floats:
    total = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0)
    if level == "interval":
        return np.asarray(share @ np.array(coded.classes, dtype=np.float64))[:, None]
    return share[:, 1:] if coded.n_classes == 2 else share


def _names(coded: Annotations, level: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the gold columns, and what each is."""
    if level == "interval":
        return ("gold",), ("mean of the answers",)
    if coded.n_classes == 2:
        return ("gold",), (f"share of {coded.classes[1]!r} among the answers",)
    return tuple(f"gold_{c}" for c in coded.classes), tuple(f"share of {c!r} among the answers" for c in coded.classes)


def _by_group(coded: Annotations, groups: object, level: str) -> tuple[Floats, tuple[str, ...], tuple[str, ...]]:
    if not isinstance(groups, Mapping):
        raise ArgumentError(f"groups must map each expert to a group; got {type(groups).__name__}.")
    given = {name_of(w): g for w, g in groups.items()}
    missing = [w for w in listed(coded.workers) if name_of(given.get(w)) is None]
    if missing:
        raise DataError(f"groups does not name the expert(s) {missing[:5]}; give every expert a group.")
    found, of_worker = sorted_codes(objects([given[w] for w in listed(coded.workers)]), "groups")
    plain = coded.folded()
    columns, names = [], []
    of: list[str] = []
    for code, group in enumerate(found.tolist()):
        inside = of_worker[plain.worker] == code
        key = plain.task[inside].astype(np.int64) * plain.n_classes + plain.label[inside]
        counts = np.bincount(key, plain.weights[inside], minlength=plain.n_tasks * plain.n_classes)
        columns.append(_mean_answer(coded, counts.reshape(plain.n_tasks, -1), level))
        own, what = _names(coded, level)
        names += [name.replace("gold", f"gold_{group}", 1) for name in own]
        of += [f"{w} of {group}" for w in what]
    return np.column_stack(columns), tuple(names), tuple(of)


def _check_latent(coded: Annotations, level: str) -> None:
    if level == "interval":
        raise ArgumentError("estimand='latent_truth' is about classes; for numbers use 'expert_mean' or labels.rate.")
    thrice = float((coded.n_labels > 2.5).mean())
    if coded.n_workers < 3 or thrice == 0:
        raise DataError(
            f"estimand='latent_truth' needs three experts or more on the same units; there are {coded.n_workers} "
            f"experts, and {thrice:.0%} of the units have three labels. With two, error rates and prevalence cannot be "
            "known separately: use 'expert_mean'."
        )


def _cluster(coded: Annotations) -> Array | None:
    """The expert of each unit, when there is one to each."""
    if coded.candidates is not None or coded.weight is not None or not (coded.n_labels == 1).all():
        return None
    return np.asarray(coded.workers[coded.worker])
