#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 in front of each system call by which mqfs reaches outside of itself: as it recovers, appends, commits, seals, makes checkpoints,
# removes segments and stops. All that was acknowledged is there after the next start, and after one more: tests/crash/real_points.py.
#
# MQFS_POINTS=N   of these calls, as different from each other as can be; 60 by default, all of them in long runs
# MQFS_SEED=N     which; MQFS_POINT=N: the call of this number alone
. "$(dirname "$0")/lib.sh"
need_root
need python3
points=${MQFS_POINTS:-$([ "$LONG" = 1 ] && echo 0 || echo 60)}
seed=${MQFS_SEED:-$RANDOM}
say "seed $seed"
small_disk "$DIR/disk" 256M
status=0
python3 "$SOURCE/tests/crash/real_points.py" "$DIR/disk" "$MQFS" "$MQFS_BUILD/tests/real_kill" "$points" "$seed" >&2 || status=$?
if [ $status -ne 0 ]; then
	tail -n 20 "$DIR/disk/points.log" >&2
	die 'it does not hold'
fi
