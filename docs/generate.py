"""Generate files from the tables of the core: the type stubs beside the modules, pages of docs/ that list the rows,
and docs/atlas.md with its pictures.

    python docs/generate.py           # write the files that are stale
    python docs/generate.py --check   # write nothing; list the stale files, and exit with 1 if there are any
"""

import argparse
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import pynn
from pynn import _core
from pynn._formula.table import FORMS
from pynn._tables import REQUIRED, parse_docs, parse_parameters

ROOT = Path(__file__).parents[1]
HEADER = "# Made by docs/generate.py from the core's tables.\n"
MODULES = ("activations", "functional", "grad", "layers", "layers.activation", "losses", "optim", "optim.lr_scheduler")
NOT_REEXPORTED = ("functional", "grad", "optim")
Py_TPFLAGS_BASETYPE = 1 << 10
# Return types of the core's functions, whose text signatures contain only the parameters.
RETURNS = {
    "layer_kinds": "list[dict[str, Any]]",
    "isa": "str",
    "isas": "dict[str, bool]",
    "set_isa": "None",
    "get_threads": "int",
    "set_threads": "int",
    "set_doc": "None",
    "moves": "int",
    "note_move": "None",
    "work": "tuple[bool, NDArray[Any] | None]",
    "Gate.version": "int",
    "Claim.release": "None",
    "Claim.move": "None",
    "Writing.__enter__": "Self",
    "Writing.__exit__": "None",
    "Graph.add": "int",
    "Graph.add_custom": "int",
    "Graph.guard": "None",
    "Graph.input": "int",
    "Graph.outputs": "None",
    "Graph.shape": "tuple[int, ...]",
    "Graph.read": "tuple[dict[str, Any], ...]",
    "Graph.input_nodes": "tuple[int, ...]",
    "Graph.output_nodes": "tuple[int, ...]",
    "Graph.output_shapes": "tuple[tuple[int, ...], ...]",
    "Graph.dtype": "str",
    "Graph.output_shape": "tuple[int, ...]",
    "Plan.forward": "Any",
    "Plan.backward": "Any",
    "Plan.output_shapes": "tuple[tuple[int, ...], ...]",
    "Plan.tick": "int",
    "Plan.bytes": "int",
    "Plan.bytes_unshared": "int",
    "Plan.steps": "list[tuple[str, str, bool, float, float, int]]",
    "Fit.epoch": "tuple[tuple[float, float, int, int, int, int, int], ...]",
    "Fit.batch": "tuple[tuple[float, float, int, int, int, int, int], ...]",
    "Fit.profile": "None",
    "Fit.keep": "tuple[NDArray[Any], ...]",
    "Fit.times": "dict[str, Any]",
    "Fit.step": "int",
    "trace": "tuple[list[NDArray[Any]], list[NDArray[Any] | None], list[NDArray[Any]], tuple[Any, ...]]",
    "Predictor.predict": "Any",
    "Predictor.quick": "Any",
    "Predictor.score": "tuple[tuple[float, float, int, int, int, int, int], ...]",
    "loss": "tuple[float, NDArray[Any] | None, tuple[NDArray[Any], ...]]",
    "sequences": "tuple[float, NDArray[Any] | None, tuple[NDArray[Any], ...]]",
    "check_target": "None",
    "Update.step": "None",
    "schedule": "None",
    "power_sum": "float",
    "lbfgs": "float",
    "lbfgs_memory": "int",
    "uniform": "None",
}
SOURCES = {
    "Any": "typing",
    "Final": "typing",
    "Self": "typing",
    "final": "typing",
    "ArrayLike": "numpy.typing",
    "NDArray": "numpy.typing",
    "Mapping": "collections.abc",
    "Iterable": "collections.abc",
    "Sequence": "collections.abc",
}


def annotation(value: Any) -> str:
    if value is inspect.Signature.empty:
        return "Any"
    return value if isinstance(value, str) else "None" if value is None else inspect.formatannotation(value)


