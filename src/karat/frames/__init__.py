"""The only place that knows data-frame libraries."""

from .table import Table

__all__ = ["Table"]
