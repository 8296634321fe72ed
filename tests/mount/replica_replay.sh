#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two logs part, and both make topics from there on. What the one that is given up has in lost/ is produced again
# into topics that both logs have, and into no other, whichever of its files is taken.
. "$(dirname "$0")/lib.sh"
. "$TOOLS/pair.sh"
need_root
need python3 strace
a=$(mnt a) b=$(mnt b)
small=(min_standbys=0 segment_size=1M)
fill() { python3 -c 'for n in range(6): print("fill %s %d " % ("'"$1"'", n) + 200000 * "x", flush=True)' >> "$a/t/0"; }
pair_start "${small[@]}"
mkdir "$a/t"
lines both 1 5 >> "$a/t/0"
wait_for 'the standby to have it' cmp -s "$a/t/0" "$b/t/0"
node_stop b

# --- the primary goes on alone, in three segments, in the last one after a restart; x is the second topic that it made
mkdir "$a/x"
lines x-first 1 2 >> "$a/x/0"
fill 1
lines x-second 1 3 >> "$a/x/0"
lines t-second 1 3 >> "$a/t/0"
python3 -c 'import os; os.write(1, b"fill begins\nfill " + 150000 * b"y" + b"\n")' >> "$a/t/0"
node_kill a
node_start a peer=b "${small[@]}"
fill 2
echo 2 > "$a/t/.config/queues"
lines x-third 1 4 >> "$a/x/0"
lines t-third 1 4 >> "$a/t/0"
lines queue 1 5 >> "$a/t/1"
node_kill a