def parameters_text(signature: inspect.Signature, *, is_method: bool) -> str:
    """Return the parameters as text for a stub, with annotations for all but ``self``."""
    parts, kinds = [], [p.kind for p in signature.parameters.values()]
    for i, p in enumerate(signature.parameters.values()):
        if p.kind is p.KEYWORD_ONLY and p.KEYWORD_ONLY not in kinds[:i] and p.VAR_POSITIONAL not in kinds[:i]:
            parts.append("*")
        star = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        text = p.name if is_method and i == 0 else f"{star}{p.name}: {annotation(p.annotation)}"
        default = p.default if type(p.default).__module__ == "builtins" else ...  # classes of pynn have no literal
        parts.append(text + ("" if p.default is p.empty else " = ..." if default is ... else f" = {default!r}"))
        if p.kind is p.POSITIONAL_ONLY and kinds[i + 1 : i + 2] != [p.POSITIONAL_ONLY]:
            parts.append("/")
    return ", ".join(parts)


def function_stub(name: str, function: Callable[..., Any], owner: str = "") -> str:
    signature = inspect.signature(function)
    result = annotation(signature.return_annotation)
    if result == "Any":
        result = RETURNS.get(f"{owner}.{name}".lstrip("."), "Any")
    return f"def {name}({parameters_text(signature, is_method=bool(owner))}) -> {result}: ..."


def class_stub(name: str, cls: type) -> str:
    bases = [base for base in cls.__bases__ if base is not object]
    lines = {member: f"{member}: {annotation(text)}" for member, text in inspect.get_annotations(cls).items()}
    for member, value in vars(cls).items():
        result = RETURNS.get(f"{name}.{member}", "Any")
        if inspect.isgetsetdescriptor(value) and not member.startswith("_"):
            lines[member] = f"{member}: {result}"
        elif isinstance(value, property):
            lines[member] = f"@property\n    def {member}(self) -> {annotation(inspect.signature(value.fget).return_annotation)}: ..."
        elif member in ("__init__", "__call__", "__enter__", "__exit__") or (callable(value) and not member.startswith("_")):
            lines[member] = function_stub(member, value, name)
    if "__init__" not in lines and cls.__text_signature__:
        new = parameters_text(inspect.signature(cls), is_method=False)
        lines["__new__"] = f"def __new__({', '.join(filter(None, ('cls', new)))}) -> Self: ..."
    head = f"class {name}({', '.join(base.__name__ for base in bases)}):" if bases else f"class {name}:"
    final = "" if cls.__flags__ & Py_TPFLAGS_BASETYPE else "@final\n"
    return final + head + "\n    " + "\n    ".join(lines.values() or ["..."])


def member_stub(name: str, value: Any, annotations: dict[str, Any]) -> str:
    if name in annotations:
        return f"{name}: {annotation(annotations[name])}"
    if isinstance(value, np.ufunc):
        return f"{name}: Final[np.ufunc]"
    if inspect.isclass(value):
        return class_stub(name, value)
    if callable(value):
        return function_stub(name, value)
    kinds = {tuple: "tuple[dict[str, Any], ...]", dict: "dict[str, int]"}
    return f"{name}: {kinds.get(type(value), type(value).__name__)}"


def public_names(module: ModuleType) -> Iterator[str]:
    """Yield the names in ``__all__``, then others that the module defines."""
    listed = list(getattr(module, "__all__", ()))
    yield from listed
    for name, value in list(vars(module).items()):
        own = getattr(value, "__module__", None) == module.__name__ and getattr(value, "__name__", name) == name
        constant = module is _core and isinstance(value, (tuple, dict, str)) and name.isupper()
        builtin = inspect.isbuiltin(value) and module is _core
        public = not name.startswith("_") or inspect.isclass(value)  # a private class may be the base of a public one
        if name not in listed and public and (own or constant or builtin or name in inspect.get_annotations(module)):
            yield name


