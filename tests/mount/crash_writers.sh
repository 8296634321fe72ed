#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 of the daemon in the middle of writers, in each commit mode: every line that was acknowledged is there, once, in order.
. "$(dirname "$0")/lib.sh"
need python3
rounds=3
[ "$LONG" = 0 ] || rounds=30

# A writer: numbered lines, one write each, noting in ITS.acked the last one whose write returned; from the number after it on when the
# mount was gone. It ends with the mount.
cat > "$DIR/writer.py" << 'END'
import os, sys
queue, name, start, acked = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
note = os.open(acked, os.O_RDWR | os.O_CREAT, 0o644)
fd = os.open(queue, os.O_WRONLY | os.O_APPEND)
i = start
try:
    while True:
        line = b"%s %d %s\n" % (name.encode(), i, b"x" * (i % 200))
        assert os.write(fd, line) == len(line)
        os.pwrite(note, b"%20d" % i, 0)
        i += 1
except OSError as e:
    if e.errno not in (103, 107, 5, 4):          # ECONNABORTED, ENOTCONN, EIO, EINTR
        raise
END
# What the queue has of the writer: lines once, in order, without a gap, at least up to the acknowledged one. Lines it was not
# told of may be there, each attempt's once: a next round starts behind whatever is there.
cat > "$DIR/verify.py" << 'END'
import os, re, sys
topic, names = sys.argv[1], sys.argv[2].split(",")
seen = {}
for q in sorted(n for n in os.listdir(topic) if n.isdigit()):
    data = open(os.path.join(topic, q), "rb").read()
    assert data == b"" or data.endswith(b"\n"), "queue %s ends within a line" % q
    for line in data.splitlines():
        name, i, rest = line.split(b" ", 2)
        i = int(i)
        assert rest == b"x" * (i % 200), "a line that nobody wrote: %r" % line[:100]
        assert i == seen.get(name, 0) + 1, "%s: %d after %d" % (name, i, seen.get(name, 0))
        seen[name] = i
for name in names:
    acked = int(open(os.path.join(sys.argv[3], name + ".acked")).read())
    got = seen.get(name.encode(), 0)
    assert got >= acked, "%s: acknowledged up to %d, there up to %d" % (name, acked, got)
    print(name, got + 1)
END

for mode in write close fsync; do
	mqfs_start -o "commit=$mode,segment_size=4M"
	t=$MNT/$mode
	mkdir "$t"
	echo 3 > "$t/.config/queues"
	mkdir -p "$DIR/$mode"
	declare -A next=([a]=1 [b]=1 [c]=1 [d]=1 [e]=1 [f]=1)
	declare -A queue=([a]=0 [b]=0 [c]=0 [d]=1 [e]=2 [f]=2)
	for round in $(seq $rounds); do
		[ "$round" -eq 1 ] || mqfs_start -o "commit=$mode,segment_size=4M"
		writers=()
		for w in a b c d e f; do
			python3 "$DIR/writer.py" "$t/${queue[$w]}" "$w" "${next[$w]}" "$DIR/$mode/$w.acked" 2>> "$DIR/writers.log" &
			writers+=($!)
		done
		# Each has written some in this round.
		for w in a b c d e f; do
			behind() { [ "$(cat "$DIR/$mode/$1.acked" 2> /dev/null || echo 0)" -ge "$2" ]; }
			wait_for "writer $w in $mode" behind $w $((next[$w] + 100))
		done
		mqfs_kill
		for p in "${writers[@]}"; do
			status=0
			wait "$p" || status=$?
			equal "a writer's exit status, $mode, round $round" 0 $status
		done
		mqfs_start -o "commit=$mode,segment_size=4M"
		bounded python3 "$DIR/verify.py" "$t" a,b,c,d,e,f "$DIR/$mode" > "$DIR/next" 2> "$DIR/verify.err" ||
			die "$mode, round $round: $(tail -n 1 "$DIR/verify.err")"
		while read -r w n; do
			next[$w]=$n
		done < "$DIR/next"
		if [ "$round" -lt $rounds ]; then
			mqfs_kill
		fi
	done
	mqfs_stop
	succeeds "mqctl check after $mode" "$MQCTL" check "$STORE"
done

# Unfinished lines are in memory until their newline: what was acknowledged of whole lines is there, the rest is not.
mqfs_start
mkdir "$MNT/partial"
python3 -c 'import os, sys, time
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
os.write(fd, b"one\ntwo\nunfin")
open(sys.argv[2], "w")
time.sleep(60)' "$MNT/partial/0" "$DIR/wrote" &
wait_for 'the unfinished line' test -e "$DIR/wrote"
mqfs_kill
mqfs_start
equal 'whole lines of a write with an unfinished one' $'one\ntwo' "$(cat "$MNT/partial/0")"
