"""A training that goes on from a checkpoint gives the bits of one that never stopped."""

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
from pynn import io, optim
from pynn.optim import lr_scheduler as schedules

ROWS, BATCH, EPOCHS = 45, 8, 4
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(ROWS, 5)).astype("f4"), rng.integers(3, size=ROWS)
OPTIMIZERS = [name for name, cls in optim.by_name.items() if name not in ("lbfgs", "muon")]
SCHEDULES: dict[str, Any] = {
    "step": lambda: schedules.StepLR(step_size=2),
    "cosine each step": lambda: schedules.CosineAnnealingLR(T_max=20, interval="step"),
    "one cycle": lambda: schedules.OneCycleLR(max_lr=0.05, total_steps=24),
    "plateau": lambda: schedules.ReduceLROnPlateau(patience=0, threshold=0.5),
    "chained": lambda: schedules.SequentialLR(schedulers=[schedules.LinearLR(), schedules.ExponentialLR(gamma=0.5)], milestones=[2]),
}


class Stopped(Exception):
    """What ends a training in these tests."""


def net(seed: int | None = 4) -> pynn.Sequential:
    random = pynn.RReLU(seed=seed), pynn.Dropout(0.1, seed=seed)
    return pynn.Sequential(pynn.Linear(5, 16, seed=1), *random, pynn.BatchNorm1d(16), pynn.Linear(16, 3, seed=2))


def train(model: pynn.Sequential, optimizer: Any = "adam", **settings: Any) -> pynn.History:
    given = {"loss": "cross_entropy", "epochs": EPOCHS, "batch_size": BATCH, "seed": 3} | settings
    return model.fit(X, Y, optimizer=optimizer, **given)


def stop_at(checkpoint: pynn.Checkpoint, writes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Break the training off after so many files have been written."""
    save, done = io.save_file, []

    def write(*args: Any) -> None:
        save(*args)
        done.append(1)
        if len(done) == writes:
            raise Stopped

    monkeypatch.setattr(io, "save_file", write)


def check_resumes(path: Path, monkeypatch: pytest.MonkeyPatch, writes: int, every: int | None, make: Any = optim.Adam, **kw: Any) -> None:
    whole, broken, resumed = net(), net(), net(None)  # the file knows the seeds of random layers
    first = train(whole, make(), **kw)
    with monkeypatch.context() as patch:
        checkpoint = pynn.Checkpoint(path, every_steps=every)
        stop_at(checkpoint, writes, patch)
        with pytest.raises(Stopped):
            train(broken, make(), callbacks=[checkpoint], **kw)
    opt = make()
    second = train(resumed, opt, callbacks=[pynn.Checkpoint(path, every_steps=every)], resume_from=path, **kw)
    assert not np.array_equal(broken[0].weight, resumed[0].weight)
    for name, a in whole.state_dict().items():
        assert resumed.state_dict()[name].tobytes() == a.tobytes()
    assert {k: v for k, v in first.history.items() if "seconds" not in k} == {k: v for k, v in second.history.items() if "seconds" not in k}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    check_resumes(tmp_path / "t", monkeypatch, 4, 4, lambda: optim.by_name[name]())


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("writes", "every"), [(2, None), (3, 5), (7, 1)])
def test_every_schedule_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, writes: int, every: int | None) -> None:
    make = lambda: optim.SGD(lr=0.1, momentum=0.9, schedule=SCHEDULES[name]())  # noqa: E731
    check_resumes(tmp_path / "t", monkeypatch, writes, every, make)


@pytest.mark.parametrize("every", [None, 1, 2, 4, 6, 100])
def test_wherever_it_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int | None) -> None:
    for writes in (1, 2, 3):
        check_resumes(tmp_path / "t", monkeypatch, writes, every, lambda: optim.AdamW(ema_decay=0.9, clip_norm=1.0))


@pytest.mark.parametrize("settings", [{"shuffle": False}, {"batch_size": 100}, {"validation_data": (X[:9], Y[:9])}, {"seed": None}])
def test_with_other_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]) -> None:
    if settings.get("seed", 0) is None:  # the file knows the seed that was drawn
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


def test_on_another_number_of_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, parts = net(), net()
    with pynn.num_threads(1):
        train(whole)
        train(parts, epochs=2, callbacks=[pynn.Checkpoint(tmp_path / "t")])
    with pynn.num_threads(3):
        train(parts, resume_from=tmp_path / "t")
    assert parts[4].weight.tobytes() == whole[4].weight.tobytes()


SCRIPT = """
    import sys, numpy as np, pynn
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(4000, 20)).astype("f4"), rng.integers(5, size=4000)
    model = pynn.Sequential(pynn.Linear(20, 64, seed=1), pynn.RReLU(seed=3), pynn.Linear(64, 5, seed=2))
    path, epochs, threads, resume = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
    pynn.set_num_threads(threads)
    checkpoint = [pynn.Checkpoint(path, every_steps=7)] if path else []
    print("start", flush=True)
    schedule = pynn.optim.lr_scheduler.StepLR(step_size=2)
    opt = pynn.optim.Adam(lr=0.01, schedule=schedule)
    settings = dict(loss="cross_entropy", optimizer=opt, epochs=epochs, seed=5, callbacks=checkpoint)
    hist = model.fit(X, y, **settings, resume_from=resume[0] if resume else None)
    print(sum(map(hash, (p.data.tobytes() for p in model.parameters()))), hist.history["loss"])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
