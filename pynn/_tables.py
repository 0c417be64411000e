"""Turn rows of the core's tables into Python: parameters and their checks, signatures, and errors for unknown names."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from numbers import Real
from operator import is_
from types import CodeType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from ._hints import missing_name

REQUIRED: Any = ...


@dataclass(frozen=True)
class Parameters:
    """The parameters of one row, parsed from the row's text.

    Attributes
    ----------
    text : str
        The row's text.
    check : str
        The expression that the values must satisfy.
    defaults : dict
        The default of each parameter, in order; ``REQUIRED`` for a parameter without one.
    conditions : tuple
        The parts of ``check``: their text, compiled code and the names in them.
    kinds : mapping of str to str
        Annotations in the text: ``int`` for parameters that must be integers, ``array`` for parameters that may be arrays, which
        the caller checks.
    words : mapping of str to tuple of str
        The allowed words of each parameter that takes words.
    """

    text: str
    check: str
    defaults: dict[str, Any]
    conditions: tuple[tuple[str, tuple[CodeType, ...], frozenset[str]], ...]
    kinds: Mapping[str, str]
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    _verified: list[tuple[Any, ...]] = field(default_factory=list, init=False, repr=False, compare=False)
    """The values that last passed `verify_settings`."""

    def signature(self, annotation: str | None = None) -> str:
        """Return the parameters as source text; ``annotation`` replaces the type of numeric parameters."""
        return ", ".join(
            f"{name}: {self._type(name, annotation)}" + ("" if default is REQUIRED else f" = {default!r}")
            for name, default in self.defaults.items()
        )

    def _type(self, name: str, annotation: str | None) -> str:
        default = self.defaults[name]
        return annotation if annotation and _is_number(default) else _TYPES.get(self.kinds.get(name, "")) or _type_of(default)

    def verify(self, owner: str, values: Mapping[str, Any]) -> None:
        """Raise ValueError unless ``values`` satisfy the row's check; arrays are checked elementwise."""
        given_values = dict(values)
        for text, parts, names in self.conditions:
            results = [eval(part, _BUILTINS, given_values) for part in parts]
            if not all(result is True or np.all(result) for result in results):
                given = ", ".join(f"{name}={_short(values[name])}" for name in self.defaults if name in names)
                raise ValueError(f"{owner}: got {given}, but it must satisfy {text}")

    def verify_scalars(self, owner: str, values: Mapping[str, Any]) -> None:
        """Check that each value has the type of its default (number, bool or tuple of numbers), then call ``verify``."""
        for name, default in self.defaults.items():
            value, kind = values[name], self.kinds.get(name)
            if kind == "int":
                if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
                    raise TypeError(f"{owner}: {name} must be an integer, got {value!r}")
            elif isinstance(default, bool):
                if not isinstance(value, (bool, np.bool_)):
                    raise TypeError(f"{owner}: {name} must be True or False, got {value!r}")
            elif isinstance(default, tuple):
                if not isinstance(value, (tuple, list)) or len(value) != len(default) or not all(map(_matches_default, value, default)):
                    raise TypeError(f"{owner}: {name} must be a tuple of {len(default)} numbers, got {value!r}")
            elif default is not None and not _is_number(value):
                raise TypeError(f"{owner}: {name} must be a number, got {value!r}")
        self.verify(owner, values)

    def verify_settings(self, owner: str, values: Mapping[str, Any]) -> None:
        """Call ``verify_scalars``, and raise ValueError for NaN. Values that passed the last time are not checked again."""
        now = tuple([values[name] for name in self.defaults])
        if self._verified and all(map(is_, now, self._verified[0])):
            return
        self.verify_scalars(owner, values)
        for name in self.defaults:
            value = values[name]
            if any(isinstance(one, Real) and one != one for one in (value if isinstance(value, (tuple, list)) else (value,))):
                raise ValueError(f"{owner}: {name} must not be NaN, got {value!r}")
        self._verified[:] = [] if list in map(type, now) else [now]

    def flat(self, values: Mapping[str, Any]) -> list[float]:
        """Return values as the core reads them: tuples flattened, None as NaN, and a word as its index."""
        each = [(name, v) for name, value in values.items() for v in (value if isinstance(value, tuple) else (value,))]
        return [float("nan") if v is None else float(self.words[name].index(v) if isinstance(v, str) else v) for name, v in each]

    def plain(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values as Python numbers, bools and tuples, for JSON and ``repr``; arrays are returned unchanged."""
        return {name: self._plain(value, self.kinds.get(name)) for name, value in values.items()}

    @staticmethod
    def _plain(value: Any, kind: str | None) -> Any:
        return value if kind == "array" else int(value) if kind == "int" else _plain_value(value)


_TYPES = {"int": "int", "array": "ArrayLike | None"}
_BUILTINS: dict[str, Any] = {"__builtins__": {"abs": abs, "min": min, "max": max, "inf": float("inf")}}


def _is_number(value: object) -> bool:
    return value is REQUIRED or (isinstance(value, Real) and not isinstance(value, (bool, np.bool_)))


def _matches_default(value: object, default: object) -> bool:
    return _is_number(value) or (value is None and default is None)


def _type_of(default: object) -> str:
    if isinstance(default, bool):
        return "bool"
    if isinstance(default, tuple):
        return f"tuple[{', '.join('float' if d is not None else 'float | None' for d in default)}]"
    if default is None:
        return "str | None"
    return "float"


def _short(value: object) -> str:
    return f"an array of shape {value.shape}" if isinstance(value, np.ndarray) and value.ndim else repr(value)


def _conjuncts(node: ast.expr) -> list[ast.expr]:
    return [c for v in node.values for c in _conjuncts(v)] if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And) else [node]


def _links(node: ast.expr) -> list[ast.expr]:
    """Split ``a < b < c`` into ``a < b`` and ``b < c``, which can also be evaluated for arrays."""
    if not isinstance(node, ast.Compare):
        return [node]
    return [
        ast.Compare(left, [op], [right])
        for left, op, right in zip([node.left, *node.comparators[:-1]], node.ops, node.comparators, strict=True)
    ]


def _compile(node: ast.expr) -> CodeType:
    return compile(ast.fix_missing_locations(ast.Expression(node)), "<check>", "eval")


def parse_parameters(text: str, check: str = "") -> Parameters:
    """Parse a row's parameter text, such as ``"lr=1e-3, betas=(0.9, 0.999), nesterov=False"`` or ``"threshold, value"``.

    Integer defaults are read as floats unless the parameter is annotated: ``"weight: array = None, ignore_index: int = -100"``. A
    parameter that takes words lists them: ``"mode: Literal['min', 'max'] = None"``.
    """
    arguments = ast.parse(f"def f({text}): 0").body[0].args  # type: ignore[attr-defined]
    names = [a.arg for a in arguments.args]
    defaults = [REQUIRED] * (len(names) - len(arguments.defaults)) + [_number(d) for d in arguments.defaults]
    conditions = [
        (ast.unparse(node), tuple(map(_compile, _links(node))), frozenset(n.id for n in ast.walk(node) if isinstance(n, ast.Name)))
        for node in (_conjuncts(ast.parse(check, mode="eval").body) if check else [])
    ]
    kinds = {a.arg: a.annotation.id for a in arguments.args if isinstance(a.annotation, ast.Name)}
    words = {a.arg: ast.literal_eval(a.annotation.slice) for a in arguments.args if isinstance(a.annotation, ast.Subscript)}
    values = {name: int(v) if kinds.get(name) == "int" else v for name, v in zip(names, defaults, strict=True)}
    return Parameters(text, check, values, tuple(conditions), kinds, words)


def parse_docs(text: str) -> dict[str, str]:
    """Parse a row's documentation of its parameters: lines of ``name: text``."""
    return {name: words.strip() for name, _, words in (line.partition(":") for line in text.splitlines())}


def _number(node: ast.expr) -> Any:
    """Return the default in ``node``, with an integer as a float."""
    value = ast.literal_eval(node)
    return float(value) if type(value) is int else value


_T = TypeVar("_T")


class LazyTable(Mapping[str, _T]):
    """A mapping whose values are created on first access, because creating all classes of a table would slow down the import.

    Parameters
    ----------
    make : mapping of str to callable
        The function that creates the value, for each key.
    """

    def __init__(self, make: Mapping[str, Callable[[], _T]]) -> None:
        self._make = dict(make)
        self._made: dict[str, _T] = {}

    def __getitem__(self, name: str) -> _T:
        if name not in self._made:
            self._made.setdefault(name, self._make[name]())  # if two threads create it, both get the first one
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._make

    def __iter__(self) -> Iterator[str]:
        return iter(self._make)

    def __len__(self) -> int:
        return len(self._make)


def lazy_attributes(namespace: dict[str, Any], table: Mapping[str, Any], kind: str = "module") -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a module whose attributes are the values of ``table``, created on first access.

    Errors take their hints from the entry ``kind`` of `_hints.HINTS`.
    """
    module = namespace["__name__"]

    def get(name: str) -> Any:
        if name not in table:
            raise missing_name(kind, module, name)
        value = namespace[name] = table[name]
        return value

    return get


def lazy_modules(namespace: dict[str, Any], homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package that imports a module when one of its names is first used."""
    package = namespace["__name__"]

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules.get(package))
        value = namespace[name] = getattr(importlib.import_module(f".{homes[name]}", package), name)
        return value

    return get


