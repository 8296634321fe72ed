#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Stores that are refused: with a clear line on stderr, a failing exit status, no mount, and the store untouched.
. "$(dirname "$0")/lib.sh"
need python3

# What a directory or file has, as text; the lock file's content is nobody's state.
content() { find "$1" -printf '%p %y %s %m\n' 2> /dev/null | sort; find "$1" -type f ! -name lock -exec sha256sum '{}' + 2> /dev/null | sort; }

# refuses WHAT REGEX [RUN-AS...]: mqfs on $STORE
refuses()
{
	local what=$1 regex=$2 status=0 before
	shift 2
	before=$(content "$STORE" | grep -v '/lock ' || true)
	bounded "$@" "$MQFS" "$STORE" "$MNT" > "$DIR/out" 2> "$DIR/err" || status=$?
	if findmnt "$MNT" > /dev/null; then
		fail "$what: was mounted"
		mqfs_adopt
		mqfs_stop_adopted
		return
	fi
	equal "$what: exit status" 32 $status
	match "$what" "$regex" "$(cat "$DIR/err")"
	match "$what: names the store" "$(basename "$STORE")" "$(cat "$DIR/err")"
	equal "$what: one line" 1 "$(wc -l < "$DIR/err")"
	equal "$what: nothing on stdout" '' "$(cat "$DIR/out")"
	equal "$what: is untouched" "$before" "$(content "$STORE" | grep -v '/lock ' || true)"
}
mqfs_stop_adopted() { kill "$PID" && wait_gone "$PID"; }

