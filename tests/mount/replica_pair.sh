#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two nodes are a pair: what the primary is given the standby shows, read-only, and both say how they are.
. "$(dirname "$0")/lib.sh"
. "$TOOLS/pair.sh"
node_keys a b
node_start a peer=b
mkdir "$(mnt a)/t"
lines old 1 3 >> "$(mnt a)/t/0"
node_start b standby_of=a
wait_pair a b
a=$(mnt a) b=$(mnt b)

# --- the standby's tree is the primary's
same 'what was there before the standby' "$a/t/0" "$b/t/0"
tree() { snapshot "$1" | sed "s,$1/,,"; }
same 'the tree' <(tree "$a") <(tree "$b")
tail -f -n +1 "$b/t/0" > "$DIR/tail" &
cat "$b/t/.follow/0" > "$DIR/follow" &
cat "$b/t/.follow/all" > "$DIR/all" &
wait_lines "$DIR/follow" 3
echo live >> "$a/t/0"
wait_lines "$DIR/follow" 4
wait_lines "$DIR/all" 4
equal 'what follows' "$(cat "$a/t/0")" "$(cat "$DIR/follow")"
shows() { [ "$(tail -n 1 "$b/t/0")" = "$1" ]; }
wait_for 'the standby to show a message' shows live
mkdir "$a/u"
echo 3 > "$a/u/.config/queues"
echo 1h > "$a/u/.config/retention.age"
chmod 600 "$a/u/2"
echo three >> "$a/u/2"
in_u() { [ "$(cat "$b/u/2")" = three ] && [ "$(stat -c %a "$b/u/2")" = 600 ]; }
wait_for 'a topic that came later' in_u
equal 'its settings' 1h "$(cat "$b/u/.config/retention.age")"
wait_lines "$DIR/tail" 4
same 'tail -f' "$b/t/0" "$DIR/tail"
succeeds 'statfs of a standby' df "$b"

reign_of() { echo "$(status_of "$1" epoch.reign) $(status_of "$1" epoch.node) $(metric "$1" mqfs_epoch_reign)"; }
equal 'both are in the epoch of the primary' "$(reign_of a)" "$(reign_of b)"

# --- and read-only
cat "$b/t/0" > "$DIR/before"
refused 'an append' 'Read-only file system' bash -c "echo x >> $b/t/0"
refused 'half a line' 'Read-only file system' bash -c "printf x >> $b/t/0"
refused 'a topic' 'Read-only file system' mkdir "$b/v"
refused 'a setting' 'Read-only file system' bash -c "echo write > $b/t/.config/framing"
refused 'more queues' 'Read-only file system' bash -c "echo 2 > $b/t/.config/queues"
refused 'retiring' 'Read-only file system' bash -c "echo 1 > $b/t/.config/retired"
refused 'a head' 'Read-only file system' bash -c "echo 4 > $b/t/.config/head.0"
refused 'rmdir of a topic that is not retired' 'Read-only file system' rmdir "$b/t"
refused 'chmod' 'Read-only file system' chmod 666 "$b/t/0"
refused 'chown' 'Read-only file system' chown 1:1 "$b/t"
refused 'chmod of the root' 'Read-only file system' chmod 777 "$b"
echo 1 > "$a/u/.config/retired"
retired() { [ "$(cat "$b/u/.config/retired")" = 1 ]; }
wait_for 'a retired topic' retired
refused 'rmdir' 'Read-only file system' rmdir "$b/u"
rmdir "$a/u"
gone() { [ ! -e "$b/u" ]; }
wait_for 'a removed topic to go' gone
same 'nothing has changed' "$DIR/before" "$b/t/0"
succeeds 'fsync of a standby' python3 -c "import os; os.fsync(os.open('$b/t/0', os.O_RDWR))"
echo now > "$b/.mqfs/scrub"

# --- what they say of it
equal 'role of the primary' primary "$(cat "$a/.mqfs/role")"
equal 'role of the standby' standby "$(cat "$b/.mqfs/role")"
match 'standbys' '^b [0-9a-f]{16} log member 0 0 0\.[0-9]+ current$' "$(cat "$a/.mqfs/standbys")"
equal 'standbys of a standby' '' "$(cat "$b/.mqfs/standbys")"
equal 'the node id' "$(status_of b node)" "$(what a standbys.0.node)"
equal 'names' 'a b' "$(what a pair.nodes.0.name) $(what a pair.nodes.1.name)"
equal 'the same pair' "$(what a pair)" "$(what b pair)"
equal 'the primary of the standby' a "$(what b primary.name)"
equal 'its address' "$(address a)" "$(what b primary.address)"
metrics() { grep -v '^#' "$DIR/$1/.mqfs/metrics.prom" | grep -E "$2" | paste -sd ' '; }
equal 'metrics of the primary' 'mqfs_role{role="primary"} 1 mqfs_role{role="standby"} 0 mqfs_standby_member{node="b"} 1' "$(metrics a 'mqfs_role|_member')"
equal 'metrics of the standby' 'mqfs_role{role="primary"} 0 mqfs_role{role="standby"} 1 mqfs_replication_linked 1' "$(metrics b 'mqfs_role|replication_linked')"
match 'mqctl status of the primary' $'pair      a and b, min_standbys 0\n  standby   b, of the pair, current, has all' "$("$MQCTL" status -m "$a")"
match 'mqctl status of the standby' "primary   a \\($(address a)\\), linked; this node is current, has all" "$("$MQCTL" status -m "$b")"
succeeds 'mqctl status of a linked standby' "$MQCTL" status -m "$b"

# --- a standby that stands still lacks something, and says for how long; nobody waits for it
halt "${PIDS[b]}"
lines more 1 100 >> "$a/t/0"
lag() { [[ "$(cat "$a/.mqfs/standbys")" =~ ' log member '([1-9][0-9]*)' 100 '(0\.[1-9]|[1-9]) ]]; }
wait_for 'the lag' lag
kill -CONT "${PIDS[b]}"
caught_up() { [[ "$(cat "$a/.mqfs/standbys")" =~ ' log member 0 0 0.000 current' ]]; }
wait_for 'the standby to catch up' caught_up
wait_for 'the standby to show all' cmp -s "$a/t/0" "$b/t/0"

# --- a standby that starts again goes on, and knows what it is
node_stop b
lines again 1 3 >> "$a/t/0"
succeeds 'mqctl status without the standby, for which nobody waits' "$MQCTL" status -m "$a"
node_start b standby_of=a
wait_for 'the standby to show all' cmp -s "$a/t/0" "$b/t/0"
node_stop a
wait_is b linked false
status 'mqctl status of a standby without its primary' 1 "$MQCTL" status -m "$b"
match 'it says why' 'NOT LINKED; this node is current, had all when it last heard from it, [0-9]' "$("$MQCTL" status -m "$b" || true)"
same 'and reads go on' "$b/t/0" <(cat "$b/t/.retained/0")
node_stop b
