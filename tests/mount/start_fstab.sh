#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mount(8) mounts it: by type, from fstab, with the generic options, by the helper of mqfs or by mount.fuse3.
# mount(8) looks in the system's own directories only: /usr/local/sbin is one of ours here, which nobody else sees.
[ "$(id -u)" -ne 0 ] || [ -n "${OWN_MOUNTS:-}" ] || OWN_MOUNTS=1 exec unshare --mount "$BASH" "$0"
. "$(dirname "$0")/lib.sh"
need_root
need mount.fuse3
[ -d /usr/local/sbin ] || skip 'there is no /usr/local/sbin'
mkdir "$DIR/sbin"
ln -s "$MQFS" "$DIR/sbin/mqfs"
mount --bind "$DIR/sbin" /usr/local/sbin
PATH=/usr/local/sbin:$PATH

mounted()
{
	wait_for "the mount ($1)" test -e "$MNT/.mqfs/pid"
	mqfs_adopt
	[ -e "$MNT/t" ] || mkdir "$MNT/t"
	echo "$1" >> "$MNT/t/0"
	equal "$1: the last message" "$1" "$(tail -n 1 "$MNT/t/0")"
}
unmount()
{
	umount "$MNT"
	wait_gone "$PID"
}

# --- mount.fuse3, as fstab's fuse.mqfs comes to it where there is no helper; it adds dev and suid
mkdir "$MNT"
if [ ! -e /sbin/mount.fuse.mqfs ]; then
	bounded mount -t fuse.mqfs -o commit=close,_netdev,nofail "$STORE" "$MNT"
	mounted 'mount -t fuse.mqfs'
	equal 'an option' close "$(cat "$MNT/t/.config/commit")"
	match 'options' 'nosuid,nodev,noexec' "$(findmnt -n -o OPTIONS "$MNT")"
	unmount
	cat > "$DIR/fstab" << END
$STORE $MNT fuse.mqfs rw,noauto,user,nofail,_netdev,noatime,x-systemd.device-timeout=5,comment=mine,max_message=1M,commit=close 0 0
END
	bounded mount --fstab "$DIR/fstab" "$MNT"
	mounted fstab
	equal 'an option of fstab' 1M "$(cat "$MNT/t/.config/max_message")"
	match 'noatime' noatime "$(findmnt -n -o OPTIONS "$MNT")"
	unmount
	refused 'a bad option' 'commit=maybe' mount -t fuse.mqfs -o commit=maybe "$STORE" "$MNT"
fi
bounded mount.fuse3 "$STORE" "$MNT" -t fuse.mqfs -o rw,commit=close
mounted mount.fuse3
unmount

# --- the helper, called as mount(8) calls one
ln -s "$MQFS" "$DIR/mount.fuse.mqfs"
bounded "$DIR/mount.fuse.mqfs" "$STORE" "$MNT" -s -n -v -t fuse.mqfs -o rw,nosuch=1,commit=close
mounted helper
equal 'an option for the helper' close "$(cat "$MNT/t/.config/commit")"
unmount
bounded "$DIR/mount.fuse.mqfs" "$STORE" "$MNT" -f -o rw
equal 'mount -f mounts nothing' '' "$(findmnt -n "$MNT" || true)"
status 'a bad option' 1 "$DIR/mount.fuse.mqfs" "$STORE" "$MNT" -o nosuch=1
status 'a mountpoint that is none' 32 "$DIR/mount.fuse.mqfs" "$STORE" /dev/null -o rw