def imports(body: str, module: ModuleType, defined: Iterable[str]) -> str:
    """Return import lines for the names that ``body`` uses and does not define."""
    lines: dict[str, set[str]] = {}
    defined = set(defined)
    classes = {b.__name__: b for v in vars(module).values() if inspect.isclass(v) for b in v.__mro__}
    for name in sorted(set(re.findall(r"(?<![\w.'])[A-Z_a-z]\w*", body)) - defined):
        source = SOURCES.get(name)
        if source is None and name in classes and classes[name].__module__.startswith("pynn."):
            source = dots(module) + classes[name].__module__.removeprefix("pynn.")
        if source:
            lines.setdefault(source, set()).add(name)
    order = sorted(lines, key=lambda source: (source.startswith("."), source.startswith("numpy"), source))
    text = [f"from {source} import {', '.join(sorted(lines[source], key=lambda n: (n[0].islower(), n)))}" for source in order]
    groups = [
        [t for t in text if not t.startswith(("from numpy", "from ."))],
        ["import numpy as np"] * ("np." in body) + [t for t in text if t.startswith("from numpy")],
        [t for t in text if t.startswith("from .")],
    ]
    return "\n\n".join("\n".join(group) for group in groups if group)


def dots(module: ModuleType) -> str:
    """Return the dots that refer to the package in a relative import of ``module``."""
    return "." * (module.__name__.count(".") + hasattr(module, "__path__"))


def reexport(module: ModuleType, name: str, value: Any) -> str:
    """Return an import of the name from the module of the package that defines it, or an empty string."""
    if inspect.ismodule(value):
        return f"from . import {name} as {name}"
    home = str(getattr(value, "__module__", ""))
    if module is _core or not home.startswith("pynn.") or home == module.__name__ or not hasattr(value, "__name__"):
        return ""
    return f"from {dots(module)}{home.removeprefix('pynn.')} import {name} as {name}"


def stub(module: ModuleType) -> str:
    names = list(dict.fromkeys(public_names(module)))
    parts = [
        reexport(module, name, getattr(module, name)) or member_stub(name, getattr(module, name), inspect.get_annotations(module))
        for name in names
    ]
    if getattr(module, "__all__", ()):
        parts.insert(0, "__all__ = [\n" + "".join(f'    "{name}",\n' for name in module.__all__) + "]")
    body = "\n\n".join(parts) if any("class " in p for p in parts) else "\n".join(parts)
    return f"{HEADER}{imports(body, module, names)}\n\n{body}\n"


def package_stub() -> str:
    """Return the stub of the package, which imports each public name from its module."""
    parts: dict[str, list[str]] = {}
    own = []
    for name in dict.fromkeys(pynn.__all__):
        value = getattr(pynn, name)
        homes = [m for m in MODULES if name in importlib.import_module(f"pynn.{m}").__all__ and not m.startswith(NOT_REEXPORTED)]
        if inspect.ismodule(value):
            parts.setdefault(".", []).append(name)
        elif homes or value.__module__ != "pynn":
            parts.setdefault(f".{homes[0]}" if homes else value.__module__.removeprefix("pynn"), []).append(name)
        else:
            own.append(function_stub(name, value))
    lines = [f"from {home} import {name} as {name}" for home in sorted(parts) for name in sorted(parts[home])]
    listed = "__all__ = [\n" + "".join(f'    "{name}",\n' for name in pynn.__all__) + "]"
    return HEADER + "\n".join(["from typing import Any", "", *lines, "", listed, "__version__: str", "", *own, ""])


def code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|") if text else "-"


