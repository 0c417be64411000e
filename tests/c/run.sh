#!/bin/sh
# Builds each tests/c/test_*.c with all of csrc/core and runs it:  sh tests/c/run.sh [compiler [flags...]]
# Flags add to $CFLAGS; $CC is the compiler where no argument names one; $RUNNER runs the programs of another target:
#   sh tests/c/run.sh gcc -O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all
#   RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu" sh tests/c/run.sh aarch64-linux-gnu-gcc
# Flags that name a sanitizer are used for linking too. A test says in its first comment what else it links with.
# As many programs run at once as there are processors; all run, and one that fails fails this. $TESTS names those to run, such as
# "engine pool"; by default all.
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
    ls tests/c/test_*.c
fi >"$OUT/names"
while read -r test; do
    $CC $(sed -n 's/^all //p' csrc/flags) -g ${CFLAGS:-} "$@" -Icsrc "$test" "$OUT"/*.o -lm \
        $(sed -n 's/.*link with: \(.*\) \*\//\1/p' "$test") -o "$OUT/$(basename "$test" .c)"
done <"$OUT/names"
printf '%s\n' "$OUT"/test_* | xargs -n 1 -P "$(getconf _NPROCESSORS_ONLN)" ${RUNNER:-env}
