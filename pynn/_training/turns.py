"""Exclusive training: one thread at a time changes an array, and a model cannot be trained while it is being trained."""

from __future__ import annotations

from _thread import get_ident
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from .. import _core
from .._graph import Buffer

if TYPE_CHECKING:
    from .._graph import Parameter
    from ..layers._base import Layer
    from .net import Net
    from .score import Scoring


class Turn:
    """The parameters that a training run changes."""

    def __init__(self, net: Net, what: str) -> None:
        self.net, self.what = net, what
        self.claims: list[_core.Claim] = []

    def take(self) -> None:
        """Claim all arrays that the model trains, including those added since, or raise if another thread trains one of them."""
        gates = gates_of(self.net)
        try:
            self.claims.append(_core.Claim(gates.values()))
        except RuntimeError as error:
            text = f"{self.what}: another thread trains a model that shares {_taken(gates)} with this one"
            raise RuntimeError(f"{text}; train them one after the other, or give each thread a copy: copy.deepcopy(model)") from error

    def move(self) -> None:
        """Transfer the claims to the calling thread."""
        for claim in self.claims:
            claim.move()
        self.net._trained_by = self.what, get_ident()

    def give_back(self) -> None:
        """Release the claims."""
        for claim in self.claims:
            claim.release()


def _taken(gates: dict[str, _core.Gate]) -> str:
    for name, gate in gates.items():
        try:
            _core.Claim((gate,)).release()
        except RuntimeError:
            return name or "a layer"
    return "a layer"


class Parts(NamedTuple):
    """The layers in a net, and its parameters, buffers and custom layers by name.

    The net itself is left out: a reference to it would keep an unused net alive until the garbage collector runs.
    """

    layers: list[Layer]
    held: dict[str, Parameter | Buffer]
    own: dict[str, Layer]


def _parts(net: Scoring) -> Parts:
    """Return the parts of a net; they are kept until its layers change."""
    if net._kept_parts is None:
        named = {name: layer for name, layer in net.named_modules() if layer is not net}
        in_python = {name: layer if layer._hooks is None else layer._hooks.adapter for name, layer in named.items()}
        own = {name: layer for name, layer in in_python.items() if layer._is_custom}
        net._kept_parts = Parts([*named.values()], net._all_state(), own)
    return net._kept_parts


def gates_of(net: Scoring) -> dict[str, _core.Gate]:
    """Return the locks of all arrays and layers that training changes, by name."""
    parts = _parts(net)
    named = {name: p._gate for name, p in parts.held.items() if p.requires_grad or isinstance(p, Buffer)}
    return {**named, **{name: layer._custom_gate() for name, layer in parts.own.items()}}


@contextmanager
def turn(net: Net, what: str) -> Iterator[Turn]:
    """Reserve a model for training, in training mode; afterwards the previous mode of each layer is restored.

    Raises
    ------
    RuntimeError
        If the model is already being trained, here or in another thread, or another thread trains a model that shares layers with it.
    """
    mine, me = Turn(net, what), get_ident()
    mine.take()
    try:
        if net._trained_by is not None and net._trained_by[1] == me:  # one of another thread was left over by a fork
            by = net._trained_by[0]
            raise RuntimeError(f"{what}: this model is being trained by {by}, which called the function that called {what}")
        net._trained_by = what, me
        modes = [(layer, layer._training) for layer in (net, *_parts(net).layers)]
        try:
            if not net._training:
                net.train()
            yield mine
        finally:
            net._trained_by = None
            for layer, mode in modes:
                if layer._training != mode:
                    layer.training = mode
    finally:
        mine.give_back()


def has_custom_layers(net: Net) -> bool:
    """Return whether a layer is written in Python."""
    return bool(_parts(net).own)
