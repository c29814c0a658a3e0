"""A page for those who do not program: planning, drawing, labelling and fitting in the browser, on this machine alone.

``calculator`` plans without a table, ``project`` is what one study holds, in a folder; both are plain functions of
values. ``server`` shows them as forms. Formulas are made of names of columns that are picked from lists, never typed.
"""

from __future__ import annotations
