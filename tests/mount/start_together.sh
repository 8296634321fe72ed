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

# --- by the lock of a file in it, which is there until the mount is live
mkdir "$MNT"
touch "$MNT/.mqfs.lock"
refused 'a mountpoint that is taken' 'mnt: is in use' flock "$MNT/.mqfs.lock" "$MQFS" "$STORE" "$MNT"
[ ! -e "$STORE" ] || fail 'made a store for a mountpoint that is taken'
[ -e "$MNT/.mqfs.lock" ] || fail 'took the lock of another away'
mqfs_start
mqfs_stop
equal 'what a start leaves in the mountpoint' '' "$(ls -A "$MNT")"

# --- who may only read the directory can keep nobody away, from before or beneath the mount
exec 7< "$MNT"
flock -s 7
mqfs_start
mqfs_kill
mqfs_start
mqfs_stop
exec 7<&-

# --- for as long as a start takes: this one waits for its store
exec 8< "$STORE/lock"
flock 8
"$MQFS" -f "$STORE" "$MNT" &
PID=$!
DAEMONS+=("$PID")
wait_for 'the lock' test -e "$MNT/.mqfs.lock"
equal 'who may open the lock' 600 "$(stat -c %a "$MNT/.mqfs.lock")"
refused 'while another one starts' 'mnt: is in use: another mqfs' "$MQFS" "$DIR/each.1" "$MNT"
mqfs_stop
exec 8<&-
equal 'what a start that was ended leaves in the mountpoint' '' "$(ls -A "$MNT")"

# --- a full disk keeps nobody from a start
if [ "$(id -u)" -eq 0 ]; then
	mkdir "$DIR/disk"
	mount -t tmpfs -o nr_inodes=3 mqfs-test "$DIR/disk"
	mkdir "$DIR/disk/mnt"
	touch "$DIR/disk/last"
	refused 'a file more' 'No space' touch "$DIR/disk/mnt/more"
	mqfs_start_at "$STORE" "$DIR/disk/mnt"
	mqfs_stop
fi
