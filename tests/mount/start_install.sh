#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What `meson install` puts where, as install.sh has it: the programs, the helper of mount(8), the man pages and the service.
. "$(dirname "$0")/lib.sh"
need meson ninja cc
meson setup "$DIR/build" "$SOURCE" --prefix /usr/local -Dtests=false -Dhelperdir=/sbin --buildtype plain > "$DIR/setup.log" ||
	die 'meson setup'
DESTDIR=$DIR/root meson install -C "$DIR/build" > "$DIR/install.log" || die 'meson install'
cd "$DIR/root"
equal 'what is installed' "$(sort << 'END'
./sbin/mount.fuse.mqfs
./usr/local/bin/mqctl
./usr/local/bin/mqfs
./usr/local/lib/systemd/system/mqfs@.service
END
for page in "$SOURCE"/man/*.[1-9]; do
	echo "./usr/local/share/man/man${page##*.}/${page##*/}"
done | sort)" "$(find . ! -type d | sort)"
[ -e "$DIR/root$(readlink sbin/mount.fuse.mqfs)" ] || fail 'the helper of mount(8) leads to no program'
unit=usr/local/lib/systemd/system/mqfs@.service
read -r program _ < <(sed -n 's/^ExecStart=//p' $unit)
[ -x "$DIR/root$program" ] || fail "the service starts $program, which is no program"
no_match 'the service' '@[a-z]+@' "$(cat $unit)"
match 'the version of what is installed' 'mqfs' "$(usr/local/bin/mqfs --version)"
