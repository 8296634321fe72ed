#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Segments that are gone: nobody takes for gone what was not let go. Who reads what they had gets EIO, everything else is read, and status, check
# and dump say so.
. "$(dirname "$0")/lib.sh"

segment() { find "$1/log" -name '0???????????????' | sort | sed -n "$2p"; }
status_now() { cat "$MNT/.mqfs/status.json" > "$DIR/status.json" && json "$DIR/status.json" "$1"; }
status_is() { [ "$(status_now "$1")" = "$2" ]; }

mqfs_start -o segment_size=1M,checkpoint_every=1M,commit=close
mkdir "$MNT/t" "$MNT/in_the_second"
lines() { python3 -c 'import sys; [print("%099d" % n) for n in range(*map(int, sys.argv[1:]))]' "$@"; }
lines 0 12000 | tee -a "$MNT/t/0" > "$DIR/all"
lines 0 50 > "$MNT/in_the_second/0"
lines 12000 40000 | tee -a "$MNT/t/0" >> "$DIR/all"
wait_for 'sealed segments' test -e "$(segment "$STORE" 3).index"
mqfs_stop
cp -a "$STORE" "$DIR/sound"

# The Nth segment is not there.
without()
{
	rm -rf "$STORE"
	cp -a "$DIR/sound" "$STORE"
	rm "$(segment "$DIR/sound" "$1" | sed "s|^$DIR/sound|$STORE|")"*
	status "check, segment $1" 1 "$MQCTL" check "$STORE"
	status "dump, segment $1" 1 "$MQCTL" dump "$STORE"
	mqfs_start
}

without 1
match 'the start says so' 'damage at log position 0: segments that should be there' "$(cat "$DIR/mqfs.log")"
equal 'health' damaged "$(status_now health.state)"
match 'the metric' $'\nmqfs_healthy 0\n' "$(cat "$MNT/.mqfs/metrics.prom")"
status 'mqctl status' 1 "$MQCTL" -m "$MNT" status
equal 'the head has not moved' 0 "$(cat "$MNT/t/.config/head.0")"
for file in t/0 t/.retained/0 t/.follow/0@0; do
	refused "cat of $file" 'Input/output error' bounded cat "$MNT/$file"
done
equal 'the rest' "$(tail -n 20000 "$DIR/all" | md5sum)" "$(tail -c 2000000 "$MNT/t/0" | md5sum)"
equal 'another queue' 50 "$(wc -l < "$MNT/in_the_second/0")"
echo 2M > "$MNT/t/.config/retention.size"
wait_for 'the missing ones to be let go' status_is health.state fine
echo more >> "$MNT/t/0"
mqfs_stop

without 2
for file in t/0 in_the_second/0 in_the_second/.retained/0 in_the_second/.follow/0@0; do
	refused "cat of $file" 'Input/output error' bounded cat "$MNT/$file"
done
wait_for 'health to say so' status_is health.state damaged
equal 'the size of the one that has nothing left' 5000 "$(stat -c %s "$MNT/in_the_second/0")"
echo more >> "$MNT/in_the_second/0"
equal 'which goes on' more "$(bounded head -c 5 "$MNT/in_the_second/.follow/0@5000")"
mqfs_stop
