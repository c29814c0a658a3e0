"""Regressions of right-censored durations: the front doors, on top of ``karat.censoring``."""
