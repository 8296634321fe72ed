#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Load on a mounted store that meets a fault: real_load.py MOUNTPOINT HISTORY ROUND [--early] [--heard] MS COMMAND...

Writers in each commit mode and framing, some sharing a queue; readers that note what they are given; one who makes, changes and
removes topics. All that they intend and hear goes to HISTORY (real_history.py), reads to HISTORY/reads. It ends when the store does.

COMMAND is the fault. It comes MS milliseconds after each writer has been acknowledged something, or --early: after the start. From then on
answers do not count: a power cut would leave nobody to hear them. And they may be wrong: ext4 that is being shut down has
been seen to return 0 from fdatasync(2) for what it drops, with one program and one file on it and no mqfs. --heard: they do count,
as the fault is none that ends the machine. HISTORY/fault says that it has happened.
"""
import argparse
import errno
import os
import subprocess
import threading
import time

from real_history import Writer

TOPICS = {                                          # topic: its settings, its queues
    "write": ({}, 2),
    "close": ({"commit": "close"}, 1),
    "fsync": ({"commit": "fsync"}, 1),
    "binary": ({"framing": "write"}, 1),
    "trimmed": ({"retention.size": "1M"}, 1),
}
WRITERS = (("write", 0), ("write", 0), ("write", 1), ("halves", 1), ("close", 0), ("close", 0), ("fsync", 0), ("fsync", 0),
           ("binary", 0), ("trimmed", 0))
READERS = ("write/0", "write/1", "write/all", "close/0", "fsync/0", "binary/0")
READY = 3                                           # acknowledgements
GIVE_UP = 3                                         # failures in a row: the store is gone
GONE = (errno.ENOTCONN, errno.ECONNABORTED, errno.ENOENT, errno.ENODEV)


class Load:
    def __init__(self, history, number):
        self.history, self.round = history, number
        self.waiting = len(WRITERS)
        self.lock = threading.Lock()
        self.ready = threading.Event()
        self.over = threading.Event()               # answers do not count any more

    def is_ready(self):
        with self.lock:
            self.waiting -= 1
            if self.waiting == 0:
                self.ready.set()

    def fault(self, early, heard, delay, command):
        if not early:
            self.ready.wait()
        time.sleep(delay)
        if not heard:
            self.over.set()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        open(os.path.join(self.history, "fault"), "w").close()

    # --- writers: each of these writes some messages and acknowledges them, or raises

    def one(self, w, queue, fd):
        data = w.intend(queue)
        # No message is longer than one request takes, so a write is whole or fails.
        assert os.write(fd, data) == len(data)
        w.returned()

    def by_write(self, w, queue, fd):
        self.one(w, queue, fd)
        w.acknowledged()
        return fd

    def by_halves(self, w, queue, fd):
        sent = 10 + w.n % 10
        data = w.intend(queue, sent)
        assert os.write(fd, data[:sent]) == sent
        assert os.write(fd, data[sent:]) == len(data) - sent
        w.returned()
        w.acknowledged()
        return fd

    def by_fsync(self, w, queue, fd):
        for _ in range(1 + w.n % 7):
            self.one(w, queue, fd)
        os.fsync(fd)
        w.acknowledged()
        return fd

    def by_close(self, w, queue, fd):
        for _ in range(1 + w.n % 7):
            self.one(w, queue, fd)
        w.closing = True                            # its number is another file's from here on, whatever close says
        os.close(fd)
        w.acknowledged()
        return None

    def writer(self, name, kind, queue):
        w = Writer(self.history, name, self.over)
        how = {"halves": self.by_halves, "close": self.by_close, "fsync": self.by_fsync}.get(kind, self.by_write)
        failures = acknowledged = 0
        fd = None
        w.closing = False
        while failures < GIVE_UP:
            before = w.n
            try:
                if fd is None:
                    fd = os.open(queue, os.O_WRONLY | os.O_APPEND)
                w.closing = False
                fd = how(w, queue, fd)
            except OSError as e:
                failures += 1
                if w.n > before:
                    w.failed(errno.errorcode[e.errno])
                fd = None if w.closing else self.give_back(fd)      # it may have half a line
                if e.errno in GONE:
                    break
                continue
            failures = 0
            acknowledged += 1
            if acknowledged == READY:
                self.is_ready()
        if acknowledged < READY:
            self.is_ready()                         # the fault does not wait for who has given up

    def give_back(self, fd):
        try:
            os.close(fd)
        except (OSError, TypeError):
            pass

    # --- readers

    def reader(self, queue):
        topic, name = queue.split("/")
        log = os.open(os.path.join(self.history, "reads", topic + "." + name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        at = os.fstat(log).st_size
        try:
            # Offsets of `all` are the handle's own: what was read in an earlier round is passed over.
            follow = os.path.join(topic, ".follow", name if name == "all" else "%s@%d" % (name, at))
            fd = os.open(follow, os.O_RDONLY)
            left = at if name == "all" else 0
            while True:
                data = os.read(fd, 1 << 17)
                if not data:
                    break
                if not self.over.is_set():
                    os.write(log, data[left:])
                left = max(0, left - len(data))
        except OSError as e:
            if e.errno not in GONE + (errno.EIO,):
                raise

    # --- who changes what there is

    def set(self, topic, name, value):
        with open(os.path.join(topic, ".config", name), "w") as f:
            f.write(str(value))

    def commands(self):
        log = os.open(os.path.join(self.history, "commands"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)

        def note(*words):
            os.write(log, (" ".join(map(str, words)) + "\n").encode())

        def do(function, *words):
            note(*words)
            function(*words[1:])
            if self.over.is_set():
                raise InterruptedError
            note("done")

        try:
            for i in range(1, 40):
                topic = "made.%d.%d" % (self.round, i)
                do(os.mkdir, "mkdir", topic)
                do(self.set, "set", topic, "queues", 1 + i % 5)
                do(self.set, "set", topic, "retention.size", "%dM" % i)
                do(self.set, "set", topic, "commit", ("write", "close", "fsync")[i % 3])
                self.set("trimmed", "head.0", os.stat("trimmed/0").st_size // 4 * 3)
                with open("trimmed/.config/head.0") as f:
                    head = f.read().strip()
                if not self.over.is_set():
                    note("head", "trimmed", head)
                if i % 2:
                    do(self.set, "set", topic, "retired", 1)
                    do(os.rmdir, "rmdir", topic)
        except OSError:
            pass

    # --- all of it

    def prepare(self):
        """Topics as they are to be: the fault of an earlier round may have come between two of these."""
        for topic, (settings, queues) in TOPICS.items():
            if not os.path.isdir(topic):
                os.mkdir(topic)
            for name, value in settings.items():
                self.set(topic, name, value)
            if not os.path.exists("%s/%d" % (topic, queues - 1)):
                self.set(topic, "queues", queues)

    def run(self, *fault):
        os.makedirs(os.path.join(self.history, "reads"), exist_ok=True)
        fault = threading.Thread(target=self.fault, args=fault)
        fault.start()
        try:
            self.prepare()
        except OSError:                             # the fault came first
            fault.join()
            return
        threads = [threading.Thread(target=self.commands)]
        for i, (kind, n) in enumerate(WRITERS):
            name = "r%d.%s%d" % (self.round, kind, i)
            queue = "%s/%d" % ("write" if kind == "halves" else kind, n)
            threads.append(threading.Thread(target=self.writer, args=(name, kind, queue)))
        threads += [threading.Thread(target=self.reader, args=(q,)) for q in READERS]
        for t in threads:
            t.start()
        for t in threads + [fault]:
            t.join()


parser = argparse.ArgumentParser()
parser.add_argument("mountpoint")
parser.add_argument("history", type=os.path.abspath)
parser.add_argument("round", type=int)
parser.add_argument("--early", action="store_true")
parser.add_argument("--heard", action="store_true")
parser.add_argument("delay", type=int)
parser.add_argument("command", nargs=argparse.REMAINDER)
given = parser.parse_args()
os.chdir(given.mountpoint)                          # from here on nothing goes to what is under the mountpoint when the mount is gone
Load(given.history, given.round).run(given.early, given.heard, given.delay / 1000, given.command)
