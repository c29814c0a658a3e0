"""Causal effects with text-labelled outcomes, treatments or confounders (methods, section 8.3)."""
