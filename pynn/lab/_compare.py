"""Train the same net with each of several activations and seeds, and compare the scores."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import __version__, _core
from .._random import check_seed
from .._tables import check_count, unknown_name
from .._training.remote import checked_executor
from ._candidates import ACTIVATIONS, Candidate, _hidden, _loss, _norm, _optimizer, activation_makers, varied
from ._cost import cost_of
from ._data import Data, r2
from ._diagnosis import SAMPLE, calibration_of, pre_activations
from ._record import Entry, HealthRecord, RunRecord, record
from ._report import Report
from ._tune import GRID_SIDE, TUNING_SEEDS, Trainer, Tuning, epochs_of, final_run, search

_NOT_REPEATED = ("n_jobs", "executor", "verbose")
"""Arguments on which the result does not depend."""
ROPE = 0.005
"""The default of ``rope``: the largest difference of accuracy or R2 that does not matter."""


def compare(
    X: Any,
    y: Any,
    *,
    activations: Sequence[Any] | None = None,
    vary: Mapping[str, Sequence[Any]] | None = None,
    model: Callable[[Any, int], Any] | None = None,
    hidden: Sequence[int] | int = (128, 64),
    norm: str | Callable[[int], Any] | None = None,
    epochs: int = 30,
    batch_size: int = 32,
    optimizer: Any = "adam",
    lr: float | None = None,
    tune: str | None = "lr",
    init: Any = "auto",
    loss: Any = None,
    task: str = "auto",
    scale: str = "auto",
    missing: str = "error",
    test_size: float = 0.25,
    validation_size: float = 0.15,
    seeds: int = 10,
    seed: int = 0,
    target: float = 0.95,
    rope: float | None = None,
    alpha: float = 0.05,
    n_jobs: int | None = None,
    executor: Any = None,
    verbose: int | str = "auto",
) -> Report:
    """Train the same net with each activation, each with a tuned learning rate, and test which scores differ.

    For each seed all activations get the same split, the same order of samples and the same budget. The learning rate of each activation
    is chosen on a fixed validation set; the test set of a seed is used once, after the last epoch. `analyze` compares the scores, and
    its intervals are widened because the splits of different seeds overlap.

    Parameters
    ----------
    X : array_like, shape (n, ...), or tuple of those
        The inputs: numbers, or tables of pandas and polars. A tuple holds one array for each input of the nets that ``model=`` builds.
    y : array_like, shape (n,) or (n, k), or list or mapping of those
        The targets. Text, booleans, one-hot rows, and integers with at most 50 distinct values that repeat are classes (cross-entropy,
        accuracy). Other columns of 0 and 1 are labels of which several may apply (binary cross-entropy, accuracy). Other numbers are
        quantities (mean squared error, R2). A list or mapping holds one target for each output of the nets that ``model=`` builds.
    activations : sequence, optional
        The activations to compare: names, layers (``pynn.LeakyReLU(0.1)``), classes or functions that return a layer, gated activations
        such as ``pynn.SwiGLU``, whose linear layer is made wider, or ``(label, activation)`` pairs. Default: six common ones.
    vary : mapping, optional
        Compare another setting instead: one of ``optimizer``, ``init``, ``norm``, ``hidden``, ``depth``, ``loss`` or ``batch_size``
        with its values, such as ``{"depth": [1, 2, 8]}``; values may be ``(label, value)`` pairs. The activation is then the only one of
        ``activations``, by default relu.
    model : function (activation, seed) -> Sequential or Model, optional
        Builds the net, instead of linear layers of widths ``hidden``. ``activation`` can be used in place of a layer, and
        ``activation()`` returns a new one; see `ActivationMaker`. For classes the net needs one output (logit) per class.
    hidden : sequence of int
        The widths of the hidden layers.
    norm : {'batch', 'layer', 'rms'} or function (width) -> Layer, optional
        The normalization between each linear layer and its activation.
    epochs, batch_size
        As in ``pynn.Sequential.fit``.
    optimizer : str or Optimizer
        As in ``fit``; each net gets a copy.
    lr : float, optional
        The middle of the grid of learning rates, or with ``tune=None`` the learning rate itself. Default: that of the optimizer.
    tune : {'lr', None}
        'lr': each activation gets the best of seven learning rates, a third of a decade apart, found by successive halving on the
        validation rows with three seeds. While any best rate lies at an end of the grid, the grid is widened for all activations.
    init : str or callable
        'auto': initial weights that depend on the activation, see ``Sequential.apply_init``. 'shared': the same for all, as the layers
        or ``model`` create them. Other values are passed to ``apply_init``.
    loss : optional
        As in ``fit``; None: that of the task.
    task : {'auto', 'classes', 'multilabel', 'quantity'}
        The kind of targets; 'auto' applies the rules above.
    scale : {'auto', 'columns', 'together', 'none'}
        Standardize the inputs to mean 0 and deviation 1 on the training rows: each column (or channel) separately, all together, which is
        best for pixels, or not at all. 'auto': by column for tables, together for other shapes. With ``model=`` integers, which may be
        indices, stay unchanged.
    missing : {'error', 'mean'}
        How to handle NaN in the inputs: raise ValueError, or replace it by the mean of the training rows of each seed.
    test_size, validation_size : float
        The fractions of the rows to test on, drawn for each seed, and to validate on, which are the same for all seeds.
    seeds : int
        The number of training runs of each activation. With fewer than 6 there is no verdict.
    seed : int
        The first seed; the others follow consecutively.
    target : float
        The validation accuracy for which the table shows the first epoch that reached it.
    rope : float, optional
        The largest difference of scores that does not matter. Default: 0.005, half a point of accuracy.
    alpha : float
        The probability of a false difference, as in `analyze`.
    n_jobs : int, optional
        As in `pynn.fit_many`; the result does not depend on it.
    executor : optional
        Where the final runs train, as in `pynn.fit_many`: the name of a joblib backend, a joblib.Parallel, a distributed.Client or a
        concurrent.futures.Executor, with the same result. The search for learning rates pauses runs, which executors cannot, so it always
        trains in this process, with ``n_jobs``.
    verbose : bool, 2 or 'auto'
        As in `pynn.fit_many`.

    Returns
    -------
    Report
        Printed as a table, sentences and the protocol; see `Report`.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, a value is not finite, there is nothing to predict, or a name or number is not allowed.

    Notes
    -----
    A KeyboardInterrupt has the attribute ``report``: the report on the seeds for which all runs had finished, or None.

    Examples
    --------
    >>> import pynn, pynn.lab
    >>> X, y = pynn.datasets.load_digits()
    >>> options = dict(hidden=(32,), epochs=6, seeds=8, tune=None, lr=3e-3, scale="together")
    >>> report = pynn.lab.compare(X, y, activations=["relu", pynn.LeakyReLU(0.1), pynn.SwiGLU], **options)
    >>> [entry.label for entry in report]
    ['relu', 'LeakyReLU(0.1)', 'SwiGLU']
    >>> report["relu"].score > 0.9, report.baseline < 0.2
    (True, True)
    >>> report = pynn.lab.compare(X, y, vary={"norm": [None, "batch"]}, **options)
    >>> [entry.label for entry in report]
    ['norm None', 'norm batch']

    Compare a trainable slope with ReLU in a convolutional net:

    >>> def convolutional(activation, seed):
    ...     return pynn.Sequential(
    ...         pynn.Conv2d(1, 8, 3, seed=seed), activation, pynn.MaxPool2d(2), pynn.Flatten(), pynn.Linear(72, 10, seed=seed + 1)
    ...     )
    >>> report = pynn.lab.compare(
    ...     X.reshape(-1, 1, 8, 8), y, activations=["relu", pynn.PReLU], model=convolutional, epochs=3, seeds=2, tune=None, lr=3e-3
    ... )
    >>> [entry.score > 0.7 for entry in report]
    [True, True]

    Train a net with two outputs, the digit and the amount of ink:

    >>> def two_outputs(activation, seed):
    ...     x = pynn.Input(64)
    ...     h = activation(pynn.Linear(64, 32, seed=seed)(x))
    ...     return pynn.Model(x, {"digit": pynn.Linear(32, 10, seed=seed)(h), "ink": pynn.Linear(32, 1, seed=seed)(h)})
    >>> targets = {"digit": y, "ink": X.sum(axis=1)}
    >>> report = pynn.lab.compare(X, targets, activations=["tanh"], model=two_outputs, epochs=5, seeds=2, tune=None, lr=1e-2)
    >>> report.metric, report["tanh"].score > 0.8
    ('score', True)
    """
    given = {name: value for name, value in locals().items() if name not in ("X", "y")}
    check_count("epochs", epochs, 1)
    check_count("batch_size", batch_size, 1)
    check_count("seeds", seeds, 1)
    check_seed(seed)
    if executor is not None:
        checked_executor(executor)
    if tune not in ("lr", None):
        raise unknown_name("tune", tune, ("lr", "None"))
    if lr is not None and not 0 < lr < float("inf"):
        raise ValueError(f"lr: expected a number over 0, got {lr!r}")
    data = Data(
        X,
        y,
        task=task,
        scale=scale,
        test_size=test_size,
        validation_size=validation_size,
        seed=seed,
        has_model=model is not None,
        missing=missing,
    )
    candidates = _candidates(given, data)
    numbers = tuple(range(seed, seed + seeds))
    trials = epochs_of(2 * GRID_SIDE + 1, epochs) * len(numbers[:TUNING_SEEDS]) if tune else 0
    train = Trainer(data.loss() if loss is None else loss, n_jobs, verbose, len(candidates) * (trials + seeds * epochs), executor)
    with train.progress:
        tuning, rates, done = _train_all(given, data, candidates, numbers, train)
    report = _report(given, data, candidates, tuning, rates, numbers, done)
    object.__setattr__(report, "_again", lambda: compare(X, y, **{**given, "executor": None, "verbose": False}))
    return report


def _train_all(
    given: Mapping[str, Any], data: Data, candidates: Sequence[Candidate], numbers: Sequence[int], train: Trainer
) -> tuple[Tuning | None, Sequence[float | None], list[list[_Done]]]:
    """Return the learning rates, and the finished runs of each seed."""
    lr, epochs, tuning = given["lr"], given["epochs"], None
    if given["tune"] == "lr":
        tuning = search(candidates, data, numbers[:TUNING_SEEDS], lr=lr, epochs=epochs, train=train, expect=train.expect)
    rates = tuning.chosen if tuning is not None else tuple(_own_rate(one) if lr is None else lr for one in candidates)
    done: list[list[_Done]] = []
    try:
        for number in numbers:
            done += [_trained(candidates, data, number, rates, epochs, train)]
    except KeyboardInterrupt as stop:
        stop.report = _report(given, data, candidates, tuning, rates, numbers[: len(done)], done) if done else None  # type: ignore[attr-defined]
        raise
    return tuning, rates, done


def _candidates(given: Mapping[str, Any], data: Data) -> list[Candidate]:
    """Return the candidates to compare."""
    vary, activations = given["vary"], given["activations"]
    if activations is None:
        activations = ACTIVATIONS if vary is None else ACTIVATIONS[:1]
    makers = activation_makers(activations)
    if vary is not None and len(makers) > 1:
        raise ValueError(f"activations: with vary= expected a single one, got {len(makers)}")
    model = given["model"]
    if model is not None and not callable(model):
        raise TypeError(f"model: expected a function (activation, seed) that builds a net, got {model!r}")
    if data.several_inputs and model is None:
        raise ValueError("X: several inputs need model=, a function (activation, seed) that builds the net")
    base = Candidate(
        label="",
        activation=makers[0],
        optimizer=_optimizer(given["optimizer"]),
        init=given["init"],
        norm=_norm(given["norm"]),
        hidden=_hidden(given["hidden"]),
        loss=_loss(given["loss"]),
        batch_size=given["batch_size"],
        model=model,
    )
    if vary is not None:
        return varied(base, vary)
    return [Candidate(**{**vars(base), "label": maker.label, "activation": maker}) for maker in makers]


def _own_rate(candidate: Candidate) -> float | None:
    rate = candidate.optimizer.defaults.get("lr")
    return float(rate) if isinstance(rate, (int, float)) else None


class _Done(NamedTuple):
    """A final run, with the numbers of parameters and steps."""

    record: RunRecord
    parameters: int
    steps: int


def _trained(
    candidates: Sequence[Candidate], data: Data, seed: int, rates: Sequence[float | None], epochs: int, train: Callable[..., Any]
) -> list[_Done]:
    """Train every candidate with a seed, then read the test set once and score all of them on it."""
    part = data.part(seed)
    kept = [HealthRecord() for _ in candidates]
    runs = [
        final_run(candidate, part, data, seed, rate, epochs, [keep]) for candidate, rate, keep in zip(candidates, rates, kept, strict=True)
    ]
    train(runs, part, None, f"seed {seed}")
    X, y = data.test_part(seed)
    baseline = data.baselines(seed)
    found = []
    sample = part.validation[:SAMPLE]
    seen = tuple(x[sample] for x in part.X) if data.several_inputs else part.X[sample]
    has_classes = not data.keys and data.targets[0].task == "classes"
    for candidate, run, keep in zip(candidates, runs, kept, strict=True):
        score, loss = _score(run.model, X, y, data)
        calibration = calibration_of(run.model, X, y) if has_classes else None
        inputs = pre_activations(run.model, seen, candidate.activation())
        made = record(run, score if np.isfinite(score) else baseline, loss, keep, seed, calibration, inputs)
        parameters = sum(int(p.data.size) for p in run.model.parameters())
        found.append(_Done(made, parameters, epochs * -(-len(part.train) // candidate.batch_size)))
    return found


def _score(net: Any, X: Any, y: Any, data: Data) -> tuple[float, float]:
    """Return the score of a net on rows, and its loss."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # from diverged nets, which have that status in the report
        logs = net.evaluate(X, y)
    accuracies = iter([value for name, value in logs.items() if name == "accuracy" or name.endswith("_accuracy")])
    each = [*y.values()] if isinstance(y, dict) else y if data.keys else [y]
    predicted = None
    scores = []
    for i, (target, values) in enumerate(zip(data.targets, each, strict=True)):
        if target.task != "quantity" and (accuracy := next(accuracies, None)) is not None:
            scores.append(accuracy)
            continue
        if predicted is None:
            predicted = net.predict_class(X) if target.task == "classes" else net.predict(X)
            if isinstance(predicted, Mapping):
                predicted = [predicted[key] for key in data.keys]
            predicted = predicted if isinstance(predicted, (tuple, list)) else [predicted]
        scores.append(float((predicted[i] == values).mean()) if target.task == "classes" else r2(values, predicted[i]))
    return float(np.mean(scores)), float(logs["loss"])


