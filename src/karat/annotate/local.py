"""Labels from a transformers model on this machine: inference models and causal language models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentError, one_of, whole
from ..predict.text import backbone
from .answer_store import AnswerStore
from .one_text import Row
from .question import Question

KINDS = ("auto", "nli", "causal")
_WAY = 2
"""How texts are put before a model; answers got in another way are not used again."""


@dataclass(frozen=True)
class LocalModel:
    """A transformers model that labels without any endpoint.

    Parameters
    ----------
    model : str
        Local folder, or name on the Hugging Face hub.
    kind : {"auto", "nli", "causal"}
        ``"nli"``: a model of textual entailment; a class is as probable as the hypothesis that names it is entailed.
        It sees text and hypothesis and no instruction; a question with examples, system or template is refused.
        ``"causal"``: a language model; a class is as probable as the words that name it, after the prompt.
    hypothesis : str
        For ``"nli"``: sentence with ``{label}`` in it.
    batch_size : int
    max_length : int
        Most tokens of a prompt (for ``"nli"``: of text and hypothesis); a text is cut at its end where it would be
        longer. The model's own limit holds as well.
    device, precision, revision : str
        As in :class:`karat.predict.TextEncoder`.
    label : str, optional
        Short name of the model in tables.

    Raises
    ------
    ArgumentError

    References
    ----------
    Yin, Hay and Roth (2019), Benchmarking zero-shot text classification, EMNLP, for entailment; Brown et al. (2020),
    Language models are few-shot learners, for the likelihood of the answer.

    Examples
    --------
    >>> from karat.annotate import LocalModel
    >>> LocalModel("some-folder", kind="nli").hypothesis
    'This text is about {label}.'
    """

    model: str
    kind: str = "auto"
    hypothesis: str = "This text is about {label}."
    batch_size: int = 16
    max_length: int = 512
    device: str = "auto"
    precision: str = "auto"
    revision: str | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        one_of("kind", self.kind, KINDS)
        if "{label}" not in self.hypothesis:
            raise ArgumentError("hypothesis must hold {label}, where the class is named.")
        for name in ("batch_size", "max_length"):
            object.__setattr__(self, name, whole(name, getattr(self, name), least=1))

    def describe(self) -> dict[str, Any]:
        """What the answers depend on, for the record and the cache."""
        _, identity = backbone.locate(self.model, self.revision)
        about = {"model": self.model, "identity": identity, "kind": self.built(), "max_length": self.max_length}
        precision = self.precision
        if precision == "auto":
            backbone.need_transformers()
            precision = backbone.choose_precision(precision, backbone.choose_device(self.device))
        return about | {"hypothesis": self.hypothesis, "precision": precision}

    def built(self) -> str:
        """What the model is: ``"nli"`` or ``"causal"``."""
        if self.kind != "auto":
            return self.kind
        folder, _ = backbone.locate(self.model, self.revision)
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ArgumentError(f"the model {self.model!r} cannot be loaded: {error}") from error
        built = " ".join(config.get("architectures") or [])
        if "SequenceClassification" in built:
            return "nli"
        if "CausalLM" in built or "LMHead" in built:
            return "causal"
        raise ArgumentError(
            f"cannot tell what {self.model!r} is ({built or 'no architecture named'}); set kind='nli' or 'causal'."
        )

    def shows(self, question: Question) -> list[Any]:
        """What the model sees besides the text, for the record.

        Raises
        ------
        ArgumentError
            If the question holds what such a model cannot be shown.
        """
        if question.several:
            raise ArgumentError(
                "several= needs an answer in words, so it is for endpoints; ask a LocalModel class by class."
            )
        if self.built() == "causal":
            return list(question.messages("{text}"))
        given = {"examples": question.examples, "system": question.system, "template": question.template}
        if unused := [name for name, value in given.items() if value]:
            raise ArgumentError(
                f"the model {self.model!r} judges hypotheses (kind='nli') and sees no prompt, so {unused[0]}= of the "
                "question cannot be used; leave it out and word hypothesis= instead."
            )
        return [self.hypothesis.replace("{label}", word) for word in question.words]

    def rows(
        self, texts: list[str], question: Question, store: AnswerStore, job: str, progress: bool
    ) -> dict[str, Row]:
        """Distributions of texts, each kept as soon as its batch is done."""
        from tqdm import tqdm

        about = self.describe()
        about.pop("model")
        base = json.dumps([about, question.describe(), _WAY], sort_keys=True, default=str)
        keys = {
            t: hashlib.blake2b((base + "\0" + t).encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()
            for t in texts
        }
        out: dict[str, Row] = {}
        for text in texts:
            kept = store.get(keys[text])
            if kept is not None:
                found = json.loads(kept)
                out[text] = Row(np.array(found["p"]), found["method"], found["mass"])
        todo = sorted((t for t in texts if t not in out), key=lambda t: -len(t))
        with tqdm(total=len(texts), initial=len(out), disable=not progress, unit="text") as bar:
            if todo:
                for portion, made in _Labeller(self, question).batches(todo):
                    for text, row in zip(portion, made):
                        ticket = store.reserve(keys[text], job, 0, None)
                        assert ticket is not None
                        assert row.p is not None
                        body = {"p": row.p.tolist(), "method": row.method, "mass": row.mass}
                        store.settle(ticket, "answered", 0, body=json.dumps(body))
                        out[text] = row
                    bar.update(len(portion))
        return out


class _Labeller:
    """A loaded model and a question."""

    model: Any

    def __init__(self, local: LocalModel, question: Question) -> None:
        backbone.need_transformers()
        self.local, self.question = local, question
        folder, _ = backbone.locate(local.model, local.revision)
        self.device = backbone.choose_device(local.device)
        self.precision = backbone.choose_precision(local.precision, self.device)
        with backbone.hushed():
            from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

            try:
                config = AutoConfig.from_pretrained(folder)
                self.kind = local.built()
                family = AutoModelForSequenceClassification if self.kind == "nli" else AutoModelForCausalLM
                self.tokenizer = AutoTokenizer.from_pretrained(folder)
                model: Any = family.from_pretrained(folder)
                self.model = model.to(self.device).eval()
            except ArgumentError:
                raise
            except Exception as error:
                raise ArgumentError(f"the model {local.model!r} cannot be loaded: {error}") from error
        if self.kind == "nli":
            self.entailment = _entailment(config, local.model)
        elif self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        limits = [getattr(self.tokenizer, "model_max_length", None), getattr(config, "max_position_embeddings", None)]
        self.limit = min([2**30, *(int(v) for v in limits if v)])

    def batches(self, texts: list[str]) -> Iterator[tuple[list[str], list[Row]]]:
        """Texts in batches with their distributions."""
        for start in range(0, len(texts), self.local.batch_size):
            portion = texts[start : start + self.local.batch_size]
            with backbone.forward(self.device, self.precision):
                yield portion, self._entailed(portion) if self.kind == "nli" else self._likely(portion)

    def _entailed(self, texts: list[str]) -> list[Row]:
        words = self.question.words
        hypotheses = [self.local.hypothesis.replace("{label}", word) for word in words]
        limit = min(self.local.max_length, self.limit)
        if any(len(self.tokenizer("", h)["input_ids"]) >= limit for h in hypotheses):
            raise self._too_long(limit)
        pairs = self.tokenizer(
            [t for t in texts for _ in words],
            hypotheses * len(texts),
            truncation="only_first",
            max_length=limit,
            padding=True,
            return_tensors="pt",
        ).to(self.device)
        logits = self.model(**pairs).logits.float()[:, self.entailment].reshape(len(texts), len(words))
        return [Row(p, "nli", 1.0) for p in logits.softmax(dim=1).cpu().numpy().astype(np.float64)]

    def _likely(self, texts: list[str]) -> list[Row]:
        """Probability of each class's words after the prompt; an end token separates what begins alike."""
        answers = self._answers()
        rows, spans = [], []
        limit = min(self.local.max_length, self.limit - max(map(len, answers)))
        for text in texts:
            prompt = self._fitted(text, limit)
            for answer in answers:
                rows.append(prompt + answer)
                spans.append((len(prompt), len(prompt) + len(answer)))
        logs = backbone.log_likelihoods(self.model, rows, spans, int(self.tokenizer.pad_token_id or 0), self.device)
        blocks = logs.reshape(len(texts), len(answers))
        shares = [(np.exp(block - block.max()), np.exp(block.max())) for block in blocks]
        return [Row(p / p.sum(), "likelihood", float(min(top * p.sum(), 1.0))) for p, top in shares]

    def _fitted(self, text: str, limit: int) -> list[int]:
        """The prompt with as much of the text, from its start, as there is room for."""
        ids = self._prompt(text)
        if len(ids) <= limit:
            return ids
        if len(self._prompt("")) >= limit:
            raise self._too_long(limit)
        fits, too_long = 0, len(text)
        while too_long - fits > 1:
            middle = (fits + too_long) // 2
            if len(self._prompt(text[:middle])) <= limit:
                fits = middle
            else:
                too_long = middle
        return self._prompt(text[:fits])

    def _too_long(self, limit: int) -> ArgumentError:
        return ArgumentError(
            f"the question alone fills the {limit} tokens that there are for it and the text; raise max_length= (now "
            f"{self.local.max_length}) as far as the model allows, or shorten the question."
        )

    def _prompt(self, text: str) -> list[int]:
        if getattr(self.tokenizer, "chat_template", None):
            asked = self.tokenizer.apply_chat_template(
                self.question.messages(text), add_generation_prompt=True, tokenize=False
            )
            ids = self.tokenizer(asked, add_special_tokens=False)["input_ids"]
        else:
            ids = self.tokenizer(self.question.prompt(text))["input_ids"]
            if ids and ids[-1] == self.tokenizer.sep_token_id:
                ids = ids[:-1]
        return list(ids)

    def _answers(self) -> list[list[int]]:
        blank = "" if getattr(self.tokenizer, "chat_template", None) else " "
        answers = [
            list(self.tokenizer(blank + word, add_special_tokens=False)["input_ids"]) for word in self.question.words
        ]
        alike = any(a is not b and b[: len(a)] == a for a in answers for b in answers)
        end = self.tokenizer.eos_token_id
        if alike and end is None:
            raise ArgumentError("labels begin with one another and the model has no end token; use other words.")
        return [[*a, end] if alike else a for a in answers]


def _entailment(config: Any, model: str) -> int:
    names = {str(name).lower(): int(k) for name, k in (config.label2id or {}).items()}
    found = [k for name, k in names.items() if name.startswith("entail")]
    if len(found) != 1:
        raise ArgumentError(f"the model {model!r} has the outputs {sorted(names)}, none of which is entailment.")
    return found[0]
