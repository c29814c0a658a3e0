"""How gold was drawn: Bernoulli, simple random, stratified, clustered, unequal probabilities, waves."""

from __future__ import annotations

from .base import Design, Drawn, Sample
from .clustered import Clustered
from .counted import Counted
from .frame import FrameRecord
from .labelling import Labelling
from .probability import Bernoulli, SimpleRandom, Stratified, read_counts
from .propensity import Propensity
from .reading import read_draw, resolve, with_answers
from .response import Response
from .sequential import SequentialLabelling, Wave
from .store import read_sample
from .unequal import Unequal
from .waves import Waves

__all__ = [
    "Bernoulli", "Clustered", "Counted", "Design", "Drawn", "FrameRecord", "Labelling", "Propensity", "Response",
    "Sample", "SequentialLabelling", "SimpleRandom", "Stratified", "Unequal", "Wave", "Waves", "read_counts",
    "read_draw", "read_sample", "resolve", "with_answers",
]  # fmt: skip
