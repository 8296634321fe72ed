#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Each script of examples/ does what its first lines say.
. "$(dirname "$0")/lib.sh"
need rsyslogd logger python3
mqfs_start
examples=$SOURCE/examples
mkdir "$DIR/home" "$DIR/work"
export HOME=$DIR/home
cd "$DIR/work"
tested=()
# try NAME ARGUMENT...: one of them, in the foreground
try() { tested+=("$1"); bounded "$examples/$1" "${@:2}"; }
bookmark_of() { echo "$HOME/.jobs.$(json "$1/.mqfs/status.json" cluster).$(stat -c %i "$1/jobs/0")"; }
bookmarked() { [ "$(stat -c %s "$MNT/jobs/0")" = "$(cat "$(bookmark_of "$MNT")")" ]; }
open_in() { ls -l /proc/"$1"/fd 2> /dev/null | grep -F -- "$2"; }

# --- work-queue.sh: one worker after another does each job once, in order
mkdir "$MNT/jobs"
seq -f 'job %.0f' 10 >> "$MNT/jobs/0"
tested+=(work-queue.sh)
"$examples/work-queue.sh" "$MNT" > worker1 &
worker=$!
wait_lines worker1 10
wait_for 'its bookmark' bookmarked
kill $worker
wait $worker || true
echo 'jöb 11' >> "$MNT/jobs/0"
"$examples/work-queue.sh" "$MNT" > worker2 &
worker=$!
wait_lines worker2 1
echo 'job 12' >> "$MNT/jobs/0"
wait_lines worker2 2
wait_for 'its bookmark' bookmarked
kill $worker
wait $worker || true
equal 'each job once' "$(seq -f 'doing: job %.0f' 10; echo 'doing: jöb 11'; echo 'doing: job 12')" "$(cat worker1 worker2)"
# Jobs that retention took meanwhile are passed over.
echo 'gone' >> "$MNT/jobs/0"
echo latest > "$MNT/jobs/.config/head.0"
"$examples/work-queue.sh" "$MNT" > worker3 &
worker=$!
echo 'job 13' >> "$MNT/jobs/0"
wait_lines worker3 1
equal 'past a head' 'doing: job 13' "$(cat worker3)"
kill $worker
wait $worker || true
# Another mount's jobs, and those of a topic that was made again, are done from the first one on.
mqfs_start_at "$DIR/store4" "$DIR/mnt4"
mkdir "$DIR/mnt4/jobs"
echo 'elsewhere' >> "$DIR/mnt4/jobs/0"
for name in elsewhere again; do
	"$examples/work-queue.sh" "$DIR/mnt4" > "$name" &
	worker=$!
	wait_lines "$name" 1
	equal 'a job of another queue' "doing: $name" "$(cat "$name")"
	kill $worker
	wait $worker || true
	echo 1 > "$DIR/mnt4/jobs/.config/retired"
	rmdir "$DIR/mnt4/jobs"
	mkdir "$DIR/mnt4/jobs"
	echo 'again' >> "$DIR/mnt4/jobs/0"
done
echo 1000 > "$(bookmark_of "$DIR/mnt4")"
refused 'a bookmark that is no place in the queue' 'behind the end' "$examples/work-queue.sh" "$DIR/mnt4"
# What a job runs reads none of the jobs behind it.
sed 's/^\techo "doing: $1"/&; cat/' "$examples/work-queue.sh" > reading.sh
seq -f 'read %.0f' 3 >> "$DIR/mnt4/jobs/0"
bash reading.sh "$DIR/mnt4" 0 "$DIR/work/place" > reading &
worker=$!
wait_lines reading 4
equal 'each job is one' "$(printf 'doing: %s\n' again 'read 1' 'read 2' 'read 3')" "$(cat reading)"
kill $worker
wait $worker || true
refused 'work-queue.sh without a mount' 'not mounted' "$examples/work-queue.sh" "$DIR/work"

# --- fan-out.sh
mkdir "$MNT/events"
echo 'error: before' >> "$MNT/events/0"
tested+=(fan-out.sh)
"$examples/fan-out.sh" "$MNT" &
fan=$!
wait_for 'its readers' test -s archive.txt -a -s count.txt -a -e errors.txt
wait_for 'the one of errors' bash -c "for p in \$(pgrep -P $fan); do ls -l /proc/\$p/fd; done | grep -F all@latest"
echo 'all is well' >> "$MNT/events/0"
echo 'error: no coffee' >> "$MNT/events/0"
wait_lines archive.txt 3
wait_lines errors.txt 1
wait_for 'the count' grep -qx 3 count.txt
same 'the archive' "$MNT/events/0" archive.txt
equal 'the errors' 'error: no coffee' "$(cat errors.txt)"
kill $fan
wait $fan || true

