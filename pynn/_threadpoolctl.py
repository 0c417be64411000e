"""The registration with threadpoolctl, whose limits then apply to pynn."""

from __future__ import annotations

import sys
from typing import Any

from . import _core


def register_when_imported() -> None:
    """Register with threadpoolctl now if it has been imported, and otherwise when it is."""
    sys.meta_path.insert(0, _Finder())
    threadpoolctl = sys.modules.get("threadpoolctl")
    if hasattr(threadpoolctl, "register"):
        _register(threadpoolctl)


def _register(threadpoolctl: Any) -> None:
    class PynnController(threadpoolctl.LibController):  # type: ignore[misc]
        """The threads of pynn; their number is that of the process."""

        user_api = internal_api = "pynn"
        filename_prefixes = ("_core",)
        check_symbols = ("pynn_get_num_threads",)  # many packages have a library called _core

        def get_num_threads(self) -> int:
            return int(self.dynlib.pynn_get_num_threads())

        def set_num_threads(self, num_threads: int) -> None:
            self.dynlib.pynn_set_num_threads(num_threads)

        def get_version(self) -> str:
            return _core.VERSION

    threadpoolctl.register(PynnController)


class _Finder:
    """Finds threadpoolctl with the finders after it, and makes its loader register pynn; finds no other module.

    It stays in ``sys.meta_path``, since a module that is imported again or reloaded has forgotten the registration.
    """

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != "threadpoolctl":
            return None
        later: list[Any] = sys.meta_path[sys.meta_path.index(self) + 1 :]
        specs = (finder.find_spec(name, path, target) for finder in later if hasattr(finder, "find_spec"))
        spec = next((one for one in specs if one is not None), None)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader:
    """A loader that registers pynn after loading the module, which then has its original loader."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def create_module(self, spec: Any) -> Any:
        return self.loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        module.__loader__ = module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        if hasattr(module, "register"):  # since version 3.2
            _register(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)
