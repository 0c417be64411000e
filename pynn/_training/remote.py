"""Runs of `fit_many` as tasks of an executor: in other threads, other processes or on other machines."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import _core, optim
from ..optim._base import Optimizer
from . import optimizers
from .job import Stage
from .messages import muted
from .net import Net
from .turns import turn

if TYPE_CHECKING:
    from .callback import Callback
    from .crew import Rungs, Show
    from .fit import Options, Part, Paused
    from .job import Data, Job

_TAKEN = ("history", "stop_training", "classes_", "_fitted", "_readings", "_goal", "_health", "_lost_optimizer")
"""The attributes of a net, other than layers and optimizer, that training sets."""


class Outcome(NamedTuple):
    """The result of a task, which consists of copies unless it ran in this process."""

    net: Net
    callbacks: list[Callback]
    order: Any
    """The option of that name, whose state training changes."""
    epochs: int
    error: Exception | None
    paused: Paused | None


class Task:
    """A run that can be trained in another thread or process, up to its next pause.

    Attributes
    ----------
    pause_at : int or None
        The number of epochs after which to pause.
    paused : Paused or None
        The pause after which to continue.
    why : str or None
        The status with which to end instead of continuing.
    """

    def __init__(self, title: str, net: Net, given: Options, part: Part) -> None:
        self.title, self.net, self.given, self.part = title, net, given, part
        self.pause_at: int | None = None
        self.paused: Paused | None = None
        self.why: str | None = None

    def train(self, X: Any, y: Any) -> Outcome:
        """Train with one thread, and return the outcome."""
        from .job import Data, Job

        job = Job(self.title, None, self.net, self.given, self.part, self.paused)
        job.pause_at, paused = self.pause_at, None
        before = _core.work(True, None)
        try:
            with turn(self.net, "fit_many") as job.mine, muted():
                job.step(Data(X, y))
                if self.why is not None:
                    self.net._monitor = None  # keep the report on the epochs before the pause
                    job.end(self.why)
                while not job.is_resting:
                    job.step(Data(X, y))
                if job.is_paused:
                    paused = job.suspend()
        finally:
            _core.work(*before)
        return Outcome(self.net, self.given.callbacks, self.given.order, job.epoch, job.error, paused)

    def pause(self, outcome: Outcome) -> None:
        """Continue from an outcome when this task is submitted again."""
        self.net, self.paused = outcome.net, outcome.paused
        optimizer = outcome.net.optimizer
        self.given = self.given._replace(optimizer=optimizer, callbacks=outcome.callbacks, order=outcome.order)


def train(task: Task, X: Any, y: Any) -> Outcome:
    """Train a task; a module-level function, since every executor can serialize it."""
    return task.train(X, y)


def run(jobs: Sequence[Job], data: Data, executor: Any, n_jobs: int | None, show: Show, rungs: Sequence[Rungs] = ()) -> None:
    """Train jobs as tasks of an executor, up to the next pause at a time, and apply their outcomes."""
    submitter = Submitter(executor, data, n_jobs)
    tasks = {job: Task(job.title, job.net, job.given, job.part) for job in jobs}
    outcomes: dict[Job, Outcome] = {}
    waiting = [*jobs]
    try:
        while waiting:
            for job in waiting:
                tasks[job].pause_at = job.pause_at
            _run_once(waiting, tasks, outcomes, submitter, show)
            waiting = []
            for job in [one for rung in rungs for one in rung.settle(frozenset())]:
                if job.stage is not Stage.DONE:
                    waiting.append(job)
                elif tasks[job].given.callbacks:  # their last event belongs to where they are
                    tasks[job].why = "pruned"
                    waiting.append(job)
                else:
                    _take(job, outcomes[job])
                    show.step(job)
    except BaseException:
        for job, outcome in outcomes.items():
            if job.stage is not Stage.DONE:
                _take(job, outcome)
                job.end("interrupted")
        raise


def _run_once(jobs: Sequence[Job], tasks: Mapping[Job, Task], outcomes: dict[Job, Outcome], submitter: Submitter, show: Show) -> None:
    """Train each job up to its next pause."""
    with contextlib.closing(submitter([tasks[job] for job in jobs])) as submitted:
        for job in jobs:
            try:
                outcome = next(submitted)()
            except Exception as error:  # of the executor, such as a worker that died or a callback that cannot be pickled
                job.fail(error)
            else:
                if outcome.paused is not None:
                    tasks[job].pause(outcome)
                    outcomes[job] = outcome
                    job.take_pause(outcome.epochs, outcome.net.history)
                else:
                    _take(job, outcome)
            show.step(job)


def checked_executor(executor: Any, n_jobs: int | None = None) -> Any:
    """Return an executor, a joblib.Parallel for the name of a backend, or raise."""
    if isinstance(executor, str):
        try:
            joblib = importlib.import_module("joblib")
        except ImportError as error:
            raise ImportError(f"executor={executor!r} needs joblib: pip install joblib") from error
        return joblib.Parallel(n_jobs=-1 if n_jobs is None else n_jobs, backend=executor)
    if not _is_of("joblib", "Parallel", executor) and not callable(getattr(executor, "submit", None)):
        kinds = "the name of a joblib backend, a joblib.Parallel, a distributed.Client or a concurrent.futures.Executor"
        raise TypeError(f"executor: expected {kinds}, got {executor!r}")
    return executor


def _is_of(module: str, name: str, thing: Any) -> bool:
    """Return whether a thing is of a class of a module, without importing the module: nobody has such a thing before that."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(thing, getattr(loaded, name))


