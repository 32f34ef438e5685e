#!/bin/sh
# packaging/deps/duckdb.sh -- fetches libduckdb.so and duckdb.h into a cache.
#
# usage: packaging/deps/duckdb.sh [--print-dir | --force]
#
#   --print-dir  only print the directory (with lib/ and include/) that they
#                have, or will have, in the cache
#   --force      fetch again even if they are there
#
# Debian has no DuckDB.  The library comes from the npm package that DuckDB
# publishes for its Node bindings, the header from the package "duckdb", which
# carries the sources.  Both are pinned by version and integrity hash in
# duckdb.lock; nothing of them is run.  With configure's --with-duckdb=DIR any
# other libduckdb does.
#
# The cache is $VENTURI_CACHE, or else venturi/ in $XDG_CACHE_HOME or ~/.cache.

# shellcheck disable=SC2015
set -eu

lock=$(dirname "$0")/duckdb.lock
header=package/src/duckdb/src/include/duckdb.h

fail() {
    echo "duckdb.sh: $*" >&2
    exit 1
}

print_dir=false
force=false
for arg; do
    case $arg in
        --print-dir) print_dir=true ;;
        --force) force=true ;;
        --help | -h) sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) fail "\"$arg\" is not an option; see --help" ;;
    esac
done

# lock_get WHAT FIELD: one field of the lock file's row for WHAT.
lock_get() {
    awk -v what="$1" -v field="$2" '$1 == what { print $field }' "$lock"
}

arch=$(uname -m)
cache=${VENTURI_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/venturi}
library_package=$(lock_get "$arch" 2)
header_package=$(lock_get headers 2)
test -n "$library_package" ||
    fail "DuckDB publishes no library for $arch; configure" \
         "--with-duckdb=DIR with one of your own"
dir=$cache/duckdb-${library_package##*@}-${header_package##*@}-$arch

if $print_dir; then
    echo "$dir"
    exit 0
fi

there() {
    test -s "$dir/lib/libduckdb.so" && test -s "$dir/include/duckdb.h"
}

mkdir -p "$cache"
exec 9>"$cache/duckdb.lock"
flock 9                         # Another run may be fetching right now.
if there && ! $force; then
    exit 0
fi
command -v npm >/dev/null ||
    fail "npm is missing (packaging/deps/debian.sh fetch)"

work=$(mktemp -d "$cache/.duckdb-fetch-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
log=$work/log

# The base64 of an integrity as sha512sum writes it.
hex() {
    printf '%s' "${1#sha512-}" | base64 -d | od -An -v -tx1 | tr -d ' \n'
}

# fetch WHAT PACKAGE FILE: PACKAGE's archive, verified, as FILE.
fetch() {
    wanted=$(lock_get "$1" 3)
    case $wanted in
        sha512-?*) ;;
        *) fail "duckdb.lock has no sha512 integrity for $2" ;;
    esac
    mkdir "$work/$1"
    echo "duckdb.sh: fetching $2"
    (cd "$work/$1" && npm pack --ignore-scripts --silent "$2") \
        >"$log" 2>&1 9>&- || {
        tail -n 15 "$log" >&2
        fail "npm could not fetch $2 (see above)"
    }
    set -- "$2" "$3" "$work/$1"/*.tgz
    test $# = 3 && test -f "$3" || fail "npm left no archive of $1"
    if test "$(sha512sum <"$3" | cut -c1-128)" != "$(hex "$wanted")"; then
        fail "the archive of $1 is not the one that" \
             "packaging/deps/duckdb.lock names (integrity mismatch):" \
             "nothing was installed"
    fi
    mv "$3" "$2"
}

fetch "$arch" "$library_package" "$work/library.tgz"
fetch headers "$header_package" "$work/headers.tgz"

mkdir -p "$work/out/lib" "$work/out/include"
tar xOf "$work/library.tgz" package/libduckdb.so >"$work/out/lib/libduckdb.so"
tar xOf "$work/headers.tgz" $header >"$work/out/include/duckdb.h"
chmod 755 "$work/out/lib/libduckdb.so"

# Nobody sees half of it: it gets its name when it is complete.
if test -e "$dir"; then
    mv "$dir" "$work/old"
fi
mv "$work/out" "$dir"
echo "duckdb.sh: $dir"
