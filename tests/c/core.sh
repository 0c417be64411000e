#!/bin/sh
# Compiles csrc/core as users get it, into object files in DIRECTORY:  sh tests/c/core.sh DIRECTORY COMPILER [flags...]
set -eu
cd "$(dirname "$0")/../.."
OUT=$1 CC=$2
shift 2
FLAGS="$(sed -n 's/^all //p' csrc/flags) -g ${CFLAGS:-} $*"

running=
kernels() { # kernels NAME [FLAGS]: compile kernels.c for one instruction set in the background
    isa=$1
    shift
    $CC $FLAGS "$@" -DPN_ISA="$isa" -c csrc/core/kernels/kernels.c -o "$OUT/kernels_$isa.o" &
    running="$running $!"
}
macros=$($CC -dM -E -x c /dev/null)
while read -r macro isa flags; do
    case $macros in *"#define $macro "*) kernels "$isa" $flags ;; esac
done <csrc/flags
[ "$running" ] || kernels base
for source in csrc/core/*/*.c; do
    [ "$source" = csrc/core/kernels/kernels.c ] && continue
    $CC $FLAGS -c "$source" -o "$OUT/$(basename "$(dirname "$source")")_$(basename "$source" .c).o"
done
for process in $running; do wait "$process"; done
