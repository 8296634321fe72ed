#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Requests are served whatever others are at: slow readers, signals, forgotten names, many processes, one worker.
. "$(dirname "$0")/lib.sh"
need python3 timeout

each_way()
{
	local readers=() n

	[ -e "$MNT/t" ] || mkdir "$MNT/t"
	# Twice as many parked readers as there are workers; the mount answers others meanwhile.
	for n in $(seq 10); do
		cat "$MNT/t/.follow/0@latest" > "$DIR/follow.$n" &
		readers+=($!)
	done
	succeeds 'ls beside parked readers' ls -R "$MNT"
	# INTERRUPT: a signal ends a parked read at once.
	for n in $(seq 10); do
		wait_for "reader $n" bash -c "ls -l /proc/${readers[n - 1]}/fd | grep -qF 0@latest"
	done
	echo to all >> "$MNT/t/0"
	for n in $(seq 10); do
		wait_lines "$DIR/follow.$n" 1
	done
	kill "${readers[@]}"
	for n in "${readers[@]}"; do
		wait_gone "$n"
	done
}
for workers in 1 2 8; do
	mqfs_start -o workers=$workers
	each_way
	mqfs_stop
done

# A storm of lookups and FORGETs: each stat looks a queue up anew, dropping the caches forgets them all.
mqfs_start
echo 100 > "$MNT/t/.config/queues"
nodes() { awk '$1 == "mqfs_nodes" { print $2 }' "$MNT/.mqfs/metrics.prom"; }
python3 - "$MNT/t" << 'END'
import os, sys, threading
def storm():
    for i in range(100):
        for q in range(100):
            os.stat('%s/%d' % (sys.argv[1], q))
threads = [threading.Thread(target=storm) for i in range(4)]
for t in threads: t.start()
for t in threads: t.join()
END
if [ "$(id -u)" -eq 0 ] && [ -w /proc/sys/vm/drop_caches ]; then
	echo 2 > /proc/sys/vm/drop_caches
	few() { [ "$(nodes)" -lt 50 ]; }
	wait_for 'few nodes after all are forgotten' few
fi
echo after >> "$MNT/t/99"
equal 'after the storm' after "$(cat "$MNT/t/99")"
mqfs_stop

# An idle mount wakes up no more than once a second.
mqfs_start
echo x >> "$MNT/t/0"
switches() { cat /proc/"$PID"/task/*/status | awk '/^voluntary_ctxt_switches/ { n += $2 } END { print n }'; }
still() { local a; a=$(switches); sleep 1; [ $(($(switches) - a)) -le 1 ]; }
wait_for 'an idle second' still
before=$(switches)
sleep 3
woken=$(($(switches) - before))
[ $woken -le 3 ] || fail "an idle mount woke up $woken times in 3 s"
resident=$(awk '/^VmRSS/ { print $2 }' /proc/"$PID"/status)
[ "$resident" -lt 20480 ] || fail "an idle mount has $resident KiB resident"
mqfs_stop
