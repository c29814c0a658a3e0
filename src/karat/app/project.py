"""What one study holds: a folder with the table, the draw, the annotators' pages and their answers."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..annotate import Code, Codebook
from ..designs import Sample, SimpleRandom, Stratified, read_sample
from ..errors import ArgumentError, DataError, KaratWarning
from ..fieldwork import page as pages
from ..fieldwork.collect import read_manifest
from ..fieldwork.handout import MANIFEST, file_stem
from ..fieldwork.questions import Question, read_questions
from ..frames.corpus import Corpus, tell_missing
from ..frames.files import ENDINGS, read_said
from ..frames.quoting import quote

if TYPE_CHECKING:
    import pandas as pd

    from ..planning import Plan
    from ..results import Result

SETTINGS = "project.json"
ROUNDS = ("annotators", "third")
MODELS = {
    "mean": "share or mean", "ols": "linear regression", "logit": "logistic regression (two answers)",
    "multinomial": "multinomial regression (three or more answers)",
    "ordered": "ordered logit (answers on a scale, as they were listed)", "poisson": "Poisson regression (counts)",
}  # fmt: skip


def heard(call: Callable[[], Any]) -> tuple[Any, list[str]]:
    """What a call gives, and what it warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", KaratWarning)
        value = call()
    return value, list(dict.fromkeys(str(w.message) for w in caught))


def codebook_of(name: str, question: str, answers: str, scale: str = "") -> Codebook:
    r"""The codebook that a form describes.

    Parameters
    ----------
    name : str
        Name of the gold column.
    question : str
    answers : str
        An answer a line, what it means after a colon. Of two answers the first counts as 1, the second as 0.
    scale : str
        Instead of answers: lowest and highest whole number, such as ``"1 to 7"``.

    Examples
    --------
    >>> [code.value for code in codebook_of("support", "For it?", "yes: wants it\nno").codes]
    [1, 0]
    """
    if scale.strip():
        found = re.fullmatch(r"\s*(-?\d+)\s*(?:to|-|:|,)\s*(-?\d+)\s*", scale)
        if not found or answers.strip():
            raise ArgumentError(
                f"scale {scale!r} cannot be read; write for example 1 to 7, and leave the answers empty."
            )
        return Codebook(name, question, scale=(int(found[1]), int(found[2])))
    lines = [line.partition(":") for line in answers.splitlines() if line.strip()]
    if len(lines) < 2:
        raise ArgumentError("answers: write two or more, each on a line of its own.")
    words = [word.strip() for word, _, _ in lines]
    values = [1, 0] if len(words) == 2 else words
    codes = [Code(value, word, meaning.strip()) for value, word, (_, _, meaning) in zip(values, words, lines)]
    return Codebook(name, question, codes)