def test_after_kill_9(tmp_path: Path) -> None:
    script, path = tmp_path / "train.py", tmp_path / "training.safetensors"
    script.write_text(textwrap.dedent(SCRIPT))
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(Path(pynn.__file__).parents[1])}

    def start(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, str(script), *map(str, arguments)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)

    doomed = start(path, 10_000, 1)
    stamps: set[int] = set()
    while len(stamps) < 4:  # let it write a few
        assert doomed.poll() is None
        if path.exists():
            stamps.add(path.stat().st_mtime_ns)
    doomed.kill()
    doomed.communicate()
    assert doomed.returncode == -signal.SIGKILL
    io.load_file(path)
    runs = [start("", 12, 1), start("", 12, 2, path)]
    whole, resumed = (run.communicate()[0] for run in runs)
    assert whole.startswith("start\n")
    assert len(whole) > 100
    assert whole == resumed


def test_the_model_in_a_checkpoint_can_be_loaded(tmp_path: Path) -> None:
    model = net()
    train(model, callbacks=[pynn.Checkpoint(tmp_path / "t")])
    assert pynn.load(tmp_path / "t").predict(X).tobytes() == model.predict(X).tobytes()


def test_eager_counters_go_on(tmp_path: Path) -> None:
    model, other = net(), net(None)
    model(X)
    model(X)
    train(model, callbacks=[pynn.Checkpoint(tmp_path / "t")])
    train(other, resume_from=tmp_path / "t")
    for m in (model, other):
        m._forget()
    assert model._ticks == 2
    assert model(X).tobytes() == other(X).tobytes()


def test_what_does_not_fit_is_an_error_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t"
    train(net(), callbacks=[pynn.Checkpoint(path)], epochs=1)
    model = net()
    before = model[0].weight.copy()
    for wrong, text in [
        ({"optimizer": "sgd"}, "optimizer was 'Adam'"),
        ({"batch_size": 9}, "batch_size was 8, and is 9"),
        ({"shuffle": False}, "shuffle was True"),
        ({"seed": 4}, "seed was 3"),
    ]:
        with pytest.raises(ValueError, match=text):
            train(model, resume_from=path, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="rows was 45"):
        model.fit(X[:40], Y[:40], loss="cross_entropy", batch_size=BATCH, resume_from=path)
    with pytest.raises(ValueError, match="does not fit"):
        pynn.Sequential(pynn.Linear(5, 3)).fit(X, Y, loss="cross_entropy", batch_size=BATCH, resume_from=path)
    model.save(tmp_path / "m")
    with pytest.raises(ValueError, match="no training"):
        train(model, resume_from=tmp_path / "m")
    with pytest.raises(FileNotFoundError):
        train(model, resume_from=tmp_path / "nothing")
    with pytest.raises(ValueError, match="every_steps"):
        pynn.Checkpoint(path, every_steps=0)
    with pytest.raises(ValueError, match="start of an epoch"):
        model.fit([(X, Y)], loss="cross_entropy", callbacks=[pynn.Checkpoint(path, every_steps=1)])
    np.testing.assert_array_equal(model[0].weight, before)


def test_batches_from_an_iterable_go_on_after_an_epoch(tmp_path: Path) -> None:
    batches = [(X[i : i + 9], Y[i : i + 9]) for i in range(0, ROWS, 9)]
    whole, parts = net(), net()
    settings: dict[str, Any] = {"loss": "cross_entropy", "optimizer": "adam"}
    whole.fit(batches, epochs=3, **settings)
    parts.fit(batches, epochs=1, callbacks=[pynn.Checkpoint(tmp_path / "t")], **settings)
    parts.fit(batches, epochs=3, resume_from=tmp_path / "t", **settings)
    assert parts[0].weight.tobytes() == whole[0].weight.tobytes()
