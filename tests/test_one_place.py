"""docs/extending.md is true: the code on the page, applied to a copy of the tree, adds what it says, each in one place.

The copy is built once, for the instruction set that compiles fastest and with few optimizations, and checked in separate processes.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from pynn import _core

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "extending.md"
PLACE = r"In `(?P<file>[^`\n]+)`, (?P<how>before|after|at the end)(?: `(?P<anchor>[^`\n]+)`)?|Create `(?P<new>[^`\n]+)`"
EDIT = re.compile(rf"^(?:{PLACE}):\n\n```\w+\n(?P<code>.*?)^```$", re.M | re.S)

pytestmark = pytest.mark.skipif(not (PAGE.exists() and (ROOT / "csrc").exists()), reason="only a checkout has the page and the sources")


START = """
import math, os, tempfile, warnings
import numpy as np
import pynn
from pynn import reference
rng = np.random.default_rng(0)
"""


class Edit(NamedTuple):
    """One code block of the page, and where it belongs."""

    section: str
    file: str
    how: str
    anchor: str
    code: str


def edits() -> list[Edit]:
    found = []
    for section in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.M)[1:]:
        title = section.partition("\n")[0]
        found += [Edit(title, m["file"] or m["new"], m["how"] or "create", m["anchor"] or "", m["code"]) for m in EDIT.finditer(section)]
    return found


def applied(text: str, edit: Edit) -> str:
    """Return a file's text after an edit; a place that is not there, or not unique, fails."""
    if edit.how == "at the end":
        return text + edit.code
    places = [*re.finditer(rf"^[ \t]*{re.escape(edit.anchor)}", text, re.M)]
    assert len(places) == 1, f"{edit.file} has {len(places)} lines that begin with {edit.anchor!r}"
    at = places[0].start() if edit.how == "before" else text.index("\n", places[0].end()) + 1
    return text[:at] + edit.code + text[at:]