def make_init(
    owner: str,
    parameters: Parameters,
    setup: Callable[..., None],
    *,
    before: str = "",
    after: str = "",
) -> Callable[..., None]:
    """Create an ``__init__`` with a real signature, as dataclasses do.

    The signature is ``(self, <before>, <parameters>, <after>)``, where ``before`` and ``after`` are source text such as
    ``"params: Any = None"`` and ``"*, reduction: str = 'mean'"``. The function verifies the parameters and calls
    ``setup(self, values, **others)``: ``values`` is a dict of the row's parameters as Python numbers, and ``others`` are the
    arguments of ``before`` and ``after`` by name.
    """
    source = ", ".join(part for part in ("self", before, parameters.signature(), after) if part)
    names = [a.arg for text in (before, after) if text for a in _arguments(text)]
    values = ", ".join(f"{name!r}: {name}" for name in parameters.defaults)
    others = "".join(f", {name}={name}" for name in names)
    body = f"    values = {{{values}}}\n    verify({owner!r}, values)\n    setup(self, plain(values){others})"
    function: Callable[..., None] = make_function(
        f"def __init__({source}) -> None:\n{body}", {"verify": parameters.verify_scalars, "setup": setup, "plain": parameters.plain}
    )
    function.__qualname__ = f"{owner}.__init__"
    return function


