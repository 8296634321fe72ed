#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Orders are for root and who runs the mount; what is refused says why, and changes nothing; min_standbys changes by one of them.
. "$(dirname "$0")/lib.sh"
. "$TOOLS/pair.sh"
need_tester

# --- a node of its own
mqfs_start
mkdir "$MNT/t"
equal 'there was none yet' '' "$(cat "$MNT/.mqfs/order")"
equal 'nobody is linked' '' "$(cat "$MNT/.mqfs/standbys")"
succeeds 'promote a primary' "$MQCTL" promote -m "$MNT"
refused 'what is no name, whatever came of the order before' 'is no node' "$MQCTL" promote -m "$MNT" --stopped=b.example:6737
status 'switch over to nobody' 1 "$MQCTL" switchover -m "$MNT"
status 'alone without nobody' 1 "$MQCTL" alone -m "$MNT" --stopped=b
status 'wait for a node that cannot join' 1 "$MQCTL" min-standbys -m "$MNT" 1
match 'wait for nobody' 'once there is a pair' "$("$MQCTL" min-standbys -m "$MNT" 0)"
for words in promotion 'promote now' 'alone' 'min_standbys 2' 'switchover b' "$(printf 'promote stopped=%0300d' 0)"; do
	refused "the order $words" 'Invalid argument' bash -c "echo '$words' > $MNT/.mqfs/order"
done
refused 'a role by order' 'Invalid argument' bash -c "echo standby > $MNT/.mqfs/role"
succeeds 'a role that it has' bash -c "echo primary > $MNT/.mqfs/role"
succeeds 'an append after all that' bash -c "echo x >> $MNT/t/0"
equal 'its role' primary "$(cat "$MNT/.mqfs/role")"
equal 'modes' '644 644 444' "$(stat -c %a "$MNT/.mqfs/order" "$MNT/.mqfs/role" "$MNT/.mqfs/standbys" | paste -sd ' ')"
refused 'an order by others' 'only root and who runs this mount' runuser -u "$TESTER" -- "$MQCTL" promote -m "$MNT"
chown "$TESTER" "$MNT"
refused 'an order by who has the tree' 'only root and who runs this mount' runuser -u "$TESTER" -- "$MQCTL" promote -m "$MNT"
succeeds 'who makes topics all the same' runuser -u "$TESTER" -- mkdir "$MNT/u"
for verb in promote alone switchover 'min-standbys 1'; do
	status "$verb of a mount that is none" 2 bash -c "$MQCTL $verb -m $DIR"
done
mqfs_stop

# --- a pair
pair_start
a=$(mnt a) b=$(mnt b)
equal 'nobody waits for the standby at first' 0 "$(what a pair.min_standbys)"
match 'so promotion might lose something, while the primary is there' 'mqctl switchover loses nothing' "$("$MQCTL" promote -m "$b" 2>&1 || true)"
match 'now they do' 'min_standbys is 1' "$("$MQCTL" min-standbys 1 -m "$a")"
equal 'as status says' 1 "$(what a pair.min_standbys)"
equal 'and metrics' 1 "$(metric a mqfs_min_standbys)"
match 'a primary is told what does it, where b is down' 'mqctl alone --stopped b goes on' "$("$MQCTL" promote --stopped b -m "$a" 2>&1 || true)"
status 'of a standby' 1 "$MQCTL" min-standbys 0 -m "$b"
match 'which says why' 'standby' "$(cat "$b/.mqfs/order")"
wait_pair a b
succeeds 'an append that waits for both' mkdir "$a/t"
succeeds 'nobody waits any more' "$MQCTL" min-standbys 0 -m "$a"
node_kill b
wait_is a linked false
refused 'a change that the other node would have to have' 'b is away' "$MQCTL" min-standbys 1 -m "$a"
equal 'and it has come to nothing' 0 "$(what a pair.min_standbys)"
succeeds 'an append that waits for nobody' bash -c "echo x >> $a/t/0"

# --- who orders can be interrupted; the order is not. The standby is asked for what its primary, which stands still, does not answer.
node_start b standby_of=a
wait_pair a b
halt "${PIDS[a]}"
for i in 1 2; do
	"$MQCTL" switchover -m "$b" 2> "$DIR/order.$i" &
	orders[i]=$!
done
wait_for 'one of two orders to be refused' grep -q 'another order is under way' "$DIR/order.1" "$DIR/order.2"
began=$(date +%s%N)
for i in 1 2; do
	kill -9 "${orders[i]}" 2> /dev/null || true
	wait "${orders[i]}" || true
done
[ $((($(date +%s%N) - began) / 1000000)) -lt 1000 ] || fail 'who waits for an order cannot be killed'
kill -CONT "${PIDS[a]}"
over() { [ -n "$(cat "$b/.mqfs/order")" ]; }
wait_for 'the end of the order' over

# --- what came of an order before is not said of one that goes on
old=a new=b
[ "$(what a role)" = primary ] || old=b new=a
wait_pair $old $new
succeeds 'an order that is soon over' "$MQCTL" switchover -m "$(mnt $old)"
wait_pair $new $old
halt "${PIDS[$new]}"
"$MQCTL" switchover -m "$(mnt $old)" 2> "$DIR/interrupted" &
order=$!
wait_for 'the order to be given' grep -q request_wait_answer "/proc/$order/stack"
kill -TSTP $order
wait_for 'it to stand still' grep -q 'State:.T' "/proc/$order/status"
kill -CONT $order
wait $order || true
match 'it was only interrupted' 'interrupted; the order may go on' "$(cat "$DIR/interrupted")"
kill -CONT "${PIDS[$new]}"
node_stop b
node_stop a
