#!/bin/sh
# Compiles csrc/core for other systems with zig, and runs what can run here:  sh tests/c/cross.sh [PYTHON]
# PYTHON is an interpreter that has ziglang and wasmtime from PyPI. Windows and macOS: compiled only. WebAssembly:
# examples/train.c runs. musl: the C tests run. Warnings are errors.
set -eu
cd "$(dirname "$0")/../.."
PYTHON=${1:-python3}
OUT=$(mktemp -d)
trap 'rm -rf "$OUT"' EXIT
# by default zig caches in the home directory
export ZIG_GLOBAL_CACHE_DIR="$OUT/cache" ZIG_LOCAL_CACHE_DIR="$OUT/cache" CFLAGS=-Werror

compile() { # compile TARGET [FLAGS]: the core, into objects in $OUT/TARGET
    target=$1
    shift
    mkdir "$OUT/$target"
    sh tests/c/core.sh "$OUT/$target" "$PYTHON -m ziglang cc -target $target" -O1 "$@"
    echo "$target: compiled"
}
compile x86_64-windows-gnu
compile aarch64-macos
compile wasm32-wasi -msimd128
"$PYTHON" -m ziglang cc -target wasm32-wasi -std=c11 -O1 -Wall -Wextra -Werror -msimd128 -Icsrc examples/train.c \
    "$OUT"/wasm32-wasi/*.o -lm -o "$OUT/train.wasm"
"$PYTHON" -c 'import sys, wasmtime as w
engine = w.Engine()
store, linker = w.Store(engine), w.Linker(engine)
wasi = w.WasiConfig()
wasi.inherit_stdout()
wasi.inherit_stderr()
store.set_wasi(wasi)
linker.define_wasi()
try:
    linker.instantiate(store, w.Module.from_file(engine, sys.argv[1])).exports(store)["_start"](store)
except w.ExitTrap as end:
    sys.exit(end.code)' "$OUT/train.wasm"
sh tests/c/run.sh "$PYTHON -m ziglang cc -target x86_64-linux-musl" -O1
