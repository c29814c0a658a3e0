"""A study: one codebook, one gold sample in two parts, one protocol that is laid down before labels are made."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..designs import Sample
from ..errors import ArgumentError, ProtocolError, number, whole
from .codebook import Codebook
from .labelling import run
from .locked import Protocol
from .study_probes import StudyProbes
from .trials import Trials, gold_columns, try_out

if TYPE_CHECKING:
    import os

    from .batch import Batch
    from .forecasting import Forecast
    from .panel import Panel
    from .result import Annotation


@dataclass(frozen=True)
class Study(StudyProbes):
    """From a codebook and a gold sample to estimates, with a protocol that is laid down in between.

    Parameters
    ----------
    codebook : Codebook, or sequence of these
        Its ``name`` is the gold column. Of several, the questions go into one request as a :class:`Form`.
    sample : Sample
        Rows that the experts label, drawn with known probabilities.
    development_share : float
        Share of them on which prompts are tried out and models are chosen. See :meth:`karat.designs.Sample.split`.
    seed : int, optional
        Decides which ones; by default the seed of the sample.
    budget : float, optional
        The most that everything asked in this study may cost together, trials included, as in :func:`label`.
    cache : str, Path, None or "auto"
        As in :func:`label`.
    protocol : Protocol, optional
        See :meth:`lock`.

    Raises
    ------
    ArgumentError
        If an argument is not allowed.
    DesignError
        If the sample cannot be split.

    Notes
    -----
    A prompt that is chosen because its labels agree with certain gold labels agrees with these better than with others.
    If the same gold corrects the labels, it finds too few errors, and intervals are too short (docs/protocol.md has
    figures). Here prompts are tried on the development part alone, and estimates rest on gold that no choice has seen.

    Examples
    --------
    >>> import karat as kt
    >>> letters, _ = kt.datasets.simulate_texts(500, seed=1)
    >>> codes = {1: "Wants the tram built.", 0: "Does not want it, or does not say."}
    >>> book = kt.annotate.Codebook("support", "Does the writer want the tram?", codes)
    >>> sample = kt.SimpleRandom(n=150).draw(letters, seed=1)
    >>> study = kt.annotate.Study(book, sample)
    >>> len(study.development.positions), study.inference
    (50, Sample(simple random sample, 150 of 500; 50 of them for development, with weight 1, frame ...))
    """

    codebook: Any
    sample: Sample
    development_share: float = field(default=1 / 3)
    seed: int | None = None
    budget: float | None = field(default=None, kw_only=True)
    cache: Any = field(default="auto", kw_only=True, repr=False)
    protocol: Protocol | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if isinstance(self.codebook, list):
            object.__setattr__(self, "codebook", tuple(self.codebook))
        for name, given, kind in (("codebook", self.books or (None,), Codebook), ("sample", [self.sample], Sample)):
            if odd := [one for one in given if not isinstance(one, kind)]:
                raise ArgumentError(f"{name} is a {type(odd[0]).__name__}; give a {kind.__name__}.")
        if len({book.name for book in self.books}) < len(self.books):
            raise ArgumentError(f"two codebooks have the same name in {[book.name for book in self.books]}.")
        share = number("development_share", self.development_share, above=0, below=1)
        seed = self.sample.seed if self.seed is None else self.seed
        if seed is None:
            raise ArgumentError("seed is not given and the sample was drawn without one; give seed=, a whole number.")
        object.__setattr__(self, "development_share", share)
        object.__setattr__(self, "seed", whole("seed", seed, least=0))
        self.parts  # noqa: B018 - refuses a sample that cannot be split

    @property
    def books(self) -> tuple[Codebook, ...]:
        """The codebooks, one for each gold column."""
        return self.codebook if isinstance(self.codebook, tuple) else (self.codebook,)

    @cached_property
    def parts(self) -> tuple[Sample, Sample]:
        """Development and inference part."""
        return self.sample.split(self.development_share, self.seed)

    @property
    def development(self) -> Sample:
        """Gold rows on which prompts and models are tried out."""
        return self.parts[0]

    @property
    def inference(self) -> Sample:
        """The design of estimates: the rest of the gold by chance, development rows as themselves."""
        return self.parts[1]

    @property
    def name(self) -> str:
        """What this study is called where costs are added up: a digest of codebook and split."""
        drawn = (
            self.sample.labelling.labelled.tobytes() + str([self.sample.frame_hash, self.development_share]).encode()
        )
        about = f"{' '.join(book.digest for book in self.books)} {self.seed} ".encode() + drawn
        return "study-" + hashlib.blake2b(about, digest_size=10).hexdigest()

    def try_out(
        self, data: object, questions: Any, model: Any, *, text: str, method: str = "auto", votes: int = 5,
        progress: bool = False,
    ) -> Trials:  # fmt: skip
        """Try questions and models on the development rows, and on no others.

        Parameters
        ----------
        data : data frame
            The frame that was drawn from, with the gold column filled in for the development rows at least.
        questions : Question, or mapping of str to Question
            Such as ``{"plain": codebook.ask(), "strict": codebook.ask(instruction=...)}``; of several codebooks,
            forms. A :class:`SpanQuestion` is tried on whether texts have a passage, gold columns ``NAME_CODE_any``.
        model : Endpoint, LocalModel, or sequence of these
        text : str
            Column of texts.
        method, votes, progress
            See :func:`label`.

        Returns
        -------
        Trials
            How well each does, and what it costs.

        Raises
        ------
        DataError
            If development rows have no gold, or gold that is none of the codes.
        ProtocolError
            If the protocol is laid down already.
        """
        if self.protocol is not None:
            raise ProtocolError(
                f"the protocol is laid down ({self.protocol.hash[:8]}); trials come before lock(). For another "
                "protocol start from the study before it was locked, and make all labels anew."
            )
        return try_out(self, data, questions, model, text=text, method=method, votes=votes, progress=progress)

    def lock(self, question: Any, model: Any, *, method: str = "auto", votes: int = 5) -> Study:
        """Lay the protocol down: question, prompt, model, settings and parsing.

        Parameters
        ----------
        question : Question
            Of any kind; of several codebooks a form with a field for each, in their order.
        model : Endpoint or LocalModel
        method, votes
            See :func:`label`.

        Returns
        -------
        Study
            Whose :attr:`protocol` has a ``hash`` to preregister. It labels, and estimates from labels made so.

        Raises
        ------
        ProtocolError
            If one is laid down already.
        ArgumentError
            If the question has other classes than the codebook.
        """
        if self.protocol is not None:
            raise ProtocolError(f"the protocol is laid down already ({self.protocol.hash[:8]}); it does not change.")
        gold_columns(self, question)
        return replace(self, protocol=Protocol(question, model, method, votes))

    def label(
        self, data: object, *, text: str, id: str | None = None, model: Any = None, failures: str = "raise",
        progress: bool = False,
    ) -> Any:  # fmt: skip
        """Have all texts labelled under the protocol.

        Parameters
        ----------
        data : data frame
            The frame that was drawn from.
        text, id : str
            Columns of texts and of names of rows.
        model : Endpoint, optional
            The same model with other settings of the traffic (price, key, concurrency, waits).
        failures, progress
            See :func:`label`.

        Returns
        -------
        Annotation, or Panel of a form

        Raises
        ------
        ProtocolError
            If no protocol is laid down, another model is given, or the prompt shows rows that are for inference.
        """
        from .fitting import refuse_shown

        locked = self._locked()
        refuse_shown(self, data, text)
        return self._run(
            data, locked.question, self._same(model), text=text, id=id, method=locked.method, votes=locked.votes,
            failures=failures, progress=progress,
        )  # fmt: skip

    def forecast(self, data: object, *, text: str, model: Any = None) -> Forecast:
        """What :meth:`label` is going to cost; nothing is sent.

        Parameters
        ----------
        data : data frame
        text : str
            Column of texts.
        model : Endpoint, optional
            See :meth:`label`.

        Returns
        -------
        Forecast
        """
        from .forecasting import forecast

        asked = self._locked()
        about = forecast(
            data, asked.question, self._same(model), text=text, method=asked.method, votes=asked.votes, cache=self.cache
        )
        assert not isinstance(about, list)
        return about

    def submit(self, data: object, *, text: str, id: str | None = None, model: Any = None, size: int = 5_000) -> Batch:
        """Hand all texts to the vendor's batch interface under the protocol, see :func:`karat.annotate.submit`.

        Parameters
        ----------
        data, text, id, model
            See :meth:`label`. The protocol has to name a method, ``"logprobs"``, ``"votes"`` or ``"json"``.
        size : int
            Requests in a file at most.

        Returns
        -------
        Batch
            ``wait().collect()`` gives the labels.
        """
        from .batch import submit
        from .fitting import refuse_shown

        asked = self._locked()
        refuse_shown(self, data, text)
        return submit(
            data, asked.question, self._same(model), text=text, id=id, method=asked.method, votes=asked.votes,
            cache=self.cache, budget=self.budget, size=size, study=self.name,
        )  # fmt: skip

    def check(self, labels: Annotation | Panel) -> None:
        """Raise unless labels were made under the protocol.

        Parameters
        ----------
        labels : Annotation

        Raises
        ------
        ProtocolError
            Names what is otherwise.
        """
        if changed := self._locked().differences(labels):
            raise ProtocolError(
                f"these labels were made under another protocol: {'; '.join(changed[:3])}. Make them anew with "
                "study.label(...)."
            )

    def fit(self, function: Any, formula: Any, labels: Annotation | Panel, data: object, **options: Any) -> Any:
        """An estimate with the labels as surrogates and the inference part as design.

        Parameters
        ----------
        function : callable
            ``kt.ols``, ``kt.logit``, ``kt.mean``, ``kt.shares`` or another that takes ``surrogates=`` and ``design=``.
        formula : str
            What it takes first.
        labels : Annotation
            Of :meth:`label`.
        data : data frame
            The frame that was drawn from, with the gold column. Rows that the prompt shows are left out.
        **options
            Further arguments; ``surrogates`` may name further ones.

        Returns
        -------
        Result
            Or what the function gives.

        Raises
        ------
        ProtocolError
            If labels were made under another protocol, or another design is given.
        """
        from .fitting import fit

        return fit(self, function, formula, labels, data, options)

    def archive(
        self, path: str | os.PathLike[str], labels: Annotation | Panel, data: object, *, text: str, fits: Any = None
    ) -> Path:
        """Write all that somebody else needs to verify the study, and to replay it without paying.

        Parameters
        ----------
        path : str or Path
            A folder that is not there yet, or a file that ends in ``.zip``.
        labels : Annotation
        data : data frame
        text : str
            Column of texts. Texts are not written, their digests are.
        fits : mapping of str to Result, optional

        Returns
        -------
        Path
            See :func:`karat.annotate.verify`.
        """
        from .archive import write

        self.check(labels)
        return write(self, path, labels, data, text=text, fits=fits or {})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a JSON file that :func:`read_study` reads; answers stay in the cache.

        Parameters
        ----------
        path : str or Path
        """
        from .study_file import save

        save(self, path)

    def _locked(self) -> Protocol:
        if self.protocol is None:
            raise ProtocolError("no protocol is laid down yet; choose on the development rows, then study.lock(...).")
        return self.protocol

    def _same(self, model: Any) -> Any:
        """The model that was laid down, or one that differs in the traffic alone."""
        locked = self._locked()
        if model is not None and (changed := locked.differences(replace(locked, model=model))):
            raise ProtocolError(f"model is another one than was laid down: {changed[0]}.")
        return locked.model if model is None else model

    def _run(self, data: object, question: Any, model: Any, **settings: Any) -> Any:
        cached = {"cache": self.cache, "budget": self.budget, "study": self.name}
        return run(data, question, model, **{**cached, **settings})
