#!/bin/sh
# packaging/deps/ovs.sh -- builds libopenvswitch, once, into a cache.
#
# usage: packaging/deps/ovs.sh [--print-dir | --force]
#
#   --print-dir  only print the directory that the built tree has (or will
#                have) in the cache
#   --force      build again even if it is there
#
# Debian has no libopenvswitch-dev: the package openvswitch-source brings the
# sources "for reproducible integrated builds with sibling projects".  The
# result is a configured tree with headers and a static library with position
# independent code, as configure's --with-ovs-source wants it, plus a file
# venturi-stamp that says what it was made from: a new version is built anew.
#
# The cache is $VENTURI_CACHE, or else venturi/ in $XDG_CACHE_HOME or ~/.cache.

# shellcheck disable=SC2015
set -eu

tarball=/usr/src/openvswitch/openvswitch.tar.gz

fail() {
    echo "ovs.sh: $*" >&2
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

cache=${VENTURI_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/venturi}
version=$(dpkg-query -W -f='${Version}' openvswitch-source 2>/dev/null) ||
    version=
test -n "$version" && test -r "$tarball" ||
    fail "no $tarball: install the package openvswitch-source" \
         "(packaging/deps/debian.sh build)"
upstream=${version#*:}
dir=$cache/ovs-${upstream%%-*}-$(uname -m)

if $print_dir; then
    echo "$dir"
    exit 0
fi

stamp="openvswitch-source $version $(sha256sum <"$tarball" | cut -c1-64)"
built() {
    test -s "$dir/lib/.libs/libopenvswitch.a" &&
        test "$(cat "$dir/venturi-stamp" 2>/dev/null)" = "$stamp"
}

mkdir -p "$cache"
exec 9>"$cache/ovs.lock"
flock 9                         # Another run may be building it right now.
if built && ! $force; then
    exit 0
fi

for tool in gcc make python3 tar; do
    command -v $tool >/dev/null ||
        fail "$tool is missing (packaging/deps/debian.sh build)"
done

work=$(mktemp -d "$cache/.ovs-build-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
log=$work/log
echo "ovs.sh: building libopenvswitch $version (about a minute, once)"

step() {
    "$@" >>"$log" 2>&1 9>&- && return 0
    tail -n 30 "$log" >&2
    fail "failed (see above): $*"
}

step tar xf "$tarball" -C "$work" --no-same-owner
cd "$work/openvswitch"
# rundir and dbdir are compiled in: these are Debian's.
step ./configure --prefix=/usr --sysconfdir=/etc --localstatedir=/var \
    --enable-ssl --disable-shared --disable-afxdp CFLAGS="-O2 -g -fPIC"
step make -s include/odp-netlink.h include/odp-netlink-macros.h \
    lib/vswitch-idl.c lib/vswitch-idl.h \
    lib/ovsdb-server-idl.c lib/ovsdb-server-idl.h \
    ofproto/ipfix-entities.def include/openvswitch/version.h lib/dirs.c
step make -s -j"$(nproc)" lib/libopenvswitch.la

echo "$stamp" >venturi-stamp
find . \( -name '*.o' -o -name '*.lo' \) -delete
rm -rf Documentation tests .git

# Nobody sees a half-built tree: it gets its name when it is complete.
cd "$cache"
if test -e "$dir"; then
    mv "$dir" "$work/old"
fi
mv "$work/openvswitch" "$dir"
echo "ovs.sh: $dir"
