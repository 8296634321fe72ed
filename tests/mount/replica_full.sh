#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The standby's disk is full: both nodes say so, and are well again once there is room. A standby with a full disk is promoted all the same, and
# is relieved from inside the mount.
. "$(dirname "$0")/lib.sh"
. "$TOOLS/pair.sh"
small_disk
pair_start min_standbys=1 commit_timeout=1s segment_size=1M retention.free=0
a=$(mnt a) b=$(mnt b)
mkdir "$a/t" "$a/u"
echo 'acknowledged' >> "$a/u/0"
head -c 400000 /dev/urandom | base64 -w 99 > "$DIR/chunk"
full()
{
	fallocate -l "$(df --output=avail -B1 "$DIR/disk" | tail -1)" "$DIR/disk/filler" 2> /dev/null || true
	while cat "$DIR/chunk" >> "$a/t/0"; do :; done 2> "$DIR/error"
	match 'what a writer is told' 'timed out' "$(cat "$DIR/error")"
}

# --- both say so
full
wait_health a standby-full
wait_health b full
equal 'the standby as the primary sees it' true "$(what a standbys.0.full)"
match 'standbys' ' [1-9][0-9]* [0-9]+ [0-9.]+ full$' "$(cat "$a/.mqfs/standbys")"
equal 'metrics' '0 1 0' "$(metric a mqfs_healthy) $(metric a 'mqfs_standby_full{node="b"}') $(metric b mqfs_healthy)"
status 'mqctl status of the primary' 1 "$MQCTL" status -m "$a"
match 'it says whose disk that is' 'standby   b, of the pair, current, its DISK IS FULL, lacks [1-9]' "$("$MQCTL" status -m "$a" || true)"
match 'the standby says what it lacks' 'linked; this node is current, lacks [1-9]' "$("$MQCTL" status -m "$b" || true)"
match 'and why' 'nothing more is received' "$(what b why)"
match 'the log of the primary' 'b: its disk is full' "$(cat "$DIR/a.log")"
match 'the log of the standby' 'the disk is full: nothing more is received' "$(cat "$DIR/b.log")"

# --- there is room again
rm "$DIR/disk/filler"
wait_health a fine
wait_health b fine
wait_for 'the standby to show all' cmp -s "$a/t/0" "$b/t/0"
match 'the log of the primary' 'b: its disk has room again' "$(cat "$DIR/a.log")"
equal 'why' '' "$(what a why)$(what b why)"

# --- full again, and the primary dies
full
wait_health b full
node_kill a
wait_is b linked false
succeeds 'promotion on a full disk' "$MQCTL" promote --stopped a -m "$b"
role_is b primary || fail 'it is not the primary'
equal 'what was acknowledged' acknowledged "$(cat "$b/u/0")"
echo latest > "$b/t/.config/head.0" || fail 'the disk cannot be relieved'
append() { echo new >> "$b/u/0"; }
wait_for 'appends to be taken again' append
node_stop b
