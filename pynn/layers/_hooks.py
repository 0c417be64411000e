"""Functions that are called before and after a layer: PyTorch's hooks.

A layer with hooks is part of a net's graph as a layer written in Python, so that hooks are called for each batch wherever the net runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from .._graph import _set

if TYPE_CHECKING:
    from ._base import Layer

Hook: TypeAlias = Callable[..., Any]
KINDS = ("forward_pre", "forward", "full_backward_pre", "full_backward")
"""The kinds of hooks, as in ``register_forward_hook``."""


class Handle:
    """What registering a hook returns: ``remove()`` removes the hook, and so does leaving a ``with`` statement."""

    def __init__(self, layer: Layer, kind: str, hook: Hook) -> None:
        self._layer, self._kind, self._hook = layer, kind, hook

    def remove(self) -> None:
        """Remove the hook. A second call does nothing."""
        if self._layer._hooks is not None:
            self._layer._hooks.remove(self._kind, self)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class Hooks:
    """The hooks of one layer.

    Parameters
    ----------
    layer : Layer
        The layer.
    adapter : Layer
        The layer as a net's graph contains it.
    """

    def __init__(self, layer: Layer, adapter: Layer) -> None:
        self._hooks: dict[str, list[Handle]] = {kind: [] for kind in KINDS}
        self._replaced = ""
        self.layer, self.adapter = layer, adapter

    def add(self, kind: str, hook: Hook, prepend: bool) -> Handle:
        """Add a hook, before the others if ``prepend``."""
        handle = Handle(self.layer, kind, hook)
        self._hooks[kind].insert(0 if prepend else len(self._hooks[kind]), handle)
        return handle

    def remove(self, kind: str, handle: Handle) -> None:
        """Remove a hook, and with the last one these hooks from the layer."""
        if handle in self._hooks[kind]:
            self._hooks[kind].remove(handle)
        if not any(self._hooks.values()):
            _set(self.layer, "_hooks", None)
            self.layer._drop_plans(seen=False)

    @contextmanager
    def suspended(self, layer: Layer) -> Iterator[None]:
        """Make calls of the layer itself skip the hooks."""
        _set(layer, "_hooks", None)
        try:
            yield
        finally:
            _set(layer, "_hooks", self)

    def forward(self, layer: Layer, xs: tuple[Any, ...], call: Callable[..., Any]) -> Any:
        """Return ``call(*xs)``, with the hooks before and after it."""
        self._replaced = ""
        for handle in [*self._hooks["forward_pre"]]:
            given = handle._hook(layer, xs)
            if given is not None:
                xs, self._replaced = given if isinstance(given, tuple) else (given,), "the input"
        with self.suspended(layer):
            y = call(*xs)
        for handle in [*self._hooks["forward"]]:
            given = handle._hook(layer, xs, y)
            if given is not None:
                y, self._replaced = given, "the output"
        return y

    def backward(self, layer: Layer, gys: tuple[Any, ...], call: Callable[..., Any]) -> Any:
        """Return ``call(*gys)``, with the hooks before and after it."""
        if self._replaced:
            what = f"a forward hook replaced {self._replaced} of the last call, and the derivative of that is not known"
            raise RuntimeError(f"{type(layer).__name__}.backward: {what}; let the hook return None, or write a layer that computes it")
        for handle in [*self._hooks["full_backward_pre"]]:
            given = handle._hook(layer, gys)
            if given is not None:
                gys = given if isinstance(given, tuple) else (given,)
        with self.suspended(layer):
            gx = call(*gys)
        for handle in [*self._hooks["full_backward"]]:
            given = handle._hook(layer, gx if isinstance(gx, tuple) else (gx,), gys)
            if given is not None:
                gx = given[0] if isinstance(given, tuple) and not isinstance(gx, tuple) else given
        return gx
