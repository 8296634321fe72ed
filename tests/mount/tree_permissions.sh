#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Permissions are POSIX: r consumes, w produces, w on the root makes topics, and the kernel checks them.
. "$(dirname "$0")/lib.sh"
need_tester
mqfs_start
mkdir "$MNT/t"
echo message >> "$MNT/t/0"
as() { runuser -u "$TESTER" -- bash -c "$1"; }

# --- as made: others consume, and that is all
equal 'others read' message "$(as "cat $MNT/t/0")"
equal 'and follow' message "$(as "head -n 1 $MNT/t/.follow/0")"
equal 'all of it' message "$(as "head -n 1 $MNT/t/.follow/all")"
equal 'and what is retained' message "$(as "cat $MNT/t/.retained/0")"
equal 'and the configuration' lines "$(as "cat $MNT/t/.config/framing")"
equal 'and status' "$PID" "$(as "cat $MNT/.mqfs/pid")"
refused 'an append by others' 'denied' as "echo x >> $MNT/t/0"
refused 'configuring by others' 'denied' as "echo write > $MNT/t/.config/framing"
refused 'a topic by others' 'denied' as "mkdir $MNT/u"
refused 'a removal by others' 'denied' as "rmdir $MNT/t"
refused 'chmod by others' 'not permitted' as "chmod 777 $MNT/t/0"
refused 'chown by others' 'not permitted' as "chown $TESTER $MNT/t/0"

# --- w without r: only to produce
chmod 622 "$MNT/t/0"
succeeds 'an append by others' as "echo x >> $MNT/t/0"
refused 'reading by others' 'denied' as "cat $MNT/t/0"
refused 'following by others' 'denied' as "cat $MNT/t/.follow/0"
refused 'following all by others' 'denied' as "cat $MNT/t/.follow/all"
refused 'what is retained by others' 'denied' as "cat $MNT/t/.retained/0"
equal 'and what was appended' 'message x' "$(paste -sd ' ' "$MNT/t/0")"

# --- all queues of a topic: only who may read each
chmod 644 "$MNT/t/0"
echo 2 > "$MNT/t/.config/queues"
equal 'following all by others' message "$(as "head -n 1 $MNT/t/.follow/all")"
chmod 600 "$MNT/t/1"
refused 'following all by others' 'denied' as "cat $MNT/t/.follow/all"
chown "$TESTER" "$MNT/t/1"
refused 'following all by who owns one queue' 'denied' as "cat $MNT/t/.follow/all"
equal 'his own' '' "$(as "cat $MNT/t/1")"

# --- a topic that is closed, a root that is open
chmod 700 "$MNT/t"
refused 'a closed topic' 'denied' as "cat $MNT/t/0"
refused 'a closed topic' 'denied' as "ls $MNT/t/.config"
chmod 777 "$MNT"
succeeds 'a topic by others' as "umask 077; mkdir $MNT/u"
equal 'is theirs' "$TESTER 700 $TESTER 600" "$(stat -c '%U %a' "$MNT/u" "$MNT/u/0" | paste -sd ' ')"
succeeds 'and theirs to configure' as "echo write > $MNT/u/.config/framing && echo 1 > $MNT/u/.config/retired"
succeeds 'and to remove' as "rmdir $MNT/u"
mqfs_stop
