#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A disk that fills and is freed again: real_full.py MOUNTPOINT HISTORY DISK PID TIMES

Each time the disk gets full to its last block, appends go on until they are refused, what is there is read, and there is room again: the
other file goes, or the queues' heads are raised, which must work on a full disk. Then appends succeed by themselves. The store's memory and descriptors at the
end are those of the beginning.
"""
import errno
import os
import sys
import threading
import time

from real_history import Writer

BOUND = 60                      # seconds until appends succeed
SETTLED = 10                    # times after which the daemon has all the memory that it needs
BEFORE = 8                      # messages: more than a segment of them, or raising the head could give nothing back
OTHERS = 10                     # descriptors of the store's directories, of a checkpoint or an index that is being made
GROWTH = 8 << 20                # of its memory, with the allocator's arenas and what is in flight


class Full:
    def __init__(self, mountpoint, history, disk, pid):
        self.mnt, self.disk, self.pid = mountpoint, disk, pid
        self.writer = Writer(history, "r1.big", threading.Event())
        self.small = Writer(history, "r1.small", threading.Event())
        self.refused = 0
        for topic in ("trimmed", "write"):
            os.mkdir(os.path.join(mountpoint, topic))
            self.set(topic, "retention.size", "1G")
        self.queue = os.open(os.path.join(mountpoint, "trimmed/0"), os.O_WRONLY | os.O_APPEND)
        self.other = os.open(os.path.join(mountpoint, "write/0"), os.O_WRONLY | os.O_APPEND)

    def set(self, topic, name, value):
        with open(os.path.join(self.mnt, topic, ".config", name), "w") as f:
            f.write(value)

    def append(self, writer, queue, fd):
        data = writer.intend(queue)
        try:
            assert os.write(fd, data) == len(data)
        except OSError as e:
            writer.failed(errno.errorcode[e.errno])
            assert e.errno == errno.ENOSPC, e
            return False
        writer.returned()
        writer.acknowledged()
        return True

    def fill(self):
        fd = os.open(os.path.join(self.disk, "other"), os.O_WRONLY | os.O_CREAT, 0o644)
        at, piece = 0, 1 << 24
        while piece >= 4096:
            try:
                os.posix_fallocate(fd, at, piece)
                at += piece
            except OSError:
                piece //= 2
        os.close(fd)

    def again(self, writer, queue, fd):
        end = time.monotonic() + BOUND
        while not self.append(writer, queue, fd):
            assert time.monotonic() < end, "appends do not succeed again"
            time.sleep(0.001)

    def once(self, by_head):
        for _ in range(BEFORE):
            self.again(self.writer, "trimmed/0", self.queue)
        self.fill()
        while self.append(self.writer, "trimmed/0", self.queue):
            pass
        self.refused += 1
        size = os.stat(os.path.join(self.mnt, "trimmed/0")).st_size
        with open(os.path.join(self.mnt, "trimmed/0"), "rb") as f:
            f.seek(size - 100)
            assert len(f.read()) == 100
        if not by_head:
            os.unlink(os.path.join(self.disk, "other"))
        self.set("trimmed", "head.0", "latest")
        self.set("write", "head.0", "latest")
        self.again(self.writer, "trimmed/0", self.queue)
        self.again(self.small, "write/0", self.other)
        if by_head:
            os.unlink(os.path.join(self.disk, "other"))

    def memory(self):
        with open("/proc/%d/status" % self.pid) as f:
            return next(int(line.split()[1]) << 10 for line in f if line.startswith("RssAnon"))

    def descriptors(self):
        """What they lead to: outside of the store, and within it."""
        links = "/proc/%d/fd" % self.pid
        there = []
        for fd in os.listdir(links):
            try:
                there.append(os.readlink(os.path.join(links, fd)))
            except FileNotFoundError:
                pass
        return sorted(name for name in there if "/store/" not in name), sum("/store/" in name for name in there)

    def run(self, times):
        before, _ = self.descriptors()
        memory = 0
        for n in range(1, times + 1):
            self.once(n % 2 == 0)
            if n == SETTLED:
                memory = self.memory()
        after, within = self.descriptors()
        files = len(os.listdir(os.path.join(self.disk, "store/log")))
        assert after == before, "descriptors: %s, were %s" % (after, before)
        assert within <= files + OTHERS, "%d descriptors of a log of %d files" % (within, files)
        grown = self.memory() - memory
        assert times <= SETTLED or "SANITIZED" in os.environ or grown < GROWTH, "%d bytes of memory more" % grown
        print("full %d times, %d messages; memory %+d KiB, %d descriptors" % (self.refused, self.writer.n, grown // 1024,
            len(after) + within))


mountpoint, history, disk, pid, times = sys.argv[1:]
Full(mountpoint, history, disk, int(pid)).run(int(times))
