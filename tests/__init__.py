"""Tests of karat, laid out as the package is."""
