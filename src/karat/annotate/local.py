"""Labels from a transformers model on this machine: inference models and causal language models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, one_of
from ..predict.text import backbone
from .answers import AnswerStore
from .question import Question
from .rows import Row

if TYPE_CHECKING:
    from .._types import Floats

KINDS = ("auto", "nli", "causal")


@dataclass(frozen=True)
class LocalModel:
    """A transformers model that labels without any endpoint.

    Parameters
    ----------
    model : str
        Local folder, or name on the Hugging Face hub.
    kind : {"auto", "nli", "causal"}
        ``"nli"``: a model of textual entailment; a class is as probable as the hypothesis that names it is entailed.
        ``"causal"``: a language model; a class is as probable as the words that name it, after the prompt.
    hypothesis : str
        For ``"nli"``: sentence with ``{label}`` in it.
    batch_size : int
    max_length : int
        Tokens after which a text is cut.
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
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ArgumentError(f"{name}={value!r} is not allowed; give a whole number of at least 1.")

    def describe(self) -> dict[str, Any]:
        """What the answers depend on, for the record and the cache."""
        _, identity = backbone.locate(self.model, self.revision)
        about = {"model": self.model, "identity": identity, "kind": self.kind, "max_length": self.max_length}
        precision = self.precision
        if precision == "auto":
            backbone.need_transformers()
            precision = backbone.choose_precision(precision, backbone.choose_device(self.device))
        return about | {"hypothesis": self.hypothesis, "precision": precision}

    def rows(
        self, texts: list[str], question: Question, store: AnswerStore, job: str, progress: bool
    ) -> dict[str, Row]:
        """Distributions of texts, each kept as soon as its batch is done.

        Parameters
        ----------
        texts : list of str
        question : Question
        store : AnswerStore
        job : str
        progress : bool

        Returns
        -------
        dict of str to Row
        """
        from tqdm.auto import tqdm

        about = self.describe()
        about.pop("model")
        base = json.dumps([about, question.describe()], sort_keys=True, default=str)
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
        from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

        self.local, self.question = local, question
        folder, _ = backbone.locate(local.model, local.revision)
        self.device = backbone.choose_device(local.device)
        self.precision = backbone.choose_precision(local.precision, self.device)
        with backbone.hushed():
            try:
                config = AutoConfig.from_pretrained(folder)
                self.kind = _kind(local, config)
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

    def batches(self, texts: list[str]) -> Iterator[tuple[list[str], list[Row]]]:
        """Texts in batches with their distributions."""
        import torch

        for start in range(0, len(texts), self.local.batch_size):
            portion = texts[start : start + self.local.batch_size]
            with torch.inference_mode(), backbone.autocast(self.device, self.precision):
                yield portion, self._entailed(portion) if self.kind == "nli" else self._likely(portion)

    def _entailed(self, texts: list[str]) -> list[Row]:
        words = self.question.words
        hypotheses = [self.local.hypothesis.replace("{label}", word) for word in words]
        pairs = self.tokenizer(
            [t for t in texts for _ in words],
            hypotheses * len(texts),
            truncation="only_first",
            max_length=self.local.max_length,
            padding=True,
            return_tensors="pt",
        ).to(self.device)
        logits = self.model(**pairs).logits.float()[:, self.entailment].reshape(len(texts), len(words))
        return [Row(p, "nli", 1.0) for p in logits.softmax(dim=1).cpu().numpy().astype(np.float64)]

    def _likely(self, texts: list[str]) -> list[Row]:
        """Probability of each class's words after the prompt; an end token tells apart what begins alike."""
        import torch

        answers = self._answers()
        rows, spans = [], []
        for text in texts:
            prompt = self._prompt(text)
            for answer in answers:
                rows.append(prompt + answer)
                spans.append((len(prompt), len(prompt) + len(answer)))
        width = max(map(len, rows))
        ids = torch.full((len(rows), width), int(self.tokenizer.pad_token_id or 0))
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
            mask[i, : len(row)] = 1
        logits = self.model(input_ids=ids.to(self.device), attention_mask=mask.to(self.device)).logits
        logs = np.empty(len(rows))
        for i, (start, end) in enumerate(spans):
            steps = torch.log_softmax(logits[i, start - 1 : end - 1].float(), dim=-1)
            wanted = torch.tensor(rows[i][start:end], device=steps.device)
            logs[i] = float(steps.gather(1, wanted[:, None]).sum())
        return [_from_logs(block) for block in logs.reshape(len(texts), len(answers))]

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
        return list(ids[-self.local.max_length :])

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


def _from_logs(logs: Floats) -> Row:
    top = logs.max()
    p = np.exp(logs - top)
    return Row(p / p.sum(), "likelihood", float(min(np.exp(top) * p.sum(), 1.0)))


def _kind(local: LocalModel, config: Any) -> str:
    if local.kind != "auto":
        return local.kind
    built = " ".join(getattr(config, "architectures", None) or [])
    if "SequenceClassification" in built:
        return "nli"
    if "CausalLM" in built or "LMHead" in built:
        return "causal"
    raise ArgumentError(
        f"cannot tell what {local.model!r} is ({built or 'no architecture named'}); set kind='nli' or 'causal'."
    )


def _entailment(config: Any, model: str) -> int:
    names = {str(name).lower(): int(k) for name, k in (config.label2id or {}).items()}
    found = [k for name, k in names.items() if name.startswith("entail")]
    if len(found) != 1:
        raise ArgumentError(f"the model {model!r} has the outputs {sorted(names)}, none of which is entailment.")
    return found[0]
