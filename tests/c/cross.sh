#!/bin/sh
# Compiles csrc/core for other systems with zig, and runs what can run here:  sh tests/c/cross.sh [PYTHON]
# PYTHON is an interpreter that has ziglang and wasmtime from PyPI. examples/train.c is linked for Windows, macOS and
# WebAssembly, and runs as WebAssembly. The C tests are linked with musl and run. Warnings are errors.
set -eu
cd "$(dirname "$0")/../.."
PYTHON=${1:-python3}
OUT=$(mktemp -d)
trap 'rm -rf "$OUT"' EXIT
# by default zig caches in the home directory
export ZIG_GLOBAL_CACHE_DIR="$OUT/cache" ZIG_LOCAL_CACHE_DIR="$OUT/cache" CFLAGS=-Werror

link_example() { # link_example TARGET [FLAGS]: compile the core and examples/train.c into $OUT/TARGET/train
    target=$1
    shift
    mkdir "$OUT/$target"
    sh tests/c/core.sh "$OUT/$target" "$PYTHON -m ziglang cc -target $target" -O1 "$@"
    "$PYTHON" -m ziglang cc -target "$target" -std=c11 -O2 -Wall -Wextra -Werror "$@" -Icsrc examples/train.c \
        "$OUT/$target"/*.o -lm -o "$OUT/$target/train"
    echo "$target: compiled and linked"
}
link_example wasm32-wasi -msimd128
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
    sys.exit(end.code)' "$OUT/wasm32-wasi/train"
link_example x86_64-windows-gnu
link_example aarch64-macos
sh tests/c/run.sh "$PYTHON -m ziglang cc -target x86_64-linux-musl" -O1
