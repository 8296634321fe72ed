#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A stop ends everything that waits, at once, with an error that tells; what was acknowledged is there at the next start.
. "$(dirname "$0")/lib.sh"
need python3 flock strace

# Readers, a poller, a waiting lock and writers, all waiting or busy when the daemon is told to stop.
cat > "$DIR/waiting.py" << 'END'
import errno, os, select, sys, threading
mnt, out = sys.argv[1], sys.argv[2]
ended, acknowledged, ready = [], [], threading.Semaphore(0)

def reader():
    f = os.open(mnt + '/t/.follow/0@latest', os.O_RDONLY)
    ready.release()
    while True:
        try:
            if not os.read(f, 65536):
                return 'end of file'
        except OSError as e:
            return errno.errorcode[e.errno]

def all_reader():
    f = os.open(mnt + '/t/.follow/all@latest', os.O_RDONLY)
    ready.release()
    while True:
        try:
            if not os.read(f, 65536):
                return 'end of file'
        except OSError as e:
            return errno.errorcode[e.errno]

def writer(n):
    f = os.open(mnt + '/t/1', os.O_WRONLY | os.O_APPEND)
    for i in range(1000000):
        line = '%d %d' % (n, i)
        try:
            os.write(f, (line + '\n').encode())
        except OSError as e:
            return errno.errorcode[e.errno]
        acknowledged.append(line)
        if i == 10:
            ready.release()

def run(f, *args):
    ended.append('%s %s' % (f.__name__, f(*args)))

threads = [threading.Thread(target=run, args=a) for a in [(reader,)] * 20 + [(all_reader,)] * 5 + [(writer, n) for n in range(4)]]
for t in threads:
    t.start()
for t in threads:
    ready.acquire()
open(out + '.ready', 'w').close()
for t in threads:
    t.join()
open(out + '.acknowledged', 'w').write(''.join(l + '\n' for l in acknowledged))
open(out + '.ended', 'w').write(''.join(sorted(set(e + '\n' for e in ended))))
END

mqfs_start
mkdir "$MNT/t"
echo 2 > "$MNT/t/.config/queues"
python3 "$DIR/waiting.py" "$MNT" "$DIR/waiting" &
waiting=$!
exec 7< "$MNT/t/0"
flock 7
flock -x "$MNT/t/0" true 2> "$DIR/flock.err" &
locker=$!
wait_for 'readers and writers' test -e "$DIR/waiting.ready"
began=$(date +%s%N)
mqfs_stop
wait_for 'the end of all who waited' test -e "$DIR/waiting.ended"
wait $waiting
wait $locker && fail 'a waiting lock was granted'
took=$((($(date +%s%N) - began) / 1000000))
[ $took -lt 4500 ] || fail "the stop took $took ms"
match 'who read' 'reader (ENOTCONN|ECONNABORTED)' "$(cat "$DIR/waiting.ended")"
match 'who wrote' 'writer (ENOTCONN|ECONNABORTED)' "$(cat "$DIR/waiting.ended")"
no_match 'nobody got an end that is none' 'end of file|None' "$(cat "$DIR/waiting.ended")"
exec 7<&-
equal 'nothing is mounted' '' "$(findmnt -n "$MNT" || true)"
mqfs_start
sort "$DIR/waiting.acknowledged" > "$DIR/acknowledged"
sort "$MNT/t/1" > "$DIR/found"
equal 'acknowledged and not there' '' "$(comm -23 "$DIR/acknowledged" "$DIR/found" | head)"
equal 'there twice' '' "$(uniq -d "$DIR/found" | head)"

# --- who writes lines in chunks has none of them cut in two, while others' lines are ended as well
mkdir "$MNT/busy"
echo 2 > "$MNT/busy/.config/queues"
echo fsync > "$MNT/busy/.config/commit"
cat > "$DIR/busy.py" << 'END'
import os, sys
busy = os.open(sys.argv[1] + '/0', os.O_WRONLY | os.O_APPEND)
others = [os.open(sys.argv[1] + '/1', os.O_WRONLY | os.O_APPEND) for _ in range(20)]
for fd in others:
    os.write(fd, b'unfinished')
text = b''.join(b'%d\n' % i for i in range(1, 1000000))
for at in range(0, len(text), 1001):
    os.write(busy, text[at:at + 1001])
END
strace -f -p "$PID" -o "$DIR/strace.out" -e trace=pwritev,pwrite64 -e inject=pwritev,pwrite64:delay_enter=2000 2> "$DIR/strace.err" &
wait_for 'strace' grep -q attached "$DIR/strace.err" || skip "strace cannot attach: $(cat "$DIR/strace.err")"
python3 "$DIR/busy.py" "$MNT/busy" 2> "$DIR/busy.err" &
busy=$!
wait_for 'a busy writer' test -s "$MNT/busy/0"
mqfs_stop
wait $busy && fail 'a writer did not notice the stop'
mqfs_start
equal 'the others are ended' 20 "$(grep -cx unfinished "$MNT/busy/1")"
equal 'a line that nobody wrote' '' "$(awk 'over || ($1 != NR && index(NR, $1) != 1) { print NR ": " $1; exit } $1 != NR { over = 1 }' "$MNT/busy/0")"

# --- a lazy unmount: who has files open goes on, and when the last is closed the daemon ends
exec 7>> "$MNT/t/0"
umount -l "$MNT"
echo late >&7
kill -0 "$PID"
exec 7>&-
wait_gone "$PID"
wait "$PID" || fail 'exit status after a lazy unmount'
_forget "$PID"
mqfs_start
equal 'what came late' late "$(cat "$MNT/t/0")"

# --- an unmount leaves what has been mounted over it since
umount -l "$MNT"
wait_gone "$PID"
mqfs_start
exec 7< "$MNT/t/0"
first=$PID
umount -l "$MNT"
mqfs_start_at "$DIR/store2" "$MNT"
kill -TERM "$first"
wait_gone "$first"
exec 7<&-
equal 'another mount at the same place' 0.1.0 "$(cat "$MNT/.mqfs/version")"
mqfs_stop

# --- with a file open, kill -9 and a new start in one go
mqfs_start
exec 7>> "$MNT/t/0"
mqfs_kill
mqfs_start
call_late() { echo dead >&7; }
refused 'an old handle' 'Transport endpoint|not connected|Software caused' call_late
exec 7>&-
echo new >> "$MNT/t/0"
equal 'the new mount' 'late new' "$(paste -sd ' ' "$MNT/t/0")"
