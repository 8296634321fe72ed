#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Mountpoints that are refused: with a clear line, a failing exit status, and nothing made, hidden or mounted.
. "$(dirname "$0")/lib.sh"

# refuses WHAT REGEX MOUNTPOINT [RUN-AS...]
refuses()
{
	local what=$1 regex=$2 mnt=$3 status=0 before
	shift 3
	before=$(findmnt -rn -o TARGET,FSTYPE)
	bounded "$@" "$MQFS" "${STORE_OF_TEST:-$STORE}" "$mnt" > "$DIR/out" 2> "$DIR/err" || status=$?
	equal "$what: exit status" 32 $status
	match "$what" "$regex" "$(cat "$DIR/err")"
	match "$what: names the mountpoint" "$(basename "$mnt")" "$(cat "$DIR/err")"
	equal "$what: one line" 1 "$(wc -l < "$DIR/err")"
	equal "$what: nothing was mounted" "$before" "$(findmnt -rn -o TARGET,FSTYPE)"
	# No daemon stays behind: the store is free.
	if [ -e "${STORE_OF_TEST:-$STORE}/lock" ]; then
		wait_for "$what: the store is free" flock -n "${STORE_OF_TEST:-$STORE}/lock" true || true
	fi
}

# A store that is there and free, so that only the mountpoint is at fault.
mqfs_start
mqfs_stop
rm -rf "$MNT"

echo text > "$DIR/file"
refuses 'a file' 'not a directory' "$DIR/file"
equal 'a file is untouched' text "$(cat "$DIR/file")"
ln -s /dev/null "$DIR/device"
refuses 'a device' 'not a directory' "$DIR/device"
refuses 'no parent' 'parent|No such file' "$DIR/nowhere/mnt"
[ ! -e "$DIR/nowhere" ] || fail 'made the parent of a mountpoint'
ln -s "$DIR/nowhere/mnt" "$DIR/dangling"
refuses 'a dangling link' 'No such file|parent|File exists|not a directory|cannot' "$DIR/dangling"
mkdir "$DIR/full"
echo mine > "$DIR/full/letter.txt"
refuses 'not empty' 'not empty' "$DIR/full"
equal 'what is in it stays visible' mine "$(cat "$DIR/full/letter.txt")"
mkdir "$DIR/hidden"
touch "$DIR/hidden/.dotfile"
refuses 'a dot file in it' 'not empty' "$DIR/hidden"
refuses 'the store itself' 'store|not empty' "$STORE"
refuses 'inside the store' 'store' "$STORE/mnt"
refuses 'the root directory' 'store|not empty' /
mkdir "$DIR/around"
STORE_OF_TEST=$DIR/around/store refuses 'around the store' 'store|not empty' "$DIR/around"
rm -rf "$DIR/around"
# Neither is there yet; as people type it.
cd "$DIR"
STORE_OF_TEST=new/store refuses 'around a store that is not there' 'has the store in it' new
STORE_OF_TEST=new refuses 'inside a store that is not there' 'within the store' new/mnt
[ ! -e new ] || fail 'made a store or a mountpoint that is within the other one'
cd "$SOURCE"

# One that is mounted already, with this store or another, goes on.
mqfs_start
mkdir "$MNT/t"
echo message >> "$MNT/t/0"
status=0
bounded "$MQFS" "$STORE" "$MNT" 2> "$DIR/err" || status=$?
equal 'mounted already: exit status' 32 $status
match 'mounted already' 'mounted|in use|used' "$(cat "$DIR/err")"
status=0
bounded "$MQFS" "$DIR/store2" "$MNT" 2> "$DIR/err" || status=$?
equal 'busy with another store: exit status' 32 $status
match 'busy with another store' 'mounted|busy|not empty' "$(cat "$DIR/err")"
status=0
bounded "$MQFS" "$DIR/store2" "$MNT/t" 2> "$DIR/err" || status=$?
equal 'inside a mount: exit status' 32 $status

# A store within a mount would be a topic.
STORE_OF_TEST=$MNT/inner refuses 'a store within a mount' "within the mount of mqfs at $MNT" "$DIR/mnt2"
STORE_OF_TEST=$MNT/t/0/inner refuses 'a store within a queue' "within the mount of mqfs at $MNT" "$DIR/mnt2"
STORE_OF_TEST=$MNT refuses 'a mount for a store' "within the mount of mqfs at $MNT" "$DIR/mnt2"
equal 'the mount has nothing new' t "$(ls "$MNT")"
[ ! -e "$DIR/mnt2" ] || fail 'made a mountpoint for a store within a mount'
equal 'the mount goes on' message "$(cat "$MNT/t/0")"
equal 'one mount of it' 1 "$(findmnt -rn -o TARGET "$MNT" | wc -l)"

# Dead by kill -9: it is ours, so it is mended, for this store or another. Any other file system's stays.
mqfs_kill
refused 'a dead mount' 'not connected' ls "$MNT"
mqfs_start_at "$DIR/store2" "$MNT"
equal 'a mended mount shows its own store' '' "$(ls "$MNT")"
equal 'one mount of it, after mending' 1 "$(findmnt -rn -o TARGET "$MNT" | wc -l)"
mqfs_stop

if [ "$(id -u)" -eq 0 ]; then
	mkdir "$DIR/foreign"
	mount -t tmpfs mqfs-test "$DIR/foreign"
	touch "$DIR/foreign/file"
	refuses "another file system's mountpoint" 'not empty|mounted' "$DIR/foreign"
	umount "$DIR/foreign"
	mkdir "$DIR/new"
	mount --bind "$DIR/new" "$DIR/foreign"
	STORE_OF_TEST=$DIR/new refuses 'the store itself, by another name' 'is the store itself' "$DIR/foreign"
	equal 'no store in the mountpoint' '' "$(ls -A "$DIR/new")"
	umount "$DIR/foreign"

	need_tester
	mkdir "$DIR/home"
	chown "$TESTER" "$DIR/home"
	mkdir "$DIR/mine"
	chmod 755 "$DIR/mine"
	STORE_OF_TEST=$DIR/home/store
	refuses "somebody else's directory" 'denied|permission|write access|not permitted' "$DIR/mine" runuser -u "$TESTER" --
	mkdir -m 700 "$DIR/closed"
	refuses 'within a closed directory' 'denied|permission' "$DIR/closed/mnt" runuser -u "$TESTER" --
fi
