"""Training resumed from a checkpoint matches uninterrupted training bit for bit."""

import csv
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pynn
from pynn import callbacks as cb
from pynn import io, optim
from pynn.optim import lr_scheduler as schedules

ROWS, BATCH, EPOCHS = 45, 8, 4
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(ROWS, 5)).astype("f4"), rng.integers(3, size=ROWS)
OPTIMIZERS = [name for name, cls in optim.by_name.items() if name not in ("lbfgs", "levenberg_marquardt", "muon")]
SCHEDULES: dict[str, Any] = {
    "step": lambda: schedules.StepLR(step_size=2),
    "cosine each step": lambda: schedules.CosineAnnealingLR(T_max=20, interval="step"),
    "one cycle": lambda: schedules.OneCycleLR(max_lr=0.05, total_steps=24),
    "plateau": lambda: schedules.ReduceLROnPlateau(patience=0, threshold=0.5),
    "chained": lambda: schedules.SequentialLR(schedulers=[schedules.LinearLR(), schedules.ExponentialLR(gamma=0.5)], milestones=[2]),
}


class Stopped(Exception):
    """Raised to interrupt training."""


def net(seed: int | None = 4) -> pynn.Sequential:
    random = pynn.RReLU(seed=seed), pynn.Dropout(0.1, seed=seed)
    return pynn.Sequential(pynn.Linear(5, 16, seed=1), *random, pynn.BatchNorm1d(16), pynn.Linear(16, 3, seed=2))


def images(seed: int | None = 4) -> pynn.Sequential:
    """Return a net with every kind of state: running averages, and random layers with counters."""
    conv = pynn.Unflatten(1, (1, 5)), pynn.Conv1d(1, 4, 3, seed=1), pynn.BatchNorm1d(4), "relu", pynn.Dropout1d(0.2, seed=seed)
    block = pynn.Residual(pynn.Conv1d(4, 4, 1, seed=2), pynn.Dropout(0.1, seed=seed))
    return pynn.Sequential(*conv, block, pynn.Flatten(), pynn.Linear(12, 3, seed=3))


def train(model: pynn.Sequential, optimizer: Any = "adam", **settings: Any) -> pynn.History:
    given = {"loss": "cross_entropy", "epochs": EPOCHS, "batch_size": BATCH, "seed": 3} | settings
    return model.fit(X, Y, optimizer=optimizer, **given)