# A store to spoil: some messages, stopped.
mqfs_start
mkdir "$MNT/t"
lines message 1 1000 >> "$MNT/t/0"
mqfs_stop
cp -a "$STORE" "$DIR/good"
again() { rm -rf "$STORE"; cp -a "$DIR/good" "$STORE"; }
# poke FILE OFFSET BYTES: over what is there; BYTES as for printf %b
poke() { printf '%b' "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }

rm -rf "$STORE"
echo text > "$STORE"
refuses 'a store that is a file' 'not a directory'
rm "$STORE"
ln -s /dev/null "$STORE"
refuses 'a store that is a device' 'not a directory'
rm "$STORE"
mkdir "$STORE"
echo mine > "$STORE/letter.txt"
refuses 'a directory of other files' 'not empty'
rm -rf "$STORE"
STORE=$DIR/nowhere/store refuses 'a store without a parent' 'parent'
[ ! -e "$DIR/nowhere" ] || fail 'made the parent of a store'

# create=no: nothing becomes a store
rm -rf "$MNT"
refuses_to_create()
{
	local status=0
	bounded "$MQFS" -o create=no "$STORE" "$MNT" 2> "$DIR/err" || status=$?
	equal "$1: exit status" 32 $status
	equal "$1: what it says" "mqfs: $STORE: is no store, and create=no" "$(cat "$DIR/err")"
	[ ! -e "$MNT" ] || fail "$1: a mountpoint was made"
}
refuses_to_create 'a missing store'
[ ! -e "$STORE" ] || fail 'made a store in spite of create=no'
mkdir "$STORE"
refuses_to_create 'an empty directory'
equal 'it stays empty' '' "$(ls -A "$STORE")"
again
mqfs_start -o create=no
equal 'a store that is there' 1000 "$(wc -l < "$MNT/t/0")"
mqfs_stop

again
poke "$STORE/id" 8 '\x04\x00\x00\x00'
refuses 'a newer format' 'newer|format'
again
poke "$STORE/id" 8 '\xff\xff\xff\xff'
refuses 'a much newer format' 'newer|format'
again
poke "$STORE/id" 0 'X'
refuses 'no identity' 'damage'
again
poke "$STORE/id" 40 '\x00\x00\x00\x00\x00\x00\x00\x00\x00'
refuses 'a damaged identity' 'damage'
again
truncate -s 10 "$STORE/id"
refuses 'a cut identity' 'damage'
again
: > "$STORE/id"
refuses 'an empty identity' 'damage'
again
rm "$STORE/id"
refuses 'a store without its identity' 'id'
again
first=$(basename "$(find "$STORE/log" -name '0*' ! -name '*.index' | sort | head -n 1)")
poke "$STORE/log/$first" 8 '\x04\x00\x00\x00'
refuses 'a segment of a newer format' 'newer|format'
again
cp "$STORE/id" "$DIR/id"
rm -rf "$STORE"
mqfs_start
mqfs_stop
cp "$DIR/id" "$STORE/id"
refuses 'another store'\''s identity' 'segment|cluster|damage'
again
rm -r "$STORE/log"
refuses 'a store without its log' 'log'

# A damaged segment header is damage within what is committed: kept, reported, what is behind it readable; never zeroed.
again
poke "$STORE/log/$first" 24 '\x01\x02\x03'
status=0
bounded "$MQFS" "$STORE" "$MNT" > "$DIR/out" 2> "$DIR/err" || status=$?
if [ $status -eq 0 ]; then
	mqfs_adopt
	equal 'damage to a segment header loses no message' "$(lines message 1 1000)" "$(cat "$MNT/t/0")"
	mqfs_stop_adopted
else
	match 'a damaged segment header' 'damage' "$(cat "$DIR/err")"
	equal 'a damaged segment header: its records are kept' "$(tail -c +4097 "$DIR/good/log/$first" | sha256sum)" "$(tail -c +4097 "$STORE/log/$first" | sha256sum)"
fi

# Two daemons on one store
again
mqfs_start
mkdir "$DIR/other"
status=0
bounded "$MQFS" "$STORE" "$DIR/other" 2> "$DIR/err" || status=$?
equal 'two daemons on one store: exit status' 32 $status
match 'two daemons on one store' 'in use|used|locked' "$(cat "$DIR/err")"
match 'two daemons on one store: says where' "$MNT" "$(cat "$DIR/err")"
equal 'two daemons on one store: the first goes on' "$(lines message 1 1000)" "$(cat "$MNT/t/0")"
echo more >> "$MNT/t/0"
# The first one does not answer: who asks it can be ended.
kill -STOP "$PID"
"$MQFS" -f "$STORE" "$DIR/other" 2> "$DIR/err" &
second=$!
wait_for 'the second one to ask' pgrep -P $second
kill $second
status=0
timeout 5 tail --pid=$second -f /dev/null || { kill -9 $second; fail 'a start that waits for a stopped daemon does not end'; }
wait $second || status=$?
kill -CONT "$PID"
equal 'a stopped daemon on the store: exit status' 32 $status
match 'a stopped daemon on the store' 'in use' "$(cat "$DIR/err")"
mqfs_stop

# A read-only file system
if [ "$(id -u)" -eq 0 ]; then
	again
	mount --bind "$STORE" "$STORE"
	mount -o remount,ro,bind "$STORE"
	refuses 'a read-only store' 'Read-only|read-only'
	umount "$STORE"

	# A disk without room for a store
	mkdir "$DIR/tiny"
	mount -t tmpfs -o size=64k mqfs-test "$DIR/tiny"
	head -c 1M /dev/zero > "$DIR/tiny/filler" 2> /dev/null || true
	status=0
	STORE=$DIR/tiny/store
	bounded "$MQFS" "$STORE" "$MNT" 2> "$DIR/err" || status=$?
	equal 'a full disk: exit status' 32 $status
	match 'a full disk' 'No space left|full' "$(cat "$DIR/err")"
	rm "$DIR/tiny/filler"
	umount "$DIR/tiny"
	STORE=$DIR/store

	# A store of somebody else
	need_tester
	again
	mkdir "$DIR/home"
	chown "$TESTER" "$DIR/home"
	MNT=$DIR/home/mnt
	refuses "somebody else's store" 'Permission denied' runuser -u "$TESTER" --
	chmod -R a+rX "$STORE"
	refuses "somebody else's store, to be read" 'Permission denied' runuser -u "$TESTER" --
	STORE=$DIR/new
	refuses 'a place that is not writable' 'Permission denied' runuser -u "$TESTER" --
	[ ! -e "$DIR/new" ] || fail 'made a store where it may not'
fi
