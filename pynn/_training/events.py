"""Calls of callbacks within an epoch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .callback import Callback, overrides

_BATCH = ("on_train_batch_begin", "on_train_batch_end")
_TEST_BATCH = ("on_test_batch_begin", "on_test_batch_end")
_TEST = ("on_test_begin", "on_test_end")


class Events:
    """The methods of callbacks that are called for batches and for validation.

    Attributes
    ----------
    train, test : bool
        Whether any callback is called for each batch of training, or of validation.
    """

    def __init__(self, callbacks: Iterable[Callback] = ()) -> None:
        listed = list(callbacks)
        self._called = {e: [getattr(c, e) for c in listed if overrides(c, e)] for e in (*_BATCH, *_TEST_BATCH, *_TEST)}
        self.train = any(self._called[event] for event in _BATCH)
        self.test = any(self._called[event] for event in _TEST_BATCH)

    @property
    def any(self) -> bool:
        """Whether anything is called within an epoch."""
        return any(self._called.values())

    def call(self, event: str, *arguments: Any) -> None:
        """Call the methods of an event."""
        for method in self._called[event]:
            method(*arguments)
