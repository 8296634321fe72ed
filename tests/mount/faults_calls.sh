#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The system refuses mqfs one call at a time (strace's injection): a sync, a write, room, a file, a name. What was acknowledged is there after kill -9
# and the next start; a log that could not be written says so in every errno, its status and its metrics, and is still read.
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

# Appends until one is refused or all are in; what was acknowledged is in DIR/acked.
append()
{
	local line
	for line in $(lines "$1" 1 40 | tr ' ' .); do
		line=$line$padding
		if printf '%s\n' "$line" 2> /dev/null >> "$MNT/t/0"; then
			echo "$line" >> "$DIR/acked"
		fi
	done
}

must_be_there()
{
	sort "$DIR/acked" > "$DIR/acked.sorted"
	sort "$MNT/t/0" > "$DIR/there"
	equal "$1: acknowledged and gone" '' "$(comm -23 "$DIR/acked.sorted" "$DIR/there" | cut -c 1-80)"
	equal "$1: there twice" '' "$(uniq -d "$DIR/there" | cut -c 1-80)"
}

# Reads what is there without waiting: then comes EIO, and a poll says so.
drain()
{
	python3 -c '
import errno, os, select, sys
f = os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK)
try:
    while os.read(f, 1 << 17): pass
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
			succeeds "$what: reads of .follow/$follow" drain "$MNT/t/.follow/$follow"
		done
	else
		equal "$what" fine "$(health)"
		succeeds "$what: append" sh -c "echo after.$1.$2.$3 >> '$MNT/t/0'"
		echo "after.$1.$2.$3" >> "$DIR/acked"
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
touch "$DIR/acked"
once fdatasync EIO 1 final
once fdatasync EIO 30 final
once fdatasync ENOSPC 7 final
once pwritev EIO 1 final
once pwritev EIO 20 final
once pwritev ENOSPC 5 final
once pwritev EINTR 3 heals
# Segments fill up and are begun.
padding=.$(head -c 30000 /dev/zero | tr '\0' x)
once fallocate ENOSPC 1 heals
once fallocate EINTR 1 heals
once openat EMFILE 1 heals
once openat EINTR 1 heals
once renameat ENOSPC 1 heals
mqfs_stop
