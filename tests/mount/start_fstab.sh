#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mount(8) mounts it: by type, from fstab, with the generic options, by the helper of mqfs or by mount.fuse3.
# mount(8) looks in the system's own directories only: /usr/local/sbin and /sbin are ours here, which nobody else sees.
[ "$(id -u)" -ne 0 ] || [ -n "${OWN_MOUNTS:-}" ] || OWN_MOUNTS=1 exec unshare --mount "$BASH" "$0"
. "$(dirname "$0")/lib.sh"
need_root
need mount.fuse3 nsenter
[ -d /usr/local/sbin ] || skip 'there is no /usr/local/sbin'
mkdir "$DIR/sbin"
ln -s "$MQFS" "$DIR/sbin/mqfs"
mount --bind "$DIR/sbin" /usr/local/sbin
PATH=/usr/local/sbin:$PATH
mkdir "$DIR/helpers"
cp "$(command -v mount.fuse3)" "$DIR/helpers/"
ln -s mount.fuse3 "$DIR/helpers/mount.fuse"
mount --bind "$DIR/helpers" "$(readlink -f /sbin)"

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
bounded mount.fuse3 "$STORE" "$MNT" -t fuse.mqfs -o rw,commit=close
mounted mount.fuse3
unmount

# --- mount -o remount makes a live mount read-only, and writable again; it is one mount, served by the same mqfs
ln -s "$MQFS" "$DIR/mount.fuse.mqfs"
option_of_mount() { findmnt -n -o OPTIONS "$MNT"; }
# remounts: by mount(8), by whichever helper it finds
remounts()
{
	bounded mount -o noatime -t fuse.mqfs "$STORE" "$MNT"
	mounted "before a remount $1"
	bounded mount -o remount,ro "$MNT" || fail "$1: remount,ro"
	match "$1: ro" '^ro,nosuid,nodev,noexec,noatime,' "$(option_of_mount)"
	refused "$1: an append to a mount that is ro" 'Read-only' bash -c 'echo no >> "$0/t/0"' "$MNT"
	equal "$1: who serves it" "$PID" "$(cat "$MNT/.mqfs/pid")"
	# fstab's options come as well: those of mqfs stay as they were
	echo "$STORE $MNT fuse.mqfs noatime,nofail,x-systemd.automount,commit=close 0 0" > "$DIR/fstab"
	bounded mount --fstab "$DIR/fstab" -o remount,rw "$MNT" || fail "$1: remount,rw"
	match "$1: rw" '^rw,nosuid,nodev,noexec,noatime,' "$(option_of_mount)"
	echo "$1" >> "$MNT/t/0"
	bounded mount -o remount,nodiratime,nosymfollow,strictatime,lazytime,iversion,silent "$MNT" || fail "$1: remount with what mqfs ignores"
	match "$1: still rw" '^rw,' "$(option_of_mount)"
	exec 7>> "$MNT/t/0"
	refused "$1: ro with a file open for writing" 'open for writing' mount -o remount,ro "$MNT"
	exec 7>&-
	equal "$1: mounts" "$STORE" "$(findmnt -n -o SOURCE "$MNT")"
	refused "$1: another store" "the mount of $STORE" "$DIR/mount.fuse.mqfs" "$DIR/store2" "$MNT" -o remount,ro
	unmount
}
remounts 'by mount.fuse3'
refused 'remount of nothing' 'no mqfs is mounted' "$DIR/mount.fuse.mqfs" "$STORE" "$MNT" -o remount,ro
equal 'nothing was mounted' '' "$(findmnt -n "$MNT" || true)"

# --- the helper, called as mount(8) calls one
bounded "$DIR/mount.fuse.mqfs" "$STORE" "$MNT" -s -n -v -t fuse.mqfs -o rw,nosuch=1,commit=close
mounted helper
equal 'an option for the helper' close "$(cat "$MNT/t/.config/commit")"
unmount
bounded "$DIR/mount.fuse.mqfs" "$STORE" "$MNT" -f -o rw
equal 'mount -f mounts nothing' '' "$(findmnt -n "$MNT" || true)"
status 'a bad option' 1 "$DIR/mount.fuse.mqfs" "$STORE" "$MNT" -o nosuch=1
status 'a mountpoint that is none' 32 "$DIR/mount.fuse.mqfs" "$STORE" /dev/null -o rw

# --- the helper, where mount(8) looks for it
ln -s "$MQFS" "$DIR/helpers/mount.fuse.mqfs"
remounts 'by the helper'
bounded mount -f -t fuse.mqfs -o commit=close "$STORE" "$MNT" || fail 'mount -f'
equal 'mount -f mounts nothing' '' "$(findmnt -n "$MNT" || true)"
status 'mount -f looks at the options' 1 mount -f -t fuse.mqfs -o commit=maybe "$STORE" "$MNT"
bounded mount -s -n -v -r -t fuse.mqfs -o nosuch=1 "$STORE" "$MNT" > "$DIR/out"
wait_for 'the mount' test -e "$MNT/.mqfs/pid"
mqfs_adopt
match 'mount -r' '^ro,' "$(option_of_mount)"
unmount

# --- mount -N: in another mount namespace, and not in ours
unshare --mount sleep 60 &
there=$!
wait_for 'another namespace' bash -c '[ "$(readlink /proc/self/ns/mnt)" != "$(readlink "/proc/$0/ns/mnt")" ]' $there
bounded mount -N $there -t fuse.mqfs "$STORE" "$MNT" || fail 'mount -N'
equal 'not in ours' '' "$(findmnt -n "$MNT" || true)"
equal 'there' "$STORE" "$(nsenter --mount=/proc/$there/ns/mnt findmnt -n -o SOURCE "$MNT")"
PID=$(nsenter --mount=/proc/$there/ns/mnt cat "$MNT/.mqfs/pid")
DAEMONS+=("$PID")
nsenter --mount=/proc/$there/ns/mnt umount "$MNT"
wait_gone "$PID"
kill $there
