"""Checks of a gold sample at fit time, and what to make of them."""
