"""Estimates for groups of units: shares over time, many small groups, units made of documents."""
