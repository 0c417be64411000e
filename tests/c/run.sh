#!/bin/sh
# Builds each tests/c/test_*.c with all of csrc/core and runs it:  sh tests/c/run.sh [compiler [flags...]]
# Flags add to $CFLAGS; $CC is the compiler where no argument names one; $RUNNER runs the programs of another target:
#   sh tests/c/run.sh gcc -fsanitize=address,undefined -fno-sanitize-recover=all
#   RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu" sh tests/c/run.sh aarch64-linux-gnu-gcc
# Flags that name a sanitizer are used for linking too. A test says in its first comment what else it links with.
# Stops at the first program that fails.
set -eu
cd "$(dirname "$0")/../.."
CC=${1:-${CC:-cc}}
[ $# -eq 0 ] || shift
FLAGS="-std=c11 -O3 -g -Wall -Wextra -fno-math-errno -fno-trapping-math -ffp-contract=fast -fvisibility=hidden -pthread ${CFLAGS:-} $*"
OUT=$(mktemp -d)
trap 'rm -rf "$OUT"' EXIT

kernels() { # kernels NAME [FLAGS]: the kernels of one instruction set
    isa=$1
    shift
    $CC $FLAGS "$@" -DPN_ISA="$isa" -c csrc/core/kernels.c -o "$OUT/kernels_$isa.o"
}
case $($CC -dumpmachine) in
x86_64*)
    kernels base &
    kernels avx2 -mavx2 -mfma &
    kernels avx512 -mavx512f -mavx512dq -mavx512vl -mavx512bw -mfma -mprefer-vector-width=512
    ;;
aarch64*) kernels neon ;;
*) kernels base ;;
esac
wait
for source in csrc/core/*.c csrc/core/layers/*.c; do
    [ "$source" = csrc/core/kernels.c ] || $CC $FLAGS -c "$source" -o "$OUT/$(basename "$source" .c).o"
done
for test in tests/c/test_*.c; do
    $CC $FLAGS -Icsrc "$test" "$OUT"/*.o -lm $(sed -n 's/.*link with: \(.*\) \*\//\1/p' "$test") -o "$OUT/program"
    ${RUNNER:-} "$OUT/program"
done
