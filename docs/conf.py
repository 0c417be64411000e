"""Sphinx configuration of the documentation site: ``python -m sphinx -W docs build/site`` (extra ``docs``).

The pages are the Markdown files of this directory. The reference is generated: `write_reference` lists the public names of each
module, and autosummary makes a page for each of them from its docstring.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pynn

HERE = Path(__file__).parent
REFERENCE = HERE / "reference"

project, author, release = "pynn", "the pynn developers", pynn.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "sphinx_copybutton"]
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb"}  # the first is that of generated pages
templates_path = ["_templates"]
nb_execution_mode = "auto"  # pages with a kernel in their header; tests/test_docs.py runs the code of the others
nb_execution_raise_on_error = True
nb_execution_timeout = 120
myst_heading_anchors = 4
suppress_warnings = ["myst.xref_missing"]  # links to files outside docs; tests/test_docs.py checks those inside
autosummary_generate = True
autodoc_typehints = "none"
numpydoc_class_members_toctree = False
numpydoc_show_class_members = False
copybutton_prompt_text = ">>> "

html_theme = "pydata_sphinx_theme"
html_title = "pynn"
html_show_sourcelink = False
html_sidebars = {"*": []}  # only the reference has pages below it
html_theme_options = {
    "header_links_before_dropdown": 6,
    "show_nav_level": 2,
    "show_prev_next": False,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
}

TITLES = {
    "activations": "Activation functions",
    "grad": "Derivatives of activations",
    "layers": "Layers",
    "model": "Models",
    "compose": "Branches and sums",
    "losses": "Losses",
    "optim": "Optimizers",
    "optim.lr_scheduler": "Learning-rate schedules",
    "functional": "Functions with PyTorch's names",
    "callbacks": "Callbacks",
    "metrics": "Metrics",
    "init": "Initial weights",
    "lab": "The laboratory",
    "plot": "Pictures",
    "datasets": "Data sets and tables",
    "io": "Files",
    "testing": "Testing",
    "utils": "Weights and parameters as vectors",
    "constraints": "Constraints on weights",
    "sklearn": "Estimators for scikit-learn",
}
"""The pages of the reference, in order; a module that is missing here is an error, see `write_reference`."""


def public(module: ModuleType) -> list[str]:
    """Return the names that a module exports, without its modules."""
    return [name for name in getattr(module, "__all__", ()) if not isinstance(getattr(module, name), ModuleType)]


def groups() -> Iterator[tuple[str, str, list[str]]]:
    """Yield the file name, the title and the full names of each page."""
    rest = dict.fromkeys(f"pynn.{name}" for name in public(pynn))
    missing = {name for name in pynn.__all__ if isinstance(getattr(pynn, name), ModuleType)} - set(TITLES)
    if missing:
        raise ValueError(f"TITLES of docs/conf.py has no page for {', '.join(sorted(missing))}")
    seen: set[int] = set()
    for key, title in TITLES.items():
        module = importlib.import_module(f"pynn.{key}")
        names = []
        for name in public(module):
            value = getattr(module, name)
            if id(value) in seen:
                continue  # an alias
            seen.add(id(value))
            full = f"pynn.{name}" if getattr(pynn, name, None) is value else f"pynn.{key}.{name}"
            rest.pop(full, None)
            names.append(full)
        yield key.replace(".", "_"), title, names
    yield "training", "Training, files and threads", list(rest)


def write_reference(app: Any, config: Any) -> None:
    """Write a page for each module of the package, which lists its public names."""
    REFERENCE.mkdir(exist_ok=True)
    pages = list(groups())
    index = ["Reference", "=========", "", "Every public name, from its docstring.", "", ".. toctree::", "   :maxdepth: 1", ""]
    write(REFERENCE / "index.rst", [*index, *(f"   {name}" for name, _, _ in pages)])
    for name, title, members in pages:
        table = [".. autosummary::", "   :toctree: names", "   :nosignatures:", "", *(f"   {member}" for member in members)]
        write(REFERENCE / f"{name}.rst", [title, "=" * len(title), "", *table])


def write(path: Path, lines: list[str]) -> None:
    """Write a file if its text differs, so that Sphinx does not read an unchanged page again."""
    text = "\n".join(lines) + "\n"
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def setup(app: Any) -> None:
    app.connect("config-inited", write_reference)  # before Sphinx looks for pages
