#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Power cuts under load, on ext4 and XFS: the file system is shut down at a random moment, with or without its journal's last entries,
# and replays its journal at the next mount. All that was acknowledged is there; see tests/crash/real_check.py for what else must hold.
# And the other way round: a store whose syncs do nothing (eatmydata) is seen to lose messages by the same cuts and checks.
#
# MQFS_CUTS=N     cuts on each file system; 5 by default, 100 in long runs
# MQFS_FS=xfs     on this one only
# MQFS_SEED=N     of the moments and kinds of cuts; the load's own timing is what it is
. "$(dirname "$0")/../crash/real.sh"
. "$(dirname "$0")/lib.sh"
need_root
need python3 xfs_io mkfs.xfs mkfs.ext4
cuts=${MQFS_CUTS:-$([ "$LONG" = 1 ] && echo 100 || echo 5)}
seed=${MQFS_SEED:-$RANDOM}
RANDOM=$seed
say "seed $seed"
STORE=$DIR/disk/store
STORE_CUTS=10                        # then a new store, so that checks stay short
CONTROL_CUTS=20                      # one of them must show a loss; the first one does

# new_store NAME: and a history for it
new_store()
{
	rm -rf "$STORE"
	new_history "$1"
}

# cut_under_load ROUND: the daemon that meets the cut is then killed, or told to stop, which it must do on a broken disk too.
cut_under_load()
{
	local when=()
	[ $((RANDOM % 5)) -ne 0 ] || when=(--early)
	disk_cut_command
	load_start "$1" "${when[@]}" $((RANDOM % 400)) "${CUT[@]}"
	load_fault
	if [ $((RANDOM % 3)) -eq 0 ]; then
		kill -TERM "$PID"
		wait_for -t 60 'the end of mqfs on a broken disk' _gone "$PID"
	fi
	end
	load_end
	disk_again
}

# A cut while the store starts.
cut_start()
{
	"$MQFS" -f -o "$SMALL" "$STORE" "$MNT" >> "$DIR/mqfs.log" 2>&1 < /dev/null &
	PID=$!
	DAEMONS+=("$PID")
	sleep "0.0$((RANDOM % 10))"
	disk_cut_command
	"${CUT[@]}"
	end
	disk_again
}

for fs in ${MQFS_FS:-ext4 xfs}; do
	disk_make "$fs"
	: > "$DIR/checks"
	for ((cut = 0; cut < cuts; cut++)); do
		if [ $((cut % STORE_CUTS)) -eq 0 ]; then
			[ $cut -eq 0 ] || mqfs_stop
			new_store "$fs.$cut"
			start
		fi
		cut_under_load $cut
		succeeds 'mqctl check after the cut' "$MQCTL" check "$STORE"
		[ $((RANDOM % 4)) -ne 0 ] || cut_start
		start
		must_hold $cut
		if [ $((RANDOM % 2)) -eq 0 ]; then mqfs_stop; else mqfs_kill; fi
		start
		must_hold $cut
	done
	mqfs_stop
	succeeds "mqctl check on $fs" "$MQCTL" check "$STORE"
	umount "$DIR/disk"
	rm "$DIR/image"
	say "$fs: $cuts cuts, $(checked) acknowledged messages, none lost"
done

# --- the same, with syncs that do nothing
disk_make ext4
export ASAN_OPTIONS=verify_asan_link_order=0:${ASAN_OPTIONS:-}
for ((cut = 1; cut <= CONTROL_CUTS; cut++)); do
	new_store control.$cut
	start
	mqfs_stop                    # the store itself is sound
	LD_PRELOAD=libeatmydata.so start
	grep -q libeatmydata "/proc/$PID/maps" || die 'there is no libeatmydata'
	cut_under_load $cut
	start
	lost=0
	check $cut || lost=$?
	mqfs_stop
	[ $lost -ne 3 ] || break
done
equal 'a check after a cut without syncs' 3 "$lost"
say "without syncs: cut $cut: $(tail -n 1 "$DIR/check.err")"
