#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What has rotted in one node's log is fetched from the other, whichever of them it is, over their link and under load; until then it is an
# error, and never a wrong byte. What neither has stays damaged.
. "$(dirname "$0")/lib.sh"
. "$TOOLS/pair.sh"
pair_start segment_size=1M
a=$(mnt a) b=$(mnt b)
mkdir "$a/t" "$a/other"
lines 'a line of some length, the one with the number' 1 50000 > "$DIR/lines"
cat "$DIR/lines" >> "$a/t/0"
has_all() { cmp -s "$DIR/lines" "$1/t/0"; }
wait_for 'b to have all' has_all "$b"

# rot STORE POSITION: a bit of the log; once more, and it is right again
rot()
{
	# shellcheck disable=SC2046
	flip $(python3 -c 'import os, sys
log, at = sys.argv[1] + "/log", int(sys.argv[2])
base = max(b for b in (int(n, 16) for n in os.listdir(log) if len(n) == 16) if b <= at)
print("%s/%016x" % (log, base), 4096 + at - base)' "$1" "$2")
}

# repaired NODE COUNT: more than that, and nothing is left damaged
repaired() { [ "$(status_of "$1" damage.repaired)" -gt "$2" ] && [ "$(status_of "$1" damage.open)" = 0 ]; }

# reads MNT: what is read before an error is right; true: it was all
reads()
{
	local bytes
	cat "$1/t/0" > "$DIR/got" 2> /dev/null || true
	bytes=$(stat -c %s "$DIR/got")
	cmp -s -n "$bytes" "$DIR/lines" "$DIR/got" || die 'bytes that nobody wrote'
	has_all "$1"
}

while echo "under load" >> "$a/other/0"; do :; done 2> /dev/null &
load=$!
before=0
for node in b a b; do
	rot "$DIR/$node.store" 300000
	wait_for "$node to show it right again" reads "$(mnt $node)"
	wait_for "$node to count it" repaired $node $([ $node = b ] && echo $before || echo 0)
	[ $node = a ] || before=$(status_of b damage.repaired)
done
status 'nothing is wrong any more' 0 "$MQCTL" -m "$b" status
equal 'the metrics say so, too' "$before" "$(metric b mqfs_repaired_total)"
kill $load
wait $load 2> /dev/null || true

# Neither has it.
rot "$DIR/a.store" 300000
rot "$DIR/b.store" 300000
refused 'reading it' 'Input/output error' cat "$a/t/0"
refused 'reading it on b' 'Input/output error' cat "$b/t/0"
for node in a b; do
	wait_for "$node to say that it is damaged" bash -c "grep -q '\"open\": *[1-9]' '$(mnt $node)/.mqfs/status.json'"
done
echo 'and on' >> "$a/t/0"
equal 'what is behind it' 'and on' "$(tail -n 1 "$a/t/0")"
rot "$DIR/a.store" 300000
rot "$DIR/b.store" 300000

# What rots before it was sent: the standby gets no further, and says why; and it does once it is right again.
node_kill b
at=$(status_of a log.end)
lines 'while b is away' 1 3 >> "$a/t/0"
rot "$DIR/a.store" $((at + 130))
node_start b standby_of=a segment_size=1M
match_why() { [[ $(what b why) == *"the log is damaged at position $at"* ]]; }
wait_for 'b to say where it stops' match_why
rot "$DIR/a.store" $((at + 130))
wait_for 'b to show all of it' cmp -s "$a/t/0" "$b/t/0"
equal 'and that is all' 'while b is away 3' "$(tail -n 1 "$b/t/0")"
node_stop b
node_stop a
for node in a b; do
	status "the store of $node is as good as before" 0 "$MQCTL" check "$DIR/$node.store"
done
