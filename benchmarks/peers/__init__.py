"""Who takes part: one file a peer, found by looking. A peer has, for each discipline it knows, a function that returns its contestants.

    VERSION                                       what was measured; "" for what has no version
    set_threads(n)                                called once, before everything else
    activation(name, direction, x, g)             forward and derivative into an array given, backward (g times it) into a new one
    step(net)                                     a training step: forward, loss, backward, Adam
    compiled_step(net)                            the same, where compiling it takes longer than a study of many nets allows
    gemm(form, m, n, k)                           C (m, n) = A B, where form NT says that B is stored transposed, TN that A is
    predict(net, rows)                            the output for so many rows
    conv_step(net)                                a training step of a convolutional net
    conv_predict(net, rows)                       its output for so many rows
    layer(name, arguments, x, g)                  a layer by torch.nn's name, forward on x and backward from g
    update(name, settings, sizes)                 a step of an optimizer by torch.optim's name, over arrays of these sizes
    digits(data, epochs, batch)                   train 64-128-10; a function that returns seconds and accuracy
    digits_cnn(data, epochs, batch)               the same of the convolutional net of `digits`
    many(net, data, nets, epochs, jobs)           train so many copies of a net, on as many CPUs
    IMPORT, DISTRIBUTION                          footprint: the statement, and the name to install

Each function returns a mapping from the contestant's variant ("" where there is one) to its run; an empty one: not this case.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


def load(names: list[str], threads: int, *, must: bool) -> tuple[list[ModuleType], dict[str, str]]:
    """Import peers; return them, and why the others are missing. With ``must``, one that is missing is an error."""
    found, missing = [], {}
    for name in names:
        try:
            peer = importlib.import_module(f"{__name__}.{name}")
        except ImportError as error:
            if must:
                raise SystemExit(f"peer {name}: {error}; pip install -e '.[bench]' brings all of them") from error
            missing[name] = str(error)
            continue
        peer.set_threads(threads)
        found.append(peer)
    return found, missing
