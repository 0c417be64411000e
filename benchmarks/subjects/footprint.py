"""Footprint of a library: import time, memory after the import, peak memory while training the medium net, and size on disk.

Import times and memory are of fresh processes and include the interpreter. Sizes are of the installed files, without and with the
dependencies of the library; the wheel of pynn is its package, compressed as in a wheel.
"""

from __future__ import annotations

import importlib.metadata
import io
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import OURS, Case, Pace, Run, label, repeat
from report import duration, table

from subjects import Setting

HERE = Path(__file__).parents[1]
BARE = "(bare interpreter)"
MEMORY = "\nprint(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"  # peak, in KiB
TRAIN = """
import sys; sys.path[:0] = {path}
import peers, nets
[peer], _ = peers.load([{name!r}], {threads}, must=True)
list(peer.step(nets.NETS["medium"]).values())[-1](20)
"""


def cases(setting: Setting) -> Iterator[tuple[Case, Pace]]:
    pace = setting.pace.scaled(0.2)
    yield Case("import", _importing, once=True), pace
    yield Case("memory after import", lambda peer: _memory(peer, getattr(peer, "IMPORT", "")), unit="B", once=True), pace
    if not setting.quick:
        yield Case("peak memory while training", lambda peer: _training(peer, setting.threads), unit="B", once=True), pace
    yield Case("installed", lambda peer: _installed(peer, lambda name: {name}), unit="B", once=True), pace
    whole = lambda peer: _installed(peer, lambda name: _required(name, set()))  # noqa: E731
    yield Case("installed, with dependencies", whole, unit="B", once=True), pace
    yield Case("wheel", _wheel, unit="B", once=True), pace


def _python(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(HERE.parent)])}
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment).stdout


def _importing(peer: Any) -> Mapping[str, Run]:
    def run(code: str) -> Run:
        return repeat(lambda: _python(code))

    if not hasattr(peer, "IMPORT"):
        return {}
    return {"": run(peer.IMPORT), **({BARE: run("pass")} if label(peer, "") == OURS else {})}


def _memory(peer: Any, code: str) -> Mapping[str, Run]:
    return {"": lambda n: 1024.0 * float(_python(code + MEMORY))} if code else {}


def _training(peer: Any, threads: int) -> Mapping[str, Run]:
    if not hasattr(peer, "step") or not hasattr(peer, "IMPORT"):
        return {}
    return _memory(peer, TRAIN.format(path=[str(HERE)], name=label(peer, ""), threads=threads))


def _installed(peer: Any, which: Callable[[str], set[str]]) -> Mapping[str, Run]:
    name = getattr(peer, "DISTRIBUTION", None)
    if not name or label(peer, "") == OURS:
        return {}
    return {"": lambda n: sum(map(_size, which(name)))}


def _size(name: str) -> float:
    paths = [file.locate() for file in importlib.metadata.distribution(name).files or [] if file.suffix != ".pyc"]
    return float(sum(os.path.getsize(path) for path in paths if os.path.exists(path)))


def _required(name: str, seen: set[str]) -> set[str]:
    """Return a distribution and its installed dependencies."""
    try:
        requires = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return seen
    seen.add(re.sub(r"[-_.]+", "-", name).lower())
    for text in requires:
        other = re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", text)[0]).lower()
        if "extra ==" not in text and other not in seen:
            _required(other, seen)
    return seen


def _wheel(peer: Any) -> Mapping[str, Run]:
    if label(peer, "") != OURS:
        return {}

    def size(n: int) -> float:
        package = Path(peer.pynn.__file__).parent
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in package.rglob("*"):
                if path.is_file() and "__pycache__" not in path.parts:
                    archive.write(path, path.relative_to(package.parent))
        return float(packed.tell())

    return {"": size}


def report(records: Sequence[dict[str, Any]]) -> list[str]:
    contestants = list(dict.fromkeys(name for record in records for name in record["values"]))
    rows = []
    for name in contestants:
        cells = (_text(r["values"][name][0], r["unit"]) if name in r["values"] else "" for r in records)
        rows.append([name.removeprefix(f"{OURS} "), *cells])
    return table(["", *(record["case"] for record in records)], rows)


def _text(value: float, unit: str) -> str:
    return duration(value) if unit == "s" else f"{value / 1e6:.1f} MB"
