#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mqctl status, check and dump: of a mount, of a stopped store, of a damaged one.
. "$(dirname "$0")/lib.sh"
need python3 strace

# field NAME: that member of each line of JSON on stdin
field() { python3 -c 'import json, sys
for line in sys.stdin: print(json.loads(line).get(sys.argv[1], "-"))' "$1"; }

mqfs_start
mkdir "$MNT/orders" "$MNT/ünï cödé"
echo 2 > "$MNT/orders/.config/queues"
lines order 1 1000 >> "$MNT/orders/0"
lines other 1 10 >> "$MNT/orders/1"
echo hello >> "$MNT/ünï cödé/0"

# --- status
match 'status: where and how' "$MNT.*health +fine" "$(tr '\n' ' ' <<< "$("$MQCTL" status -m "$MNT")")"
match 'status: the topic' 'orders +2 +1,010 ' "$("$MQCTL" status -m "$MNT")"
match 'status: any name' 'ünï cödé +1 +1 ' "$("$MQCTL" status -m "$MNT/orders")"
equal 'status --json' fine "$("$MQCTL" -m "$MNT" status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["health"]["state"])')"
succeeds 'status of a fine mount' "$MQCTL" status -m "$MNT"

# --- dump of a running store: up to the last message that was acknowledged
bodies() { "$MQCTL" dump "$@" | field body; }
equal 'bodies of a queue' "$(cat "$MNT/orders/0")" "$(bodies "$MNT/orders/0")"
equal 'bodies, by the store' "$(cat "$MNT/orders/1")" "$(bodies "$STORE" orders/1)"
equal 'the last one at once' last "$(echo last >> "$MNT/orders/1"; bodies "$MNT/orders/1" | tail -n 1)"
equal 'a topic' "$(cat "$MNT/orders/0" "$MNT/orders/1" | sort)" "$(bodies "$MNT/orders" | sort)"
equal 'the whole store' 1012 "$("$MQCTL" dump -m "$MNT" | wc -l)"
equal 'a queue of a mount' 1 "$(bodies -m "$MNT" orders/0 --count 1 | wc -l)"
refused 'no such topic of a mount' 'No such file' "$MQCTL" dump -m "$MNT" nosuch
refused 'no such queue of a mount' 'No such file' "$MQCTL" dump -m "$MNT" orders/7
if [ "$(id -u)" -eq 0 ]; then
	mkdir "$DIR/bind"
	mount --bind "$MNT/orders" "$DIR/bind"
	equal 'of a bind mount, which is a part of it' 'order 1' "$(bodies "$DIR/bind/0" --count 1)"
	match 'and no other mount' "$MNT" "$("$MQCTL" status -m "$DIR/bind" | head -n 1)"
	umount "$DIR/bind"
fi
equal 'any name' hello "$(bodies "$MNT/ünï cödé/0")"
offset=$(head -n 500 "$MNT/orders/0" | wc -c)
equal '--offset and --count' "order 501
order 502" "$(bodies "$MNT/orders/0" --offset "$offset" --count 2)"
equal 'between two messages the next' 'order 501' "$(bodies -n 1 -o $((offset - 3)) "$MNT/orders/0")"
equal 'offsets' "$(grep -b '' "$MNT/orders/0" | cut -d: -f1)" "$("$MQCTL" dump "$MNT/orders/0" | field offset)"
equal 'the writer' "$(id -u)" "$("$MQCTL" dump "$MNT/orders/1" | field uid | sort -u)"
equal '--since a future' '' "$(bodies --since 2100-01-01T00:00:00Z "$STORE")"
equal '--since a span' 1012 "$("$MQCTL" dump --since -1h "$STORE" | wc -l)"
printf '\xff\xfe\n\0\n' >> "$MNT/orders/1"
equal 'what is no UTF-8' "//4= -" "$("$MQCTL" dump "$MNT/orders/1" | tail -n 2 | head -n 1 | python3 -c 'import json, sys
o = json.loads(sys.stdin.read()); print(o["body64"], o.get("body", "-"))')"
equal 'NUL' '"\u0000"' "$("$MQCTL" dump "$MNT/orders/1" | tail -n 1 | grep -o '"\\u0000"')"
match 'records' 'topic-create' "$("$MQCTL" dump --records "$STORE" | field type)"
equal 'a reader that has enough' '0 0' "$("$MQCTL" dump "$STORE" | head -n 1 > /dev/null; echo "${PIPESTATUS[*]}")"
status 'output that cannot be written' 2 bash -c '"$MQCTL" dump "$1" > /dev/full' - "$STORE"
strace -o /dev/null -e trace=write -e inject=write:error=ENOSPC:when=2 "$MQCTL" dump "$STORE" > "$DIR/hole" 2> "$DIR/hole.err" && fail 'output with a hole'
match 'that could not be written for a moment' 'standard output: No space left' "$(cat "$DIR/hole.err")"
strace -o /dev/null -e trace=write -e inject=write:error=ENOSPC:when=1 "$MQCTL" -m "$MNT" status --json > "$DIR/hole" 2> "$DIR/hole.err" &&
	fail 'output with a hole'
equal 'a reader that has enough of status' 0 "$("$MQCTL" -m "$MNT" status --json | head -c 1 > /dev/null; echo "${PIPESTATUS[0]}")"
equal 'it changed nothing' "$(cat "$MNT/orders/0" | wc -l)" 1000

# --- what is refused
refused 'a store in use' "in use by mqfs, pid $PID, mounted at $MNT" "$MQCTL" check "$STORE"
refused 'no such topic' 'no topic' "$MQCTL" dump "$STORE" nosuch
refused 'no such queue' 'no such queue' "$MQCTL" dump "$STORE" orders/7
refused '--offset of a topic' 'TOPIC/QUEUE' "$MQCTL" dump "$STORE" orders --offset 5
mkdir -p "$DIR/joins/lost"
: > "$DIR/joins/joining"
for what in "check $DIR/joins" "dump $DIR/joins" "dump $DIR/joins/lost/0000000000000000.0"; do
	# shellcheck disable=SC2086  # a verb and a path
	refused "$what of a store in the making" "$DIR/joins: it is being made from another node's store" "$MQCTL" $what
done
refused 'outside of any mount' 'no mqfs mount' "$MQCTL" status -m /

# --- a dead mount, and its store
mqfs_kill
refused 'a dead mount' 'gone' "$MQCTL" status -m "$MNT"
before=$(cd "$STORE" && find . -type f -exec sha256sum {} + | sort)
succeeds 'check after kill -9' "$MQCTL" check "$STORE"
match 'check says so' 'fine' "$("$MQCTL" check "$STORE")"
equal 'check --quiet' '' "$("$MQCTL" check --quiet "$STORE")"
equal 'dump after kill -9' 1014 "$("$MQCTL" dump "$STORE" | wc -l)"
flock "$STORE/lock" sleep 1 &
wait_for 'the lock' bash -c '! flock -n "$0" true' "$STORE/lock"
succeeds 'check while what was killed still has the store' "$MQCTL" check "$STORE"
equal 'both changed nothing' "$before" "$(cd "$STORE" && find . -type f -exec sha256sum {} + | sort)"

# --- a byte of the first message's record becomes another
at=$(grep -a -b -o 'order 77' "$STORE/log/0000000000000000" | head -n 1 | cut -d: -f1)
printf X | dd of="$STORE/log/0000000000000000" bs=1 seek="$at" conv=notrunc status=none
status 'check of a damaged store' 1 "$MQCTL" check "$STORE"
match 'where and what' "damage: log/0{16} at position [0-9]+ .*body is damaged" "$("$MQCTL" check -q "$STORE" || true)"
status 'dump of a damaged store' 1 "$MQCTL" dump "$STORE" orders/0
equal 'the other messages are there' "$(lines other 1 10)" "$("$MQCTL" dump "$STORE" orders/1 2> /dev/null | field body | head -n 10)"

# --- straight after umount(8), which does not wait for the daemon
STORE=$DIR/slow
mqfs_start -o commit=fsync,sync_delay=100ms
mkdir "$MNT/t"
lines order 1 10 >> "$MNT/t/0"
umount "$MNT"
succeeds 'check straight after umount' "$MQCTL" check "$STORE"

# --- and that takes its time with the last syncs: whoever has the store and no mount is waited for, by check and by a start
for store in "$DIR/leaving.check" "$DIR/leaving.start"; do
	mqfs_start_at "$store" "$DIR/leaving"
	mqfs_stop
done
for store in "$DIR/leaving.check" "$DIR/leaving.start"; do
	flock "$store/lock" sleep 7 &
	wait_for "the lock of $store" bash -c '! flock -n "$0" true' "$store/lock"
done
bounded "$MQCTL" check "$DIR/leaving.check" > "$DIR/out" 2>&1 &
check=$!
mqfs_start_at "$DIR/leaving.start" "$DIR/leaving"
mqfs_stop
wait $check || fail "check of a store that somebody is about to leave: $(cat "$DIR/out")"

# --- a segment that is missing, from the middle or at the end, is told of
STORE=$DIR/missing
mqfs_start -o segment_size=1M
mkdir "$MNT/x" "$MNT/y"
for i in 1 2 3; do
	seq -f "x$i-%06g" 30000 >> "$MNT/x/0"
	seq -f "y$i-%06g" 30000 >> "$MNT/y/0"
done
mqfs_stop
succeeds 'dump of all segments' "$MQCTL" dump "$STORE" x/0
succeeds 'dump of some messages' "$MQCTL" dump -n 5 "$STORE" x/0
equal 'all messages' 90000 "$("$MQCTL" dump "$STORE" x/0 | wc -l)"
segments=("$STORE"/log/????????????????)
for gone in "${segments[1]}" "${segments[-1]}"; do
	mv "$gone" "$DIR/gone"
	status "dump without $(basename "$gone")" 1 "$MQCTL" dump "$STORE" y/0
	match 'it says where' "log/$(basename "$gone") .*nothing is there for [0-9]+ bytes" "$("$MQCTL" dump "$STORE" y/0 2>&1 > /dev/null || true)"
	mv "$DIR/gone" "$gone"
done
succeeds 'dump of all segments again' "$MQCTL" dump "$STORE" y/0

# --- with -m a name is one of that mount, whatever has it where mqctl is called
mqfs_start
mkdir "$MNT/1"
echo 2 > "$MNT/x/.config/queues"
echo 'of x' >> "$MNT/x/1"
echo 'of 1' >> "$MNT/1/0"
ln -s "$STORE" "$DIR/1"
for where in "$MNT/x" "$DIR"; do
	equal "a name, called in $where" 'of 1' "$(cd "$where"; bodies -m "$MNT" 1)"
done
mqfs_stop