def make_function(source: str, names: Mapping[str, Any]) -> Any:
    """Compile the function that ``source`` defines, with ``names`` as its globals; annotations stay strings."""
    space = {"Any": Any, "ArrayLike": ArrayLike, **names}
    exec(compile(f"from __future__ import annotations\n{source}", "<pynn>", "exec"), space)
    return space.popitem()[1]


def _arguments(text: str) -> list[ast.arg]:
    arguments: ast.arguments = ast.parse(f"def f({text}): 0").body[0].args  # type: ignore[attr-defined]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]


def _plain_value(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return tuple(map(_plain_value, value))
    if value is None or isinstance(value, str):
        return value
    return bool(value) if isinstance(value, (bool, np.bool_)) else float(value)


_SYNONYMS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("ce", "categoricalcrossentropy", "sparsecategoricalcrossentropy"), ("cross_entropy",)),
    **dict.fromkeys(("meansquarederror", "squarederror"), ("mse",)),
    **dict.fromkeys(("mae", "meanabsoluteerror", "absoluteerror"), ("l1", "mae")),
    "rootmeansquarederror": ("rmse",),
    "meanabsolutepercentageerror": ("mape",),
    "meansquaredlogarithmicerror": ("msle",),
    "logcosherror": ("log_cosh",),
    **dict.fromkeys(("gce", "categoricalgeneralizedcrossentropy"), ("generalized_cross_entropy",)),
    "acc": ("accuracy",),
    "rocaucscore": ("roc_auc",),
    "f1score": ("f1",),
    "fbetascore": ("fbeta",),
    "jaccardscore": ("jaccard",),
    "meaniou": ("mean_iou",),
    "pearsoncorrelation": ("pearson",),
    "concordancecorrelation": ("concordance",),
    "r2score": ("r2",),
    **dict.fromkeys(("kld", "kldivergence", "kullbackleiblerdivergence"), ("kl_div",)),
    "negativeloglikelihood": ("nll",),
    "gradientdescent": ("sgd",),
    **dict.fromkeys(("lm", "marquardt"), ("levenberg_marquardt",)),
}
"""Names in other libraries, as lowercase letters and digits, and the equivalent names here. `known_name` accepts them."""

