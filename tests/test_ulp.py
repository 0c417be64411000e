"""The C references of tests/ulp against mpmath: value, derivative and its largest term, in each of their types.

The program itself takes minutes. CI runs a short version, ``python tests/ulp --stride 257``.
"""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from formula import Formula

from pynn import _core
from pynn._formula import FormulaError
from pynn._tables import parse_parameters

ULP = Path(__file__).parent / "ulp"
COMPILER = shlex.split(os.environ.get("CC", "gcc"))
# exact in float32, like the parameters 0.75 and 1.25
POINTS = [-700.0, -37.5, -9.1, -3.0, -1.53125, -0.3, -1e-5, 1e-30, 0.02, 0.5, 0.99, 2.75, 11.0, 88.0, 1e6]
TYPES = {"f32": 2.0**-53, "f64": 2.0**-64, "quad": 2.0**-113}
LARGEST = {"f32": 3.5e38, "f64": 1.797e308, "quad": 1.797e308}
MAIN = r"""
#include <math.h>
#include <quadmath.h>
#include <stdio.h>
#include <stdlib.h>
#include "references.h"
static void print(const char *name, const char *type, double x, const __float128 *r)
{
    char text[5][64];
    for (int i = 0; i < 5; i++) quadmath_snprintf(text[i], sizeof text[i], "%.36Qg", r[i]);
    printf("%s %s %a %s %s %s %s %s\n", name, type, x, text[0], text[1], text[2], text[3], text[4]);
}
#define ONE(f, t, T) do { \
    T r[5]; \
    f##_##t(x, p[0], p[1], 1, r, r + 1, r + 2, r + 3, r + 4); \
    print(#f, #t, x, (__float128[]){ r[0], r[1], r[2], r[3], r[4] }); \
} while (0)
#define ROW(f) ONE(f, f32, double); ONE(f, f64, long double); ONE(f, quad, __float128);
int main(int n, char **arg)
{
    const double p[] = { 0.75, 1.25 };
    for (int i = 1; i < n; i++) {
        const double x = atof(arg[i]);
        ROWS(ROW)
    }
    return 0;
}
"""


@pytest.mark.skipif(shutil.which(COMPILER[0]) is None, reason="needs a C compiler")
def test_c_references_match_mpmath(tmp_path: Path) -> None:
    formulas = {row["name"]: Formula(row["formula"], tuple(parse_parameters(row["params"]).defaults)) for row in _core.ACTIVATIONS}
    source = "".join(formula.c_source(name) for name, formula in formulas.items())
    (tmp_path / "formulas.h").write_text(f"{source}#define ROWS(ROW) {' '.join(f'ROW({name})' for name in formulas)}\n")
    (tmp_path / "main.c").write_text(MAIN)
    program = tmp_path / "main"
    command = [
        *COMPILER,
        "-std=gnu11",
        "-O1",
        "-ffp-contract=off",
        f"-I{tmp_path}",
        f"-I{ULP}",
        str(tmp_path / "main.c"),
        "-o",
        str(program),
    ]
    built = subprocess.run([*command, "-lquadmath", "-lm"], capture_output=True, text=True)
    if built.returncode and "quadmath" in built.stderr:
        pytest.skip("needs a compiler with libquadmath")
    assert built.returncode == 0, built.stderr
    printed = subprocess.run(
        [str(program), *(repr(float(np.float32(x))) for x in POINTS)], capture_output=True, text=True, check=True
    ).stdout
    assert len(printed.splitlines()) == len(formulas) * len(POINTS) * len(TYPES)
    for line in printed.splitlines():
        name, kind, at, *numbers = line.split()
        exact, given = formulas[name].exact(60), dict(zip(formulas[name].parameters, (0.75, 1.25), strict=False))
        v, v_bound, d, d_bound, s = numbers
        for which, got, bound in (("value", v, v_bound), ("derivative", d, d_bound), ("terms", s, d_bound)):
            expected = exact(which, float.fromhex(at), **given)
            error, number = abs(type(expected)(got) - expected), type(expected)
            allowed = number(bound) * TYPES[kind] + abs(expected) * ((8 * TYPES[kind] if which == "terms" else 0) + 2.0**-112)
            # beyond LIMIT exponentials are clamped: both values then underflow or overflow
            beyond = max(abs(expected), error) < 1e-200 or min(expected, number(got)) > LARGEST[kind]
            assert error <= allowed or beyond, (name, kind, at, which, got, expected)


def test_roots_with_cancellation_are_found_from_the_formula() -> None:
    """Roots where terms cancel are found; roots at 0 or of a single term are accurate and need no special treatment."""
    assert Formula("x / (1 + exp(-x))").has_root()
    assert Formula("x + sin(x)**2").has_root()
    assert not Formula("x * abs(x)").has_root()
    assert not Formula("x - tanh(x)").has_root()
    assert not Formula("x / (1 + abs(x))").has_root()
    assert not Formula("maximum(x, 0) + log1p(exp(-abs(x)))").has_root()


def test_unsupported_formula_raises() -> None:
    for text, message in (("gamma(x)", "unknown function"), ("x if x > 0 else 0", "not part of the language"), ("y + x", "unknown name")):
        with pytest.raises(FormulaError, match=message):
            Formula(text)


def test_promised_ulp_are_integers() -> None:
    """``judge.h`` relies on it."""
    assert all(float(row[which]).is_integer() for row in _core.ACTIVATIONS for which in ("ulp", "grad_ulp"))