@dataclass
class Project:
    """One study in a folder."""

    folder: Path
    fit: Result | None = field(default=None, repr=False)
    fitted: pd.DataFrame | None = field(default=None, repr=False)
    """The table that was fitted."""

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What was chosen so far."""
        path = self.folder / SETTINGS
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def keep(self, **changes: Any) -> None:
        """Change what was chosen."""
        self.settings.update(changes)
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.settings, indent=1, ensure_ascii=False) + "\n"
        (self.folder / SETTINGS).write_text(text, encoding="utf-8")

    # ---- the table ---------------------------------------------------------------------------------------------------

    def load(self, name: str, content: bytes) -> None:
        """Take a table that was uploaded; raises where it cannot be read, and where a sample was drawn already."""
        if self.drawn:
            raise ArgumentError("a sample was drawn from the table that is here; start another study in a new folder.")
        ending = next((end for end in sorted(ENDINGS, key=len, reverse=True) if name.lower().endswith(end)), None)
        if ending is None:
            raise ArgumentError(f"{name!r} has no ending that is known; upload one of {', '.join(ENDINGS)}.")
        self.folder.mkdir(parents=True, exist_ok=True)
        trial = self.folder / f"upload{ending}"
        trial.write_bytes(content)
        try:
            read_said(trial)
        except Exception:
            trial.unlink()
            raise
        path = self.folder / f"corpus{ending}"
        trial.replace(path)
        self.__dict__.pop("corpus", None)
        self.keep(table=path.name, uploaded=name, text=None, machine=[])
        assert self.corpus is not None
        tell_missing(self.corpus)

    @cached_property
    def corpus(self) -> Corpus | None:
        """The table, if there is one."""
        if "table" not in self.settings:
            return None
        path = self.folder / self.settings["table"]
        if not path.exists():
            return None
        table, dialect = read_said(path)
        return Corpus(table, path, dialect)

    @property
    def table(self) -> pd.DataFrame:
        """The table; raises where there is none."""
        if self.corpus is None:
            raise ArgumentError("there is no table yet; load one first.")
        return self.corpus.table

    @property
    def longest(self) -> str | None:
        """The column with the longest entries, which is likely the text."""
        words = {str(name): self.table[name].head(100).map(lambda v: len(str(v))).mean() for name in self.table}
        return max(words, key=words.__getitem__, default=None)

    def choose(self, text: str, machine: Sequence[str]) -> None:
        """Say which column is the text, and which hold labels of a machine."""
        for name in (text, *machine):
            if name not in self.table:
                raise ArgumentError(f"{name!r} is not a column of the table.")
        if not machine:
            raise ArgumentError("choose at least one column with labels or scores of a machine.")
        self.keep(text=text, machine=list(machine))

    # ---- draw and label ----------------------------------------------------------------------------------------------

    @property
    def drawn(self) -> bool:
        """Whether there is a sample."""
        return (self.folder / "sample.json").exists()

    @cached_property
    def sample(self) -> Sample:
        """The sample; raises where there is none."""
        if not self.drawn:
            raise ArgumentError("no sample was drawn yet; draw one first.")
        return read_sample(self.folder / "sample.json")

    def draw(self, n: int, by: str, book: Codebook, annotators: Sequence[str], overlap: float, seed: int) -> None:
        """Draw documents and write the annotators' pages."""
        if self.drawn:
            raise ArgumentError("a sample was drawn already; start another study in a new folder.")
        if not self.settings.get("text"):
            raise ArgumentError("say first which column is the text and which holds the machine's labels.")
        if book.name in self.table:
            raise ArgumentError(f"the table has a column {book.name!r} already; give the label another name.")
        sample = (Stratified(by, n=n) if by else SimpleRandom(n=n)).draw(self.table, seed=seed)
        sample.to_labelling(
            self.folder / ROUNDS[0], self.table, self.settings["text"], book, annotators=list(annotators),
            overlap=overlap, formats=("html", "csv"),
        )  # fmt: skip
        sample.save(self.folder / "sample.json")
        self.__dict__.pop("sample", None)
        self.keep(label=book.name)

    @property
    def question(self) -> Question:
        """What annotators are asked."""
        return read_questions(read_manifest(self.folder / ROUNDS[0] / MANIFEST, self.sample)["labels"])[0]

    def people(self, round: str) -> dict[str, tuple[int, int]]:
        """Annotators of a round: documents, and how many of them are answered in their page."""
        folder = self.folder / round
        if not self.drawn or not (folder / MANIFEST).exists():
            return {}
        given: Mapping[str, Sequence[str]] = read_manifest(folder / MANIFEST, self.sample)["annotators"]
        saved = {name: self.saved(round, name) for name in given}
        return {
            name: (
                len(given[name]),
                sum(bool(each["answers"]) for each in saved[name]["answers"]) if saved[name] else 0,
            )
            for name in given
        }

    def saved(self, round: str, name: str) -> Any:
        """What a page saved, or None."""
        path = self._answers(round, name)
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def _answers(self, round: str, name: str) -> Path:
        if round not in ROUNDS or name not in read_manifest(self.folder / round / MANIFEST, self.sample)["annotators"]:
            raise ArgumentError(f"there is no page of {name!r}.")
        return self.folder / round / f"{file_stem(name)}.answers.json"

    def page(self, round: str, name: str, post: str) -> bytes:
        """The page of an annotator, with what is answered so far."""
        return pages.served(self.written_page(round, name), post, self.saved(round, name))

    def written_page(self, round: str, name: str) -> bytes:
        """The page of an annotator as a file that works without this one."""
        return self._answers(round, name).with_name(f"{file_stem(name)}.html").read_bytes()

    def take(self, round: str, name: str, content: bytes) -> None:
        """Keep answers of a page, sent by it or in a file that it saved; older ones do not take the place of newer."""
        path = self._answers(round, name)
        try:
            given = json.loads(content)
        except ValueError:
            raise DataError("this is not a file that a page saved.") from None
        if not pages.is_answers(given):
            raise DataError("this is not a file that a page saved.")
        pages.checked(given, "the file", self._origins, [self.question])
        if given.get("annotator") != name:
            raise DataError(f"the file was saved by the page of {given.get('annotator')!r}, not of {name!r}.")
        before = self.saved(round, name)
        if before is None or str(given.get("saved")) >= str(before.get("saved")):
            waiting = path.with_suffix(".new")
            waiting.write_bytes(content)
            waiting.replace(path)

    @property
    def _origins(self) -> set[str | None]:
        frame = self.sample.design.frame
        return set() if frame is None else {frame.hash, frame.origin}

    @property
    def _returned(self) -> list[Path]:
        found = [path for round in ROUNDS for path in sorted((self.folder / round).glob("*.answers.json"))]
        if not found:
            raise ArgumentError("nobody has answered yet; label some documents first.")
        return found

    def settle(self) -> int:
        """Write the page of the third round; gives the number of documents on which people differ."""
        labels = {self.question.name: self.question}
        long = self.sample.read_annotations(self._returned, self.table, labels=labels)
        third = self.folder / ROUNDS[1]
        if any(third.glob("*.answers.json")):
            raise ArgumentError("disagreements are being settled already; finish that page.")
        shutil.rmtree(third, ignore_errors=True)
        self.sample.to_adjudication(third, self.table, self.settings["text"], long, labels)
        return sum(n for n, _ in self.people(ROUNDS[1]).values())

    def labelled(self, join: str = "expert_mean") -> pd.DataFrame:
        """The table with gold filled in."""
        labels = {self.question.name: self.question}
        found: pd.DataFrame = self.sample.read_labels(
            self._returned, self.table, labels=labels, join=join, missing="ignore"
        )
        return found

    # ---- fit ---------------------------------------------------------------------------------------------------------

    def estimate(
        self, model: Any, outcome: str, covariates: Sequence[str], answer: str = "", ignore: bool = False
    ) -> None:
        """Fit; ``answer``: the class whose share is asked; ``ignore``: documents without gold are missing at random."""
        from ..regression.entry_points import mean, regress
        from ..regression.family import ordered

        if model not in MODELS:
            raise ArgumentError(f"model {model!r} is not among {', '.join(MODELS)}.")
        question = self.question
        known = {*map(str, self.table.columns), question.name}
        if stray := [name for name in (outcome, *covariates) if name not in known]:
            raise ArgumentError(f"{stray[0]!r} is not a column.")
        if question.name not in (outcome, *covariates):
            raise ArgumentError(f"{question.name!r} is neither the outcome nor among the explanations; choose it.")
        averaged = model in ("mean", "ols") or (question.name != outcome and model != "multinomial")
        table = self.labelled("expert_mean" if question.numeric and averaged else "majority")
        self.fit, self.fitted = None, table
        settings: dict[str, Any] = {
            "surrogates": {question.name: self.settings["machine"]}, "design": self.sample,
            "nonresponse": "ignorable" if ignore else "raise",
        }  # fmt: skip
        if model == "mean":
            variable = outcome
            if outcome == question.name and not question.numeric:
                if answer not in question.classes:
                    raise ArgumentError("choose the answer whose share you ask for.")
                variable = f"I({quote(outcome)} == {answer!r})"
            self.fit = mean(variable, table, by=list(covariates) or None, **settings)
            return
        right = " + ".join(quote(name) for name in covariates) or "1"
        formula = f"{quote(outcome)} ~ {right}"
        if model == "ordered":
            levels = list(question.classes) if outcome == question.name and not question.numeric else None
            self.fit = ordered(formula, table, levels=levels, **settings)
        else:
            self.fit = regress(formula, table, model=model, **settings)

    def plan(self, term: str, half_width: float) -> Plan:
        """How many more gold labels a coefficient of the fit needs."""
        from ..planning import plan

        if self.fit is None:
            raise ArgumentError("there is no fit yet; fit first.")
        return plan(self.fit, self.fitted, goal={term: {"half_width": half_width}})

    def comparison(self) -> list[dict[str, Any]]:
        """The fit beside what the machine alone and gold alone say, a row for each coefficient."""
        assert self.fit is not None
        table = self.fit.compare().table()
        names = {"machine": "Surrogate only", "gold": "Gold only", "both": "DSL"}
        out = []
        for coefficient, row in table.iterrows():
            cells: dict[str, Any] = {"name": str(coefficient)}
            for key, column in names.items():
                if column in table.columns.get_level_values(0):
                    figures = row[column]
                    bounds = [name for name in figures.index if str(name).endswith("%")]
                    cells[key] = (float(figures["Estimate"]), *(float(figures[name]) for name in bounds))
            out.append(cells)
        return out

    def write_report(self) -> Path:
        """Write the report about the last fit."""
        assert self.fit is not None
        return self.fit.report(self.folder / "report.html", question=f"Experts were asked: {self.question.asked}")

    def write_gold(self) -> Path:
        """Write the table with gold, its other columns as they were."""
        path = self.folder / "labelled.csv"
        assert self.corpus is not None
        self.corpus.write(self.labelled(), path)
        return path
