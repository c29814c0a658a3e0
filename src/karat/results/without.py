"""The method of a fit that takes out units that people asked to delete."""

from __future__ import annotations

from typing import Any, Self, cast


class Leaving:
    """What Results have of it."""

    def without(self, units: object, data: object = None, *, by: str | None = None, **given: Any) -> Self:
        """The fit without units that people asked to delete.

        Units that stay keep their inclusion probabilities: they were drawn with them, and who leaves later does not
        change that. So the fit is that of a subpopulation (methods, section 4.7), whether gold or other units leave; a
        gold label that leaves is also gone from the predictor. Taking rows out of the table and fitting anew, with the
        design read from what is left, would instead give others the weight of those who left.

        Parameters
        ----------
        units : array_like
            Positions in the table of the fit, true or false for each of its rows, or values of the column ``by``.
        data : data frame, optional
            The table of the fit, or what stays of it, in its order: the fit is made again, exactly. Without it each
            unit's influence is subtracted, in one step.
        by : str, optional
            Column with the values of ``units``.
        **given
            Arguments of the fit that held values, such as ``weights=`` arrays.

        Returns
        -------
        Result
            With ``withdrawal``, whose table has the estimates before and after, the size of what one step leaves out
            (terms of second order, about the square of the share that leaves, and that weights of surrogates are
            chosen anew), and, with data, its distance from the exact ones (methods, section 4.11).

        Raises
        ------
        KaratError
            If influence scores were not kept, or units and data do not go together.

        References
        ----------
        Cook and Weisberg (1982), *Residuals and Influence in Regression*; Saerndal, Swensson, Wretman (1992).

        Examples
        --------
        >>> import karat as kt
        >>> corpus, truth = kt.datasets.simulate(1500, seed=1)
        >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
        >>> fit = kt.ols("outcome ~ hostile + length", labelled, surrogates={"hostile": "hostile_llm"}, learner=None)
        >>> rest = fit.without([3, 14, 15])
        >>> rest.n_units, str(rest.withdrawal)
        (1497, 'without 3 withdrawn units, 0 of them gold (one step by influences)')
        """
        from ..regression.withdraw import without

        return cast(Self, without(cast(Any, self), units, data, by, given))
