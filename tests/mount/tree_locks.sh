#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# flock and fcntl locks, by queue, among processes whose handles have nothing in common in the kernel.
. "$(dirname "$0")/lib.sh"
need flock python3
mqfs_start
mkdir "$MNT/t"
echo 3 > "$MNT/t/.config/queues"
q=$MNT/t/0
waiting() { [ "$(awk '$1 == "mqfs_parked_requests" { print $2 }' "$MNT/.mqfs/metrics.prom")" -ge "$1" ]; }

# --- flock(2)
exec 7>> "$q"
flock -n 7 || fail 'flock of a free queue'
status 'flock -n of a queue that is locked' 1 flock -n "$q" true
status 'flock -s of a queue that is locked' 1 flock -s -n "$q" true
status 'flock -w' 1 flock -w 0.2 "$q" true
succeeds 'flock of another queue' flock -n "$MNT/t/1" true
succeeds 'flock of what follows it, another file' flock -n "$MNT/t/.follow/0" true
succeeds 'flock of a directory' flock -n "$MNT/t" true
flock "$q" echo waited > "$DIR/out" &
waiter=$!
wait_for 'the waiter' waiting 1
flock -u 7
wait $waiter
equal 'who waited has it' waited "$(cat "$DIR/out")"
flock -s 7
succeeds 'a second sharer' flock -s -n "$q" true
status 'nobody for himself' 1 flock -x -n "$q" true
exec 7>&-
succeeds 'close(2) gives it up' flock -n "$q" true

# A lock goes with its process, kill -9 too; a dup and a child keep it.
flock "$q" sleep 1000 &
holder=$!
wait_for 'the holder' bash -c "! flock -n $q true"
pkill -9 -P $holder
kill -9 $holder 2> /dev/null || true
wait $holder 2> /dev/null || true
wait_for 'the end of the lock with its process' flock -n "$q" true

# A signal ends the wait.
exec 7>> "$q"
flock 7
flock "$q" true &
waiter=$!
wait_for 'the waiter' waiting 1
kill -9 $waiter
wait $waiter 2> /dev/null || true
wait_for 'the end of the wait' bash -c "! [ -e /proc/$waiter ]"
equal 'nobody waits' 0 "$(awk '$1 == "mqfs_parked_requests" { print $2 }' "$MNT/.mqfs/metrics.prom")"
exec 7>&-

# --- fcntl(2)
python3 - "$MNT/t" << 'END' || fail 'fcntl locks'
import errno, fcntl, os, signal, struct, subprocess, sys, time

topic = sys.argv[1]
q = topic + "/0"
APPEND = os.O_RDWR | os.O_APPEND


def lock_struct(kind, start, length):
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, start, length, 0)


def refused(call, *numbers):
    try:
        call()
    except OSError as e:
        assert e.errno in numbers, e
    else:
        raise AssertionError("was not refused")


class Child:
    """A process that does what it is told, a line at a time, and says how it went."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, "-uc", """
import fcntl, os, sys
fd = None
for line in sys.stdin:
    try:
        exec(line)
        print("ok")
    except OSError as e:
        print(e.errno)
"""], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def answer(self):
        return self.process.stdout.readline().strip()

    def do(self, text):
        self.tell(text)
        return self.answer()


def parked(count):
    end = time.monotonic() + 20
    while True:
        with open(os.path.dirname(topic) + "/.mqfs/metrics.prom") as f:
            if f"mqfs_parked_requests {count}\n" in f.read():
                return
        assert time.monotonic() < end


a, b = os.open(q, APPEND), os.open(q, APPEND)
child = Child()
assert child.do(f"fd = os.open({q!r}, os.O_RDWR)") == "ok"

# Ranges, by process and not by handle.
fcntl.lockf(a, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 0)
fcntl.lockf(b, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 5)
assert child.do("fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 14)") == str(errno.EAGAIN)
assert child.do("fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 15)") == "ok"
refused(lambda: fcntl.lockf(a, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, 20), errno.EAGAIN, errno.EACCES)
kind, _, start, length, pid = struct.unpack("hhqqi4x", fcntl.fcntl(a, fcntl.F_GETLK, lock_struct(fcntl.F_RDLCK, 0, 0)))
assert (kind, start, length, pid) == (fcntl.F_WRLCK, 15, 10, child.process.pid), (kind, start, length, pid)

# A wait, and who it is granted to.
child.tell("fcntl.lockf(fd, fcntl.LOCK_EX, 1, 0)")
parked(1)
fcntl.lockf(a, fcntl.LOCK_UN, 10, 0)
assert child.answer() == "ok"
refused(lambda: fcntl.lockf(a, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, 0), errno.EAGAIN, errno.EACCES)

# A circle.
fcntl.lockf(a, fcntl.LOCK_EX, 1, 100)
child.tell("fcntl.lockf(fd, fcntl.LOCK_EX, 1, 100)")
parked(1)
refused(lambda: fcntl.lockf(a, fcntl.LOCK_EX, 1, 0), errno.EDEADLK)
os.close(b)                                # closing any of its handles of the file gives up all that a process has
assert child.answer() == "ok"

# A signal ends a wait.
signal.signal(signal.SIGALRM, lambda *args: (_ for _ in ()).throw(InterruptedError))
signal.setitimer(signal.ITIMER_REAL, 0.1)
try:
    fcntl.lockf(a, fcntl.LOCK_EX, 1, 100)
    raise AssertionError("was not interrupted")
except InterruptedError:
    pass
parked(0)
child.process.kill()
child.process.wait()
fcntl.lockf(a, fcntl.LOCK_EX | fcntl.LOCK_NB)
os.close(a)

# Locks of open files: two of one process keep each other out, and the last close gives one up.
F_OFD_SETLK = 37
a, b = os.open(q, APPEND), os.open(q, APPEND)
fcntl.fcntl(a, F_OFD_SETLK, lock_struct(fcntl.F_WRLCK, 0, 0))
refused(lambda: fcntl.fcntl(b, F_OFD_SETLK, lock_struct(fcntl.F_WRLCK, 0, 1)), errno.EAGAIN, errno.EACCES)
copy = os.dup(a)
os.close(a)
refused(lambda: fcntl.fcntl(b, F_OFD_SETLK, lock_struct(fcntl.F_WRLCK, 0, 1)), errno.EAGAIN, errno.EACCES)
os.close(copy)
end = time.monotonic() + 20
while True:
    try:                                   # RELEASE comes after close(2) has returned
        fcntl.fcntl(b, F_OFD_SETLK, lock_struct(fcntl.F_WRLCK, 0, 1))
        break
    except OSError:
        assert time.monotonic() < end
os.close(b)
END

# --- the mount stops: who waits is told
exec 7>> "$q"
flock 7
flock "$q" true 2> "$DIR/err" &
waiter=$!
wait_for 'the waiter' waiting 1
kill -TERM "$PID"
status=0
wait $waiter || status=$?
[ $status -ne 0 ] || fail 'a lock was granted by a mount that stops'
match 'who waits when the mount stops' 'not connected|aborted' "$(cat "$DIR/err")"
exec 7>&-
wait_gone "$PID"
