#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A disk that loses what it was given: ext4 in a sparse file on a tmpfs that is full, so that blocks cannot be written, which shows only when they
# are synced. The store says so in every errno, in its status and its metrics, acknowledges nothing more, and still reads what is
# committed. The next start trusts nothing that is only in memory: with the page cache as it is, and with none.
. "$(dirname "$0")/../crash/real.sh"
. "$(dirname "$0")/lib.sh"
need_root
need python3 mkfs.ext4
STORE=$DIR/disk/store
health() { json "$MNT/.mqfs/status.json" health.state; }
is() { [ "$(health)" = "$1" ]; }

# The file system's own blocks have room on the tmpfs; what is behind them may not. Requests are no larger than a page of the tmpfs: a
# loop device takes what its file wrote only in part for written (Linux 6.18), and then fdatasync(2) says 0 for what is nowhere.
make_disk()
{
	local queue
	small_disk "$DIR/small" 64M
	truncate -s 256M "$DIR/small/image"
	mkfs.ext4 -q -F -b 4096 -m 0 -N 1024 -J size=4 -E nodiscard,lazy_itable_init=0,lazy_journal_init=0,packed_meta_blocks=1 \
		"$DIR/small/image" 2> /dev/null
	fallocate -l 12M "$DIR/small/image"
	disk_mount "$DIR/small/image"
	queue=/sys/block/$(basename "$(findmnt -n -o SOURCE "$DIR/disk")")/queue
	echo 4 > "$queue/max_sectors_kb" || skip 'cannot make the requests of a loop device small'
}

fill_disk() { cat /dev/zero > "$DIR/small/full" 2> /dev/null || true; }

for cache in kept dropped; do
	make_disk
	new_history $cache
	start
	# shellcheck disable=SC2016
	load_start 1 --heard 100 sh -c 'cat /dev/zero > "$0" 2> /dev/null || true' "$DIR/small/full"
	load_fault
	wait_for -t 60 'the failed sync' is failed
	match 'the reason' 'could not be (written|synced)' "$(json "$MNT/.mqfs/status.json" health.why)"
	match 'metrics' $'\nmqfs_healthy 0\n' "$(cat "$MNT/.mqfs/metrics.prom")"
	match 'the message' 'could not be (written|synced)' "$(cat "$DIR/mqfs.log")"
	for q in write/0 close/0 fsync/0; do
		call EIO write "$MNT/$q" 'O_WRONLY|O_APPEND' 'one more\n'
		succeeds "reading $q" cat "$MNT/$q"
	done
	call EIO mkdir "$MNT/more"
	# Space alone heals nothing: what was dropped is not in memory either, or nobody knows.
	rm "$DIR/small/full"
	call EIO write "$MNT/write/0" 'O_WRONLY|O_APPEND' 'one more\n'
	fill_disk
	end
	load_end
	if [ $cache = kept ]; then
		start
		if is read-only; then
			must_hold 1 --peek
			call EROFS write "$MNT/write/0" 'O_WRONLY|O_APPEND' 'one more\n'
			call EROFS rmdir "$MNT/write"
			timeout 1 cat "$MNT/write/.follow/all" > "$DIR/all" || true
			succeeds 'it serves still' cat "$MNT/.mqfs/role"
		fi
		end
	fi
	rm "$DIR/small/full"
	[ $cache = kept ] || disk_again
	start
	equal "the next start with the page cache $cache" fine "$(health)"
	must_hold 1
	echo more >> "$MNT/write/0"
	equal 'appends go on' more "$(tail -n 1 "$MNT/write/0")"
	# What recovery showed, and what was appended since, is on the disk now.
	end
	disk_again
	start
	equal 'what was appended then' more "$(tail -n 1 "$MNT/write/0")"
	mqfs_stop
	umount "$DIR/disk" "$DIR/small"
	say "page cache $cache: $(checked) acknowledged messages"
	: > "$DIR/checks"
done
