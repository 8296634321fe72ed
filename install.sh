#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# install.sh - installs what mqfs needs, builds it, installs it. Debian 12 or newer, Ubuntu 24.04 or newer.
#
#	./install.sh                 packages, build, install to /usr/local; the helper of mount(8) to /sbin
#	./install.sh --prefix /usr   to somewhere else
#	./install.sh --packages      only the packages
#
# Run it as you like, as root or not: what needs root asks sudo, what does not need it runs as you. It may be run again at any time.
# To be rid of it: sudo ninja -C build/install uninstall

set -euo pipefail
cd "$(dirname "$0")"

prefix=/usr/local packages_only=0
while [ $# -gt 0 ]; do
	case $1 in
	--prefix) prefix=${2:?--prefix needs a directory} && shift ;;
	--prefix=*) prefix=${1#*=} ;;
	--packages) packages_only=1 ;;
	-h | --help) sed -n '4,11s/^# \{0,1\}//p' "$0" && exit 0 ;;
	*) echo "install.sh: $1: there is no such option; --help shows them" >&2 && exit 1 ;;
	esac
	shift
done

packages=(build-essential meson ninja-build pkg-config fuse3 libfuse3-dev libxxhash-dev libinih-dev libjansson-dev libsystemd-dev
	libssl-dev uthash-dev)

say() { printf 'install.sh: %s\n' "$*"; }
as_root=() as_user=()
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo > /dev/null || { say 'needs root: run it as root, or install sudo' >&2; exit 1; }
	as_root=(sudo)
elif [ -n "${SUDO_USER:-}" ] && [ "$SUDO_USER" != root ] && [ "$(stat -c %U .)" = "$SUDO_USER" ]; then
	# The build directory stays the user's, who may want to build again.
	as_user=(sudo -u "$SUDO_USER")
fi

# --- packages
command -v apt-get > /dev/null || {
	say "this is no Debian or Ubuntu: install what corresponds to these packages, then run meson: ${packages[*]}" >&2
	exit 1
}
missing=()
for package in "${packages[@]}"; do
	case $(dpkg-query -W -f '${Status}' "$package" 2> /dev/null) in
	*' installed') ;;
	*) missing+=("$package") ;;
	esac
done
if [ ${#missing[@]} -gt 0 ]; then
	say "installing ${missing[*]}"
	"${as_root[@]}" apt-get update -qq
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
fi
# fusermount3 wants this link, which bare images lack.
[ -e /etc/mtab ] || "${as_root[@]}" ln -sf ../proc/self/mounts /etc/mtab
[ $packages_only = 0 ] || exit 0

# --- build
say 'building in build/install'
log=$(mktemp)
trap 'rm -f "$log"' EXIT
run()
{
	"$@" > "$log" 2>&1 || { cat "$log" >&2; exit 1; }
}
if [ -e build/install/build.ninja ]; then
	run "${as_user[@]}" meson configure build/install --buildtype=release --prefix "$prefix" -Dhelperdir=/sbin
else
	run "${as_user[@]}" meson setup build/install --buildtype=release --prefix "$prefix" -Dtests=false -Dhelperdir=/sbin
fi
run "${as_user[@]}" ninja -C build/install

# --- install
say "installing to $prefix"
run "${as_root[@]}" ninja -C build/install install
if [ -d /run/systemd/system ]; then
	"${as_root[@]}" systemctl daemon-reload || true
fi
[ -e /dev/fuse ] || say 'note: there is no /dev/fuse here; mounting needs it (modprobe fuse, or --device /dev/fuse for a container)'
say "done: mqfs STORE MOUNTPOINT mounts a message queue; man mqfs says more"
