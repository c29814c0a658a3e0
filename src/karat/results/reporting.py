"""The page that a Result writes about itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


class Reporting:
    """:meth:`report`, for a Result."""

    def report(
        self: Any,
        path: str | os.PathLike[str],
        *,
        title: str | None = None,
        question: str | None = None,
        study: Any = None,
        diagnosis: Any = None,
        sensitivity: Any = None,
    ) -> Path:
        """Write a page about the fit for co-authors and reviewers, which needs no other file and no network.

        The question, the table, estimators side by side, how gold was drawn, checks, sensitivity, plots, a text for
        the methods section with references, versions.

        Parameters
        ----------
        path : str or path
            Ends in ``.html``; a file that is there is replaced.
        title : str, optional
            By default the model and its formula.
        question : str, optional
            What the fit is to answer, in your words; above what the formula says.
        study : Study or Protocol, optional
            Of :mod:`karat.annotate`: the hash of its protocol is shown.
        diagnosis : Diagnosis, optional
            What :func:`karat.diagnose` found with the table of the fit (copies, rows the labeller saw); by default the
            checks that the fit made itself.
        sensitivity : Sensitivity, optional
            What :func:`karat.sensitivity` found on the same formula.

        Returns
        -------
        Path

        Raises
        ------
        ArgumentError
            If an argument is not what it should be.

        Examples
        --------
        >>> import tempfile, karat as kt
        >>> corpus, truth = kt.datasets.simulate(1500, seed=1)
        >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=200).draw(corpus, seed=1), "hostile")
        >>> fit = kt.ols("outcome ~ hostile", labelled, surrogates={"hostile": "hostile_llm"}, seed=1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     "design-based" in fit.report(f"{folder}/report.html").read_text(encoding="utf-8")
        True
        """
        from .report import report

        return report(self, path, title, question, study, diagnosis, sensitivity)
