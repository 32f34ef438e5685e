#!/bin/sh
# packaging/deps/debian.sh -- installs what Venturi needs from Debian 12.
#
# usage: packaging/deps/debian.sh [--list | --missing] [GROUP]...
#
#   GROUP      build, run, test or fetch; without one: build, run and test
#   --list     print the packages of the groups, one a line, and end
#   --missing  print those that are not installed, and end
#
# Only what is missing is installed, in one go and without recommended
# packages; if nothing is missing, nothing is touched and no network is used.

# Lists of packages are split on purpose; the policy has its own $1.
# shellcheck disable=SC2016,SC2034,SC2086,SC2046
set -eu

# Compile and link: see configure.ac.
build="ca-certificates gcc libc6-dev make autoconf automake libtool pkg-config
    flex bison python3 openvswitch-source libev-dev libjson-c-dev
    libncurses-dev libyang2-dev liburcu-dev libcunit1-dev libcap-ng-dev libsystemd-dev
    libssl-dev libunbound-dev zlib1g-dev liblz4-dev libzstd-dev libbz2-dev
    libwebsockets-dev libwebsockets-evlib-ev libcurl4-openssl-dev"

# What the quickstart plays with.
run="openvswitch-switch iproute2 iputils-ping ethtool procps python3"

# What "make check" and "make distcheck" need on top of these; nfdump and
# tshark are second opinions about what venturi-gen sends; softflowd, pmacctd
# and fprobe are exporters, bird2, frr, gobgpd
# and exabgp BGP speakers, bgpdump a reader of MRT, ovn a network, that nobody
# here wrote, libvirtd and podman run what has endpoints; clang is the other
# compiler; zsh completes, and prometheus brings promtool; the packages are
# built, too.
test="iproute2 iputils-ping ethtool openvswitch-switch python3 openssl
    xz-utils procps socat tmux curl jq wrk node-ws python3-jsonschema nfdump
    nfdump-sflow tshark softflowd pmacct fprobe
    bird2 frr gobgpd exabgp bgpdump ovn-central ovn-host
    libvirt-daemon libvirt-clients podman crun netavark iptables clang
    zsh prometheus
    dpkg-dev debhelper chrpath lintian rpm"

# packaging/deps/duckdb.sh: any npm will do, from wherever it comes.
fetch="ca-certificates npm"

say() {
    echo "debian.sh: $*"
}

fail() {
    echo "debian.sh: $*" >&2
    exit 1
}

usage() {
    sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
}

mode=install
groups=
for arg; do
    case $arg in
        --list) mode=list ;;
        --missing) mode=missing ;;
        --help | -h) usage; exit 0 ;;
        build | run | test | fetch) groups="$groups $arg" ;;
        *) fail "\"$arg\" is not an option or a group; see --help" ;;
    esac
done

wanted=
for group in ${groups:-build run test}; do
    eval "wanted=\"\$wanted \$$group\""
done
wanted=$(printf '%s\n' $wanted | sort -u)

if test $mode = list; then
    printf '%s\n' "$wanted"
    exit 0
fi

command -v dpkg-query >/dev/null ||
    fail "this is not a Debian system; the packages to look for are:" $wanted

# A package counts as there if it is installed, or if what we want of it is.
have() {
    case $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) in
        installed) return 0 ;;
    esac
    case $1 in
        npm) command -v npm >/dev/null ;;
        pkg-config) command -v pkg-config >/dev/null ;;
        *) return 1 ;;
    esac
}

missing=
for package in $wanted; do
    have "$package" || missing="$missing $package"
done
missing=${missing# }

if test $mode = missing; then
    test -z "$missing" || printf '%s\n' $missing
    exit 0
fi
test -n "$missing" || exit 0

if test "$(id -u)" != 0; then
    fail "these packages are missing; as root: apt-get update &&" \
         "apt-get install --no-install-recommends $missing"
fi

say "installing $(printf '%s\n' $missing | wc -l) packages:" $missing
export DEBIAN_FRONTEND=noninteractive
apt="apt-get -q -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120"
log=$(mktemp)
policy=
trap 'rm -f "$log" $policy' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

run_apt() {
    $apt "$@" >"$log" 2>&1 && return 0
    tail -n 25 "$log" >&2
    return 1
}

run_apt update || fail "apt-get update failed (see above)"

# Packages of the test group start collectors and exporters, on the very ports
# that venturid listens on, or fail to.  We want their programs only: what was
# not there before is neither started nor enabled.
quiet=
for service in nfdump softflowd fprobe pmacctd nfacctd sfacctd bird frr gobgpd \
    exabgp prometheus; do
    case " $missing " in
        *" $service "* | *" ${service}2 "* | *" pmacct "*)
            quiet="$quiet $service" ;;
    esac
done
if test -n "$quiet" && ! test -e /usr/sbin/policy-rc.d; then
    policy=/usr/sbin/policy-rc.d
    cat >$policy <<EOF
#!/bin/sh
case " $quiet " in *" \$1 "*) exit 101 ;; esac
EOF
    chmod 755 $policy
fi
run_apt install --no-install-recommends $missing ||
    fail "apt-get install failed (see above)"
for service in $quiet; do
    if test -e /etc/init.d/$service; then
        update-rc.d $service disable >/dev/null 2>&1 || :
        say "the service $service is left off (systemctl enable $service)"
    fi
done
say "done"
