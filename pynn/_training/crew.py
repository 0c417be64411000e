"""A pool of threads that runs jobs; the calling thread runs the stages that contain user code."""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Iterable, Sequence, Set
from typing import TYPE_CHECKING

import numpy as np

from .. import _core
from .job import Stage
from .progress import Progress

if TYPE_CHECKING:
    from .halving import Halving
    from .job import Data, Job


class Rungs:
    """Runs that compete under a budget: all of them pause at a rung, and the best continue."""

    def __init__(self, jobs: Sequence[Job], budget: Halving) -> None:
        self.budget, self.alive = budget, [*jobs]
        self.rises = budget.direction(jobs[0].expected)
        self._left = budget.rungs(max(job.given.epochs for job in jobs)) if len(jobs) > 1 else []
        self._next()

    def _next(self) -> None:
        rung = self._left.pop(0) if self._left and len(self.alive) > 1 else None
        for job in self.alive:
            job.pause_at = rung

    def settle(self, driven: Set[Job]) -> list[Job]:
        """Resume or end the paused jobs once all have reached the rung, and return them; until then return no jobs.

        A job among ``driven`` has a thread that may still use it, even if it rests.
        """
        waiting = [job for job in self.alive if job.is_paused]
        if not waiting or not all(job.is_resting and job not in driven for job in self.alive):
            return []
        kept = {self.alive[i] for i in self.budget.best([job.value(self.budget.metric) for job in self.alive], self.rises)}
        for job in waiting:
            if job not in kept:
                job.end("pruned")
            job.is_paused = False
        self.alive = [job for job in self.alive if job in kept]
        self._next()
        return waiting


def joined(threads: Iterable[threading.Thread]) -> KeyboardInterrupt | None:
    """Wait for threads that are about to end, ignoring interrupts, and return the last interrupt."""
    again = None
    for thread in threads:
        while thread.is_alive():
            try:
                thread.join()
            except KeyboardInterrupt as stop:
                again = stop
    return again


class Show:
    """The progress of all jobs together."""

    def __init__(self, verbose: int | str, jobs: Sequence[Job]) -> None:
        self.progress, self.jobs = Progress(verbose, sum(job.given.epochs for job in jobs)), jobs
        self._shown = dict.fromkeys(jobs, 0)
        self._lock = threading.Lock()

    def step(self, job: Job) -> None:
        """Show what a job has done."""
        if not self.progress.on:
            return
        with self._lock:
            epochs = job.given.epochs if job.stage is Stage.DONE else job.epoch
            new, self._shown[job] = epochs - self._shown[job], epochs
            if new or job.stage is Stage.DONE:
                ended = sum(one.stage is Stage.DONE for one in self.jobs)
                line = None if job.stage is not Stage.DONE else f"{job.title} {_last(job)}"
                self.progress.advance(new, f"{ended}/{len(self.jobs)} runs", line)


def _last(job: Job) -> str:
    """Return the last numbers of a job's history as text."""
    if job.history is None:
        return "failed"
    last = {name: values[-1] for name, values in job.history.history.items() if values}
    return f"{job.history.status} after {job.epoch} epochs  " + "  ".join(f"{name} {value:.4f}" for name, value in last.items())


class Crew:
    """Threads that run jobs.

    With one job at a time the calling thread does all the work. With more it runs only the stages that contain user code.
    """

    def __init__(self, jobs: Sequence[Job], data: Data, n_jobs: int, rungs: Iterable[Rungs], show: Show) -> None:
        self.jobs, self.data, self.threads, self.rungs, self.show = jobs, data, n_jobs if n_jobs > 1 else 0, [*rungs], show
        self._changed = threading.Condition()
        self._ready: deque[Job] = deque()
        self._callers: deque[Job] = deque()
        self._driven: set[Job] = set()
        self._stop = np.zeros(1, np.uint8)
        self._broken: BaseException | None = None
        for job in sorted(jobs, key=lambda job: -job.work):
            self._queue(job)

    def _queue(self, job: Job) -> None:
        """Queue a job. Jobs that have begun take precedence, so that few jobs are in progress at a time."""
        queue = self._callers if job.needs_caller or not self.threads else self._ready
        if job.history is None:
            queue.append(job)
        else:
            queue.appendleft(job)

    @property
    def _is_over(self) -> bool:
        return bool(self._stop[0]) or all(job.stage is Stage.DONE for job in self.jobs)

    def run(self) -> None:
        """Run all jobs; an interrupt ends those in progress."""
        threads = [
            threading.Thread(target=contextvars.copy_context().run, args=(self._work,), name=f"pynn-{i}", daemon=True)
            for i in range(self.threads)
        ]
        before = _core.work(False, None)
        try:
            for thread in threads:
                thread.start()
            self._serve()
        finally:
            _core.work(*before)
            self._halt()
            again = joined(threads)
            self._finish()
            if again is not None:
                raise again
        if self._broken is not None:
            raise self._broken

    def _serve(self) -> None:
        """Run the stages that need the calling thread until all jobs are done."""
        while True:
            with self._changed:
                while not self._callers and not self._is_over:
                    self._changed.wait()
                if self._is_over:
                    return
                job = self._callers.popleft()
                self._driven.add(job)
            self._drive(job, calling=True)

    def _work(self) -> None:
        """Run the stages that any thread may run until all jobs are done."""
        try:
            while True:
                with self._changed:
                    while not self._ready and not self._is_over:
                        self._changed.wait()
                    if self._is_over:
                        return
                    job = self._ready.popleft()
                    self._driven.add(job)
                self._drive(job, calling=False)
        except KeyboardInterrupt:
            return
        except BaseException as error:
            with self._changed:
                self._broken = error
                self._stop[0] = 1
                self._changed.notify_all()
        finally:
            _core.work(False, None)  # the core stores the flag for each thread

    def _drive(self, job: Job, calling: bool) -> None:
        """Run the stages of a job that this thread may run."""
        try:
            job.mine.move()
            while not job.is_resting and not self._stop[0] and (job.needs_caller or not self.threads) == calling:
                _core.work(len(self._driven) > 1, self._stop)
                job.step(self.data)
                self.show.step(job)
        finally:
            with self._changed:
                self._driven.discard(job)
                if not self._stop[0]:
                    for one in self._resumed(job) if job.is_resting else [job]:
                        self._queue(one)
                self._changed.notify_all()

    def _resumed(self, job: Job) -> list[Job]:
        """Return the jobs that continue or end because this one rests."""
        return [one for rung in self.rungs if job in rung.alive for one in rung.settle(self._driven)]

    def _halt(self) -> None:
        with self._changed:
            self._stop[0] = 1
            self._changed.notify_all()

    def _finish(self) -> None:
        """End the jobs that an interrupt has left in progress, including the calls of ``on_train_end``."""
        for job in self.jobs:
            if job.stage is not Stage.DONE:
                job.mine.move()
                job.end("interrupted")
            while job.stage is not Stage.DONE:
                job.step(self.data)
