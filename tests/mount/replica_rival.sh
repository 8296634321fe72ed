#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Both nodes were told that the other one is stopped: the one that starts last asks, and takes no appends; where it could not ask there are two
# that do, and both say so. Then one is made anew as the runbook of mqfs-replication(7) says, and what only that one had taken is produced again.
. "$(dirname "$0")/lib.sh"
. "$TOOLS/pair.sh"
pair_start min_standbys=1
a=$(mnt a) b=$(mnt b)
mkdir "$a/t"
echo both >> "$a/t/0"
healthy() { echo "$(status_of "$1" health.state) $(metric "$1" mqfs_healthy) $("$MQCTL" status -m "$DIR/$1" > /dev/null && echo 0 || echo $?)"; }
equal 'a pair is healthy' 'fine 1 0 fine 1 0' "$(healthy a) $(healthy b)"

# --- each alone, one after the other
node_stop b
wait_health a away
equal 'a primary without its standby, for which it waits' 'away 0 1' "$(healthy a)"
match 'why' 'health +away: b is not linked, and min_standbys is 1' "$("$MQCTL" status -m "$a" || true)"
succeeds 'alone' "$MQCTL" alone --stopped b -m "$a"
wait_health a fine
equal 'a node alone' 'fine 1 0' "$(healthy a)"
echo 'of a' >> "$a/t/0"
node_stop a
node_start b standby_of=a min_standbys=1
wait_health b unlinked
equal 'a standby without a primary' 'unlinked 0 1' "$(healthy b)"
since=$(date -u +%Y-%m-%dT%H:%M:%S.%NZ)
succeeds 'promote' "$MQCTL" promote --stopped a --accept-loss -m "$b"
echo 'of b' >> "$b/t/0"
equal 'which takes appends' 'fine 1 0' "$(healthy b)"

# --- every word was true, and a asks before its mount is there
silent() { refused "$1" 'Host is down' bash -c "echo 'of nobody' >> $2/t/0"; }
node_start a peer=b min_standbys=1
silent 'an append of the one that starts while the other one rules' "$a"
wait_health a rival
match 'who rules' 'health +rival: b has gone on alone as well, in reign 2: .*; this one takes no appends' "$("$MQCTL" status -m "$a" || true)"
wait_health b rival
silent 'it goes on asking' "$a"
succeeds 'the other one takes them' bash -c "echo 'of b, too' >> $b/t/0"
refused 'promotion is no way out' 'primary already, and b has gone on alone as well, in reign 2: one of the two has to be made anew' \
	"$MQCTL" promote -m "$a"
refused 'nor is alone' 'b has gone on alone as well, in reign 2: .*; --accept-loss goes on all the same' "$MQCTL" alone --stopped b -m "$a"

# --- nobody answers it: it goes on, as it would without a standby
node_stop a
halt "${PIDS[b]}"
node_start a peer=b min_standbys=1
echo 'of a, too' >> "$a/t/0"
kill -CONT "${PIDS[b]}"
wait_health a rival
wait_health b rival
equal 'two rivals' 'rival 0 1 rival 0 1' "$(healthy a) $(healthy b)"
match 'who it is' 'health +rival: b has gone on alone as well, in reign 2' "$("$MQCTL" status -m "$a" || true)"
match 'and for the other one' 'health +rival: a has gone on alone as well, in reign 1' "$("$MQCTL" status -m "$b" || true)"

# --- the operator keeps a, and says so
node_stop b
succeeds 'alone' "$MQCTL" alone --stopped b --accept-loss -m "$a"
wait_health a fine
node_start b peer=a min_standbys=1
silent 'an append of the one that is not kept' "$b"
wait_health b rival

# --- and makes the other one anew
node_stop b
mv "$DIR/b.store" "$DIR/b.away"
node_start b standby_of=a min_standbys=1
wait_pair a b
wait_health b fine
wait_health a fine
last_pair() { "$MQCTL" dump -r "$1" | python3 -c 'import json, sys
print([r["time"] for r in map(json.loads, sys.stdin) if r["type"] == "pair"][-1])'; }
[[ $(last_pair "$DIR/b.away") > $since ]] || fail 'the last record of a pair does not say when it was promoted'
"$MQCTL" dump --since "$since" "$DIR/b.away" t/0 | python3 -c 'import json, sys
for line in sys.stdin: print(json.loads(line)["body"])' >> "$a/t/0"
equal 'what both have taken' $'both\nof a\nof a, too\nof b\nof b, too' "$(cat "$a/t/0")"
wait_for 'b to show all' cmp -s "$a/t/0" "$b/t/0"
node_stop b
node_stop a
