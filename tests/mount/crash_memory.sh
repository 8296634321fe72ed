#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The kernel kills a daemon that wants more memory than its control group may have, under load: all that was acknowledged is there.
#
# MQFS_KILLS=N    3 by default, 50 in long runs
. "$(dirname "$0")/../crash/real.sh"
. "$(dirname "$0")/lib.sh"
need_root
need python3
kills=${MQFS_KILLS:-$([ "$LONG" = 1 ] && echo 50 || echo 3)}
LIMIT=$((64 << 20))
! nm -D "$MQFS" 2> /dev/null | grep -q __asan_init || LIMIT=$((512 << 20))

# A control group of its own, in the hierarchy that has memory, of either version.
make_group()
{
	local root
	if root=$(findmnt -n -o TARGET -t cgroup -O memory | head -n 1) && [ -n "$root" ]; then
		KILLED=memory.oom_control
	elif root=$(findmnt -n -o TARGET -t cgroup2 | head -n 1) && grep -qsw memory "$root/cgroup.controllers"; then
		KILLED=memory.events
		echo +memory > "$root/cgroup.subtree_control" || skip 'cannot limit the memory of control groups'
	else
		skip 'no control groups for memory'
	fi
	GROUP=$(mktemp -d "$root/mqfs-test.XXXXXX") || skip 'cannot make a control group'
	on_exit rmdir "$GROUP"
	if [ -e "$GROUP/memory.limit_in_bytes" ]; then
		echo $LIMIT > "$GROUP/memory.limit_in_bytes"
	else
		echo $LIMIT > "$GROUP/memory.max"
		[ ! -e "$GROUP/memory.swap.max" ] || echo 0 > "$GROUP/memory.swap.max"
	fi
}

killed() { awk '$1 == "oom_kill" { print $2 }' "$GROUP/$KILLED"; }

# Lines without an end are kept in memory. Whoever writes them goes on until there is nobody to write to.
cat > "$DIR/hog.py" << 'EOF'
import os
try:
    os.mkdir("made.1.hog")
except FileExistsError:
    pass
handles = []
try:
    while True:
        handles.append(os.open("made.1.hog/0", os.O_WRONLY | os.O_APPEND))
        for _ in range(30):
            os.write(handles[-1], b"x" * 100000)
except OSError as e:
    print(e)
EOF

make_group
mqfs=$MQFS
printf '#!/bin/sh\necho 0 > "%s/cgroup.procs"\nexec "%s" "$@"\n' "$GROUP" "$mqfs" > "$DIR/limited"
chmod +x "$DIR/limited"
new_history memory
for ((kill = 1; kill <= kills; kill++)); do
	MQFS=$DIR/limited
	start
	MQFS=$mqfs
	before=$(killed)
	load_start $kill --heard $((RANDOM % 200)) python3 "$DIR/hog.py"
	wait_for -t 60 'the end of a daemon without memory' _gone "$PID"
	end
	load_end
	[ "$(killed)" -gt "$before" ] || fail 'it has ended, but not for want of memory'
	start
	must_hold $kill
	mqfs_stop
done
succeeds 'mqctl check' "$MQCTL" check "$STORE"
say "killed $(killed) times; $(checked) acknowledged messages"
