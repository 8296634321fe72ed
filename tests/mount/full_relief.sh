#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A full disk can be relieved from inside the mount, whatever was tried on it before: topics, chmod and restarts leave room for the commands
# that free some, and these do not use it up when they are repeated.
. "$(dirname "$0")/lib.sh"
need_root
need mkfs.ext4
mkdir "$DIR/disk"
truncate -s 12M "$DIR/image"
mkfs.ext4 -q -F -m 0 -J size=1 "$DIR/image"
mount -o loop "$DIR/image" "$DIR/disk" || skip 'cannot mount a loop device'
STORE=$DIR/disk/store
start() { mqfs_start -o segment_size=1M,retention.free=0; }
log_end() { sed -n '/"log": {/,/}/s/.*"end": \([0-9]*\).*/\1/p' "$MNT/.mqfs/status.json"; }
start

head -c 400000 /dev/urandom | base64 -w 99 > "$DIR/chunk"
append() { cat "$DIR/chunk" >> "$1"; }
n=0
long=$(printf 'n%0100d' 0)             # the fewer of them there is room for
health() { sed -n '/"health": {/,/}/s/.*"state": "\(.*\)".*/\1/p' "$MNT/.mqfs/status.json"; }

# Until nothing more goes: bulk, single lines, topics, modes.
fill()
{
	while append "$1" 2> "$DIR/error"; do :; done
	match 'bulk is refused' 'No space left' "$(cat "$DIR/error")"
	while { printf '%3000d\n' 0 >> "$1"; } 2> "$DIR/error"; do :; done
	while { echo x >> "$1"; } 2> "$DIR/error"; do :; done
	match 'a line is refused' 'No space left' "$(cat "$DIR/error")"
	equal 'health of a full disk' full "$(health)"
	while mkdir "$MNT/$long$n" 2> "$DIR/error"; do n=$((n + 1)); done
	match 'a topic is refused' 'No space left' "$(cat "$DIR/error")"
	while chmod 600 "$1" 2> "$DIR/error" && chmod 644 "$1" 2> "$DIR/error"; do :; done
	match 'a mode is refused' 'No space left' "$(cat "$DIR/error")"
	equal 'health after topics were made' full "$(health)"
}

by_size() { echo 100K > "$1/.config/retention.size"; }
by_age() { echo 1s > "$1/.config/retention.age"; }
by_head() { echo latest > "$1/.config/head.0"; }
by_removal() { echo 1 > "$1/.config/retired" && rmdir "$1"; }

mkdir "$MNT/small"
for relief in by_size by_age by_removal; do
	mkdir "$MNT/$relief"
	fill "$MNT/$relief/0"
	refused "$relief: appends to other topics" 'No space left' append "$MNT/small/0"
	"$relief" "$MNT/$relief" || fail "$relief is refused on the full disk"
	wait_for "appends after $relief" append "$MNT/small/0"
	equal 'health then' fine "$(health)"
	echo latest > "$MNT/small/.config/head.0"
	[ "$relief" = by_removal ] || by_removal "$MNT/$relief"
done

# What frees nothing may be said a thousand times, and mqfs may start again and again: the log grows by none of it.
mkdir "$MNT/pinned"
append "$MNT/pinned/0"
fill "$MNT/small/0"
echo latest > "$MNT/small/.config/head.0" || fail 'the first head is refused'
append "$MNT/small/0" 2> "$DIR/error" && fail 'the disk is not full any more'
# A head that frees nothing more is refused sooner or later, and takes nothing from those that do.
for ((i = 0; i < 400; i++)); do
	{ echo latest > "$MNT/small/.config/head.0"; } 2> "$DIR/error" || break
done
match 'heads that free nothing' 'No space left' "$(cat "$DIR/error")"
end=$(log_end)
match "where the log ends" "^[0-9]+$" "$end"
for ((i = 0; i < 20; i++)); do
	echo default > "$MNT/small/.config/retention.size"
	echo 0 > "$MNT/small/.config/retired"
done
equal 'where the log ends after commands that change nothing' "$end" "$(log_end)"
for ((i = 0; i < 2; i++)); do
	mqfs_kill
	start
	equal 'where the log ends after a restart' "$end" "$(log_end)"
	equal 'health after a restart' full "$(health)"
	match 'the metric' $'\nmqfs_healthy 0\n' "$(cat "$MNT/.mqfs/metrics.prom")"
	status 'mqctl status' 1 "$MQCTL" status -m "$MNT"
done
equal 'what is there' "$(wc -c < "$DIR/chunk")" "$(wc -c < "$MNT/pinned/0")"
refused 'a topic' 'No space left' mkdir "$MNT/another"
by_size "$MNT/small" || fail 'a limit of another topic is refused'
by_head "$MNT/pinned" || fail 'the relief is refused'
wait_for 'appends after the relief' append "$MNT/small/0"
mkdir "$MNT/another"
mqfs_stop
start
succeeds 'a start after it' append "$MNT/another/0"
mqfs_stop
succeeds 'mqctl check' "$MQCTL" check "$STORE"