# --- the other one is promoted without all that, and y is the second topic that it made
node_start b standby_of=a "${small[@]}"
succeeds 'promote with a loss' "$MQCTL" promote -m "$b" --stopped=a --accept-loss
mkdir "$b/y"
lines y 1 2 >> "$b/y/0"
node_start a peer=b "${small[@]}"
wait_for 'a word of what is given up' grep -q 'the store is given up' "$DIR/a.log"
wait_pair b a
wait_for 'the other node to show the same' cmp -s "$a/y/0" "$b/y/0"
mapfile -t lost < <(find "$DIR/a.store/lost" -type f | sort)
equal 'files in lost/' 3 ${#lost[@]}

# --- dump has names only for what both logs have
dumped=$("$MQCTL" dump "${lost[1]}")
match 'a topic of both logs' '"topic": *"t"[^{]*"body": *"t-second 3"' "$dumped"
match 'a topic of one of them' '"topic": *null, *"topic_id": *[0-9]+,[^{]*"body": *"x-second 3"' "$dumped"
no_match 'the topic of the other' '"topic": *"y"' "$dumped"

# looks STATUS REGEX FILE
looks()
{
	local out got=0
	out=$("$MQCTL" replay "$3" "$b" 2>&1) || got=$?
	equal "exit status of a look at $3" "$1" "$got"
	match "a look at $3" "$2" "$out"
}

# --- without the files before it, nothing tells where the log of the third one has parted from the primary's
mkdir "$DIR/away"
mv "${lost[@]:0:2}" "$DIR/away"
looks 1 'topic with id [0-9]+, queue 0: [0-9]+ messages, [0-9]+ left out: where the logs part cannot be found' "${lost[2]}"
no_match 'it names none' '"topic": *"' "$("$MQCTL" dump "${lost[2]}")"
match 'and nothing of it is produced' '^0 messages produced, ' "$("$MQCTL" replay --produce "${lost[2]}" "$b" | tail -n 1)"
mv "$DIR"/away/* "$DIR/a.store/lost/"

# --- all of it: only what is of a topic that both logs have
for file in "${lost[@]}"; do
	looks 1 'topic with id [0-9]+, queue 0: [0-9]+ messages, [0-9]+ left out: the topic is not there any more, or never was there' "$file"
	status "a replay of $file" 1 "$MQCTL" replay --produce "$file" "$b"
done
looks 1 't/1: 5 messages, 5 left out: there is no such queue in the mount' "${lost[2]}"
lines y 1 2 > "$DIR/y"
same 'nothing has gone into a topic that it was not of' "$DIR/y" "$b/y/0"
{
	lines both 1 5
	lines t-second 1 3
	lines t-third 1 4
} > "$DIR/t"
grep -v ^fill "$b/t/0" > "$DIR/replayed" || true
same 'what was of a topic of both is there, in order' "$DIR/t" "$DIR/replayed"
equal 'all of it' 26 "$(wc -l < "$b/t/0")"

# --- a limit that has become lower: what was written together is left out together, and what is behind it is produced
echo 100K > "$b/t/.config/max_message"
looks 1 't/0: [0-9]+ messages, [0-9]+ left out: a message is longer than the topic.s max_message' "${lost[1]}"
status 'a replay with messages that are too long' 1 "$MQCTL" replay --produce "${lost[1]}" "$b"
equal 'what is before a line that is too long' 1 "$(grep -c '^fill begins' "$b/t/0")"
status 'a replay of what is behind' 1 "$MQCTL" replay --produce "${lost[2]}" "$b"
equal 'it is there again' 2 "$(grep -c '^t-third 4' "$b/t/0")"
echo default > "$b/t/.config/max_message"

# --- an error that ends it
# failing ERROR REGEX: a replay whose second write to t/0 fails; what was written before is waited for
failing()
{
	local out got=0
	out=$(strace -o "$DIR/strace.out" -P "$b/t/0" -e trace=write,fsync -e "inject=write:error=$1:when=2" \
		"$MQCTL" replay --produce "${lost[1]}" "$b" 2>&1) || got=$?
	equal "exit status with $1" 2 "$got"
	match "what it says of $1" "$2" "$out"
	match "what was written before $1 is waited for" 'fsync' "$(cat "$DIR/strace.out")"
}
failing ENOSPC '[0-9]+ messages were produced; the rest: --from=[0-9]+$'
failing EIO 'it is not known whether the next record was; the rest: --from=[0-9]+, or --from=[0-9]+ if it is there$'

# --- a disk that stalls for longer than commit_timeout: each message is produced once all the same
node_stop a
node_stop b
node_start b peer=a "${small[@]}" commit_timeout=300ms
before=$(grep -c '^t-third' "$b/t/0")
from=$("$MQCTL" dump "${lost[2]}" | grep '"t-third 1"' | grep -oP '"position": *\K[0-9]+')
strace -f -p "$(cat "$b/.mqfs/pid")" -o "$DIR/stall.out" -e trace=fdatasync -e inject=fdatasync:delay_enter=2000000 2> "$DIR/stall.err" &
tracer=$!
wait_for 'strace' grep -q attached "$DIR/stall.err" || skip "strace cannot attach: $(cat "$DIR/stall.err")"
out=$("$MQCTL" replay --produce --from="$from" "${lost[2]}" "$b" 2>&1) && got=0 || got=$?
kill $tracer
wait $tracer || true
equal 'exit status of a replay that waits' 1 "$got"
match 'it says that it waits' 't/0: not committed in time; waiting until it is' "$out"
match 'it produces all' '4 messages produced' "$out"
equal 'each is there once more' $((before + 4)) "$(grep -c '^t-third' "$b/t/0")"

# --- a topic that takes nothing any more, and one that is another by now
echo 1 > "$b/t/.config/retired"
looks 1 't/0: [0-9]+ messages, [0-9]+ left out: the topic is retired' "${lost[1]}"
rmdir "$b/t"
mkdir "$b/t"
status 'a replay into a topic of the same name' 1 "$MQCTL" replay --produce "${lost[1]}" "$b"
looks 1 'topic with id [0-9]+, queue 0: [0-9]+ messages, [0-9]+ left out: the topic is not there any more' "${lost[1]}"
equal 'it gets nothing' 0 "$(wc -l < "$b/t/0")"
node_stop b
