#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 in front of each system call that mqfs makes: real_points.py DIRECTORY MQFS REAL_KILL COUNT SEED

A store that was killed before, with a torn tail, is started, used and stopped: recovery, appends in each commit mode, segments that fill up, are
sealed, indexed, checkpointed, and removed by retention, a clean stop. A first run under real_kill lists the calls. Then, for each of them,
the same store is used again and killed there; it must hold (real_check.py) after its next start, and after one more.
COUNT of them, as different from each other as can be, or all of them; and of the calls by which root uses a store of another user's and no
other, too. MQFS_POINT=N in the environment: that one alone.

The point is "the Nth of the calls of this name", as that comes again in each run, while the order of what the threads do does not.
"""
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

from real_check import Broken, Check
from real_history import Writer

OPTIONS = "segment_size=1M,checkpoint_every=1M,commit_timeout=60s,workers=1"
SEGMENTS = 15                   # as many are appended ahead of retention, at most
BOUND = 60                      # seconds for what takes milliseconds
OTHER_USER = 65534
MISSED = 0.25                   # of all points: none in 160 where the load was 16 on two processors; all, if nothing is killed
TRIES = 3                       # at a point that the use did not come to, as it took fewer calls: then at the last one of that name
NOWHERE = "0"
CHANGES = ("pwrite", "sync", "rename", "unlink", "truncate", "fallocate", "mkdir", "writev", "umount")


def wait_for(what, condition):
    end = time.monotonic() + BOUND
    while not condition():
        if time.monotonic() > end:
            raise Broken("not within %d s: %s" % (BOUND, what))
        time.sleep(0.001)


def name_of(line):
    return line.split(" ", 1)[0]


class Daemon:
    def __init__(self, mqfs, store, mnt, log, before=()):
        self.mnt = mnt
        self.process = subprocess.Popen([*before, mqfs, "-f", "-o", OPTIONS, store, mnt], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.pid = None
        wait_for("the mount", lambda: self.over() or self.live())

    def over(self):
        return self.process.poll() is not None

    def live(self):
        try:
            with open(os.path.join(self.mnt, ".mqfs/pid")) as f:
                self.pid = int(f.read())
        except (OSError, ValueError):
            return False
        return True

    def stop(self, how=signal.SIGTERM):
        try:
            os.kill(self.pid or self.process.pid, how)
        except ProcessLookupError:                   # it was killed just now
            pass
        return self.process.wait(BOUND)


class Use:
    """What is done with a store, the same each time, by one thread: what the kill interrupts is the last thing in the history."""

    def __init__(self, daemon, store, history, number):
        self.daemon, self.store, self.mnt, self.history, self.round = daemon, store, daemon.mnt, history, number
        self.never = threading.Event()
        self.writers = {}
        self.commands = open(os.path.join(history, "commands"), "w")

    def path(self, name):
        return os.path.join(self.mnt, name)

    def writer(self, name):
        name = "r%d.%s" % (self.round, name)
        if name not in self.writers:
            self.writers[name] = Writer(self.history, name, self.never)
        return self.writers[name]

    def append(self, name, queue, count=1):
        w = self.writer(name)
        fd = os.open(self.path(queue), os.O_WRONLY | os.O_APPEND)
        try:
            for _ in range(count):
                os.write(fd, w.intend(queue))
                w.returned()
                if not queue.startswith("fsync") and not queue.startswith("close"):
                    w.acknowledged()
            if queue.startswith("fsync"):
                os.fsync(fd)
                w.acknowledged()
        finally:
            os.close(fd)
        w.acknowledged()

    def do(self, function, *words):
        print(*words, file=self.commands, flush=True)
        function(*words[1:])
        print("done", file=self.commands, flush=True)

    def set(self, topic, name, value):
        with open(self.path("%s/.config/%s" % (topic, name)), "w") as f:
            f.write(str(value))

    def make(self):
        for topic, name, value in (("write", "queues", 2), ("close", "commit", "close"), ("fsync", "commit", "fsync"),
                                   ("trimmed", "retention.pinned", "drop")):
            os.mkdir(self.path(topic))
            self.set(topic, name, value)
            self.set(topic, "retention.size", "1M")

    def log(self):
        return [n for n in os.listdir(os.path.join(self.store, "log")) if re.fullmatch("[0-9a-f]{16}", n)]

    def appends(self):
        for _ in range(3):
            self.append("write0", "write/0")
            self.append("write1", "write/1", 2)
        self.append("fsync0", "fsync/0", 3)
        self.append("close0", "close/0", 3)

    def changes(self):
        topic = "made.%d.1" % self.round
        self.do(lambda t: os.mkdir(self.path(t)), "mkdir", topic)
        self.do(self.set, "set", topic, "queues", 3)
        self.do(self.set, "set", topic, "retention.size", "5M")
        self.do(self.set, "set", topic, "commit", "fsync")
        self.do(self.set, "set", topic, "retired", 1)
        self.do(lambda t: os.rmdir(self.path(t)), "rmdir", topic)

    def rolls(self):
        """Until the segments that there were at the beginning are gone: sealed, in checkpoints, and passed by their heads."""
        first = set(self.log())
        for queue in ("write/0", "write/1", "close/0", "fsync/0"):
            topic, number = queue.split("/")
            self.set(topic, "head." + number, "latest")
        while first & set(self.log()):
            self.append("big0", "trimmed/0")
            wait_for("room", lambda: len(self.log()) < SEGMENTS or not first & set(self.log()) or self.daemon.over())


class Points:
    def __init__(self, directory, mqfs, kill):
        self.dir, self.mqfs, self.kill = directory, mqfs, kill
        self.store, self.mnt, self.history = (os.path.join(directory, n) for n in ("store", "mnt", "history"))
        self.prepared = os.path.join(directory, "prepared")
        self.list = os.path.join(directory, "list")
        self.log = open(os.path.join(directory, "points.log"), "a")
        self.said = 0                        # how far it was looked through
        self.lent = False                    # the store is another user's
        self.daemon = None

    def start(self, *before):
        self.daemon = Daemon(self.mqfs, self.store, self.mnt, self.log, before)
        return self.daemon

    def prepare(self):
        """A store as kill -9 leaves it, with a torn tail behind its last record."""
        os.makedirs(os.path.join(self.history, "reads"))
        daemon = self.start()
        use = Use(daemon, self.store, self.history, 1)
        use.make()
        use.appends()
        use.append("big0", "trimmed/0", 3)
        Check(self.mnt, self.history, 1).run()
        daemon.stop(signal.SIGKILL)
        subprocess.run(["umount", "-l", self.mnt], check=True)       # nothing but the store tells the first use from those that come
        last = os.path.join(self.store, "log", max(use.log()))
        with open(last, "r+b") as f:
            f.seek((len(f.read().rstrip(b"\0")) + 7) & ~7)
            f.write(b"torn" * 500)
        os.mkdir(self.prepared)
        for name in ("store", "history"):
            os.rename(os.path.join(self.dir, name), os.path.join(self.prepared, name))

    def fresh(self):
        for name in ("store", "history"):
            shutil.rmtree(os.path.join(self.dir, name), ignore_errors=True)
            shutil.copytree(os.path.join(self.prepared, name), os.path.join(self.dir, name))
        for directory, _, files in os.walk(self.store) if self.lent else ():
            for name in (".", *files):
                os.chown(os.path.join(directory, name), OTHER_USER, OTHER_USER)

    def listed(self):
        with open(self.list) as f:
            return f.read().splitlines()

    def use(self, point):
        """Returns whether it was killed, and at which call each phase ended."""
        self.fresh()
        daemon = self.start(self.kill, self.list, point)
        ends = {"start": len(self.listed())}
        use = Use(daemon, self.store, self.history, 2)
        try:
            for phase in ("appends", "changes", "rolls"):
                getattr(use, phase)()
                ends[phase] = len(self.listed())
        except OSError:
            if point == NOWHERE:
                raise
        status = daemon.stop()
        ends["stop"] = len(self.listed())
        return status == 137 or status == -9, ends

    def no_damage(self):
        """Nothing is wrong with the disk, so nobody may say so; but for an index that went before its segment could."""
        with open(self.log.name) as f:
            f.seek(self.said)
            said = f.read()
        self.said += len(said)
        removed = any(line.startswith("unlinkat") and line.endswith(".index") for line in self.listed())
        for line in said.splitlines():
            if "damage" in line and not (removed and line.endswith(": a segment's index")):
                raise Broken(line)

    def hold(self):
        for how in (signal.SIGKILL, signal.SIGTERM):
            daemon = self.start()
            if daemon.over():
                raise Broken("mqfs does not start")
            Check(self.mnt, self.history, 2).run()
            status = daemon.stop(how)
        self.no_damage()
        if status != 0:
            raise Broken("mqfs ended with status %d" % status)

    def kind(self, line):
        line = line.replace(self.dir, "")
        return re.sub("[0-9a-f]{16}", "*", line)

    def choose(self, calls, count):
        """COUNT of CALLS: of each kind one, those that change something first; then at random."""
        kinds = {}
        for n in random.sample(range(1, len(calls) + 1), len(calls)):
            kinds.setdefault(self.kind(calls[n - 1]), n)
        order = sorted(kinds.items(), key=lambda k: not any(c in k[0] for c in CHANGES))
        chosen = [n for _, n in order][:count]
        rest = sorted(set(range(1, len(calls) + 1)) - set(chosen))
        return chosen + random.sample(rest, min(len(rest), max(0, count - len(chosen)))), len(kinds)

    def calls(self, lent):
        """All calls of one use; and where the use ended in each phase."""
        self.lent = lent
        killed, ends = self.use(NOWHERE)
        if killed:
            raise Broken("killed by nobody")
        calls = self.listed()
        self.hold()
        return calls, ends

    def kill_at(self, calls, n):
        """Killed in front of call N of CALLS, it holds. Returns that call's name; None if no try came to it."""
        name = name_of(calls[n - 1])
        nth = [name_of(c) for c in calls[:n]].count(name)
        for _ in range(TRIES):
            killed, _ = self.use("%d:%s" % (nth, name))
            made = [name_of(c) for c in self.listed()]
            try:
                self.hold()
            except Broken as e:
                raise type(e)("killed in front of call %d, %s: %s" % (n, self.listed()[-1], e))
            if killed:
                return made[-1]
            nth = min(nth, max(1, made.count(name)))
        print("not come to: call %d, %s" % (n, calls[n - 1]))
        return None

    def kill_each(self, calls, points):
        """Returns the names of those that it was killed in front of."""
        names, missed = [], 0
        for n in points:
            name = self.kill_at(calls, n)
            names += [name] if name else []
            missed += not name
            if missed > max(1, MISSED * len(points)):
                raise Broken("%d of %d calls were not come to" % (missed, len(points)))
        return names

    def run(self, count):
        self.prepare()
        own, ends = self.calls(lent=False)
        points, kinds = self.choose(own, count or len(own))
        if "MQFS_POINT" in os.environ:
            points = [int(os.environ["MQFS_POINT"])]
        killed = self.kill_each(own, points)
        print("%d system calls of %d kinds (up to: %s)" % (len(own), kinds, ", ".join("%s %d" % e for e in ends.items())))
        print("killed in front of %d of the %d that were chosen" % (len(killed), len(points)))
        if "MQFS_POINT" in os.environ:
            return
        if not count:
            self.all_of(set(map(name_of, own)), killed)
        self.run_lent(count, set(map(name_of, own)))

    def run_lent(self, count, known):
        lent, _ = self.calls(lent=True)
        others = {}
        for n, call in enumerate(lent, 1):
            if name_of(call) not in known:
                others.setdefault(name_of(call), []).append(n)
        if not others:
            raise Broken("a store of another user's is used as root's own is")
        points = [n for of_name in others.values() for n in (random.sample(of_name, 1) if count else of_name)]
        killed = self.kill_each(lent, points)
        print("of another user's store: of the %d of %s that were chosen, %d" % (len(points), ", ".join(others), len(killed)))
        self.all_of(set(others), killed)

    def all_of(self, names, killed):
        if names - set(killed):
            raise Broken("killed in front of none of: %s" % ", ".join(sorted(names - set(killed))))


if __name__ == "__main__":
    directory, mqfs, kill, count, seed = sys.argv[1:]
    random.seed(int(seed))
    points = Points(directory, mqfs, kill)
    try:
        points.run(int(count))
    except Broken as e:
        print("broken:", e, file=sys.stderr)
        sys.exit(1)
    finally:
        if points.daemon:
            points.daemon.stop(signal.SIGKILL)
