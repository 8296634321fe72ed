#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Of several mqfs that are started for one mountpoint at once, one gets it; the others say that it is in use, and make nothing.
. "$(dirname "$0")/lib.sh"
need fusermount3 flock

# together WHAT: six at once for MNT, each with a store of its own, and then nothing is mounted again
together()
{
	local i jobs=() status won=()
	rm -rf "$DIR"/each.*
	for i in 1 2 3 4 5 6; do
		bounded "$MQFS" "$DIR/each.$i" "$MNT" 2> "$DIR/err.$i" &
		jobs+=($!)
	done
	for i in 1 2 3 4 5 6; do
		status=0
		wait "${jobs[i - 1]}" || status=$?
		case $status in
		0) won+=("$i") ;;
		32)
			match "$1: who is refused" 'mnt: is in use' "$(cat "$DIR/err.$i")"
			[ ! -e "$DIR/each.$i" ] || fail "$1: who is refused has made a store"
			;;
		*) fail "$1: exit status $status: $(cat "$DIR/err.$i")" ;;
		esac
	done
	equal "$1: how many got it" 1 ${#won[@]}
	equal "$1: mounts there" "$DIR/each.${won[0]-none}" "$(findmnt -rn -o SOURCE "$MNT")"
	mqfs_adopt
}

for round in 1 2; do
	together "a directory that is not there, round $round"
	mqfs_kill
	together "a dead mount, round $round"
	umount "$MNT"
	wait_gone "$PID"
	together "an empty directory, round $round"
	umount "$MNT"
	wait_gone "$PID"
	rmdir "$MNT"
done

# --- by the lock of the directory, which is let go once the mount is there
mkdir "$MNT"
refused 'a mountpoint that is taken' 'mnt: is in use' flock "$MNT" "$MQFS" "$STORE" "$MNT"
[ ! -e "$STORE" ] || fail 'made a store for a mountpoint that is taken'
exec 7< "$MNT"
mqfs_start
succeeds 'the lock, after the start' flock -n 7
exec 7<&-
mqfs_stop
