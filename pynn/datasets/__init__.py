"""Data to start with, and the way in for your own: digits, a fair split, a table from a file."""

from pynn.datasets._digits import load_digits
from pynn.datasets._split import train_test_split
from pynn.datasets._table import Table, read_csv

__all__ = ["Table", "load_digits", "read_csv", "train_test_split"]
