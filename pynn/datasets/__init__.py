"""A data set of handwritten digits, splitting data for training and testing, and reading tables from CSV files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._tables import lazy_modules

if TYPE_CHECKING:
    from ._digits import load_digits
    from ._split import train_test_split
    from ._table import Table, read_csv

_HOMES = {"Table": "_table", "load_digits": "_digits", "read_csv": "_table", "train_test_split": "_split"}

__all__ = ["Table", "load_digits", "read_csv", "train_test_split"]
__getattr__ = lazy_modules(globals(), _HOMES)


def __dir__() -> list[str]:
    return __all__
