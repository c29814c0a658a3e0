"""What a study asks of a model besides labels, with the same budget: drift, recall, the order of labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError

if TYPE_CHECKING:
    from .locked import Protocol
    from .panel import Panel
    from .recalled import Recall
    from .reordered import OrderEffect
    from .result import Annotation


class StudyProbes:
    """The probes of a :class:`karat.annotate.Study`; what they cost counts to its budget, which is never passed."""

    budget: float | None
    cache: Any
    protocol: Protocol | None
    check: Any
    name: Any
    _locked: Any
    _same: Any

    def ask_again(
        self, data: object, labels: Annotation | Panel, *, text: str, n: int = 100, model: Any = None,
        occasion: str | None = None, progress: bool = False,
    ) -> Any:  # fmt: skip
        """Ask the model the same again about some texts, to see whether it is still the same model.

        Parameters
        ----------
        data : data frame
        labels : Annotation
            What it said then.
        text : str
            Column of texts.
        n : int
            How many; always the same ones, the first by a digest of the text.
        model, progress
            See :meth:`label`; the budget of the study holds.
        occasion : str, optional
            Answers are kept, and used again, under this name; by default the day. On another occasion
            all is asked anew.

        Returns
        -------
        Drift, or dict of these by codebook
        """
        from .asked_again import ask_again

        self.check(labels)
        return ask_again(self, data, labels, text=text, n=n, model=model, occasion=occasion, progress=progress)

    def recall(self, data: object, *, text: str, model: Any = None, **options: Any) -> Recall:
        """Probe whether the model has texts by heart, see :func:`karat.annotate.recall`.

        Parameters
        ----------
        data : data frame
        text : str
            Column of texts.
        model : Endpoint, optional
            By default that of the protocol; before one is laid down it has to be given.
        **options
            Further arguments of :func:`karat.annotate.recall`.

        Returns
        -------
        Recall
        """
        from .recalled import recall

        return recall(data, self._probed(model), text=text, **options, **self._purse(options))

    def order_effect(
        self, data: object, *, text: str, question: Any = None, model: Any = None, **options: Any
    ) -> OrderEffect:
        """Ask with the labels in several orders, see :func:`karat.annotate.order_effect`.

        Parameters
        ----------
        data : data frame
        text : str
            Column of texts.
        question : Question, optional
            By default that of the protocol.
        model : Endpoint or LocalModel, optional
            By default that of the protocol.
        **options
            Further arguments of :func:`karat.annotate.order_effect`.

        Returns
        -------
        OrderEffect
        """
        from .reordered import order_effect

        asked = self._locked().question if question is None else question
        return order_effect(data, asked, self._probed(model), text=text, **options, **self._purse(options))

    def _probed(self, model: Any) -> Any:
        """The model that is probed: one that is given, else that of the protocol."""
        return self._same(None) if model is None else model

    def _purse(self, options: dict[str, Any]) -> dict[str, Any]:
        """Where the money comes from, which no call decides for itself."""
        own = {"budget": self.budget, "cache": self.cache, "study": self.name}
        if taken := sorted(set(own) & set(options)):
            raise ArgumentError(f"{taken[0]}= is that of the study; leave it out.")
        return own
