"""Figures of pynn.plot appear exactly once in notebooks, which a real kernel executes."""

from typing import Any

import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")
pytest.importorskip("matplotlib_inline")

RELU, TANH = 'pynn.plot.activations("relu")', 'pynn.plot.activations("tanh")'
HISTORY = 'pynn.plot.history({"loss": [3.0, 2.0, 1.0]})'
MODEL = """
import numpy as np
X = np.linspace(-1, 1, 64)[:, None]
model = pynn.Sequential(pynn.Linear(1, 8, seed=0), "tanh", pynn.Linear(8, 1, seed=1))
model.fit(X, X**2, loss="mse", seed=0, verbose=False)
"""
BEFORE = "import matplotlib.pyplot as plt"
INLINE, KEPT_OPEN = "%matplotlib inline", "%config InlineBackend.close_figures = False"


def outputs(*cells: str, errors: bool = False) -> list[list[Any]]:
    """Run a notebook; return the outputs of each cell."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in ("import pynn", *cells)])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3", allow_errors=errors).execute()
    return [cell.outputs for cell in notebook.cells[1:]]


def shown(*cells: str) -> list[list[int]]:
    """Run a notebook; return the sizes of the images in bytes, in order, for each cell."""
    return [[len(data["image/png"]) for data in map(_data, found) if "image/png" in data] for found in outputs(*cells)]


def _data(output: Any) -> Any:
    assert output.output_type != "stream", output.text
    return output.get("data", {})


# Cells with their numbers of images. Each row runs in a new kernel, so that it starts without pyplot and without a backend.
NOTEBOOKS: dict[str, list[tuple[str, int]]] = {
    "last line": [(RELU, 1), (TANH, 1), ("1 + 1", 0)],
    "semicolon": [(f"{RELU};", 1), (f"f = {TANH}", 1), ("f;", 0)],
    "show": [(f"{RELU}\nimport matplotlib.pyplot as plt\nplt.show()", 1), (f"f = {TANH}\nplt.show()\nf", 2)],
    "pyplot before": [(BEFORE, 0), (RELU, 1), (f"{RELU};", 1), (f"{RELU}\nplt.show()", 1)],
    "pyplot after": [(f"f = {RELU}\nimport matplotlib.pyplot as plt\nplt.title('x')\nf", 1), (f"{TANH};\nplt.gcf();", 1)],
    "inline first": [(f"{INLINE}\n{BEFORE}", 0), (RELU, 1), (f"{RELU};", 1), (f"{RELU}\nplt.show()", 1), (HISTORY, 1)],
    "inline in the same cell": [(f"{INLINE}\n{RELU}", 1), (f"{INLINE}\n{RELU};", 1)],
    "inline after": [(RELU, 1), (INLINE, 0), (RELU, 1)],
    "several": [(f"{RELU}\n{TANH}\n{HISTORY}", 3), (f"a = {RELU}\nb = {TANH}\na", 2), (f"a = {RELU}\nb = {TANH}\nb;", 2)],
    "loop": [(f"for _ in range(3):\n    {RELU}", 3)],
    "function": [(f"def draw():\n    return {RELU}\ndraw()", 1), ("draw();", 1), ("x = [draw(), draw()]", 2)],
    "display": [(f"display({RELU})", 1), (f"f = {RELU}\ndisplay(f)\nf.savefig('/dev/null', format='png')", 1)],
    "again": [(f"f = {RELU}\nf", 1), ("f", 1), ("f;", 0), ("display(f)", 1)],
    "drawn on": [(f"f = {RELU}\nf.axes[0].set_title('x')\nf", 1), (f"f = {RELU}\nf.suptitle('x');", 1)],
    "closed": [(f"{BEFORE}\nf = {RELU}\nplt.close(f)", 0), (f"f = {RELU}\nplt.close(f)\nf", 1)],
    "beside other figures": [(f"{BEFORE}\nplt.figure().gca().plot([1, 2])\n{RELU}", 2), (f"{RELU}\nplt.figure().gca().plot([1]);", 2)],
    "every function": [
        (MODEL, 0), (RELU, 1), (HISTORY, 1), ("pynn.plot.plot_gradient_flow(model)", 1),
        ('pynn.plot.lr_sweep(model.find_lr(X, X**2, loss="mse", seed=0))', 1), ("pynn.plot.activations()", 1),
    ],
    "figures kept open": [(KEPT_OPEN, 0), (f"{RELU};", 1), (f"{TANH};", 1), (f"{BEFORE}\nassert len(plt.get_fignums()) == 2", 0)],
}  # fmt: skip


@pytest.mark.parametrize("cells", NOTEBOOKS.values(), ids=NOTEBOOKS)
def test_a_notebook_shows_each_figure_once(cells: list[tuple[str, int]]) -> None:
    images = shown(*(cell for cell, _ in cells))
    assert [len(cell) for cell in images] == [count for _, count in cells]
    assert all(size > 2000 for cell in images for size in cell)


def test_figures_appear_in_the_order_of_the_cell() -> None:
    small = f"{RELU}.set_size_inches(5, 4)"
    large = f"{TANH}.set_size_inches(15, 12)"
    first, second = shown(f"{small}\n{large}")[0]
    assert first < second / 2


WIDGET = "application/vnd.jupyter.widget-view+json"


def test_widget_backends_show_each_figure_once() -> None:
    pytest.importorskip("ipympl")
    cells = ("%matplotlib widget", RELU, f"{RELU};", f"f = {TANH}\nf", f"{BEFORE}\n{RELU}\nplt.show()", f"display({RELU})")
    found = outputs(*cells)
    assert [sum(WIDGET in _data(one) for one in cell) for cell in found] == [0, 1, 1, 1, 1, 1]


def test_a_training_shows_curves_and_a_model_its_table() -> None:
    fit = MODEL.replace(", verbose=False", ", epochs=3, validation_split=0.25").rstrip()
    trained, model, interrupted = outputs(
        fit,
        "model.freeze('0')",
        "def stop(epoch, logs):\n    raise KeyboardInterrupt\nmodel.fit(X, X, loss='mse', callbacks=stop, verbose=2)",
        errors=True,
    )
    (html,) = [one["data"]["text/html"] for one in trained if one.output_type == "execute_result"]
    assert html.count("<svg") == 1
    assert "3 epochs in " in html
    assert "val_loss 0." in html
    assert "<td>Linear 1 -&gt; 8 (frozen)</td>" in model[0]["data"]["text/html"]
    text = "".join("\n".join(one.get("traceback", [])) + one.get("text", "") for one in interrupted)
    assert text.count("model.history has 1 finished epoch") == 1
    assert text.startswith("epoch 1/1  loss ")
