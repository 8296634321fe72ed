#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A clock that jumps, by hours, forwards and backwards, also between two starts: appends and commits do not care, the times in the log never go
# back, TIME finds its place by them, and retention.age removes by them and by what the clock says now.
. "$(dirname "$0")/lib.sh"
need python3
# Only the wall clock: what waits counts on the monotonic one, which nothing sets.
clock_library=$(find /usr/lib -name libfaketimeMT.so.1 | head -n 1)
[ -n "$clock_library" ] || skip 'there is no libfaketime'
export FAKETIME_TIMESTAMP_FILE=$DIR/clock FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1
export ASAN_OPTIONS=verify_asan_link_order=0:${ASAN_OPTIONS:-}
# The clock is so much ahead. Renamed into place: never half a value.
jump() { echo "$1" > "$DIR/clock.new"; mv "$DIR/clock.new" "$DIR/clock"; }
start() { LD_PRELOAD=$clock_library mqfs_start -o commit_timeout=60s "$@"; }
now_is() { python3 -c 'import json, sys, time, datetime
shown = datetime.datetime.fromisoformat(json.load(open(sys.argv[1]))["now"][:26] + "+00:00").timestamp()
sys.exit(abs(shown - time.time() - float(sys.argv[2])) > 1000)' "$MNT/.mqfs/status.json" "$1"; }
head_of() { cat "$MNT/$1/.config/head.0"; }

# --- appends and times
jump +0
start
mkdir "$MNT/t"
echo 'at first' >> "$MNT/t/0"
jump -3h
succeeds 'the clock of mqfs is set back' now_is -10800
echo 'set back' >> "$MNT/t/0"
jump +5h
succeeds 'and forward' now_is 18000
echo 'set forward' >> "$MNT/t/0"
jump +0
echo 'as at first' >> "$MNT/t/0"
mqfs_kill
jump -24h
start
echo 'a start a day before' >> "$MNT/t/0"
printf '%s\n' 'at first' 'set back' 'set forward' 'as at first' 'a start a day before' > "$DIR/all"
same 'all messages' "$DIR/all" "$MNT/t/0"
"$MQCTL" dump "$STORE" t/0 > "$DIR/dump"
equal 'times go on' ok "$(python3 -c 'import json, sys
times = [json.loads(line)["time"] for line in open(sys.argv[1])]
print("ok" if len(times) == 5 and times == sorted(times) else times)' "$DIR/dump")"

# --- a time as a start: two hours ahead lie what was set forward and all behind it, for times do not go back
at=$(date -u -d '+2 hours' +%Y-%m-%dT%H:%M:%SZ)
equal 'following from a time' 'set forward' "$(bounded head -n 1 "$MNT/t/.follow/0@$at")"
at=$(date -u -d '-2 hours' +%Y-%m-%dT%H:%M:%SZ)
equal 'from an earlier one' 'at first' "$(bounded head -n 1 "$MNT/t/.follow/0@$at")"

# --- who waits does not wait for the clock
mqfs_stop
jump +0
start -o sync_delay=2500ms,commit_timeout=4900ms
parked() { [ "$(json "$MNT/.mqfs/status.json" mount.parked)" -eq "$1" ]; }
# The end of this one's time is what the timer sleeps for; when it wakes, the next one is still waiting.
echo 'before it jumps' >> "$MNT/t/0"
(echo 'while it jumps' >> "$MNT/t/0" && echo ok) > "$DIR/jumped" 2>&1 &
writer=$!
wait_for 'a write that waits' parked 1
jump +12h
wait $writer || true
equal 'a write that waits as the clock jumps' ok "$(cat "$DIR/jumped")"
mqfs_kill

# --- retention.age
rm -rf "$STORE"
jump +0
start
mkdir "$MNT/aged" "$MNT/marker"
echo 1h > "$MNT/aged/.config/retention.age"
echo 'old' >> "$MNT/aged/0"
# Set back, nothing has had its time. The keeper has looked when it has removed what another topic has too much.
jump -10h
echo 'new' >> "$MNT/aged/0"
for i in 1 2 3; do echo $i >> "$MNT/marker/0"; done
echo 1 > "$MNT/marker/.config/retention.size"
moved() { [ "$(head_of marker)" -gt 0 ]; }
wait_for -t 60 'retention' moved
equal 'set back, nothing is too old' 0 "$(head_of aged)"
# Set forward, all is: the clock is what there is to go by.
jump +3h
echo 'newest' >> "$MNT/marker/0"
emptied() { [ "$(head_of aged)" -eq 8 ]; }
wait_for -t 60 'the end of what is too old' emptied
jump +0
echo 'after' >> "$MNT/aged/0"
equal 'what is appended then stays' after "$(cat "$MNT/aged/0")"
mqfs_stop
succeeds 'mqctl check' "$MQCTL" check "$STORE"