def activations_page() -> str:
    lines = [
        "# Activations",
        "",
        "Generated by `docs/generate.py` from the table of the core. Columns:",
        "",
        "- *ULP*: the promised error bounds of the value and the derivative, in units in the last place. Near a root at which its terms",
        "  cancel, the error of a derivative is measured in units of its largest term. On x86-64 without FMA (`base`) the bound of a value",
        "  is at least 4 ULP, and that of a derivative 2 ULP more than in the table. [Measured errors](ulp.md) on each instruction set",
        "  come from `python tests/ulp`.",
        "- *y =*: numbers in a formula are exact decimals; parameters are rounded to the type of x. float16 is computed in float32 and",
        "  rounded.",
        "- *ONNX*: the equivalent expression in ONNX.",
        "",
        "The derivative of `pynn.name` is `pynn.grad.name`.",
        "",
        "A value depends on its argument only, not on its position, on the length and strides of the array, or on the number of threads.",
        "`avx2` and `avx512` give the same bits; `base` differs from them within the bounds.",
        "",
        "| function | layer | y = | parameters | ULP | ONNX |",
        "|---|---|---|---|---|---|",
    ]
    for row in _core.ACTIVATIONS:
        defaults = parse_parameters(row["params"]).defaults
        texts = parse_docs(row["docs"])
        shown = "<br>".join(
            f"{code(name if default is REQUIRED else f'{name}={default!r}')}: {texts[name]}" for name, default in defaults.items()
        )
        ulp = f"{row['ulp']:g}, {row['grad_ulp']:g}"
        cells = (code(f"pynn.{row['name']}"), code(row["cls"]), code(row["formula"]), shown or "-", ulp, code(row["onnx"]))
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "## Row-wise functions", "", "| function | layer | y = | ULP | ONNX |", "|---|---|---|---|---|"]
    for row in _core.ROWWISE:
        cells = (code(f"pynn.{row['name']}"), code(row["cls"]), code(row["formula"]), f"{row['ulp']:g}", code(row["onnx"]))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def losses_page() -> str:
    lines = [
        "# Losses",
        "",
        "Generated by `docs/generate.py` from the table of the core. Names, arguments, defaults and reductions are those of PyTorch where",
        "it has the loss; the docstrings of the classes give details. A bold name in the first column is the string that `fit` accepts.",
        "",
        "In formulas, `x` is the first input, `z` the second, `n` the third and `t` the target. A class index counts as its one-hot row,",
        "and sums run over a row. Every loss also takes `reduction` (`'mean'`, `'sum'` or `'none'`) in its constructor and, except for",
        "sequences, `sample_weight` in a call. A weighted mean divides by the sum of the weights, in magnitude: weight 2 counts as two.",
        "",
        "| loss | call | value | arguments |",
        "|---|---|---|---|",
    ]
    for row in _core.LOSSES:
        name = code(row["cls"])
        if row["inputs"] == "input target" and row["target"] != "m":
            name += f", **{row['name']}**"
        call = f"loss({', '.join(row['inputs'].split())})"
        defaults = parse_parameters(row["params"]).defaults
        shown = ", ".join(f"{argument}={default!r}" for argument, default in defaults.items())
        lines.append(f"| {name} | {code(call)} | {code(row['formula'])} | {code(shown)} |")
    return "\n".join(lines) + "\n"


SHOWN = {
    "monotonic": "monotonic",
    "bounded": "bounded",
    "smooth": "smooth",
    "odd": "odd",
    "even": "even",
    "zero_at_zero": "f(0) = 0",
    "unit_slope_at_zero": "f'(0) = 1",
    "nonnegative": "non-negative",
    "zero_centred": "zero-centred",
    "fixed_point": "fixed point",
}
"""The properties that the atlas shows, in words."""


def atlas_page() -> str:
    lines = [
        "# Atlas of activations",
        "",
        f"{len(pynn.atlas)} published elementwise activations, each usable by name. Generated by `docs/generate.py` from the data of",
        "`pynn.atlas`; formulas are in the language of `pynn.Activation`.",
        "",
        "```python",
        "import pynn",
        "",
        'snake = pynn.atlas["snake"].activation()  # a layer that learns a',
        'elu = pynn.atlas["elu"].activation(alpha=0.5)',
        "smooth = pynn.atlas.search(monotonic=True, bounded=False, smooth=True)",
        "print([entry.name for entry in smooth[:3]])",
        "```",
        "",
        "The pictures show the function in blue and its derivative in orange, for x from -5 to 5 unless noted; heights fit the values.",
        "Parameters in bold are learnt. Properties are computed from the formula at the default parameters. `pynn.atlas[name].properties`",
        "has them all, with the bounds, the limits, and the mean and standard deviation of the outputs for standard normal inputs.",
        "*Zero-centred* means that this mean is 0, and *fixed point* that the standard deviation is 1 as well, both within 0.001.",
        "",
        "*Survey* is Kunc and Klema, Three decades of activations (2024, [arXiv:2402.09092](https://arxiv.org/abs/2402.09092)), with the",
        "number of the section. It is the only source of entries without another reference. A dash marks functions in common use.",
        "",
        "Families: " + ", ".join(f"[{family}](#{family.replace(' ', '-')})" for family in pynn.atlas.families) + ".",
    ]
    for family in pynn.atlas.families:
        lines += ["", f"## {family.capitalize()}", "", "| name | formula | properties | source |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(atlas_cells(entry))} |" for entry in pynn.atlas.search(family=family)]
    return "\n".join(lines) + "\n"


