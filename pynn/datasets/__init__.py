"""A data set of handwritten digits, splitting data for training and testing, and reading tables from files and frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._tables import lazy_modules

if TYPE_CHECKING:
    from ._csv import read_csv
    from ._digits import load_digits
    from ._split import train_test_split
    from ._table import Table, read_table

_HOMES = {"Table": "_table", "load_digits": "_digits", "read_csv": "_csv", "read_table": "_table", "train_test_split": "_split"}

__all__ = ["Table", "load_digits", "read_csv", "read_table", "train_test_split"]
__getattr__ = lazy_modules(globals(), _HOMES)


def __dir__() -> list[str]:
    return __all__
