"""Regressions of right-censored durations: the entry points, on top of ``karat.censoring``."""
