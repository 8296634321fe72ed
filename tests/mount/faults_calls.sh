#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The system refuses mqfs one call at a time (strace's injection): a sync, a write, room, a file, a name. What was acknowledged is there
# after kill -9 and the next start, and so is all that anybody has read; what was refused is not. A log that could not be written says so in
# every errno, its status and its metrics, and is still read.
#
# The unit tests fail each call of the store; here it is seen from outside.
. "$(dirname "$0")/lib.sh"
need python3 strace
health() { json "$MNT/.mqfs/status.json" health.state; }

# attach CALL ERROR WHEN: the WHENth call of the daemon from now on fails
attach()
{
	strace -f -qq -o "$DIR/strace" -e trace="$1" -e inject="$1:error=$2:when=$3" -p "$PID" 2> "$DIR/attached" &
	TRACER=$!
	wait_for 'strace' traced
}
traced() { [ "$(awk '/^TracerPid:/ { print $2 }' "/proc/$PID/status")" = "$TRACER" ]; }
detach()
{
	kill "$TRACER"
	wait "$TRACER" || true
}

# All of them are tried, whatever comes of one; what was answered is in DIR/acked and DIR/refused.
append()
{
	echo "$1 40 $padding" >&"${APPENDER[1]}"
	read -r _ <&"${APPENDER[0]}"
}

must_be_there()
{
	local read
	sort "$DIR/acked" > "$DIR/acked.sorted"
	sort "$DIR/refused" > "$DIR/refused.sorted"
	cat "$MNT/t/0" > "$DIR/now"
	sort "$DIR/now" > "$DIR/there"
	equal "$1: acknowledged and gone" '' "$(comm -23 "$DIR/acked.sorted" "$DIR/there" | cut -c 1-80)"
	equal "$1: refused and there" '' "$(comm -12 "$DIR/refused.sorted" "$DIR/there" | cut -c 1-80)"
	equal "$1: there twice" '' "$(uniq -d "$DIR/there" | cut -c 1-80)"
	# What was read stays, at its offset.
	for read in "$DIR"/read.*; do
		same "$1: what $(basename "$read") has" "$read" <(head -c "$(stat -c %s "$read")" "$DIR/now")
	done
	mv "$DIR/now" "$DIR/read.queue"
}

# Prints what is there without waiting: then comes EIO, and a poll says so.
drain()
{
	python3 -c '
import errno, os, select, sys
f = os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK)
try:
    while data := os.read(f, 1 << 17): sys.stdout.buffer.write(data)
except OSError as e:
    assert e.errno == errno.EIO, e
poll = select.poll()
poll.register(f, select.POLLIN)
assert poll.poll(0)
' "$1"
}

# once CALL ERROR WHEN final|heals: the log has failed then, or goes on
once()
{
	local what="$1, $2 at $3"
	attach "$1" "$2" "$3"
	append "$1.$2.$3"
	mkdir "$MNT/new.$1.$2.$3" 2> /dev/null || true
	append "$1.$2.$3.more"
	detach
	match "$what happened" INJECTED "$(cat "$DIR/strace")"
	if [ "$4" = final ]; then
		equal "$what" failed "$(health)"
		match "$what: metrics" $'\nmqfs_healthy 0\n' "$(cat "$MNT/.mqfs/metrics.prom")"
		call EIO write "$MNT/t/0" 'O_WRONLY|O_APPEND' 'no more\n'
		call EIO mkdir "$MNT/no-more"
		for follow in 0 all; do
			drain "$MNT/t/.follow/$follow" > "$DIR/read.$follow" || fail "$what: reads of .follow/$follow"
		done
	else
		echo "after.$1.$2.$3$padding" > "$DIR/after"
		wait_for "$what: append" sh -c "cat '$DIR/after' >> '$MNT/t/0'"
		cat "$DIR/after" >> "$DIR/acked"
		equal "$what" fine "$(health)"
	fi
	must_be_there "$what"
	mqfs_kill
	mqfs_start -o segment_size=1M
	equal "$what: the next start" fine "$(health)"
	must_be_there "$what, and a start"
}

padding=
mqfs_start -o segment_size=1M
mkdir "$MNT/t"
touch "$DIR/acked" "$DIR/refused" "$DIR/read.queue"
coproc APPENDER { exec python3 "$TOOLS/append.py" "$MNT/t/0" "$DIR" none; }
once fdatasync EIO 1 final
once fdatasync EIO 30 final
once fdatasync ENOSPC 7 final
once pwritev EIO 1 final
once pwritev EIO 20 final
once pwritev ENOSPC 5 final
once pwritev EINTR 3 heals
# Segments fill up and are begun.
padding=.$(head -c 30000 /dev/zero | tr '\0' x)
once fallocate ENOSPC 1+ heals
once fallocate EINTR 1 heals
once openat EMFILE 1 heals
once openat EINTR 1 heals
once renameat ENOSPC 1 heals
mqfs_stop
[ -s "$DIR/refused" ] || fail 'nothing was refused'
