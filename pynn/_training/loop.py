"""The epochs of ``fit``: training, validation, callbacks, and a new run if a callback has changed the layers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import _core
from .._tables import check_count
from . import optimizers
from .callback import Expected, may_add_logs
from .events import Events
from .feed import Batches, as_core, copied, joined_logs, rows_of, summed
from .health import Monitor
from .prepare import Prepared, build

if TYPE_CHECKING:
    from .._arrays import Array
    from ..optim._base import Optimizer
    from .checkpoint import Training
    from .divergence import Guard
    from .feed import Validation
    from .net import Net
    from .objective import Scores
    from .progress import Progress
    from .scale import Observed
    from .turns import Turn


class Setup(NamedTuple):
    """The data and settings of a call of ``fit``."""

    prepared: Prepared
    kept: Array | None
    """The indices in X of the rows to train on, if they are only some of all rows."""
    batch_size: int
    shuffle: bool
    seed: int
    drop_last: bool
    finite: bool
    """Whether training stops at a step that is not finite: ``on_nan="raise"``."""
    observed: Observed | None
    """A sample of the data for the health report; None with ``health=False``."""
    penalty: float | None
    order: Callable[[int], Array] | None
    """As in `Options`."""


def validated_epochs(given: Any, epochs: range) -> set[int]:
    """Return the epochs, from 0, after which to validate, given a period or a collection of numbers from 1."""
    if isinstance(given, Iterable) and not isinstance(given, (str, bytes)):
        chosen = list(given)
        for epoch in chosen:
            check_count("validation_freq", epoch, 1)
        return {int(epoch) - 1 for epoch in chosen} & set(epochs)
    check_count("validation_freq", given, 1)
    return {epoch for epoch in epochs if (epoch + 1) % given == 0}


class Loop:
    """One call of ``fit`` from the first epoch to the last.

    Parameters
    ----------
    net : Net
        The model. Only this thread trains it.
    setup : Setup
        The data, and how to train on them.
    optimizer, validation, training, guard
        The other parts of the training.
    scored : set of int
        The epochs that are followed by validation.
    mine : Turn
        The arrays that training changes.
    """

    run: _core.Fit

    def __init__(
        self,
        net: Net,
        setup: Setup,
        optimizer: Optimizer,
        validation: Validation | None,
        training: Training,
        guard: Guard,
        scored: set[int],
        mine: Turn,
    ) -> None:
        self.net, self.setup, self.optimizer, self.validation = net, setup, optimizer, validation
        self.training, self.guard, self.scored, self.mine = training, guard, scored, mine
        self.logs: dict[str, float] = {}
        self.events = Events(training.callbacks)
        self._hooks = (self._batch_begin, self._batch_end) if self.events.train else (None, None)
        self._begin(setup.prepared)

    # ---- run of the core -------------------------------------------------------------------------------------------
    def _begin(self, prepared: Prepared) -> None:
        """Create the core's run for a graph."""
        setup, opt, net = self.setup, self.optimizer, self.net
        self.prepared, self.objective = prepared, prepared.objective
        self._parameters = net.parameters()
        self._known = self._state()
        arrays = prepared.data if prepared.batches is None else ()
        weight, units = self.objective.core_weights(prepared.weight, prepared.graph.dtype)
        updates = opt.core_groups(), weight, setup.finite, setup.observed is not None, opt.core_solver(), setup.drop_last
        run = _core.Fit(
            prepared.graph,
            as_core(arrays) if arrays else None,
            prepared.target,
            self.objective.criteria,
            setup.batch_size,
            setup.shuffle,
            setup.seed,
            *updates,
            rows=prepared.part,
            penalty=(setup.penalty or 0.0) / units[0],
        )
        run.step = opt.steps
        self.run = run
        self.kept = run.keep(prepared.rows) if self.objective.measures and arrays else ()
        self.guard.begin(run, prepared.owners, arrays, setup.kept)
        net._fitted, net.optimizer = self.objective, opt
        net._monitor = Monitor(run, prepared.owners, setup.observed) if setup.observed is not None else None

    def _state(self) -> tuple[int, list[bool]]:
        """Return a value that changes if layers, their settings or modes, or frozen parameters change."""
        return self.net._changes, [p.requires_grad for p in self._parameters]

    def _refresh(self) -> None:
        """Start a new run if a callback has changed the layers or the state of the optimizer."""
        if self._state() == self._known and not self.optimizer.outdated():
            return
        net, prepared = self.net, self.prepared
        _, graph, owners, objective = build(net, prepared.data, prepared.goal)
        objective.go_on(self.objective)
        before = prepared.graph
        if (graph.output_shapes, graph.dtype) != (before.output_shapes, before.dtype):
            what = f"samples of the output had shape {before.output_shapes} and have {graph.output_shapes}"
            raise ValueError(f"fit: a callback has changed the layers so that the targets no longer fit: {what}; call fit again")
        self.mine.take()
        self.optimizer = optimizers.bound(net, self.optimizer)
        if self.validation is not None:
            self.validation.renew(graph, objective)
        self._begin(prepared._replace(graph=graph, owners=owners, objective=objective))

    # ---- an epoch --------------------------------------------------------------------------------------------------
    def _epoch(self, epoch: int) -> dict[str, float]:
        prepared = self.prepared
        self.optimizer.begin_epoch(epoch if prepared.batches is None else 0, is_current=True)
        if prepared.batches is not None:
            return self._from_batches(prepared.batches)
        if self.setup.order is not None:
            self.run.set_order(epoch, self.setup.order(prepared.rows))
        scores, batches = self.training.run_epoch(self.run, epoch, *self._hooks)
        seen = min(batches * self.setup.batch_size, prepared.rows)
        if not self.kept or seen == prepared.rows:
            return self.objective.logs("", scores, prepared.taken(prepared.target) if self.kept else None, self.kept)
        order = self.run.order
        some = np.arange(seen) if order is None else order[:seen]
        return self.objective.logs("", scores, rows_of(prepared.taken(prepared.target), some), [out[some] for out in self.kept])

    def _objective_logs(self) -> dict[str, float]:
        """Return what replaces the loss with the option ``penalty``."""
        if self.setup.penalty is None:
            return {}
        loss, penalty, rows = self.run.objective
        return {"loss": (loss + penalty) / rows, "penalty": penalty / rows}

    def _batch_begin(self, batch: int) -> None:
        self.events.call("on_train_batch_begin", batch, {})

    def _batch_end(self, batch: int, scores: Scores) -> bool:
        """Call the callbacks, and return whether to end the epoch."""
        self.events.call("on_train_batch_end", batch, self.objective.logs("", scores))
        return self.net.stop_training

    def _from_batches(self, batches: Batches) -> dict[str, float]:
        """Train for an epoch on the batches of an iterable."""
        total: Scores | None = None
        targets: list[Any] = []
        kept: list[Any] = []
        run = self.run
        run.reset()
        for number, (data, target, weight) in enumerate(self.prepared.batches_of(batches, self.prepared.samples())):
            self.guard.batch, self.guard.data = number, data
            if self.events.train:
                self._batch_begin(number)
                self.optimizer.begin_epoch()
            if self.objective.measures:
                kept.append(run.keep(len(data[0])))
                targets.append(copied(target))
            self.objective.remember(target)
            before = run.step
            weights, units = self.objective.core_weights(weight, self.prepared.graph.dtype)
            if self.setup.penalty is not None:  # the core needs the weights themselves, and a batch has its own unit
                weights, units = weight, [1.0] * len(units)
            score = self.objective.in_units(run.batch(as_core(data), target, weights), units)
            total = score if total is None else summed(total, score)
            if run.step == before:  # the core takes no step if the loss is not finite
                break
            if self.events.train:
                self.optimizer.count_steps(run.step)
                if self._batch_end(number, total):
                    break
        assert total is not None
        return joined_logs(self.objective, "", total, targets, kept)

    # ---- all epochs ------------------------------------------------------------------------------------------------
    def expected(self) -> dict[str, bool | None]:
        """Return the names that will be reported, and whether a greater number is better."""
        rises = self.objective.rises("")
        whole = {**rises, "seconds": False}
        if self.setup.penalty is not None:
            whole["penalty"] = False
        return whole if self.validation is None else whole | {f"val_{name}": up for name, up in rises.items()}

    def check(self) -> None:
        """Set the model of the callbacks, and raise if one of them cannot work in this training run, before anything is trained."""
        rises, adds = self.expected(), False
        for callback in self.training.callbacks:
            callback.model = self.net
        for callback in self.training.callbacks:
            callback._check(Expected(rises, adds, self.setup.observed is not None))
            adds = adds or may_add_logs(callback)

    def train(self, epochs: range, progress: Progress) -> None:
        """Run the epochs and call the callbacks."""
        hist, epoch = self.training.history, epochs.start
        try:
            self.training.begin()
            with progress:
                for epoch in epochs:
                    if self.net.stop_training:
                        break
                    self.begin_epoch(epoch)
                    self.run_epoch(epoch)
                    progress.show(epoch, self.logs)
                    self.end_epoch(epoch)
        except KeyboardInterrupt as stop:
            done = f"{len(hist.epoch)} finished epoch{'s' * (len(hist.epoch) != 1)}"
            kept = f"the model keeps its trained weights, model.history has {done}"
            stop.add_note(f"fit was interrupted in epoch {epoch + 1} of {epochs.stop}: {kept}")
            raise
        finally:
            self.end()

    def begin_epoch(self, epoch: int) -> None:
        """Call the callbacks before an epoch, and apply their changes."""
        for callback in self.training.callbacks:
            callback.on_epoch_begin(epoch, {})
        self._refresh()

    def run_epoch(self, epoch: int) -> None:
        """Train for an epoch, validate, and record what is reported as ``logs``."""
        names = self.expected()
        if self.net._monitor is not None:
            self.net._monitor.epoch = epoch
        start = time.perf_counter()
        try:
            scores = self._epoch(epoch) | self._objective_logs()
        finally:
            self.optimizer.count_steps(self.run.step)
        scores["seconds"] = time.perf_counter() - start
        self.guard.check(epoch, scores)
        self.logs = scores
        if self.validation is not None and epoch in self.scored:
            self.logs = scores | self.validation.logs("val_", self.events)
        absent: dict[str, Any] = {} if len(self.logs) == len(names) else dict.fromkeys(names)
        self.optimizer.end_epoch(absent | self.logs)
        self.training.history.add(self.logs)

    def end_epoch(self, epoch: int) -> None:
        """Call the callbacks after an epoch."""
        for callback in self.training.callbacks:
            callback.on_epoch_end(epoch, self.logs)

    def end(self) -> None:
        """Call the callbacks after the last epoch."""
        for callback in self.training.callbacks:
            callback.on_train_end(self.logs)
