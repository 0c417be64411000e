#!/bin/sh
# Compiles all of csrc/core into DIRECTORY, as users get it:  sh tests/c/core.sh DIRECTORY COMPILER [flags...]
set -eu
cd "$(dirname "$0")/../.."
OUT=$1 CC=$2
shift 2
FLAGS="-std=c11 -O3 -g -Wall -Wextra -fno-math-errno -fno-trapping-math -ffp-contract=fast -fvisibility=hidden -pthread ${CFLAGS:-} $*"

kernels() { # kernels NAME [FLAGS]: the kernels of one instruction set
    isa=$1
    shift
    $CC $FLAGS "$@" -DPN_ISA="$isa" -c csrc/core/kernels.c -o "$OUT/kernels_$isa.o"
}
case $($CC -dumpmachine) in
x86_64*)
    kernels base &
    base=$!
    kernels avx2 -mavx2 -mfma &
    avx2=$!
    kernels avx512 -mavx512f -mavx512dq -mavx512vl -mavx512bw -mfma -mprefer-vector-width=512
    wait $base
    wait $avx2
    ;;
aarch64*) kernels neon ;;
*) kernels base ;;
esac
for source in csrc/core/*.c csrc/core/layers/*.c; do
    [ "$source" = csrc/core/kernels.c ] || $CC $FLAGS -c "$source" -o "$OUT/$(basename "$source" .c).o"
done
