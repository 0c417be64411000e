"""The base class of callbacks, and the checks of callbacks by `fit`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from ..optim._base import Optimizer
    from .net import Net

Logs = Mapping[str, float]


class Expected(NamedTuple):
    """What is known about a training run before it begins.

    Attributes
    ----------
    rises : mapping of str to bool or None
        The names that ``fit`` reports, in order, and whether a greater number is better; None if that is unknown.
    open : bool
        Whether a callback that is called earlier may add names to the logs.
    health : bool
        Whether ``fit`` records the health of the layers.
    """

    rises: Mapping[str, bool | None]
    open: bool
    health: bool


class Callback:
    """Base class of callbacks: ``fit`` calls the methods that a subclass overrides.

    ``self.model`` is the model and ``self.optimizer`` its optimizer. ``self.model.stop_training = True`` ends training after the
    present epoch, or after the batch if a batch method sets it. ``fit`` also accepts functions ``(epoch, logs)``, which it calls as
    `on_epoch_end`. Epochs and batches passed to callbacks count from 0. A callback with a state returns it in `state_dict`, so that
    training that resumes from a `pynn.Checkpoint` continues as if it had never stopped.

    Methods whose names begin with ``on_`` are events. A name that is not listed below raises an error, since it would never be called.
    Methods for batches cost time, because ``fit`` then returns to Python after each batch; without them an entire epoch runs in C.

    Changes that a callback makes to the model take effect from the next epoch: `Layer.freeze`, `Layer.unfreeze`, `Layer.eval`,
    `Layer.train`, settings such as ``p``, and layers that are added or replaced. A learning rate that a batch method sets is used from
    the next batch. `predict`, `evaluate`, ``save`` and ``load_state_dict`` may be called on the model; ``fit``, ``partial_fit``,
    ``train_on_batch`` and ``find_lr`` of the same model raise RuntimeError.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> class Patience(pynn.callbacks.Callback):
    ...     def on_epoch_end(self, epoch, logs):
    ...         self.model.stop_training = epoch == 1
    >>> model = pynn.Sequential(pynn.Linear(2, 1))
    >>> len(model.fit(np.eye(2), np.ones(2), loss="mse", epochs=9, callbacks=[Patience()]).epoch)
    2
    """

    model: Net
    _adds_logs: ClassVar[bool] = False
    """Whether the ``on_epoch_end`` defined by this class may add names to the logs; assumed if a class does not set this."""
    _any_thread: ClassVar[bool] = False
    """Whether `fit_many` may call this class, without subclasses, in any thread; False if it runs user code."""

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer of the training."""
        assert self.model.optimizer is not None
        return self.model.optimizer

    def _check(self, expected: Expected) -> None:
        """Raise if this callback cannot work in the training run that is about to begin."""

    def on_train_begin(self, logs: Logs) -> None:
        """Called before the first epoch; ``logs`` is empty."""

    def on_train_end(self, logs: Logs) -> None:
        """Called when training ends, including when it ends with an exception; ``logs`` are those of the last complete epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Called before an epoch; ``logs`` is empty."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Called after an epoch and its validation; ``logs`` holds ``loss``, ``val_loss`` and so on."""

    def on_train_batch_begin(self, batch: int, logs: Logs) -> None:
        """Called before the step on a batch; ``logs`` is empty."""

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """Called after the step on a batch; ``logs`` holds the loss, and the accuracy, over the batches of the epoch so far."""

    def on_test_begin(self, logs: Logs) -> None:
        """Called before validation, and by ``evaluate``; ``logs`` is empty."""

    def on_test_end(self, logs: Logs) -> None:
        """Called after validation, and by ``evaluate``; ``logs`` holds the results without the prefix ``val_``."""

    def on_test_batch_begin(self, batch: int, logs: Logs) -> None:
        """Called before a batch of validation data, 256 rows of arrays, is scored; ``logs`` is empty."""

    def on_test_batch_end(self, batch: int, logs: Logs) -> None:
        """Called after a batch of validation data is scored; ``logs`` holds the loss, and the accuracy, over the batches so far."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a `pynn.Checkpoint` saves: a dict of arrays and of values that JSON supports."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state from `state_dict`; called by ``fit(..., resume_from=...)`` after `on_train_begin`."""


_ARGUMENTS = {
    name: tuple(inspect.signature(method).parameters)[1:] for name, method in vars(Callback).items() if name.startswith("on_")
}
"""The events, and the arguments of their methods."""

_EQUIVALENTS = (
    ("_start", "_begin"),
    ("on_fit_", "on_train_"),
    ("on_train_epoch_", "on_epoch_"),
    ("on_batch_", "on_train_batch_"),
    ("_validation_epoch_", "_test_"),
    ("_test_epoch_", "_test_"),
    ("_validation_", "_test_"),
    ("on_exception", "on_train_end"),
    ("on_save_checkpoint", "state_dict"),
    ("on_load_checkpoint", "load_state_dict"),
)
"""Parts of the event names in Keras and Lightning, and their equivalents here."""

_NOT_EVENTS = {
    "set_model": "fit sets self.model itself; use on_train_begin",
    "set_params": "fit does not call it; use on_train_begin",
}
"""Methods of Keras's callbacks that are not events here."""


