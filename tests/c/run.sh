#!/bin/sh
# Builds each tests/c/test_*.c and examples/train.c with all of csrc/core and runs it:  sh tests/c/run.sh [compiler [flags...]]
# Flags add to $CFLAGS; $CC is the compiler where no argument names one; $RUNNER runs the programs of another target:
#   sh tests/c/run.sh gcc -O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all
#   RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu" sh tests/c/run.sh aarch64-linux-gnu-gcc
# The flags are used for linking too; tests that include allocator.h need the flags that it lists after "link with:".
# As many programs run at once as there are processors. All run, and the script fails if one fails. $TESTS lists tests to run
# instead, such as "engine pool".
set -eu
cd "$(dirname "$0")/../.."
CC=${1:-${CC:-cc}}
[ $# -eq 0 ] || shift
OUT=$(mktemp -d)
trap 'rm -rf "$OUT"' EXIT

sh tests/c/core.sh "$OUT" "$CC" "$@"
if [ "${TESTS:-}" ]; then
    for name in $TESTS; do echo "tests/c/test_$name.c"; done
else
    ls tests/c/test_*.c examples/train.c
fi >"$OUT/names"
mkdir "$OUT/bin"
while read -r source; do
    wrap= # layers.h includes allocator.h
    if grep -qE '"(allocator|layers).h"' "$source"; then wrap=$(sed -n 's/^ \* link with: //p' tests/c/allocator.h); fi
    $CC $(sed -n 's/^all //p' csrc/flags) -g ${CFLAGS:-} "$@" -Icsrc "$source" "$OUT"/*.o -lm $wrap \
        -o "$OUT/bin/$(basename "$source" .c)"
done <"$OUT/names"
printf '%s\n' "$OUT"/bin/* | xargs -n 1 -P "$(getconf _NPROCESSORS_ONLN)" ${RUNNER:-env}