# --- log-shipping.sh: the snippet in an rsyslogd of our own
try log-shipping.sh "$MNT" > snippet.conf
cat - snippet.conf > rsyslog.conf << END
global(workDirectory="$DIR/work")
module(load="imuxsock" sysSock.use="off")
input(type="imuxsock" socket="$DIR/socket" rateLimit.Interval="0")
END
rsyslogd -n -f "$DIR/work/rsyslog.conf" -i "$DIR/rsyslogd.pid" > "$DIR/rsyslogd.log" 2>&1 &
rsyslog=$!
wait_for 'the socket of rsyslogd' test -S "$DIR/socket"
logger -u "$DIR/socket" -t shop 'order "17" is paid'
wait_for 'the log line' grep -q order "$MNT/syslog/0"
equal 'a log line is JSON' 'shop: order "17" is paid' "$(grep order "$MNT/syslog/0" | python3 -c 'import json, sys
m = json.loads(sys.stdin.readline())
print(m["program"] + ": " + m["text"])')"
equal 'no complaint of rsyslogd' '' "$(cat "$DIR/rsyslogd.log")"
kill $rsyslog
wait $rsyslog || true

# --- backup.sh and restore.sh
mkdir "$MNT/with space"
echo 3 > "$MNT/with space/.config/queues"
sample "$DIR/text"
cat "$DIR/text" >> "$MNT/with space/2"
past_head "$MNT/with space/2" "$DIR/text"
mkdir "$MNT/-n"
echo dash >> "$MNT/-n/0"
try backup.sh "$MNT" "$DIR/backup.tar.gz"
mkdir "$DIR/unmounted"
refused 'a backup of what is not mounted' 'not mounted' "$SOURCE/examples/backup.sh" "$DIR/unmounted" "$DIR/backup.tar.gz"
refused 'a restore to what is not mounted' 'not mounted' "$SOURCE/examples/restore.sh" "$DIR/unmounted" "$DIR/backup.tar.gz"
equal 'nor is anything restored' '' "$(ls "$DIR/unmounted")"
mqfs_start_at "$DIR/store2" "$DIR/mnt2"
try restore.sh "$DIR/mnt2" "$DIR/backup.tar.gz"
for queue in -n/0 events/0 'with space/0' 'with space/2' syslog/0 jobs/0; do
	same "$queue, restored" "$MNT/${queue%/*}/.retained/${queue##*/}" "$DIR/mnt2/$queue"
done
same 'what was left past a head, restored' "$DIR/text.left" "$DIR/mnt2/with space/2"
equal 'topics restored' "$(ls "$MNT")" "$(ls "$DIR/mnt2")"

# --- cron-producer.sh
try cron-producer.sh "$MNT"
try cron-producer.sh "$MNT"
equal 'one message a run' 2 "$(wc -l < "$MNT/disks/0")"
equal 'a message is JSON' True "$(head -n 1 "$MNT/disks/0" | python3 -c 'import json, sys
print(0 <= json.load(sys.stdin)["used"] <= 100)')"
mkdir "$DIR/nothing"
refused 'cron-producer.sh without a mount' 'not mounted' "$examples/cron-producer.sh" "$DIR/nothing"
equal 'and nothing beside it' '' "$(ls "$DIR/nothing")"

# --- retention.sh
match 'retention.sh' 'orders keeps 7d, at most 10G' "$(try retention.sh "$MNT")"
match 'retention.sh' 'events keeps 12h, at most 500M' "$(try retention.sh "$MNT" events 12h 500M)"
equal 'retention.sh sets the age' 12h "$(cat "$MNT/events/.config/retention.age")"
match 'retention.sh' 'with space keeps none, at most none' "$(try retention.sh "$MNT" 'with space' none none)"
tested+=(retention.sh)

# --- request-reply.sh
tested+=(request-reply.sh)
"$examples/request-reply.sh" "$MNT" serve &
server=$!
wait_for 'the server' open_in $server requests
equal 'an answer' 42 "$(bounded "$examples/request-reply.sh" "$MNT" ask 6 x 7)"
equal 'another' 13 "$(bounded "$examples/request-reply.sh" "$MNT" ask 6 + 7)"
kill $server

# --- quickstart.sh, twice: it mounts, and finds what is mounted
for want in 100001 200002; do
	PATH=$(dirname "$MQFS"):$PATH try quickstart.sh "$DIR/store3" "$DIR/mnt3" > "$DIR/out"
	match 'quickstart.sh' "consumed: \\{\"order\":17\\}.*the last: \\{\"order\":100000\\}.* $want messages" "$(tr '\n' ' ' < "$DIR/out")"
done
mqfs_adopt "$DIR/mnt3"

# --- pair.sh
port=$(python3 -c 'import socket
while True:
    one, next = socket.socket(), socket.socket()
    one.bind(("127.0.0.1", 0))
    try:
        next.bind(("127.0.0.1", one.getsockname()[1] + 1))
        break
    except OSError:
        pass
print(one.getsockname()[1])')
PATH=$(dirname "$MQFS"):$PATH try pair.sh "$DIR/pair" "$port" > "$DIR/out"
mqfs_adopt "$DIR/pair/a"
mqfs_adopt "$DIR/pair/b"
for want in 'on both disks: ."order":1.' 'b goes on: ."order":2.' 'a is the primary again, b its standby'; do
	match 'pair.sh' "$want" "$(cat "$DIR/out")"
done
umount "$DIR/pair/a" "$DIR/pair/b"

# --- all of them
equal 'every example has its test' "$(cd "$examples" && ls -- *.sh)" "$(printf '%s\n' "${tested[@]}" | sort -u)"
