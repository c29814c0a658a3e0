"""What labels by models did cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """What labels did cost.

    Parameters
    ----------
    amount : float
        In ``currency``: all that this question to this model has cost so far, in this call and before, as far as the
        cache knows. Requests whose outcome is not known count with the most they can have cost.
    currency : str
    requests : int
        Requests behind the amount, failed tries included.
    prompt_tokens, completion_tokens : int
        As billed.
    uncertain : int
        Requests whose outcome is not known (timeouts, kills).
    sent, cached : int
        Requests sent in this call, and answers taken from the cache instead.
    priced : bool
        Whether a price was given.

    Examples
    --------
    >>> from karat.annotate import Cost
    >>> print(Cost(0.0125, "USD", 40, 9000, 40, 0, 40, 0, True))
    0.0125 USD for 40 requests (9000 prompt and 40 completion tokens); 40 sent now, 0 taken from the cache
    """

    amount: float
    currency: str
    requests: int
    prompt_tokens: int
    completion_tokens: int
    uncertain: int
    sent: int
    cached: int
    priced: bool

    def __str__(self) -> str:
        money = f"{self.amount:.6g} {self.currency}" if self.priced else "no price given"
        doubt = f", {self.uncertain} of unknown outcome counted in full" if self.uncertain else ""
        return (
            f"{money} for {self.requests} requests ({self.prompt_tokens} prompt and {self.completion_tokens} "
            f"completion tokens{doubt}); {self.sent} sent now, {self.cached} taken from the cache"
        )
