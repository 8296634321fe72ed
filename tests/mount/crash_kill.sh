#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 under load at random moments; and in front of each system call by which mqfs reaches outside of itself: as it recovers, appends, commits, seals, makes checkpoints,
# removes segments and stops. All that was acknowledged is there after the next start, and after one more: tests/crash/real_points.py.
#
# MQFS_KILLS=N    at random; 3 by default, 200 in long runs
# MQFS_POINTS=N   of these calls, as different from each other as can be; 40 by default, all of them in long runs
# MQFS_SEED=N     which; MQFS_POINT=N: the call of this number alone
. "$(dirname "$0")/../crash/real.sh"
. "$(dirname "$0")/lib.sh"
need_root
need python3
points=${MQFS_POINTS:-$([ "$LONG" = 1 ] && echo 0 || echo 40)}
seed=${MQFS_SEED:-$RANDOM}
say "seed $seed"

# --- at random
RANDOM=$seed
kills=${MQFS_KILLS:-$([ "$LONG" = 1 ] && echo 200 || echo 3)}
for ((kill = 1; kill <= kills; kill++)); do
	if [ $((kill % 10)) -eq 1 ]; then                # a new store now and then, so that checks stay short
		rm -rf "$STORE"
		new_history $kill
	fi
	start
	[ $((kill % 10)) -eq 1 ] || must_hold $((kill - 1))
	load_start $kill --heard $((RANDOM % 300)) kill -9 "$PID"
	load_fault
	end
	load_end
	start
	must_hold $kill
	mqfs_stop
done
say "killed $kills times at random; $(checked) acknowledged messages"

# --- in front of each call
small_disk "$DIR/disk" 256M
status=0
python3 "$SOURCE/tests/crash/real_points.py" "$DIR/disk" "$MQFS" "$MQFS_BUILD/tests/real_kill" "$points" "$seed" >&2 || status=$?
if [ $status -ne 0 ]; then
	tail -n 20 "$DIR/disk/points.log" >&2
	die 'it does not hold'
fi
