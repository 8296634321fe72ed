#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who waits for a standby that says nothing can be killed at once, also when a signal that ends nothing came first; what one such signal
# meets is written whole, and once. What changes the tree can be killed like what writes, and is done all the same.
. "$(dirname "$0")/lib.sh"
. "$TOOLS/pair.sh"
pair_start min_standbys=1 commit_timeout=10s
mkdir "$DIR/a/t" "$DIR/a/close" "$DIR/a/old"
echo 1 > "$DIR/a/old/.config/retired"
echo close > "$DIR/a/close/.config/commit"

cat > "$DIR/killed.py" << 'END'
import contextlib, json, os, signal, sys, time
mnt, b = sys.argv[1], int(sys.argv[2])
waiting = 0


def wait_for(what, *args):
    end = time.monotonic() + 20
    while not what(*args):
        assert time.monotonic() < end, (what, args)
        time.sleep(0.01)


def parked(count):
    with open(mnt + '/.mqfs/status.json') as f:
        return json.load(f)['mount']['parked'] == count


def interrupted(pid):
    """In D the kernel has sent its INTERRUPT, and waits on."""
    with open(f'/proc/{pid}/stat') as f:
        return f.read().rsplit(') ', 1)[1][0] == 'D'


def stands(pid):
    tasks = f'/proc/{pid}/task/'
    return all(open(tasks + t + '/stat').read().rsplit(') ', 1)[1][0] == 'T' for t in os.listdir(tasks))


@contextlib.contextmanager
def silence():
    """Of the standby. What is to wait begins to within 3 s, or it would be away, and all be refused."""
    os.kill(b, signal.SIGSTOP)
    wait_for(stands, b)
    yield
    os.kill(b, signal.SIGCONT)
    wait_for(parked, 0)


def start(what, queue, text):
    """A process that writes, and waits: its pid."""
    global waiting
    waiting += 1
    pid = os.fork()
    if pid:
        wait_for(parked, waiting)
        return pid
    try:
        signal.signal(signal.SIGUSR1, lambda n, frame: None)
        f = os.open(mnt + queue, os.O_WRONLY | os.O_APPEND)
        assert os.write(f, text) == len(text)
        if what == 'fsync':
            os.fsync(f)
        os.close(f)
        os._exit(0)
    except BaseException as e:
        print(e, file=sys.stderr)
        os._exit(1)


def start_change(change, *args):
    """A process that changes the tree, and waits: its pid."""
    pid = os.fork()
    if pid:
        wait_for(parked, 1)
        return pid
    signal.signal(signal.SIGUSR1, lambda n, frame: None)
    try:
        change(*args)
    finally:
        os._exit(1)


def set_config(name, text):
    f = os.open(mnt + name, os.O_WRONLY)
    os.write(f, text)


def gone(pid, why):
    """It was killed, and ends while what it has written cannot be committed yet."""
    began = time.monotonic()
    got, status = os.waitpid(pid, 0)
    took = time.monotonic() - began
    assert os.WIFSIGNALED(status), (why, status)
    assert took < 4, (why, took)


# One after the other: the kernel lets nobody else into a directory that is being changed.
for change in ((os.mkdir, mnt + '/made'), (os.rmdir, mnt + '/old'), (os.chmod, mnt + '/t', 0o710), (os.chown, mnt + '/t/0', 12, 34),
        (set_config, '/t/.config/commit', b'write')):
    with silence():
        pid = start_change(*change)
        os.kill(pid, signal.SIGKILL)
        gone(pid, change)
for signals in (signal.SIGTERM,), (signal.SIGUSR1, signal.SIGKILL):
    with silence():
        pid = start_change(os.chmod, mnt + '/close', 0o700 + len(signals))
        for s in signals:
            os.kill(pid, s)
            if s == signal.SIGUSR1:
                wait_for(interrupted, pid)
        gone(pid, signals)
writers = {}
with silence():
    for name, what, queue in ('write', 'write', '/t/0'), ('fsync', 'fsync', '/close/0'):
        for first in '', ' after another signal', ' by another signal':
            pid = start(what, queue, (name + first + '\n').encode())
            writers[pid] = name + first
    left = start('write', '/t/0', b'one signal\n')
    for pid, name in writers.items():
        if 'after' in name:
            os.kill(pid, signal.SIGUSR1)
            wait_for(interrupted, pid)
    os.kill(left, signal.SIGUSR1)
    wait_for(interrupted, left)
    for pid, name in writers.items():
        os.kill(pid, signal.SIGTERM if 'by' in name else signal.SIGKILL)
    for pid, name in writers.items():
        gone(pid, name)
    assert os.waitpid(left, os.WNOHANG) == (0, 0)
got, status = os.waitpid(left, 0)
assert status == 0, status
END
succeeds 'who is killed ends' python3 "$DIR/killed.py" "$DIR/a" "${PIDS[b]}"
wait_pair a b
[ -d "$DIR/a/made" ] && [ ! -e "$DIR/a/old" ] || fail 'what was killed has not made or removed a topic'
# The kernel keeps for a while what it was told of them before.
modes() { echo "$(stat -c %A "$DIR/a/t") $(stat -c %u:%g "$DIR/a/t/0") $(stat -c %A "$DIR/a/close")"; }
changed() { [ "$(modes)" = 'drwx--x--- 12:34 drwx----w-' ]; }
wait_for 'what was killed to be done' changed
wait_lines "$DIR/a/t/0" 4
equal 'what was written, once each' $'one signal\nwrite\nwrite after another signal\nwrite by another signal' "$(sort "$DIR/a/t/0")"
wait_lines "$DIR/a/close/0" 3
equal 'what was to be synced, once each' $'fsync\nfsync after another signal\nfsync by another signal' "$(sort "$DIR/a/close/0")"
equal 'nobody waits' 0 "$(status_of a mount.parked)"
node_stop b
node_stop a
