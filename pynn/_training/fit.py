"""One call of ``fit``: check the options, prepare the data, then run the epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .. import _core
from .._random import draw_seed
from .._tables import check_count
from . import optimizers
from .callback import listed
from .checkpoint import Training
from .divergence import DivergenceError, Guard
from .feed import Validation, as_core, rows_of
from .history import History
from .loop import Loop, Setup, validated_epochs
from .objective import TRIED_ROWS
from .prepare import Goal, Prepared, build, prepare
from .progress import Progress
from .scale import Observed
from .turns import turn

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from .._arrays import Array
    from .net import Net
    from .turns import Turn


class Options(NamedTuple):
    """The arguments of ``fit`` except the data, with the same names."""

    goal: Goal
    optimizer: Any = "adam"
    epochs: int = 1
    batch_size: int | None = None
    steps_per_epoch: int | None = None
    drop_last: bool = False
    initial_epoch: int = 0
    validation_data: Any = None
    validation_split: float | None = None
    validation_steps: int | None = None
    validation_freq: Any = 1
    sample_weight: Any = None
    class_weight: Any = None
    shuffle: bool = True
    callbacks: Any = None
    seed: int | None = None
    verbose: int | str = "auto"
    on_nan: str = "raise"
    health: bool = True
    resume_from: Any = None
    classes: Array | None = None
    """All labels, if ``y`` holds labels, see ``partial_fit``."""
    penalty: float | None = None
    """The factor of the L2 penalty on all matrices: ``penalty * sum(w**2) / (2 * rows of the batch)`` is added to the loss of a
    step. If it is given, also as 0, the mean over rows of what the steps minimised is reported as ``loss``, and the penalty in it as
    ``penalty``."""
    order: Callable[[int], Array] | None = None
    """A function that returns the order of the rows of an epoch, given their number, in place of the order that the seed determines."""


class Part(NamedTuple):
    """The indices of some rows of the data."""

    rows: NDArray[np.intp] | None = None
    """The rows to train on; None: all."""
    held: NDArray[np.intp] | None = None
    """The rows to validate on; None: no validation, unless the options specify it."""


class Paused(NamedTuple):
    """What a paused training needs to continue, besides the net, its optimizer and history, the options and the callbacks."""

    epoch: int
    logs: dict[str, float]


class Session:
    """A checked call of ``fit`` that has not begun.

    Nothing has been trained yet, and the net is unchanged. `begin` attaches the session to the net, and `close` detaches it.

    Parameters
    ----------
    net, X, y, given
        As in `fit`.
    mine : Turn
        The arrays that the training changes.
    part : Part
        Which rows of the data to use.
    """

    def __init__(self, net: Net, X: Any, y: Any, given: Options, mine: Turn, part: Part = Part()) -> None:  # noqa: B008
        epochs = _epochs(given)
        scored = validated_epochs(given.validation_freq, epochs)
        callbacks, guard = listed(given.callbacks), Guard(net, given.on_nan)
        self.net, self.first = net, given.initial_epoch if given.resume_from is None else None
        prepared = prepare(
            net,
            X,
            y,
            given.goal,
            sample_weight=given.sample_weight,
            epochs=len(epochs),
            steps_per_epoch=given.steps_per_epoch,
            arrays_only=_arrays_only(given),
            classes=given.classes,
            part=part.rows,
        )
        self.goal, objective = prepared.goal, prepared.objective
        if given.classes is not None:
            net.classes_ = given.classes
        if prepared.batches is None:
            objective.remember(prepared.taken(prepared.target))
        seed = _seed(given)
        prepared, validation, kept = _with_validation(prepared, given, seed, len(scored))
        if part.held is not None:
            validation = prepared.validation_on(part.held, y)
        prepared = prepared.with_class_weight(given.class_weight)
        observed = _examine(prepared, given.health)
        opt = optimizers.bound(net, given.optimizer)
        optimizers.warn_if_frozen(net, opt, "fit")
        batch_size = optimizers.batch_size(given.batch_size, opt, prepared.rows)
        if given.drop_last and prepared.rows < batch_size:
            text = f"drop_last: {prepared.rows} rows are fewer than batch_size = {batch_size}"
            raise ValueError(f"{text}, so none would be trained on")
        facts = _facts(prepared, given, batch_size)
        whole_epochs = prepared.batches is not None or objective.measures
        self.training = Training(net, opt, callbacks, seed, facts, given.resume_from, whole_epochs=whole_epochs)
        if given.resume_from is not None:  # the file has set the seeds of the layers
            _, graph, owners, _ = build(net, prepared.data, self.goal, fitted=objective)
            prepared = prepared._replace(graph=graph, owners=owners)
            epochs = range(self.training.epoch, given.epochs)
        if prepared.batches is not None:
            prepared.batches.leave_out(self.training.epoch)
        setup = Setup(
            prepared,
            kept,
            batch_size,
            given.shuffle,
            seed,
            bool(given.drop_last),
            given.on_nan == "raise",
            observed,
            given.penalty,
            given.order,
        )
        self.epochs = epochs
        before = net._fitted, net.optimizer, net._monitor
        try:
            self.loop = Loop(net, setup, opt, validation, self.training, guard, scored, mine)
            self.loop.check()
        except BaseException:
            net._fitted, net.optimizer, net._monitor = before
            raise
        self.before = before

    def withdraw(self) -> None:
        """Restore the attributes that the net had before the call."""
        self.net._fitted, self.net.optimizer, self.net._monitor = self.before

    def begin(self) -> History:
        """Give the net a new history, which the epochs will fill."""
        net = self.net
        net._goal, net.stop_training = self.goal[:2], False
        net.history, net._health = self.training.history, self.training.health
        if self.first is not None:
            net.history.first = self.first
        if not self.epochs:
            net._monitor = None
        return net.history

    def resume(self, paused: Paused) -> History:
        """Continue a training that `pause` ended, in place of `begin`."""
        self.training.history, self.training.health = self.net.history or History(), self.net._health
        self.loop.logs = paused.logs
        return self.begin()

    def pause(self, epoch: int) -> Paused:
        """Detach the session from the net, which another session may then train further; the next epoch is ``epoch``."""
        if self.net._monitor is not None:
            self.net._health, self.net._monitor = self.net._monitor.report(), None
        self.release()
        return Paused(epoch, self.loop.logs)

    def release(self) -> None:
        """Release the sample of the data for the health report."""
        if self.loop.setup.observed is not None:
            self.loop.setup.observed.examine()

    def close(self, error: BaseException | None = None) -> None:
        """Store the health of the last epoch in the net, and in the history how training ended."""
        history = self.training.history
        if error is not None:
            diverged, failed = isinstance(error, DivergenceError), isinstance(error, Exception)
            history.status = "diverged" if diverged else "failed" if failed else "interrupted"
        elif history.status == "training":
            history.status = "stopped" if self.net.stop_training else "finished"
        if self.net._monitor is not None:
            self.net._health, self.net._monitor = self.net._monitor.report(), None


def fit(net: Net, X: Any, y: Any, given: Options, part: Part = Part()) -> History:  # noqa: B008
    """Train a net; see `Net.fit`."""
    progress = Progress(given.verbose, given.epochs, given.initial_epoch)
    with turn(net, "fit") as mine:
        session = Session(net, X, y, given, mine, part)
        history = session.begin()
        try:
            session.loop.train(session.epochs, progress)
            session.close()
        except BaseException as error:
            session.close(error)
            raise
        return history


def _epochs(given: Options) -> range:
    """Return the epochs to train, or raise."""
    epochs, first = given.epochs, given.initial_epoch
    check_count("epochs", epochs, 0)
    check_count("initial_epoch", first, 0)
    if first > epochs:
        raise ValueError(f"initial_epoch: expected at most epochs = {epochs}, the number at which to end, got {first}")
    if first and given.resume_from is not None:
        raise ValueError("initial_epoch: resume_from continues at the epoch of its file; give one of them")
    return range(first, epochs)


def _seed(given: Options) -> int:
    """Return the seed of the training, that of the file to resume from, or a fresh one."""
    if given.resume_from is None:
        return draw_seed(given.seed)
    from .checkpoint_file import seed_of

    return seed_of(given.resume_from, given.seed)


def _arrays_only(given: Options) -> dict[str, Any]:
    """Return the options that batches from an iterable do not support; None if they are not given."""
    return {
        "validation_split": given.validation_split,
        "drop_last": given.drop_last or None,
        "class_weight": given.class_weight,
    }


def _with_validation(prepared: Prepared, given: Options, seed: int, times: int) -> tuple[Prepared, Validation | None, NDArray[Any] | None]:
    """Return the rows to train on, the data to validate on, and the indices of the former if they are only some of all rows."""
    if given.validation_data is not None and given.validation_split is not None:
        raise ValueError("validation_split: give it or validation_data, not both")
    validation, kept = None, None
    if given.validation_split is not None:
        prepared, part, kept = prepared.split(given.validation_split, seed, given.shuffle)
        validation = Validation(prepared.graph, prepared.objective, lambda: [part], False)
    elif given.validation_data is not None:
        validation = prepared.validation(given.validation_data, times, given.validation_steps)
    if given.validation_steps is not None and (validation is None or not validation.many):
        raise ValueError("validation_steps: applies only to batches from an iterable; arrays are scored as a whole")
    if validation is None and given.validation_freq != 1:
        raise ValueError("validation_freq: needs validation_data or validation_split")
    return prepared, validation, kept


def _examine(prepared: Prepared, health: bool) -> Observed | None:
    """Try the metrics on some rows, and return a sample of the data for the health report."""
    objective, data, rows = prepared.objective, prepared.data, prepared.rows
    if not objective.measures and not health:
        return None
    target = prepared.first_target()
    if objective.measures:
        first = slice(TRIED_ROWS) if prepared.part is None else prepared.part[:TRIED_ROWS]
        predicted = _core.Predictor(prepared.graph, 1).predict(as_core(rows_of(data, first)))
        objective.try_metrics(predicted, target, rows)
    return Observed(prepared.net, data, target, objective, prepared.part) if health else None


def _facts(prepared: Prepared, given: Options, batch_size: int) -> dict[str, Any]:
    """Return what a checkpoint must have in common with the training that resumes from it."""
    return {
        "rows": prepared.rows if prepared.batches is None else None,
        "batch_size": batch_size,
        "shuffle": given.shuffle,
        "loss": prepared.objective.describe(),
        "steps_per_epoch": given.steps_per_epoch,
        "drop_last": bool(given.drop_last),
    }