def stop_at(checkpoint: pynn.Checkpoint, writes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt training after this number of files has been written."""
    save, done = io.save_file, []

    def write(*args: Any) -> None:
        save(*args)
        done.append(1)
        if len(done) == writes:
            raise Stopped

    monkeypatch.setattr(io, "save_file", write)


def check_resumes(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    writes: int,
    every: int | None,
    make: Any = optim.Adam,
    net: Any = net,
    callbacks: Any = lambda _: [],
    threads: int = 1,
    **kw: Any,
) -> None:
    """Train without interruption and in two parts. ``callbacks`` returns further callbacks, given "full" or "parts"."""
    full, broken, resumed = net(), net(), net(None)  # the file contains the seeds of random layers
    first = train(full, make(), callbacks=callbacks("full"), **kw)
    checkpoint = pynn.Checkpoint(path, every_steps=every)
    with monkeypatch.context() as patch:
        stop_at(checkpoint, writes, patch)
        with pytest.raises(Stopped):
            train(broken, make(), callbacks=[checkpoint, *callbacks("parts")], **kw)
    with pynn.num_threads(threads):
        second = train(resumed, make(), callbacks=[*callbacks("parts"), checkpoint], resume_from=path, **kw)
    assert len(broken.history.epoch) < len(second.epoch)
    for name, a in full.state_dict().items():
        assert resumed.state_dict()[name].tobytes() == a.tobytes()
    assert {k: v for k, v in first.history.items() if "seconds" not in k} == {k: v for k, v in second.history.items() if "seconds" not in k}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    check_resumes(tmp_path / "t", monkeypatch, 4, 4, lambda: optim.by_name[name]())


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("writes", "every"), [(2, None), (3, 5), (7, 1)])
def test_every_schedule_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, writes: int, every: int | None) -> None:
    make = lambda: optim.SGD(lr=0.1, momentum=0.9, schedule=SCHEDULES[name]())  # noqa: E731
    check_resumes(tmp_path / "t", monkeypatch, writes, every, make)


@pytest.mark.parametrize("every", [None, 1, 2, 4, 6, 100])
def test_training_resumes_from_any_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int | None) -> None:
    for writes in (1, 2, 3):
        check_resumes(tmp_path / "t", monkeypatch, writes, every, lambda: optim.AdamW(ema_decay=0.9, clip_norm=1.0))


@pytest.mark.parametrize("settings", [{"shuffle": False}, {"batch_size": 100}, {"validation_data": (X[:9], Y[:9])}, {"seed": None}])
def test_training_resumes_with_other_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]) -> None:
    if settings.get("seed", 0) is None:  # the file contains the seed that was drawn
        pynn.manual_seed(1)
        model = net()
        train(model, epochs=2, callbacks=[pynn.Checkpoint(tmp_path / "t")], seed=None)
        train(model, resume_from=tmp_path / "t", seed=None)
        pynn.manual_seed(1)
        again = net()
        train(again, seed=None)
        assert again[0].weight.tobytes() == model[0].weight.tobytes()
    else:
        check_resumes(tmp_path / "t", monkeypatch, 2, None, **settings)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("writes", "every"), [(2, None), (5, 3)])
def test_running_averages_and_draws_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int, every: int, threads: int) -> None:
    check_resumes(tmp_path / "t", monkeypatch, writes, every, net=images, threads=threads)


# The loss falls, so with mode="max" the first epoch stays the best. A callback that lost its state would choose a later one.
CALLBACKS: dict[str, Any] = {
    "stop": lambda _: [cb.EarlyStopping(mode="max", patience=3, restore_best=False)],
    "stop, best weights": lambda _: [cb.EarlyStopping(mode="max", patience=3)],
    "save the best": lambda path: [cb.ModelCheckpoint(path, mode="max", save_best_only=True)],
    "plateau": lambda _: [cb.ReduceLROnPlateau(mode="max", patience=3, factor=0.5)],
    "rates": lambda _: [cb.LRScheduler(lambda epoch: 0.01 / (1 + epoch))],
    "lines": lambda path: [cb.CSVLogger(path)],
    "several": lambda _: [cb.EarlyStopping(mode="max", patience=patience) for patience in (9, 4)],
}


@pytest.mark.parametrize("name", CALLBACKS)
@pytest.mark.parametrize(("writes", "every"), [(2, None), (5, 2), (7, 3)])
def test_callbacks_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, writes: int, every: int | None) -> None:
    made: dict[str, list[cb.Callback]] = {}

    def callbacks(which: str) -> list[cb.Callback]:
        made[which] = CALLBACKS[name](tmp_path / which)
        return made[which]

    check_resumes(tmp_path / "t", monkeypatch, writes, every, callbacks=callbacks, epochs=7)
    for first, second in zip(made["full"], made["parts"], strict=True):
        assert repr(first.state_dict()) == repr(second.state_dict()) or isinstance(first, cb.CSVLogger)
    if name == "save the best":
        assert (tmp_path / "full").read_bytes() == (tmp_path / "parts").read_bytes()
    if name == "lines":
        logs = [(tmp_path / which).read_text().splitlines() for which in ("full", "parts")]
        lines = [[row["epoch"], row["loss"]] for log in logs for row in csv.DictReader(log)]
        assert lines[:7] == lines[7:]


def test_a_stopped_training_stays_stopped(tmp_path: Path) -> None:
    """It keeps the weights of the best epoch. Without the callback, training continues."""
    models = net(), net(None), net(None)
    for model, resume in zip(models[:2], (None, tmp_path / "t"), strict=True):
        stop = cb.EarlyStopping(mode="max", patience=2)
        train(model, callbacks=[pynn.Checkpoint(tmp_path / "t"), stop], resume_from=resume, epochs=9)
        assert len(model.history.epoch) == 3
        assert (stop.best_epoch, stop.stopped_epoch) == (0, 2)
    assert models[0].predict(X).tobytes() == models[1].predict(X).tobytes()
    train(models[2], resume_from=tmp_path / "t", epochs=9)
    assert len(models[2].history.epoch) == 9


class Counting(cb.Callback):
    """A custom callback whose state holds numbers and arrays."""

    def __init__(self) -> None:
        self.seen, self.weights = [0.0], np.zeros(3)

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        self.seen.append(logs["loss"])
        self.weights += self.model.parameters()[-1].data

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.seen, "weights": self.weights}

    def load_state_dict(self, state: Any) -> None:
        self.seen, self.weights = state["seen"], state["weights"]


def test_a_custom_callback_continues(tmp_path: Path) -> None:
    full, parts = Counting(), [Counting(), Counting()]
    train(net(), callbacks=[full])
    train(net(), epochs=2, callbacks=[pynn.Checkpoint(tmp_path / "t"), parts[0]])
    train(net(None), callbacks=[parts[1]], resume_from=tmp_path / "t")
    assert parts[1].seen == full.seen
    assert parts[1].weights.tobytes() == full.weights.tobytes()


def test_a_deleted_log_is_started_again(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    train(net(), epochs=2, callbacks=[cb.CSVLogger(path), pynn.Checkpoint(tmp_path / "t")])
    path.unlink()
    train(net(None), callbacks=[cb.CSVLogger(path)], resume_from=tmp_path / "t")
    assert [row["epoch"] for row in csv.DictReader(path.read_text().splitlines())] == ["3", "4"]


def test_training_resumes_with_another_thread_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full, parts = net(), net()
    with pynn.num_threads(1):
        train(full)
        train(parts, epochs=2, callbacks=[pynn.Checkpoint(tmp_path / "t")])
    with pynn.num_threads(3):
        train(parts, resume_from=tmp_path / "t")
    assert parts[4].weight.tobytes() == full[4].weight.tobytes()


SCRIPT = """
    import sys, numpy as np, pynn
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(4000, 20)).astype("f4"), rng.integers(5, size=4000)
    model = pynn.Sequential(pynn.Linear(20, 64, seed=1), pynn.RReLU(seed=3), pynn.Linear(64, 5, seed=2))
    path, epochs, threads, log, resume = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5:]
    pynn.set_num_threads(threads)
    stop = pynn.callbacks.EarlyStopping(mode="max", patience=20)
    callbacks = [pynn.Checkpoint(path, every_steps=7)] * bool(path) + [stop, pynn.callbacks.CSVLogger(log)]
    print("start", flush=True)
    schedule = pynn.optim.lr_scheduler.StepLR(step_size=2)
    opt = pynn.optim.Adam(lr=0.01, schedule=schedule)
    settings = dict(loss="cross_entropy", optimizer=opt, epochs=epochs, seed=5, callbacks=callbacks)
    hist = model.fit(X, y, **settings, resume_from=resume[0] if resume else None)
    print(sum(map(hash, (p.data.tobytes() for p in model.parameters()))), hist.history["loss"], stop.state_dict())
    print([line.split(",")[:2] for line in open(log)])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_training_resumes_after_sigkill(tmp_path: Path) -> None:
    script, path = tmp_path / "train.py", tmp_path / "training.safetensors"
    script.write_text(textwrap.dedent(SCRIPT))
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(Path(pynn.__file__).parents[1])}

    def start(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, str(script), *map(str, arguments)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)

    killed, log = start(path, 10_000, 1, tmp_path / "parts.csv"), tmp_path / "parts.csv"
    stamps: set[int] = set()
    while len(stamps) < 4 or log.read_text().count("\n") < 4:  # wait for a few checkpoints, into the fourth epoch
        assert killed.poll() is None
        if path.exists():
            stamps.add(path.stat().st_mtime_ns)
    killed.kill()
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    io.load_file(path)
    runs = [start("", 30, 1, tmp_path / "full.csv"), start("", 30, 2, tmp_path / "parts.csv", path)]
    full, resumed = (run.communicate()[0] for run in runs)
    assert full.startswith("start\n")
    assert len(full) > 100
    assert full == resumed


