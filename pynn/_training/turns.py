"""Who may train what, and when: one thread at a time each array, and no training of a model within its own training."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .._layer import Layer
    from .net import Net

_LOCK = threading.Lock()
_TRAINED: dict[int, int] = {}
"""The thread that trains an array, by the array's address."""


def _forked() -> None:
    """Forget, in a child process, the threads that it does not have."""
    global _LOCK
    _LOCK = threading.Lock()
    me = threading.get_ident()
    for address in [address for address, thread in _TRAINED.items() if thread != me]:
        del _TRAINED[address]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class Turn:
    """The arrays that one training changes."""

    def __init__(self, net: Net, what: str) -> None:
        self.net, self.what = net, what
        self.taken: list[int] = []

    def take(self) -> None:
        """Take all arrays of the model that are not taken yet, or raise where another thread trains one of them."""
        me, places = threading.get_ident(), _parts(self.net).places
        with _LOCK:
            if _TRAINED:
                self._check(me, places)
            fresh = [address for address in places if address not in _TRAINED]
            self.taken += fresh
            _TRAINED.update(dict.fromkeys(fresh, me))

    def _check(self, me: int, places: dict[int, str]) -> None:
        for address, name in places.items():
            if _TRAINED.get(address, me) != me:
                text = f"{self.what}: another thread trains a model that shares {name} with this one"
                raise RuntimeError(f"{text}; train them one after the other, or give each thread a copy: copy.deepcopy(model)")

    def give_back(self) -> None:
        """Let other threads train the arrays."""
        with _LOCK:
            for address in self.taken:
                _TRAINED.pop(address, None)


class Parts(NamedTuple):
    """The layers of a net, and its arrays: their addresses and names."""

    layers: list[Layer]
    places: dict[int, str]


def _parts(net: Net) -> Parts:
    """Return the parts of a net, from the call before unless its layers have changed."""
    if net._kept_parts is None:
        places = {p.data.__array_interface__["data"][0]: name for name, p in net._all_state().items() if p.data.size}
        net._kept_parts = Parts([*net.modules()], places)
    return net._kept_parts


@contextmanager
def turn(net: Net, what: str) -> Iterator[Turn]:
    """Train a model alone, in training mode; afterwards each layer has the mode that it had before.

    Raises
    ------
    RuntimeError
        If the model is being trained already, here or in another thread, or another thread trains a model that shares layers with it.
    """
    lock = net._enter()
    try:
        if net._trained_by is not None:
            raise RuntimeError(f"{what}: this model is being trained by {net._trained_by}, which called the function that called {what}")
        net._trained_by = what
        mine, modes = Turn(net, what), [(layer, layer._training) for layer in _parts(net).layers]
        try:
            mine.take()
            if not net._training:
                net.train()
            yield mine
        finally:
            net._trained_by = None
            mine.give_back()
            for layer, mode in modes:
                if layer._training != mode:
                    layer.training = mode
    finally:
        lock.release()
