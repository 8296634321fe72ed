# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# real.sh - faults under a mounted store: load, checks, and a disk whose power can be cut. To be read before lib.sh.
#
#	new_history one
#	start
#	load_start 1 --early 200 COMMAND...
#	load_fault                            COMMAND has been run
#	end
#	load_end
#	start
#	must_hold 1

# umount does not end a file system while another process has a copy of its mount, so nobody gets one.
if [ "${MQFS_OWN_MOUNTS:-0}" = 0 ] && unshare --mount true 2> /dev/null; then
	MQFS_OWN_MOUNTS=1 exec unshare --mount bash "$0" "$@"
fi

# --- load and checks

# new_history NAME: for a new store; HISTORY is its directory
new_history()
{
	HISTORY=$DIR/history.$1
	mkdir "$HISTORY"
}

# Small segments and checkpoints, so that all that happens to large ones happens in seconds; and a slow disk is no fault.
SMALL=segment_size=1M,checkpoint_every=1M,commit_timeout=60s

start() { mqfs_start -o "$SMALL"; }

# kill -9, if it has not ended by itself
end()
{
	kill -9 "$PID" 2> /dev/null || true
	wait "$PID" 2> /dev/null || true
	_forget "$PID"
}

# load_start ROUND ARGUMENT...: as real_load.py has them
load_start()
{
	rm -f "$HISTORY/fault"
	python3 "$SOURCE/tests/crash/real_load.py" "$MNT" "$HISTORY" "$@" 2>> "$DIR/load.log" &
	LOAD=$!
}

# A campaign may run where everybody else goes first.
load_fault() { wait_for -t $((LONG ? 900 : 100)) 'the fault' test -e "$HISTORY/fault"; }

# It ends with the store.
load_end()
{
	local status=0
	wait "$LOAD" || status=$?
	[ $status -eq 0 ] || die "the load ended with status $status"
}

# check ROUND [--peek]: exit status as real_check.py's
check()
{
	timeout -k 1 120 python3 "$SOURCE/tests/crash/real_check.py" "$MNT" "$HISTORY" "$@" >> "$DIR/checks" 2> "$DIR/check.err"
}

must_hold() { check "$@" || die "round $1: $(tail -n 1 "$DIR/check.err")"; }

# How many acknowledged messages were there in all checks.
checked() { awk '/acknowledged/ { n += $1 } END { print n + 0 }' "$DIR/checks"; }

# --- a disk: a file system in a sparse file, at DIR/disk

# disk_make ext4|xfs
disk_make()
{
	truncate -s 512M "$DIR/image"
	case $1 in
	ext4) mkfs.ext4 -q -F -E nodiscard "$DIR/image" ;;
	xfs) mkfs.xfs -q -f -K "$DIR/image" ;;
	esac
	disk_mount "$DIR/image"
}

disk_mount()
{
	mkdir -p "$DIR/disk"
	mount -o loop "$1" "$DIR/disk" || skip 'cannot mount a file system in a file'
}

# CUT becomes the command that cuts the power: what is not synced is gone, and every call fails from there on. One in two writes what the
# journal has in memory before that.
disk_cut_command()
{
	local flush=
	[ $((RANDOM % 2)) -eq 0 ] || flush=' -f'
	# shellcheck disable=SC2034
	CUT=(xfs_io -x -c "shutdown$flush" "$DIR/disk")
}

# Nothing of it is in memory any more; after a cut its journal is replayed.
disk_again()
{
	local image
	image=$(losetup -n -O BACK-FILE "$(findmnt -n -o SOURCE "$DIR/disk")")
	umount "$DIR/disk"
	disk_mount "$image"
}
