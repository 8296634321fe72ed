#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mqctl without -m is about the only mqfs mount there is; where there is none, or more than one, it says so.
. "$(dirname "$0")/lib.sh"
need_own_mounts
# about: the mount that it takes
about() { "$MQCTL" status --json "$@" > "$DIR/about.json" && json "$DIR/about.json" mountpoint; }

for verb in status dump 'promote --stopped=x' 'alone --stopped=x' switchover; do
	# shellcheck disable=SC2086
	refused "$verb without a mount" 'there is no mqfs mount here; mqfs STORE MOUNTPOINT makes one' "$MQCTL" $verb
done
mqfs_start
mkdir "$MNT/t"
echo message >> "$MNT/t/0"
equal 'the only mount' "$MNT" "$(about)"
match 'what is in it' '"body": *"message"' "$("$MQCTL" dump)"

# The same mount elsewhere, and a part of it, are no other mounts.
mkdir "$DIR/bound" "$DIR/part"
mount --bind "$MNT" "$DIR/bound"
mount --bind "$MNT/t" "$DIR/part"
equal 'the only mount, bound elsewhere' "$MNT" "$(about)"

mqfs_start_at "$DIR/store2" "$DIR/mnt2"
for verb in status dump; do
	refused "$verb with two mounts" "there are 2 mqfs mounts, say which one with -m MNT: .*$DIR" "$MQCTL" $verb
done
refused 'both are named' " $MNT( .*)? $DIR/mnt2|$DIR/mnt2( .*)? $MNT" "$MQCTL" status
equal 'one that is named' "$DIR/mnt2" "$(about -m "$DIR/mnt2")"
mqfs_stop
equal 'the only mount again' "$MNT" "$(about)"