def _report(
    given: Mapping[str, Any],
    data: Data,
    candidates: Sequence[Candidate],
    tuning: Tuning | None,
    rates: Sequence[float | None],
    numbers: Sequence[int],
    done: Sequence[Sequence[_Done]],
) -> Report:
    """Return the report of finished seeds."""
    at_border = tuning.at_border if tuning is not None else tuple(False for _ in candidates)
    entries = tuple(
        Entry(
            candidate.label,
            rate,
            border,
            tuple(one.record for one in runs),
            runs[0].parameters,
            runs[0].steps,
            cost_of(candidate.activation()),
        )
        for candidate, rate, border, runs in zip(candidates, rates, at_border, zip(*done, strict=True), strict=True)
    )
    baselines = tuple(data.baselines(number) for number in numbers)
    protocol = _protocol(given, data, candidates, tuning, numbers, done[0][0].steps)
    return Report(entries, data.metric, baselines, protocol)


def _protocol(
    given: Mapping[str, Any], data: Data, candidates: Sequence[Candidate], tuning: Tuning | None, numbers: Sequence[int], steps: int
) -> dict[str, Any]:
    train, test = data.split(numbers[0])
    first = candidates[0]
    per_epoch = -(-len(train) // first.batch_size)
    vary, model = given["vary"], given["model"]
    init = given["init"]
    widths = [int(np.prod(data.shape)), *first.hidden, data.outputs]
    name = getattr(model, "__name__", None)
    return {
        "what": "activation" if vary is None else next(iter(vary)),
        "targets": [[target.why.key, target.why.values] for target in data.targets],
        "rows": [len(train), len(data.validation), len(test)],
        "test_fraction": len(test) / (len(test) + len(train)),
        "net": "-".join(map(str, widths)) if model is None else f"model={name}" if isinstance(name, str) else repr(model),
        "depth": len(first.hidden) if model is None and not (vary and {"hidden", "depth"} & {*vary}) else None,
        "seeds": list(numbers),
        "scale": data.scales,
        "filled": any(data.has_gaps),
        "init": init if isinstance(init, str) else getattr(init, "__name__", "custom"),
        "epochs": given["epochs"],
        "steps": steps,
        "batch_size": ", ".join(dict.fromkeys(str(one.batch_size) for one in candidates)),
        "optimizer": ", ".join(dict.fromkeys(type(one.optimizer).__name__ for one in candidates)),
        "tuning": None
        if tuning is None
        else {
            "rates": list(tuning.rates),
            "seeds": tuning.seeds,
            "trials": tuning.trials,
            "epochs": tuning.epochs,
            "steps": tuning.epochs * per_epoch,
        },
        "target": float(given["target"]),
        "rope": float(given["rope"] or ROPE),
        "alpha": float(given["alpha"]),
        "digest": data.digest,
        "versions": {"pynn": __version__, "numpy": np.__version__, "python": platform.python_version(), "isa": _core.isa()},
        "call": _call(given),
    }


def _call(given: Mapping[str, Any]) -> str:
    """Return the source text of a call of `compare`, with the settings that differ from the defaults."""
    import inspect

    defaults = {name: p.default for name, p in inspect.signature(compare).parameters.items()}
    settings = []
    for name, value in given.items():
        is_default = value is defaults[name] or (isinstance(value, (int, float, str)) and value == defaults[name])
        if name not in _NOT_REPEATED and not is_default:
            settings.append(f"{name}={_source(value)}")
    return f"pynn.lab.compare({', '.join(['X', 'y', *settings])})"


def _source(value: Any) -> str:
    from ..layers._base import Layer

    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_source(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        inner = ", ".join(map(_source, value)) + ("," if isinstance(value, tuple) and len(value) == 1 else "")
        return f"({inner})" if isinstance(value, tuple) else f"[{inner}]"
    if isinstance(value, Layer):
        return f"pynn.{value!r}"
    name = getattr(value, "__name__", None)
    if isinstance(name, str):
        return f"pynn.{name}" if isinstance(value, type) and issubclass(value, Layer) else name
    return repr(value)
