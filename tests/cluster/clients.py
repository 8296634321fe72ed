#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs that use a cluster, and remember outside of it what they meant, what they were told and what they were given: a process of its own, as what it
has open would have to be closed by whatever the test starts. clients.py HISTORY [--big] NAME=MOUNTPOINT...; load.py talks to it.

On each node's mount there are writers, whatever its role is, so that each node is asked all the time to take appends; they write to queues that
both have, and note as tests/crash/real_history.py says. And there are readers of each queue, one that waits at its end and one that looks. What they
were given is in HISTORY/reads/NODE.QUEUE.NUMBER, from the queue's beginning.

Each call that waits is timed: a node that does not stand still has commit_timeout for it. What happens is told on standard output:

    OUTCOME NODE        of a write: acknowledged, or an errno
    took SECONDS        the longest wait yet
    wrong WHAT          something that must hold does not
    stopped all         nobody writes any more
    first NODE SECONDS  the answer to `first NODE': a writer that began then has been acknowledged something. SECONDS is - when it gave up

It is told: `first NODE'; `asleep NODE', `awake NODE'; `other NODE', whose readers do not go on where they were, as the log is another one now; `again NODE',
for which they begin at its beginning; `stop'.
"""
import errno
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "crash"))
from real_history import Writer                     # noqa: E402

COMMIT_TIMEOUT = 1                                  # as the nodes are started
TOO_LONG = 20                                       # on a busy machine; all that is so bounded is over in a second on one that is not
TOPIC, QUEUES = "t", 2
WRITERS = 2                                         # on each node
READERS = (("0", "follow"), ("1", "follow"), ("0", "look"))
PACE, LOOK = 0.004, 0.02                            # seconds between two messages; until a node that refused is asked again
GIVE_UP = 60                                        # of a first message
GONE = (errno.ENOTCONN, errno.ECONNABORTED, errno.ENOENT, errno.ENODEV, errno.EIO, errno.EBADF)


class Node:
    def __init__(self, name, mnt):
        self.name, self.mnt = name, mnt
        self.asleep = []                            # [from, to or None]
        self.log = 0                                # counts the logs that it has had

    def slept(self, since, until):
        """Of this time."""
        return sum(max(0, min(until, b if b is not None else until) - max(since, a)) for a, b in list(self.asleep))


class Clients:
    def __init__(self, history, big, nodes):
        self.history, self.big, self.nodes = history, big, nodes
        self.over = threading.Event()
        self.never = threading.Event()              # every answer counts
        self.lock = threading.Lock()
        self.slowest, self.files, self.writers = 0.0, 0, []

    def tell(self, *words):
        with self.lock:
            print(*words, flush=True)

    def thread(self, run, *arguments):
        thread = threading.Thread(target=run, args=arguments)
        thread.start()
        return thread

    def writes(self, *arguments):
        self.writers.append(self.thread(*arguments))

    def start(self):
        for node in self.nodes.values():
            for n in range(WRITERS):
                self.writes(self.write, node, Writer(self.history, "%s.w%d" % (node.name, n), self.never), "%s/%d" % (TOPIC, n % QUEUES))
            if self.big:
                self.writes(self.write, node, Writer(self.history, node.name + ".big", self.never), TOPIC + "/0")
            self.read(node)

    def timed(self, what, node, began):
        """A wait on NODE is over: was it bounded?"""
        now = time.monotonic()
        took = now - began - node.slept(began, now)
        if took > self.slowest:
            self.slowest = took
            self.tell("took", "%.3f" % took)
        if took > COMMIT_TIMEOUT + TOO_LONG:
            self.tell("wrong", "%s on %s took %.1f s" % (what, node.name, took))

    # --- writers

    def write(self, node, w, queue):
        fd = None
        while not self.over.is_set():
            try:
                if fd is None:
                    fd = os.open(os.path.join(node.mnt, queue), os.O_WRONLY | os.O_APPEND)
            except OSError:
                self.over.wait(LOOK)
                continue
            fd = self.one(node, w, queue, fd)
        self.leave(fd)

    def one(self, node, w, queue, fd):
        data = w.intend(queue)
        began = time.monotonic()
        try:
            if os.write(fd, data) != len(data):
                self.tell("wrong", "a short write on %s" % node.name)
        except OSError as e:
            why = errno.errorcode[e.errno]
            w.failed(why)
            self.timed("a write that ended with " + why, node, began)
            self.tell(why, node.name)
            if e.errno in GONE:
                self.leave(fd)
                fd = None
            self.over.wait(LOOK)
            return fd
        w.returned()
        w.acknowledged()
        self.timed("a write", node, began)
        self.tell("acknowledged", node.name)
        self.over.wait(PACE)
        return fd

    @staticmethod
    def leave(fd):
        try:
            if fd is not None:
                os.close(fd)
        except OSError:
            pass

    def first(self, node, number):
        w = Writer(self.history, "%s.first%d" % (node.name, number), self.never)
        began, fd, queue = time.monotonic(), None, TOPIC + "/0"
        while time.monotonic() < began + GIVE_UP:
            try:
                fd = os.open(os.path.join(node.mnt, queue), os.O_WRONLY | os.O_APPEND) if fd is None else fd
            except OSError:
                time.sleep(LOOK)
                continue
            fd = self.one(node, w, queue, fd)
            if w.whole:
                self.tell("first", node.name, "%.6f" % (time.monotonic() - began))
                break
        else:
            self.tell("first", node.name, "-")
        self.leave(fd)

    # --- readers

    def read(self, node):
        for queue, kind in READERS:
            self.files += 1
            into = open(os.path.join(self.history, "reads", "%s.%s.%d" % (node.name, queue, self.files)), "wb", buffering=0)
            self.thread(self.follow if kind == "follow" else self.look, node, queue, into, node.log)

    def goes_on(self, node, log):
        return not self.over.is_set() and node.log == log

    def take(self, path, flags, at, into, node, log):
        """What is there from AT on; returns how much was taken."""
        took = 0
        try:
            fd = os.open(path, flags)
            try:
                os.lseek(fd, at, os.SEEK_SET)
                while node.log == log and (data := os.read(fd, 1 << 17)):
                    took += into.write(data)
            finally:
                os.close(fd)
        except OSError:
            pass
        return took

    def follow(self, node, queue, into, log):
        """`.follow`: the bytes as they come."""
        at = 0
        while self.goes_on(node, log):
            at += self.take(os.path.join(node.mnt, TOPIC, ".follow", queue), os.O_RDONLY, at, into, node, log)
            self.over.wait(LOOK)

    def look(self, node, queue, into, log):
        """The live view, as tail -f reads it: what is there, again and again."""
        at = 0
        while self.goes_on(node, log):
            began = time.monotonic()
            at += self.take(os.path.join(node.mnt, TOPIC, queue), os.O_RDONLY, at, into, node, log)
            self.timed("a read", node, began)
            self.over.wait(LOOK)

    # --- what it is told

    def listen(self):
        for number, line in enumerate(sys.stdin):
            verb, *names = line.split()
            node = self.nodes[names[0]] if names else None
            if verb == "stop":
                break
            if verb == "first":
                self.writes(self.first, node, number)
            elif verb == "asleep":
                node.asleep.append([time.monotonic(), None])
            elif verb == "awake":
                node.asleep[-1][1] = time.monotonic()
            elif verb == "other":
                node.log += 1
            elif verb == "again":
                self.read(node)
        # Who waits for more to read ends when the mounts do.
        self.over.set()
        for writer in self.writers:
            writer.join()
        self.tell("stopped", "all")


if __name__ == "__main__":
    big = sys.argv[2] == "--big"
    clients = Clients(sys.argv[1], big, {name: Node(name, mnt) for name, mnt in (word.split("=", 1) for word in sys.argv[2 + big:])})
    clients.start()
    clients.listen()
