"""Fuzzers: random calls that must end in the right result or in a documented error, without crash, leak or race.

    python tests/fuzz                                        # each for 20 seconds, from seed 0
    python tests/fuzz arrays sequences --seconds 3600        # two of them, an hour each
    python tests/fuzz sequences --seed 1234 --seconds 0      # the one sequence of that seed
    python tests/fuzz arrays --seed 100000 --seconds 28800   # eight hours on new seeds

Each module has ``run(seed, done)``: it makes the calls that the seed decides, counts them in ``done`` by kind, and raises where
something is wrong. A fault is printed with its seed, and the exit status is 1; after ten faults a fuzzer stops.

- ``arrays``: arrays of any strides, byte order and alignment give the bits that contiguous ones give.
- ``sequences``: sequences of calls on a net and its optimizer agree with PyTorch (needs torch).
- ``memory``: each allocation fails once, in the core and among the binding's objects (needs a C compiler and Linux).
- ``threads``: several threads at once under the thread sanitizer (builds the extension; needs gcc, Linux and some minutes).
- ``files``: damaged model files and checkpoints.
- ``formulas``: texts as formulas (needs mpmath).
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
_ALL = ("arrays", "sequences", "memory", "threads", "files", "formulas")
KNOWN = [name for name in _ALL if Path(__file__).with_name(f"{name}.py").exists()]
MOST_FAULTS = 10


def fuzz(name: str, seed: int, seconds: float) -> int:
    """Run a fuzzer on one seed after another, at least one, and return the number of faults."""
    module, done, faults = importlib.import_module(name), Counter[str](), 0
    start = time.monotonic()
    tried = 0
    while not tried or (time.monotonic() - start < seconds and faults < MOST_FAULTS):
        try:
            module.run(seed + tried, done)
        except Exception:
            faults += 1
            print(f"{name}: fault with seed {seed + tried}\n{traceback.format_exc()}", flush=True)
        tried += 1
    took = time.monotonic() - start
    print(
        f"{name}: {tried} seeds from {seed}, {sum(done.values())} calls of {len(done)} kinds in {took:.0f} s, {faults} faults", flush=True
    )
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fuzzers", nargs="*", metavar="NAME", help=f"default: {' '.join(KNOWN)}")
    parser.add_argument("--seconds", type=float, default=20, help="for each fuzzer (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="the first seed (default: 0)")
    options = parser.parse_args()
    unknown = set(options.fuzzers) - set(KNOWN)
    if unknown:
        parser.error(f"unknown fuzzer: {', '.join(sorted(unknown))}; known: {', '.join(KNOWN)}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        faults = [fuzz(name, options.seed, options.seconds) for name in options.fuzzers or KNOWN]
    return int(any(faults))


if __name__ == "__main__":
    sys.exit(main())