def _supported(name: str) -> str:
    """Return the hint for an event that does not exist."""
    if name.startswith("on_predict"):
        return "predict takes no callbacks"
    known = [*_ARGUMENTS, "state_dict", "load_state_dict"]
    other = name
    for theirs, ours in _EQUIVALENTS:
        if other.startswith(theirs) or not theirs.startswith("on_"):
            other = other.replace(theirs, ours, 1)
    import difflib

    close = [other] if other in known else difflib.get_close_matches(name, _ARGUMENTS, n=2, cutoff=0.6)
    return f"use {' or '.join(close)}" if close else f"the events are {', '.join(_ARGUMENTS)}"


def _check_events(callback: Callback) -> None:
    """Raise if a callback has a method that would never be called, or that does not accept its arguments."""
    kind = type(callback).__name__
    for name in dict.fromkeys((*vars(callback), *dir(type(callback)))):
        if not name.startswith("on_") and name not in _NOT_EVENTS:
            continue
        if name in _ARGUMENTS and not overrides(callback, name):
            continue
        method = getattr(callback, name)
        if not callable(method):
            continue
        if name not in _ARGUMENTS:
            why = _NOT_EVENTS[name] if name in _NOT_EVENTS else _supported(name)
            raise TypeError(f"callbacks: {kind}.{name} would never be called; {why}")
        check_call(method, f"{kind}.{name}", _ARGUMENTS[name])


def check_call(function: Callable[..., Any], name: str, arguments: tuple[str, ...]) -> None:
    """Raise unless a function can be called with these arguments, and a call executes its body."""
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"callbacks: {name} is a coroutine or a generator function, whose body would never run; make it a plain function")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some built-in functions have none
        return
    try:
        signature.bind(*arguments)
    except TypeError:
        raise TypeError(f"callbacks: {name} is called with ({', '.join(arguments)}), but its signature is {signature}") from None


def overrides(callback: Callback, event: str) -> bool:
    """Return whether a callback overrides the method of an event."""
    return event in vars(callback) or getattr(type(callback), event) is not getattr(Callback, event)


def may_add_logs(callback: Callback) -> bool:
    """Return whether ``on_epoch_end`` of a callback may add names to the logs."""
    if "on_epoch_end" in vars(callback):
        return True
    owner = next(cls for cls in type(callback).__mro__ if "on_epoch_end" in vars(cls))
    return bool(vars(owner).get("_adds_logs", True))


class LambdaCallback(Callback):
    """Create a callback from functions.

    Parameters
    ----------
    on_epoch_end, on_epoch_begin : callable, optional
        Functions of ``(epoch, logs)``.
    on_train_begin, on_train_end, on_test_begin, on_test_end : callable, optional
        Functions of ``(logs)``.
    on_train_batch_begin, on_train_batch_end, on_test_batch_begin, on_test_batch_end : callable, optional
        Functions of ``(batch, logs)``.

    Raises
    ------
    TypeError
        If an argument is not callable.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> seen = []
    >>> note = pynn.callbacks.LambdaCallback(
    ...     lambda epoch, logs: seen.append(epoch), on_train_begin=lambda logs: seen.append("begin")
    ... )
    >>> model = pynn.Sequential(pynn.Linear(2, 1, seed=0))
    >>> hist = model.fit(np.eye(2), np.ones(2), loss="mse", epochs=2, callbacks=[note], seed=0)
    >>> seen
    ['begin', 0, 1]
    """

    def __init__(
        self,
        on_epoch_end: Callable[[int, dict[str, float]], Any] | None = None,
        *,
        on_epoch_begin: Callable[[int, dict[str, float]], Any] | None = None,
        on_train_begin: Callable[[dict[str, float]], Any] | None = None,
        on_train_end: Callable[[dict[str, float]], Any] | None = None,
        on_train_batch_begin: Callable[[int, dict[str, float]], Any] | None = None,
        on_train_batch_end: Callable[[int, dict[str, float]], Any] | None = None,
        on_test_begin: Callable[[dict[str, float]], Any] | None = None,
        on_test_end: Callable[[dict[str, float]], Any] | None = None,
        on_test_batch_begin: Callable[[int, dict[str, float]], Any] | None = None,
        on_test_batch_end: Callable[[int, dict[str, float]], Any] | None = None,
    ) -> None:
        given = locals()
        for name in _ARGUMENTS:
            function = given[name]
            if function is None:
                continue
            if not callable(function):
                raise TypeError(f"{name}: expected a function, got {function!r}")
            setattr(self, name, function)


def listed(given: Any) -> list[Callback]:
    """Return a list of callbacks, given one or an iterable of callbacks and functions, or raise."""
    if given is None:
        return []
    expected = "callbacks: expected functions of (epoch, logs) or pynn.callbacks.Callback objects"
    if isinstance(given, (str, bytes, type)) or not (isinstance(given, (Callback, Iterable)) or callable(given)):
        raise TypeError(f"{expected}, got {_describe(given)}")
    found: list[Callback] = []
    for one in [given] if isinstance(given, Callback) or callable(given) else given:
        if not isinstance(one, Callback) and (isinstance(one, type) or not callable(one)):
            raise TypeError(f"{expected}, got {_describe(one)}")
        if not isinstance(one, Callback):
            check_call(one, getattr(one, "__name__", repr(one)), _ARGUMENTS["on_epoch_end"])
        found.append(one if isinstance(one, Callback) else LambdaCallback(one))
        _check_events(found[-1])
    return found


def _describe(given: object) -> str:
    """Return a description of an object that is not a callback."""
    if isinstance(given, type) and issubclass(given, Callback):
        return f"the class {given.__name__}; call it: {given.__name__}(...)"
    return repr(given)