class Submitter:
    """Sends tasks to an executor. Calling it yields for each task a function that waits for its outcome."""

    def __init__(self, given: Any, data: Data, n_jobs: int | None) -> None:
        self.executor, self.data = checked_executor(given, n_jobs), data
        if n_jobs is not None and not isinstance(given, str):
            raise ValueError("n_jobs: the executor determines how many runs train at the same time; omit n_jobs")
        self._is_client = _is_of("distributed", "Client", self.executor)
        if self._is_client:
            self.data = self.executor.scatter([data.X, data.y], broadcast=True, hash=False)

    def __call__(self, tasks: Sequence[Task]) -> Generator[Callable[[], Outcome], None, None]:
        """Submit tasks."""
        if _is_of("joblib", "Parallel", self.executor):
            return _by_joblib(self.executor, sys.modules["joblib"].delayed(train), tasks, self.data)
        options = {"pure": False} if self._is_client else {}
        return _by_futures([self.executor.submit(train, task, *self.data, **options) for task in tasks])


def _by_joblib(parallel: Any, function: Any, tasks: Sequence[Task], data: Data) -> Generator[Callable[[], Outcome], None, None]:
    for outcome in parallel(function(task, *data) for task in tasks):
        yield partial(_same, outcome)


def _same(outcome: Outcome) -> Outcome:
    return outcome


def _by_futures(futures: Sequence[Any]) -> Generator[Callable[[], Outcome], None, None]:
    """Yield functions that wait for the futures in order; at the end the remaining futures are cancelled."""
    try:
        for future in futures:
            yield future.result
    finally:
        for future in futures:
            future.cancel()


def _take(job: Job, outcome: Outcome) -> None:
    """Apply the outcome of a task to the run, as if it had been trained here."""
    net, other = job.net, outcome.net
    if net is not other:
        _take_net(net, other, job.given.optimizer)
        for mine, theirs in zip(job.given.callbacks, outcome.callbacks, strict=True):
            vars(mine).update(vars(theirs))
            mine.model = net
    job.take(outcome.epochs, outcome.error)


def _take_net(net: Net, other: Net, optimizer: str | Optimizer) -> None:
    """Copy the state of a trained copy to the net."""
    net.load_state_dict(other.state_dict())
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        p.requires_grad = q.requires_grad
        np.copyto(p.grad, q.grad)
    for mine, theirs in zip(net.modules(), other.modules(), strict=True):
        mine._ticks = theirs._ticks
        if mine._is_custom:
            vars(mine).update({name: value for name, value in vars(theirs).items() if not name.startswith("_") and name != "dtype"})
    for name in _TAKEN:
        setattr(net, name, getattr(other, name))
    if other.optimizer is not None:
        net.optimizer = optimizers.bound(net, optim.get(optimizer))
        net.optimizer.load_state_dict(other.optimizer.state_dict())
