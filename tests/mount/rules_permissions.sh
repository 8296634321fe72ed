#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A root that is open to all as /tmp is: its sticky bit keeps users from each other's topics, after a restart too.
. "$(dirname "$0")/lib.sh"
need_tester
mqfs_start
as() { runuser -u "$TESTER" -- bash -c "$1"; }
chmod 1777 "$MNT"
equal 'the sticky bit' 1777 "$(stat -c %a "$MNT")"
mkdir "$MNT/ours"
echo 1 > "$MNT/ours/.config/retired"
succeeds 'a topic of another user' as "mkdir $MNT/theirs && echo x >> $MNT/theirs/0"
refused 'removing what is not his' 'not permitted|denied' as "rmdir $MNT/ours"
mqfs_stop
mqfs_start
equal 'after a restart' 1777 "$(stat -c %a "$MNT")"
refused 'removing what is not his' 'not permitted|denied' as "rmdir $MNT/ours"
succeeds 'removing his own' as "echo 1 > $MNT/theirs/.config/retired && rmdir $MNT/theirs"
succeeds 'root removes it' rmdir "$MNT/ours"
mkdir -m 1770 "$MNT/t"
equal 'mkdir, and what its queue has of it' '1770 640' "$(stat -c %a "$MNT/t" "$MNT/t/0" | paste -sd ' ')"

# --- what a user may produce to need not be his to consume, by no path; what follows has the queue's r
chmod 733 "$MNT/t"
chmod 622 "$MNT/t/0"
equal 'r of what follows' '400 400' "$(stat -c %a "$MNT/t/.follow/0" "$MNT/t/.retained/0" | paste -sd ' ')"
succeeds 'produce' as "echo y >> $MNT/t/0"
for p in 0 .follow/0 .follow/0@latest .follow/all .retained/0 any; do
	refused "consume by $p" denied as "cat $MNT/t/$p"
done
echo 2 > "$MNT/t/.config/queues"
equal 'a queue added later has the mode of queue 0' 622 "$(stat -c %a "$MNT/t/1")"
chown "$TESTER" "$MNT/t"
equal "the configuration is the topic's owner's" "$TESTER 644" "$(stat -c '%U %a' "$MNT/t/.config/commit")"
succeeds 'configure' as "echo close > $MNT/t/.config/commit"
mqfs_stop
