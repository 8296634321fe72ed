#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Both nodes were told that the other one is stopped: the one that starts last asks, and takes no appends; where it could not ask there are two
# that do, and both say so. Then one is made anew as the runbook of mqfs-replication(7) says, and what only that one had taken is produced again.
# With min_standbys=0 it is so, too, where the one that was promoted has left nobody out.
. "$(dirname "$0")/lib.sh"
. "$TOOLS/pair.sh"
need jq
pair_start min_standbys=1
a=$(mnt a) b=$(mnt b)
mkdir "$a/t"
echo both >> "$a/t/0"
# produce_again KEPT AWAY: the runbook's commands, as they stand there, by which node KEPT gets what only the store AWAY has taken in t/0
produce_again()
{
	local parted
	awk '/^\.Ss / { on = /Both were promoted/ } /^for store/ { block = on } /^\.Ed/ { block = 0 } block' "$SOURCE/man/mqfs-replication.7" |
		sed -e 's/\\e/\\/g' -e "s,/var/lib/mq.away,$2,g" -e "s,/var/lib/mq\>,$DIR/$1.store,g" -e "s,/mnt/mq/orders,$DIR/$1/t,g" \
			-e 's,orders/0,t/0,g' -e 's,mqctl,"$MQCTL",g' > "$DIR/commands"
	parted=$(sed '/dump .* t\/0/,$d' "$DIR/commands" | bash)
	sed -n '/dump .* t\/0/,$p' "$DIR/commands" | sed "s/4711/$parted/" | bash
}
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
produce_again a "$DIR/b.away"
equal 'what both have taken' $'both\nof a\nof a, too\nof b\nof b, too' "$(cat "$a/t/0")"
wait_for 'b to show all' cmp -s "$a/t/0" "$b/t/0"
node_stop b
node_stop a

# --- with min_standbys=0 the promoted one, which has left nobody out, is kept: what the other one took before its order is there, too
rm -r "$DIR"/[ab].store "$DIR/b.away"
node_start a peer=b
node_start b standby_of=a
wait_pair a b
mkdir "$a/t"
echo both >> "$a/t/0"
wait_for 'b to show it' cmp -s "$a/t/0" "$b/t/0"
node_stop b
echo 'of a, before the order' >> "$a/t/0"
succeeds 'alone' "$MQCTL" alone --stopped b -m "$a"
echo 'of a' >> "$a/t/0"
node_stop a
node_start b standby_of=a
succeeds 'promote' "$MQCTL" promote --accept-loss -m "$b"
echo 'of b' >> "$b/t/0"
node_start a peer=b
silent 'an append of the one that starts while the promoted one rules' "$a"
wait_health a rival
wait_health b rival
equal 'two rivals, of which one has the other in its pair' 'rival 0 1 rival 0 1' "$(healthy a) $(healthy b)"
node_stop b
node_start b standby_of=a
silent 'an append of that, started while the other one is there' "$b"
node_stop a
succeeds 'alone' "$MQCTL" alone --stopped a --accept-loss -m "$b"
echo 'of b, too' >> "$b/t/0"
mv "$DIR/a.store" "$DIR/a.away"
node_start a standby_of=b
wait_pair b a
produce_again b "$DIR/a.away"
equal 'what both have taken' $'both\nof b\nof b, too\nof a, before the order\nof a' "$(cat "$b/t/0")"
wait_for 'a to show all' cmp -s "$a/t/0" "$b/t/0"

# --- and the other way round: its last record of a pair is the one that made the pair
node_stop a
succeeds 'alone' "$MQCTL" alone --stopped a -m "$b"
echo 'of b, alone' >> "$b/t/0"
node_stop b
node_start a standby_of=b
succeeds 'promote' "$MQCTL" promote --accept-loss -m "$a"
echo 'of a, promoted' >> "$a/t/0"
node_stop a
mv "$DIR/a.store" "$DIR/a.gone"
node_start b peer=a
node_start a standby_of=b
wait_pair b a
cp "$b/t/0" "$DIR/before"
produce_again b "$DIR/a.gone"
equal 'what is produced again' 'of a, promoted' "$(tail -c "+$(($(stat -c %s "$DIR/before") + 1))" "$b/t/0")"
node_stop a
node_stop b
