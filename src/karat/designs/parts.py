"""Methods of a sample that cut it: into development and inference, to a subgroup; ``split.py`` does the work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


class SampleParts:
    """What a :class:`karat.designs.Sample` can be cut to."""

    def split(self: Any, share: float, seed: int | np.random.Generator | None = None) -> tuple[Any, Any]:
        r"""Set part of the gold aside for developing prompts and choosing models; the rest is for inference.

        Parameters
        ----------
        share : float
            Share of the drawn units that go to development, between 0 and 1, in each stratum. Units drawn with
            certainty stay for inference, and each stratum keeps two.
        seed : int or numpy.random.Generator, optional

        Returns
        -------
        development, inference : Sample
            With :math:`\pi` the probabilities of the whole sample and s the share: ``development`` is a sample
            with probabilities :math:`\pi s` that estimates are not made from. ``inference`` is the rest of the
            draw, a sample with :math:`\pi (1 - s)`. Given the development part, which fixes the prompt, these are
            :math:`\pi (1 - s) / (1 - \pi s)` outside of it (with fixed sizes: what the size left and the odds
            :math:`\pi / (1 - \pi)` imply), and its own rows have weight 1: their labels are known
            and what a model says about them enters nowhere. So estimates hold however hard the prompt was
            fitted to the development rows, in a small corpus as well.

        Raises
        ------
        DesignError
            If a part would be too small, or the sample has several waves.

        References
        ----------
        Saerndal, Swensson and Wretman (1992), chapter 9 (sampling in two phases); methods 1.6.

        Examples
        --------
        >>> import karat as kt
        >>> sample = kt.SimpleRandom(n=30).draw({"document": list(range(100))}, seed=1)
        >>> development, inference = sample.split(1 / 3, seed=1)
        >>> float(development.probability[0].round(3)), sorted(set(inference.probability.round(3).tolist()))
        (0.1, [0.222, 1.0])
        """
        from .split import split

        return split(self, share, seed)

    def subgroup(self: Any, data: object, rows: object) -> Any:
        """The sample as a draw from some of the rows: a design for data that are cut to a subgroup.

        For a regression about some rows with the draw as it was, from all of them, give ``subset=`` instead.

        Parameters
        ----------
        data : data frame
            The whole frame that was drawn from.
        rows : str or array_like of bool, shape (N,)
            Whether each row belongs to the subgroup: a column of the data, or values. It must be known for every row,
            and not depend on gold.

        Returns
        -------
        Sample
            Given how many of the drawn rows belong to the subgroup, see :meth:`karat.designs.Labelling.keep`.

        Raises
        ------
        DesignError
            If it is another frame, or nothing was drawn in the subgroup (or in one of its strata).
        DataError
            If rows are not true or false throughout.

        Examples
        --------
        >>> import karat as kt
        >>> corpus, truth = kt.datasets.simulate(2000, seed=1)
        >>> sample = kt.SimpleRandom(n=400).draw(corpus, seed=1)
        >>> gold = kt.datasets.mask_gold(corpus, sample, "hostile")
        >>> long = gold["length"] > 0
        >>> fit = kt.mean("hostile", gold[long], surrogates={"hostile": "hostile_llm"}, seed=1,
        ...               design=sample.subgroup(gold, long))
        >>> fit.n_gold == int(sample.labelled[long].sum())
        True
        """
        from .split import cut

        return cut(self, data, rows)