def atlas_cells(entry: Any) -> tuple[str, ...]:
    values = ", ".join(f"{f'**{name}**' if name in entry.learnt else name} = {value:g}" for name, value in entry.parameters.items())
    names = f"![](atlas/{entry.name}.svg)<br>**{entry.name}**" + "".join(f"<br>{alias}" for alias in entry.aliases)
    window = "" if entry.window == 5 else f"x from {-entry.window:g} to {entry.window:g}"
    formula = "<br>".join(filter(None, (code(entry.formula), values, entry.remark, window)))
    found = [words for name, words in SHOWN.items() if getattr(entry.properties, name)]
    found += ["not continuous"] * (not entry.properties.continuous)
    source = []
    if entry.reference:
        title = f"[{entry.reference.title}]({entry.reference.url})" if entry.reference.url else entry.reference.title
        source = [f"{entry.reference.authors}: {title}, {entry.reference.year}"]
    source += [f"survey {entry.survey}"] * bool(entry.survey)
    return names, formula.replace("|", "\\|"), ", ".join(found) or "-", "; ".join(source) or "-"


def formula_functions_page() -> str:
    forms = [name for name in FORMS if name not in {op["name"] for op in _core.FORMULA_OPS}]
    lines = [
        "# Functions in formulas",
        "",
        "Generated by `docs/generate.py` from the tables of the core. [Formulas](formulas.md) explains the language.",
        "",
        "*ULP*: the error bounds in float32 and float64, in units in the last place, on processors with fused multiply-add.",
        "",
        "| function | value | ULP |",
        "|---|---|---|",
    ]
    for op in _core.FORMULA_OPS:
        if op["is_function"]:
            call = f"{op['name']}({', '.join('abc'[: op['arity']])})"
            lines.append(f"| {code(call)} | {op['summary']} | {op['ulp32']:g}, {op['ulp64']:g} |")
    lines += [
        "",
        f"Further forms: {', '.join(map(code, forms))}. `min` and `max` take two or more arguments.",
        "",
        "## Activations",
        "",
        "Every [activation](activations.md) is a function too. Its parameters follow x, by position or by name:",
        "",
    ]
    calls = []
    for row in _core.ACTIVATIONS:
        defaults = parse_parameters(row["params"]).defaults
        arguments = ["x", *(name if default is REQUIRED else f"{name}={default!r}" for name, default in defaults.items())]
        calls.append(code(f"{row['name']}({', '.join(arguments)})"))
    return "\n".join(lines) + "\n" + ", ".join(calls) + ".\n"


def files() -> Iterator[tuple[Path, str]]:
    yield ROOT / "pynn/__init__.pyi", package_stub()
    yield ROOT / "pynn/_core.pyi", stub(_core)
    for name in MODULES:
        module = importlib.import_module(f"pynn.{name}")
        yield Path(str(module.__file__)).with_suffix(".pyi"), stub(module)
    yield ROOT / "docs/activations.md", activations_page()
    yield ROOT / "docs/losses.md", losses_page()
    yield ROOT / "docs/atlas.md", atlas_page()
    for name, entry in pynn.atlas.items():
        yield ROOT / f"docs/atlas/{name}.svg", entry.picture()
    yield ROOT / "docs/formula_functions.md", formula_functions_page()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="list the stale files, and write nothing")
    check = parser.parse_args().check
    stale = [(path, text) for path, text in files() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path, text in stale:
        print(f"{'stale' if check else 'wrote'}: {path.relative_to(ROOT)}")
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