_SUGGESTIONS: dict[str, tuple[str, ...]] = {
    **_SYNONYMS,
    **dict.fromkeys(("binarycrossentropy", "log", "logistic"), ("bce", "bce_with_logits", "log_loss")),
    "softmaxcrossentropy": ("cross_entropy",),
    **dict.fromkeys(("binaryfocalcrossentropy", "categoricalfocalcrossentropy"), ("focal", "sigmoid_focal")),
    "l2": ("mse",),
    "rootmeansquarederror": ("rmse", "mse"),
    "cosinesimilarity": ("cosine_similarity", "cosine_embedding"),
    **dict.fromkeys(("binaryaccuracy", "categoricalaccuracy", "sparsecategoricalaccuracy"), ("accuracy",)),
    "auc": ("roc_auc",),
    "momentum": ("sgd",),
    "linear": ("identity",),
}
"""The names here that an error suggests for names in other libraries, which include the synonyms."""


def known_name(kind: str, name: object, known: Iterable[str]) -> str:
    """Return the name among ``known`` that ``name`` refers to, ignoring case and separators and allowing synonyms.

    Raises
    ------
    ValueError
        If no name matches, or more than one.
    """
    known = list(known)
    if name in known:
        return str(name)
    bare = _bare(name) if isinstance(name, str) else ""
    found = [one for one in known if bare and _bare(one) == bare] or [one for one in _SYNONYMS.get(bare, ()) if one in known]
    if len(found) != 1:
        raise unknown_name(kind, name, known)
    return found[0]


def _bare(name: object) -> str:
    """Return the letters and digits of a name in lower case, without the suffix "loss"."""
    return "".join(filter(str.isalnum, str(name).lower())).removesuffix("loss")


def unknown_name(kind: str, name: object, known: Iterable[str]) -> ValueError:
    """Return the error for a name that is not in ``known``, with suggestions: other spellings, other libraries' names, close matches."""
    known = list(known)
    bare = _bare(name)
    close = [own for own in known if bare and _bare(own) == bare] or [own for own in _SUGGESTIONS.get(bare, ()) if own in known]
    if not close:
        import difflib  # a misspelt name is rare, and the module takes a millisecond to load

        close = difflib.get_close_matches(str(name).lower(), known, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ";"
    return ValueError(f"unknown {kind} {name!r}{hint} known: {', '.join(known)}")


def check_count(name: str, value: object, least: int) -> None:
    """Raise ValueError unless ``value`` is an integer from ``least`` to ``sys.maxsize``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not least <= value <= sys.maxsize:
        raise ValueError(f"{name}: expected an integer of {least} or more, at most {sys.maxsize}, got {value!r}")
