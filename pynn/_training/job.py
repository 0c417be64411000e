"""A run of `fit_many`: a call of ``fit`` in stages, which different threads may run."""

from __future__ import annotations

import math
from contextlib import ExitStack
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import metrics
from .._random import draw_seed
from ..losses._base import FunctionLoss
from .divergence import DivergenceError
from .fit import Session
from .messages import muted
from .turns import has_custom_layers, turn

if TYPE_CHECKING:
    from collections.abc import Hashable

    from .fit import Options, Part, Paused
    from .history import History
    from .loop import Loop
    from .net import Net
    from .turns import Turn


class Stage(Enum):
    """What a job does next."""

    OPEN = 1
    """Check the arguments once more, and call ``on_train_begin``."""
    BEFORE = 2
    """Decide whether there is another epoch, and call ``on_epoch_begin``."""
    COMPUTE = 3
    """Train for an epoch, and validate."""
    AFTER = 4
    """Call ``on_epoch_end``."""
    END = 5
    """Call ``on_train_end``."""
    DONE = 6


class Needs(Enum):
    """Which stages of a job run user code, and therefore need the thread that called `fit_many`."""

    NOTHING = 1
    CALLBACKS = 2
    """All but COMPUTE."""
    EVERYTHING = 3


class Data(NamedTuple):
    """The data of all jobs."""

    X: Any
    y: Any


class Job:
    """A run of `fit_many`.

    Parameters
    ----------
    title : str
        The name in errors and notes.
    group : hashable
        The group of jobs with which it competes.
    net, given, part
        As in `Session`.
    paused : Paused, optional
        What `suspend` returned, to continue this training.

    Attributes
    ----------
    stage : Stage
        The next stage.
    epoch : int
        The number of finished epochs.
    pause_at : int or None
        The number of epochs after which to pause.
    is_paused : bool
        Whether it is paused.
    history : History or None
        The history; None before training begins.
    error : BaseException or None
        The exception that ended it.
    """

    def __init__(self, title: str, group: Hashable, net: Net, given: Options, part: Part, paused: Paused | None = None) -> None:
        self.title, self.group, self.net, self.part, self._paused = title, group, net, part, paused
        self.given = given._replace(seed=draw_seed(given.seed))
        self.stage, self.epoch, self.pause_at, self.is_paused = Stage.OPEN, 0 if paused is None else paused.epoch, None, False
        self.history: History | None = None
        self.error: Exception | None = None
        self._session: Session | None = None
        self._held = ExitStack()

    pause_at: int | None
    mine: Turn
    """The arrays that training changes, reserved from `check` to `release`."""

    def check(self, data: Data) -> None:
        """Reserve the net, and raise the errors that ``fit`` would raise before its first epoch; `release` frees the net."""
        self.mine = self._held.enter_context(turn(self.net, "fit_many"))
        session = Session(self.net, *data, self.given, self.mine, self.part)
        session.withdraw()
        self.expected = session.loop.expected()
        self.needs = _needs(self.net, session.loop)
        self.work = session.loop.prepared.rows * self.given.epochs * (1 + sum(p.data.size for p in self.net.parameters()))

    def release(self) -> None:
        """Free the net, in the thread that reserved it; a second call has no effect."""
        if hasattr(self, "mine"):
            self.mine.move()
            del self.mine
        self._held.close()

    @property
    def needs_caller(self) -> bool:
        """Whether the next stage runs user code."""
        return self.needs is Needs.EVERYTHING or (self.needs is Needs.CALLBACKS and self.stage is not Stage.COMPUTE)

    @property
    def is_resting(self) -> bool:
        """Whether the job is paused or done."""
        return self.is_paused or self.stage is Stage.DONE

    def value(self, metric: str) -> float:
        """Return the last number reported under a name; NaN if the run diverged, failed, or reported none."""
        values = [] if self.history is None or self.error is not None else self.history.history.get(metric, [])
        return values[-1] if values else math.nan

    def step(self, data: Data) -> None:
        """Run the next stage. Only an interrupt raises; then END is the next stage."""
        try:
            self.stage = self._do(self.stage, data)
        except Exception as error:
            self.fail(error)
        except BaseException as stop:
            self.end(stop)
            raise

    def _do(self, stage: Stage, data: Data) -> Stage:
        """Run a stage, and return the next one."""
        if stage is Stage.OPEN:
            with muted():
                self._session = Session(self.net, *data, self.given, self.mine, self.part)
            if self._paused is not None:
                self.history = self._session.resume(self._paused)
                return Stage.BEFORE
            self.history = self._session.begin()
            self._session.training.begin()
            return Stage.BEFORE
        assert self._session is not None
        loop = self._session.loop
        if stage is Stage.BEFORE:
            if self.epoch == self.given.epochs or self.net.stop_training:
                return Stage.END
            loop.begin_epoch(self.epoch)
            return Stage.COMPUTE
        if stage is Stage.COMPUTE:
            loop.run_epoch(self.epoch)
            return Stage.AFTER
        if stage is Stage.AFTER:
            loop.end_epoch(self.epoch)
            self.epoch += 1
            self.is_paused = self.epoch == self.pause_at and not self.net.stop_training
            return Stage.BEFORE
        session, self._session, self.stage = self._session, None, Stage.DONE
        try:
            loop.end()
        finally:
            session.close()
            session.release()  # since there are many nets
        return Stage.DONE

    def suspend(self) -> Paused:
        """Leave a job that is paused to another one, which may run in another process."""
        assert self._session is not None
        session, self._session = self._session, None
        return session.pause(self.epoch)

    def take_pause(self, epoch: int, history: History | None) -> None:
        """Record that a run that trains elsewhere is paused."""
        self.history, self.epoch, self.is_paused = history, epoch, True

    def take(self, epoch: int, error: Exception | None) -> None:
        """Record the result of a run that was trained elsewhere."""
        self.history, self.epoch, self.error, self.stage = self.net.history, epoch, error, Stage.DONE

    def fail(self, error: Exception) -> None:
        """Record the exception that ended the run."""
        if self.error is None:
            self.error = error
        if isinstance(error, DivergenceError):  # the history keeps it, and its frames would keep buffers and data alive
            error.__traceback__ = error.__context__ = None
        if self.history is not None:
            self.history.status = "diverged" if isinstance(self.error, DivergenceError) else "failed"
            self.history.error = self.error
        self.stage = Stage.END if self._session is not None else Stage.DONE

    def end(self, why: str | BaseException) -> None:
        """Skip the remaining epochs."""
        self.is_paused = False
        if self.history is not None and self.history.status == "training":
            self.history.status = why if isinstance(why, str) else "interrupted"
        if self.stage is not Stage.DONE:
            self.stage = Stage.DONE if self._session is None else Stage.END


def _needs(net: Net, loop: Loop) -> Needs:
    """Return which stages run user code."""
    objective = loop.objective
    own_metrics = any(not metrics.is_known(metric) for each in objective.metrics for metric in each.values())
    own_losses = any(isinstance(loss, FunctionLoss) for loss in objective.losses)
    if has_custom_layers(net) or own_losses or own_metrics or loop.events.any:
        return Needs.EVERYTHING
    callbacks = loop.training.callbacks
    return Needs.NOTHING if all(vars(type(c)).get("_any_thread", False) for c in callbacks) else Needs.CALLBACKS
