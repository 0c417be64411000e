"""Decide whether a target holds classes or a quantity: the one rule of the table reader and of `pynn.lab.compare`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._tables import unknown_name
from ._words import Sentence

MOST_CLASSES = 50  # whole numbers with more distinct values are a quantity, not classes
TASKS = ("auto", "classes", "multilabel", "quantity")
SYNONYMS = {"classification": "classes", "regression": "quantity"}


def check_task(task: str) -> str:
    """Return the name of a task, or raise; scikit-learn's words are synonyms."""
    found = SYNONYMS.get(task, task) if isinstance(task, str) else task
    if found not in TASKS:
        raise unknown_name("task", task, (*TASKS, *SYNONYMS))
    return found


def is_classes(values: NDArray[Any], rows: int) -> bool:
    """Return whether distinct values are classes: text or truth values, or few whole numbers that repeat."""
    if values.dtype.kind not in "iuf":
        return True
    return len(values) <= min(MOST_CLASSES, rows / 2) and bool((values == np.floor(values)).all())


def counted(labels: tuple[str, ...], counts: NDArray[np.intp], most: int = 4) -> Sentence:
    """Return classes with their numbers of rows, such as "2 classes (no 151, yes 149)"."""
    some = ", ".join(f"{label} {n:,}" for label, n in zip(labels[:most], counts, strict=False)) + (", ..." if len(labels) > most else "")
    return Sentence("classes", n=len(labels), some=some)


def distinct_numbers(values: NDArray[Any]) -> Sentence:
    """Return a description of a quantity by its distinct values."""
    return Sentence("whole" if bool((values == np.floor(values)).all()) else "numbers", n=len(values))
