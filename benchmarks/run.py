"""Compare the speed of pynn with other libraries, which take turns within one process, and write the ratios.

python benchmarks/run.py [subject ...] [--threads 1 2] [--peers torch jax ...] [--quick] [--json FILE] [--markdown FILE] [--plots DIR]
python benchmarks/run.py --merge FILE FILE ... [--json FILE] [--markdown FILE] [--plots DIR] [--publish]
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import peers
import publish
import subjects
from harness import OURS, QUICK, Pace, measure

HERE = Path(__file__).parent
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYNN_NUM_THREADS")
SPIN = {"OPENBLAS_THREAD_TIMEOUT": "20"}  # idle threads of OpenBLAS sleep after 2^20 cycles, before the next contestant


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    options = _parser().parse_args(arguments)
    if options.record:
        return _child(options)
    if options.merge:
        run = publish.merged([json.loads(Path(path).read_text(encoding="utf-8")) for path in options.merge])
        _write(options, run)
    else:
        parts = []
        for subject in options.subjects or subjects.NAMES:
            for threads in options.threads[:1] if subject == "footprint" else options.threads:
                parts.append(_in_a_child(subject, threads, options))
                run = publish.merged(parts)
                _write(options, run)  # after each subject, so that an interrupted run keeps its results
    print(publish.report(run["facts"], run["records"]))
    written = publish.plot(run["records"], Path(options.plots)) if options.plots else []
    written += publish.publish(run) if options.publish else []
    for path in written:
        print(f"wrote {path}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("subjects", nargs="*", metavar="subject", help=f"any of {', '.join(subjects.NAMES)}; all by default")
    add("--threads", nargs="+", type=int, default=[1], metavar="N", help="each in a process with this number of CPUs (default: 1)")
    add("--peers", nargs="+", choices=peers.NAMES, metavar="PEER", help=f"any of {', '.join(peers.NAMES)} (default: those installed)")
    add("--quick", action="store_true", help="measure a few small cases briefly, only to check that they run")
    add("--all", action="store_true", help="measure more activation functions and sizes")
    add("--rounds", type=int, default=Pace.rounds, help=f"the number of turns of each contestant (default: {Pace.rounds})")
    add("--memory", type=float, default=2.0, metavar="GB", help="the memory for the data of the scaling study (default: 2)")
    add("--json", metavar="FILE", help="write the machine, versions and measurements as JSON")
    add("--markdown", metavar="FILE", help="also write the report to a file")
    add("--plots", metavar="DIR", help="write the plots of subjects that have some (needs matplotlib)")
    add("--merge", nargs="+", metavar="FILE", help="measure nothing, and combine the files that other runs wrote with --json")
    add("--publish", action="store_true", help="write docs/benchmarks.md with its numbers and plots, and the tables of the READMEs")
    add("--record", metavar="FILE", help=argparse.SUPPRESS)  # of a child process: measure one subject and write the result
    return parser


def _in_a_child(subject: str, threads: int, options: argparse.Namespace) -> dict[str, Any]:
    """Measure a subject in a process with this number of CPUs, set in the environment before libraries are loaded."""
    if subject not in subjects.NAMES:
        raise SystemExit(f"unknown subject {subject!r}; known: {', '.join(subjects.NAMES)}")
    if not hasattr(os, "sched_setaffinity"):
        raise SystemExit("the benchmarks need os.sched_setaffinity, which limits the threads of the peers; it exists on Linux only")
    cpus = sorted(os.sched_getaffinity(0))
    if not 1 <= threads <= len(cpus):
        raise SystemExit(f"--threads {threads}: this process may use 1 to {len(cpus)} CPUs")
    environment = os.environ | SPIN | dict.fromkeys(THREAD_VARIABLES, str(threads))
    with tempfile.TemporaryDirectory() as scratch:
        record = Path(scratch, "record.json")
        command = [sys.executable, str(HERE / "run.py"), subject, "--threads", str(threads), "--record", str(record)]
        command += ["--rounds", str(options.rounds), "--memory", str(options.memory)]
        command += ["--quick"] * options.quick + ["--all"] * options.all
        command += ["--peers", *options.peers] if options.peers else []
        subprocess.run(command, check=True, env=environment, preexec_fn=lambda: os.sched_setaffinity(0, cpus[-threads:]))
        return json.loads(record.read_text())


def _write(options: argparse.Namespace, run: dict[str, Any]) -> None:
    if options.json:
        Path(options.json).write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    if options.markdown:
        Path(options.markdown).write_text("# Benchmarks\n\n" + publish.report(run["facts"], run["records"]), encoding="utf-8")


def _child(options: argparse.Namespace) -> None:
    [name], [threads] = options.subjects, options.threads
    chosen = list(dict.fromkeys([OURS, "machine", *(options.peers or peers.NAMES)]))
    found, missing = peers.load(chosen, threads, must=bool(options.peers))
    subject = importlib.import_module(f"subjects.{name}")
    pace = QUICK if options.quick else Pace(options.rounds)
    setting = subjects.Setting(pace, threads, options.all, 1e9 * options.memory)
    records = []
    for case, its_pace in subject.cases(setting):
        record = {"subject": name, "threads": threads, **measure(case, found, its_pace)}
        records.append(record)
        for contestant, error in record["errors"].items():
            print(f"{name}, {case.name}: {contestant}: {error}", file=sys.stderr)
        if sys.stderr.isatty():
            print(f"\r{name}, {threads}: {case.name:<60}", end="", file=sys.stderr)
    versions = {peer.__name__.rpartition(".")[2]: peer.VERSION for peer in found if peer.VERSION}
    Path(options.record).write_text(json.dumps({"facts": _facts() | {"versions": versions, "missing": missing}, "records": records}))


def _facts() -> dict[str, Any]:
    """Return the facts on which the numbers depend: machine, system, versions."""
    import pynn

    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "instruction set": (pynn.show_config("dicts") or {})["instruction set"],
        "system": platform.platform(),
        "python": platform.python_version(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


if __name__ == "__main__":
    sys.path.append(str(HERE.parent))  # a source tree built in place
    main()
