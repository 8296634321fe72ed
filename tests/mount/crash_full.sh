#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A disk that fills and is freed again, many times: appends are refused and go on by themselves, nothing is half-written, nothing leaks; then
# kill -9 while it is full. See tests/crash/real_full.py.
#
# MQFS_TIMES=N    50 by default, 1000 in long runs
. "$(dirname "$0")/../crash/real.sh"
. "$(dirname "$0")/lib.sh"
need_root
need python3 mkfs.ext4
times=${MQFS_TIMES:-$([ "$LONG" = 1 ] && echo 1000 || echo 50)}
if nm -D "$MQFS" 2> /dev/null | grep -q __asan_init; then
	export SANITIZED=1           # what is freed stays in its quarantine
fi
STORE=$DIR/disk/store
truncate -s 48M "$DIR/image"
mkfs.ext4 -q -F -m 0 -J size=4 "$DIR/image"
disk_mount "$DIR/image"
new_history full
mqfs_start -o "$SMALL,retention.free=1M"
python3 "$SOURCE/tests/crash/real_full.py" "$MNT" "$HISTORY" "$DIR/disk" "$PID" "$times" >&2 || die 'it does not hold'
must_hold 1
match 'refusals are counted' $'\nmqfs_[a-z_]*refused[a-z_]* [1-9]' "$(cat "$MNT/.mqfs/metrics.prom")"
equal 'health at the end' fine "$(json "$MNT/.mqfs/status.json" health.state)"
end
start
must_hold 1
mqfs_stop
equal 'files that do not belong there' '' "$(find "$STORE" -type f | sed "s,^$STORE/,," |
	grep -vE '^(id|lock|reserve|scrub|log/[0-9a-f]{16}(\.index)?|log/(filling|prepared\.[0-9]+)|checkpoint/[0-9a-f]{16})$')"
succeeds 'mqctl check' "$MQCTL" check "$STORE"
