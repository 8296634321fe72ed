#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The standby's disk is much smaller than what is written, and full before it relieves itself: it lets go of what has limits, and goes on.
. "$(dirname "$0")/lib.sh"
. "$TOOLS/pair.sh"
small_disk
pair_start min_standbys=1 commit_timeout=10s segment_size=1M retention.free=1 retention.age=30d
a=$(mnt a) b=$(mnt b)
mkdir "$a/t"
head -c 400000 /dev/urandom | base64 -w 99 > "$DIR/chunk"
for n in $(seq 45); do
	cat "$DIR/chunk" >> "$a/t/0" || fail "the standby takes no more after $n of 45"
done
wait_health b fine
wait_health a fine
tail -n 1 "$a/t/0" > "$DIR/last"
same_end() { tail -n 1 "$b/t/0" | cmp -s - "$DIR/last"; }
wait_for 'the standby to show the end' same_end
match 'the log of the standby' 'segments went, .* before their time' "$(cat "$DIR/b.log")"
node_stop b
node_stop a
umount "$DIR/disk"
