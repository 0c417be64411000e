"""The peers of the benchmarks: one file each, found by listing the folder. A peer has a function for each discipline it takes part in.

    VERSION                                       the version that is measured; "" for none
    set_threads(n)                                called once, before everything else
    activation(name, direction, x, g)             forward and derivative into an existing array, backward (times g) into a new one
    step(net)                                     a training step: forward, loss, backward, Adam
    compiled_step(net)                            a compiled step, for peers whose compilation is too slow for studies of many nets
    gemm(form, m, n, k)                           C (m, n) = A B; form NT: B is stored transposed, TN: A is
    predict(net, rows)                            the output for this number of rows
    conv_step(net)                                a training step of a convolutional net
    conv_predict(net, rows)                       its output for this number of rows
    layer(name, arguments, x, g)                  a layer by its name in torch.nn, forward on x and backward from g
    update(name, settings, sizes)                 a step of an optimizer by its name in torch.optim, on arrays of these sizes
    digits(data, epochs, batch)                   train 64-128-10; a function that returns seconds and accuracy
    digits_cnn(data, epochs, batch)               the same with the convolutional net of `digits`
    many(net, data, nets, epochs, jobs)           train this number of copies of a net, on ``jobs`` CPUs
    estimator_fit(data, epochs)                   train MLPClassifier with its default settings
    estimator_predict(data, rows)                 predict classes with it
    estimator_search(data, grid, folds, epochs, jobs)    search its settings, on ``jobs`` CPUs
    IMPORT, DISTRIBUTION                          for footprint: the import statement and the name of the distribution

Each function returns a mapping from variants ("" for a single one) to runs; an empty mapping means that the peer lacks the case.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


def load(names: list[str], threads: int, *, must: bool) -> tuple[list[ModuleType], dict[str, str]]:
    """Import peers; return them, and the reasons why others are missing. With ``must``, a missing peer is an error."""
    found, missing = [], {}
    for name in names:
        try:
            peer = importlib.import_module(f"{__name__}.{name}")
        except ImportError as error:
            if must:
                raise SystemExit(f"peer {name}: {error}; pip install -e '.[bench]' installs all of them") from error
            missing[name] = str(error)
            continue
        peer.set_threads(threads)
        found.append(peer)
    return found, missing