def test_health_reports_resume(tmp_path: Path) -> None:
    """The reports of all epochs are restored, including the last one if no epoch is left to train."""
    path, full = tmp_path / "t", net()
    monitor = cb.HealthMonitor(dead=1.0)
    known = train(full, epochs=4, callbacks=[monitor]).health
    train(net(), epochs=2, callbacks=[cb.HealthMonitor(dead=1.0), pynn.Checkpoint(path)])
    done = net()
    assert [str(h) for h in train(done, epochs=2, callbacks=[monitor], resume_from=path).health] == [str(h) for h in known[:2]]
    assert str(done.health()) == str(known[1])
    assert [h.epoch for h in train(done, epochs=4, callbacks=[monitor], resume_from=path).health] == [1, 2, 3, 4]
    assert done.health().epoch == 4
    train(net(), epochs=1, callbacks=[pynn.Checkpoint(path)], health=False)
    train(done, epochs=1, resume_from=path)
    with pytest.raises(ValueError, match="health=False"):
        done.health()


def test_tensorboard_curves_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Epochs that are trained again after the checkpoint are not recorded twice."""
    pytest.importorskip("tensorboardX")
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    path, logs = tmp_path / "t", tmp_path / "logs"

    def fail(epoch: int, _: Any) -> None:
        if epoch == 3:
            raise Stopped

    train(net(), epochs=2, callbacks=[cb.TensorBoard(logs), pynn.Checkpoint(path)])
    with pytest.raises(Stopped):
        train(net(), epochs=6, callbacks=[cb.TensorBoard(logs), fail], resume_from=path)
    hist = train(net(), epochs=6, callbacks=[cb.TensorBoard(logs)], resume_from=path)
    found = events.EventAccumulator(str(logs))
    found.Reload()
    assert [e.step for e in found.Scalars("loss/train")] == [*range(6)]
    assert [e.value for e in found.Scalars("loss/train")] == pytest.approx(hist.history["loss"], rel=1e-6)


def test_load_reads_the_model_in_a_checkpoint(tmp_path: Path) -> None:
    model = net()
    train(model, callbacks=[pynn.Checkpoint(tmp_path / "t")])
    assert pynn.load(tmp_path / "t").predict(X).tobytes() == model.predict(X).tobytes()


def test_eager_random_counters_resume(tmp_path: Path) -> None:
    model, other = net(), net(None)
    model(X)
    model(X)
    train(model, callbacks=[pynn.Checkpoint(tmp_path / "t")])
    train(other, resume_from=tmp_path / "t")
    for m in (model, other):
        m._drop_plans()
    assert model._ticks == 2
    assert model(X).tobytes() == other(X).tobytes()


def test_a_mismatched_checkpoint_raises_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t"
    train(net(), callbacks=[pynn.Checkpoint(path)], epochs=1)
    model = net()
    before = model[0].weight.copy()
    for wrong, text in [
        ({"optimizer": "sgd"}, "optimizer was 'Adam'"),
        ({"batch_size": 9}, "batch_size was 8, but is 9"),
        ({"shuffle": False}, "shuffle was True"),
        ({"seed": 4}, "seed was 3"),
        ({"loss": pynn.CrossEntropyLoss(label_smoothing=0.1)}, "loss was .*, but is .*label_smoothing=0.1"),
    ]:
        with pytest.raises(ValueError, match=text):
            train(model, resume_from=path, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="rows was 45"):
        model.fit(X[:40], Y[:40], loss="cross_entropy", batch_size=BATCH, resume_from=path)
    with pytest.raises(ValueError, match="does not fit"):
        pynn.Sequential(pynn.Linear(5, 3)).fit(X, Y, loss="cross_entropy", batch_size=BATCH, resume_from=path)
    model.save(tmp_path / "m")
    with pytest.raises(ValueError, match="is not a checkpoint"):
        train(model, resume_from=tmp_path / "m")
    with pytest.raises(FileNotFoundError):
        train(model, resume_from=tmp_path / "nothing")
    with pytest.raises(ValueError, match="every_steps"):
        pynn.Checkpoint(path, every_steps=0)
    with pytest.raises(ValueError, match="start of an epoch"):
        model.fit([(X, Y)], loss="cross_entropy", callbacks=[pynn.Checkpoint(path, every_steps=1)])
    np.testing.assert_array_equal(model[0].weight, before)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("epoch", -1), ("epoch", 1e308), ("batch", 10**30), ("batch", 6), ("batch", -1), ("scores", {"a": 1}), ("scores", [[1, 1, 1]])),
        *(("scores", []), ("history", {"loss": ["x"]}), ("random", {"": [0, 10**30]}), ("callbacks", None), ("settings", {"steps": 2**63})),
        *(("callbacks", {"EarlyStopping/0": {"best": 0}}), ("callbacks", {"EarlyStopping/0": {"best": "x"}}), ("seed", 10**30)),
        *(("seed", "x"), ("seed", -1), ("seed", [1]), ("seed", 0.5), ("seed", True), ("callbacks", {"EarlyStopping/0": {}})),
        *(("callbacks", {"CSVLogger/0": {"size": -1}}), ("callbacks", {"CSVLogger/0": {"size": None}}), ("random", 3)),
        *(("health", [3]), ("health", [[[["0", "Linear", 1]], 1, 1, 0]]), ("last_health", 0), ("last_health", [[[0]], 0, 0, 0])),
    ],
)
def test_a_damaged_checkpoint_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, value: Any) -> None:
    path, checkpoint = tmp_path / "t", pynn.Checkpoint(tmp_path / "t", every_steps=4)
    with monkeypatch.context() as patch:
        stop_at(checkpoint, 3, patch)
        with pytest.raises(Stopped):
            train(net(), callbacks=[checkpoint, cb.EarlyStopping()])
    arrays, metadata = io.load_file(path)
    facts = json.loads(metadata["pynn.training"])
    assert facts["scores"]
    facts[key] = value
    if key == "scores" and not value:  # the best epoch's weights are incomplete
        del arrays[".callbacks/EarlyStopping/0/weights/0.weight"]
    io.save_file(arrays, path, {**metadata, "pynn.training": json.dumps(facts)})
    with pytest.raises(ValueError, match="resume_from") as error:
        train(net(), callbacks=[cb.EarlyStopping(), cb.CSVLogger(tmp_path / "log.csv")], resume_from=path)
    assert str(path) in str(error.value)


def test_training_on_iterables_resumes_after_an_epoch(tmp_path: Path) -> None:
    batches = [(X[i : i + 9], Y[i : i + 9]) for i in range(0, ROWS, 9)]
    full, parts = net(), net()
    settings: dict[str, Any] = {"loss": "cross_entropy", "optimizer": "adam"}
    full.fit(batches, epochs=3, **settings)
    parts.fit(batches, epochs=1, callbacks=[pynn.Checkpoint(tmp_path / "t")], **settings)
    parts.fit(batches, epochs=3, resume_from=tmp_path / "t", **settings)
    assert parts[0].weight.tobytes() == full[0].weight.tobytes()


@pytest.mark.parametrize("seed", ["x", -1, [1], 0.5, True, {}, 2**64])
def test_a_damaged_seed_raises(tmp_path: Path, seed: Any) -> None:
    path = tmp_path / "t"
    train(net(), callbacks=[pynn.Checkpoint(path)])
    arrays, metadata = io.load_file(path)
    facts = json.loads(metadata["pynn.training"]) | {"seed": seed}
    io.save_file(arrays, path, {**metadata, "pynn.training": json.dumps(facts)})
    with pytest.raises(ValueError, match=r"resume_from: .* is damaged: seed"):
        train(net(), seed=None, resume_from=path)


@pytest.mark.parametrize(
    ("where", "rate"),
    [
        *(("initial_lr", rate) for rate in (-1, -0.5, float("nan"), None, "x", [], -(2**63))),
        *(("held", rate) for rate in (-1, float("nan"), "x", [])),
    ],
)
def test_an_invalid_rate_raises_before_the_schedules_use_it(tmp_path: Path, where: str, rate: Any) -> None:
    path = tmp_path / "t"

    def train_with(**settings: Any) -> None:
        schedule = schedules.StepLR(step_size=2, gamma=0.5)
        net().fit(X, Y, loss="cross_entropy", optimizer=optim.SGD(lr=0.1, schedule=schedule), epochs=4, seed=0, **settings)

    train_with(callbacks=[pynn.Checkpoint(path)])
    arrays, metadata = io.load_file(path)
    facts = json.loads(metadata["pynn.training"])
    if where == "held":
        facts["settings"]["held"] = [rate]
    else:
        facts["settings"]["param_groups"][0][where] = rate
    facts["epoch"] = 2
    io.save_file(arrays, path, {**metadata, "pynn.training": json.dumps(facts)})
    with pytest.raises(ValueError, match="resume_from") as error:
        train_with(resume_from=path)
    assert str(path) in str(error.value)