def run(copy: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    return subprocess.run([sys.executable, *arguments], cwd=copy, env=given, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree with all that the page adds, built."""
    if shutil.which((os.environ.get("CC") or "cc").split()[-1]) is None:
        pytest.skip("there is no C compiler")
    copy = tmp_path_factory.mktemp("extended")
    ignored = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__", "digits.csv.gz")
    for part in ("csrc", "pynn", "docs"):
        shutil.copytree(ROOT / part, copy / part, ignore=ignored)
    for part in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / part, copy / part)
    (copy / "tests/c").mkdir(parents=True)
    shutil.copy(ROOT / "tests/c/layers.h", copy / "tests/c/layers.h")
    for edit in edits():
        path = copy / edit.file
        assert path.exists() == (edit.how != "create")
        path.write_text(edit.code if edit.how == "create" else applied(path.read_text(encoding="utf-8"), edit), encoding="utf-8")
    quickest = next((isa for isa in ("avx2", "base") if _core.isas().get(isa)), "")
    built = run(copy, "setup.py", "-q", "build_ext", "--inplace", PYNN_BUILD_ISA=quickest, PYNN_BUILD_FLAGS="-O1 -Werror")
    assert built.returncode == 0, built.stderr
    return copy


def checked(copy: Path, code: str) -> None:
    done = run(copy, "-W", "error", "-c", START + code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", ["An activation", "A loss", "An optimizer", "A schedule"])
def test_a_row_is_added_in_one_file(kind: str) -> None:
    assert len({edit.file for edit in edits() if edit.section == kind}) == 1


def test_every_block_of_c_has_its_place() -> None:
    shown = re.findall(r"^```(?:c|python)$", PAGE.read_text(encoding="utf-8"), re.M)
    assert len(shown) == len(edits())


def test_stubs_and_pages_are_made_of_the_new_rows(copy: Path) -> None:
    assert run(copy, "docs/generate.py", "--check").returncode == 1
    assert run(copy, "docs/generate.py").returncode == 0
    assert run(copy, "docs/generate.py", "--check").returncode == 0
    expected = {
        "pynn/layers/activation.pyi": "class ISRU(",
        "pynn/losses/__init__.pyi": "class JaccardLoss(",
        "pynn/optim/__init__.pyi": "class Signum(",
        "pynn/optim/lr_scheduler.pyi": "class InverseSqrtLR(",
        "docs/activations.md": "`pynn.isru`",
        "docs/losses.md": "`JaccardLoss`, **jaccard**",
    }
    for file, text in expected.items():
        assert text in (copy / file).read_text(encoding="utf-8")


def test_the_activation(copy: Path) -> None:
    checked(copy, """
for alpha in (0.5, 3.0):
    x = rng.normal(size=1000) * 3
    np.testing.assert_allclose(pynn.isru(x, alpha), reference.activation("isru", x, alpha=alpha), rtol=1e-14)
    slope = (pynn.isru(x + 1e-6, alpha) - pynn.isru(x - 1e-6, alpha)) / 2e-6
    np.testing.assert_allclose(pynn.grad.isru(x, alpha), slope, rtol=1e-6, atol=1e-9)
assert pynn.isru(np.array([-np.inf, 1e300, np.inf]), 4.0).tolist() == [-0.5, 0.5, 0.5]
assert np.isnan(pynn.isru(np.nan, 1.0))
try:
    pynn.isru(1.0, -1.0)
except ValueError as error:
    assert "alpha > 0" in str(error)
else:
    raise AssertionError
layer = pynn.ISRU(alpha=2.0)
assert repr(layer) == "ISRU(alpha=2.0)" and "Carlile" in layer.__doc__
X = rng.normal(size=(64, 3))
model = pynn.Sequential(pynn.Linear(3, 8, seed=0), "isru", pynn.Linear(8, 1, seed=1))
hist = model.fit(X, X.sum(1), loss="mse", epochs=20, seed=0).history["loss"]
assert hist[-1] < hist[0]
""")


def test_the_loss(copy: Path) -> None:
    checked(copy, """
x, t = rng.random((5, 2, 3)), (rng.random((5, 2, 3)) > 0.5) * 1.0
settings = {"smooth": 0.5}
loss = pynn.JaccardLoss(**settings, reduction="sum")
np.testing.assert_allclose(loss(x, t), reference.loss("jaccard", (x,), t, **settings).sum(), rtol=1e-12)
g, slope = loss.backward(), np.empty_like(x)
for i in np.ndindex(x.shape):
    ends = []
    for step in (1e-6, -1e-6):
        moved = x.copy()
        moved[i] += step
        ends.append(float(loss(moved, t)))
    slope[i] = (ends[0] - ends[1]) / 2e-6
np.testing.assert_allclose(g, slope, rtol=1e-6, atol=1e-9)
overlap = 1 - pynn.DiceLoss(smooth=2.0, reduction="none")(x, t)
np.testing.assert_allclose(pynn.JaccardLoss(smooth=1.0, reduction="none")(x, t), 1 - overlap / (2 - overlap))
document = pynn.JaccardLoss.__doc__
for text in ("smooth : float, default 1.0\\n    Added to numerator and denominator", "flora", "holds probabilities"):
    assert text in document, text
X = rng.normal(size=(200, 4))
Y = X[:, :2] > 0
model = pynn.Sequential(pynn.Linear(4, 2, seed=0), "sigmoid")
hist = model.fit(X, Y, loss="jaccard", optimizer=pynn.optim.Adam(lr=0.05), epochs=20, seed=0).history["loss"]
assert hist[-1] < 0.5 * hist[0]
try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pynn.Sequential(pynn.Linear(4, 2, seed=0)).fit(X, Y, loss="jaccard")
except ValueError as error:
    assert "is not a probability" in str(error)
else:
    raise AssertionError
""")


def test_the_optimizer(copy: Path) -> None:
    checked(copy, """
for dtype in ("float32", "float64"):
    values = rng.normal(size=(4, 5)).astype(dtype)
    p, settings = pynn.Parameter(values.copy()), {"lr": 0.01, "momentum": 0.8, "weight_decay": 0.1}
    opt, twin, state = pynn.optim.Signum([p], **settings), values.astype("f8"), {}
    for t in range(3):
        p.grad[...] = g = rng.normal(size=(4, 5)).astype(dtype)
        opt.step()
        twin = reference.update("signum", twin, g.astype("f8"), state, t + 1, **settings)
    np.testing.assert_allclose(p.data, twin, rtol=1e-5 if dtype == "float32" else 1e-13)
document = pynn.optim.Signum.__doc__
for text in ("momentum : float, default 0.9\\n        Fraction of the running mean of g", "Bernstein", "``momentum_buffer``"):
    assert text in document, text
X = rng.normal(size=(128, 3))
model = pynn.Sequential(pynn.Linear(3, 8, seed=0), "tanh", pynn.Linear(8, 1, seed=1))
hist = model.fit(X, X.sum(1), loss="mse", optimizer="signum", epochs=30, seed=0).history["loss"]
assert hist[-1] < hist[0]
""")


def test_the_schedule(copy: Path) -> None:
    checked(copy, """
from pynn.optim.lr_scheduler import InverseSqrtLR
opt = pynn.optim.SGD([pynn.Parameter(np.zeros(3))], lr=2.0)
schedule, rates = InverseSqrtLR(opt, warmup=3), []
for t in range(8):
    rates += schedule.get_last_lr()
    schedule.step()
np.testing.assert_allclose(rates, [2 * min((t + 1) / 3, math.sqrt(3 / (t + 1))) for t in range(8)], rtol=1e-15)
assert "warmup : float\\n        Number of steps until the base rate is reached." in InverseSqrtLR.__doc__
X = rng.normal(size=(32, 3))
opt = pynn.optim.SGD(lr=0.1, schedule=InverseSqrtLR(warmup=2))
pynn.Sequential(pynn.Linear(3, 1, seed=0)).fit(X, X.sum(1), loss="mse", optimizer=opt, epochs=4, seed=0)
np.testing.assert_allclose(opt.get_last_lr(), [0.1 * math.sqrt(2 / 4)], rtol=1e-12)
""")


def test_the_layer_kind(copy: Path) -> None:
    checked(copy, """
LayerScale = pynn.layers.LayerScale
for shape in ((5, 3), (4, 2, 3), (0, 3)):
    layer, x, g = LayerScale(3, init=0.5, offset=0.25, dtype="float64"), rng.normal(size=shape), rng.normal(size=shape)
    layer.weight = [1.0, -2.0, 0.5]
    np.testing.assert_array_equal(layer(x), (0.25 + layer.weight) * x)
    np.testing.assert_array_equal(layer.backward(g), (0.25 + layer.weight) * g)
    np.testing.assert_allclose(layer.grads["weight"], (g * x).reshape(-1, 3).sum(0), rtol=1e-13)
X = rng.normal(size=(100, 3))
y = X @ [1.0, -2.0, 0.5]
model = pynn.Sequential(pynn.Linear(3, 4, seed=0), LayerScale(4), "tanh", pynn.Linear(4, 1, seed=1))
hist = model.fit(X, y, loss="mse", optimizer=pynn.optim.Adam(lr=0.02), epochs=40, seed=0).history["loss"]
assert hist[-1] < 0.3 * hist[0]
assert (model[1].weight != np.float32(0.1)).all()
path = os.path.join(tempfile.mkdtemp(), "m.safetensors")
model.save(path)
np.testing.assert_array_equal(pynn.load(path).predict(X), model.predict(X))
try:
    layer(np.zeros((2, 4)))
except ValueError as error:
    assert "expected (4,)" in str(error)
else:
    raise AssertionError
try:
    LayerScale(3, offset=math.inf)(np.zeros((2, 3)))
except ValueError as error:
    assert "offset must be finite, got inf" in str(error)
else:
    raise AssertionError
[kind] = [kind for kind in pynn._core.layer_kinds() if kind["name"] == "layer_scale"]
assert [(field["name"], field["type"], field["meaning"]) for field in kind["fields"]] == [
    ("offset", "number", "constant that is added to the weights")
]
""")


def test_the_new_documentation_runs(copy: Path) -> None:
    checked(copy, """
import doctest
from pynn.optim import lr_scheduler
for owner in (pynn.ISRU, pynn.JaccardLoss, pynn.optim.Signum, lr_scheduler.InverseSqrtLR, pynn.layers.LayerScale):
    for test in doctest.DocTestFinder(recurse=False).find(owner):
        assert test.examples or owner is pynn.ISRU
        assert doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test).failed == 0
""")
