#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A write that cannot be committed fails in the shell's own echo too: a disk that fails, a disk that is full. Signals in a storm
# neither end a write nor repeat it.
. "$(dirname "$0")/lib.sh"
need strace dash busybox zsh python3
need_root

# --- the disk fails: every sync of the daemon, from now on
mqfs_start
mkdir "$MNT/t"
lines good 1 10 >> "$MNT/t/0"
strace -f -p "$PID" -o "$DIR/strace.out" -e trace=fdatasync,fsync -e inject=fdatasync,fsync:error=EIO 2> "$DIR/strace.err" &
tracer=$!
wait_for 'strace' grep -q attached "$DIR/strace.err" || skip "strace cannot attach: $(cat "$DIR/strace.err")"
refused "bash's echo" 'write error: Input/output error' bash -c "echo lost1 >> $MNT/t/0"
refused "dash's echo" 'I/O error|Input/output' dash -c "echo lost2 >> $MNT/t/0"
refused "busybox sh's echo" 'error|Error' busybox sh -c "echo lost3 >> $MNT/t/0"
refused "zsh's echo" 'error' zsh -fc "echo lost4 >> $MNT/t/0"
refused "bash's printf" 'Input/output error' bash -c "printf 'lost5\n' >> $MNT/t/0"
refused 'tee' 'Input/output error' bash -c "echo lost6 | tee -a $MNT/t/0 > /dev/null"
call EIO write "$MNT/t/0" 'O_WRONLY|O_APPEND' 'lost7\n'
refused 'mkdir' 'Input/output error' mkdir "$MNT/new"
refused 'a setting' 'Input/output error' bash -c "echo 2 > $MNT/t/.config/queues"
refused 'fsync' 'Input/output error' python3 -c "import os; f = os.open('$MNT/t/0', os.O_WRONLY | os.O_APPEND); os.fsync(f)"
equal 'what is committed is read on' "$(lines good 1 10)" "$(cat "$MNT/t/0")"
kill $tracer
wait $tracer || true
# A failure is final: the disk works again, but nobody knows what it has.
refused "echo after the disk came back" 'Input/output error' bash -c "echo lost8 >> $MNT/t/0"
match 'status says so' 'fail' "$("$MQCTL" status -m "$MNT" 2>&1)"
mqfs_kill
mqfs_start
equal 'after a restart, what was acknowledged' "$(lines good 1 10)" "$(head -n 10 "$MNT/t/0")"
equal 'after a restart, nothing twice' '' "$(sort "$MNT/t/0" | uniq -d)"
succeeds 'echo after a restart' bash -c "echo again >> $MNT/t/0"
equal 'and it is there' again "$(tail -n 1 "$MNT/t/0")"

# --- signals in a storm: the daemon's syncs are slow, so that they meet waiting writes
mqfs_stop
mqfs_start -o sync_delay=5ms
mkdir "$MNT/s"
echo 3 > "$MNT/s/.config/queues"
cat > "$DIR/storm.py" << 'END'
import os, signal, sys
# A handler without SA_RESTART: an interrupted write would return EINTR, and Python would write it again.
count = 0
def handler(number, frame):
    global count
    count += 1
for s in signal.SIGALRM, signal.SIGUSR1:
    signal.signal(s, handler)
    signal.siginterrupt(s, True)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0005)
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
for i in range(1, 101):
    line = b"python %d\n" % i
    assert os.write(fd, line) == len(line)
    if i % 10 == 0:
        os.fsync(fd)
os.close(fd)
signal.setitimer(signal.ITIMER_REAL, 0)
assert count > 10, "only %d signals" % count
END
timeout 60 python3 "$DIR/storm.py" "$MNT/s/0" &
python=$!
bash -c 'trap : USR1; : > "$2"; for ((i = 1; i <= 100; i++)); do echo "bash $i" >> "$1" || exit 1; done' - "$MNT/s/1" "$DIR/ready1" &
bash=$!
perl -MPOSIX -e '$SIG{USR1} = sub {}; open R, ">", $ARGV[1]; open Q, ">>", $ARGV[0] or die; for (1 .. 100) { my $l = "perl $_\n"; syswrite(Q, $l) == length $l or die $! } POSIX::_exit(0)' \
	"$MNT/s/2" "$DIR/ready2" &
perl=$!
wait_for 'the writers' test -e "$DIR/ready1" -a -e "$DIR/ready2"
python3 -c 'import os, signal, sys, time
pids = [int(p) for p in sys.argv[1:]]
while pids:
    for p in list(pids):
        try:
            if open("/proc/%d/stat" % p).read().rsplit(")", 1)[1].split()[0] == "Z":
                raise ProcessLookupError
            os.kill(p, signal.SIGUSR1)
        except (ProcessLookupError, FileNotFoundError):
            pids.remove(p)
    time.sleep(0.0005)' $bash $perl &
for w in python bash perl; do
	status=0
	wait "${!w}" || status=$?
	equal "exit status of the $w writer in a storm" 0 $status
done
equal 'python: one message a write' "$(lines python 1 100)" "$(cat "$MNT/s/0")"
equal 'bash: one message a write' "$(lines bash 1 100)" "$(cat "$MNT/s/1")"
equal 'perl: one message a write' "$(lines perl 1 100)" "$(cat "$MNT/s/2")"
mqfs_stop

# --- the disk is full: refused before anything is written, and it heals by itself
small_disk "$DIR/small" 64M
mqfs_start_at "$DIR/small/store" "$MNT" -o segment_size=4M
mkdir "$MNT/t"
lines good 1 10 >> "$MNT/t/0"
# Fills the disk, and then the room that was made ready ahead.
fill_disk()
{
	head -c 100M /dev/zero > "$DIR/small/filler" 2> /dev/null || true
	head -c 64M /dev/zero | tr '\0' x | fold -w 1000 | tee -a "$MNT/t/0" > /dev/null 2> "$DIR/tee.err"
}
status=0
fill_disk || status=$?
equal 'tee onto a full disk' 1 $status
match 'tee onto a full disk' 'No space left on device' "$(cat "$DIR/tee.err")"
big=$(printf '%08000d' 0)
full() { ! bash -c "echo $big >> $MNT/t/0" 2> /dev/null; }
wait_for 'a full disk' full
size=$(stat -c %s "$MNT/t/0")
refused "bash's echo on a full disk" 'No space left on device' bash -c "echo $big >> $MNT/t/0"
refused "dash's echo on a full disk" 'error|No space' dash -c "echo $big >> $MNT/t/0"
refused "zsh's echo on a full disk" 'error|no space' zsh -fc "echo $big >> $MNT/t/0"
call ENOSPC fill "$MNT/t/0" 'O_WRONLY|O_APPEND' 8001
equal 'nothing half written' "$size" "$(stat -c %s "$MNT/t/0")"
equal 'reads go on' "$(lines good 1 10)" "$(head -n 10 "$MNT/t/0")"
kill -0 "$PID" || fail 'mqfs ended on a full disk'
rm "$DIR/small/filler"
wait_for 'room for appends' bash -c "echo $big >> $MNT/t/0"
succeeds 'echo when there is room again' bash -c "echo healed >> $MNT/t/0"
equal 'healed' healed "$(tail -n 1 "$MNT/t/0")"

# On a full disk retention works: raising the head lets segments go, and appends resume.
fill_disk || true
wait_for 'a full disk' full
succeeds 'raising a head on a full disk' bash -c "echo latest > $MNT/t/.config/head.0"
wait_for 'room by retention' bash -c "echo $big >> $MNT/t/0"
mqfs_stop
