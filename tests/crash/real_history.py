# SPDX-License-Identifier: Apache-2.0
"""What was asked of a store and what it answered, kept outside of it: what the checks after a fault go by.

A round is what happens between two starts of the store. Its writers are called rROUND.NAME. Message N of a writer is a function
of both, so the history needs no copy of it, and a message tells by itself who wrote it. Each writer keeps a file of its own:

    I N TICK QUEUE SENT   is about to write message N to QUEUE; SENT: of it, before the rest, if it is written in two parts
    R N TICK              the write of all of it has returned
    X N ERRNO             it was refused: it must not be there
    U N ERRNO             its outcome is unknown: it is there once, or not at all
    A N                   N and all before it are acknowledged

Ticks order what several writers do: what returned before another began has the lower log position.
"""
import itertools
import os
import random
import zlib

ALPHABET = bytes(c for c in range(32, 127))
NOISE = random.Random(1).randbytes(1 << 21)
LINES = NOISE.translate(bytes(ALPHABET[b % len(ALPHABET)] for b in range(256)))
# "Not there" is what these say, as mqfs-tree(7) has them; anything else leaves the outcome open.
REFUSED = {"EPERM", "EMSGSIZE", "ENOSPC", "EDQUOT", "ENOBUFS", "ENOMEM", "EMFILE", "ENFILE", "EROFS", "EHOSTDOWN"}
SIZES = ((700, 10, 300), (960, 300, 5000), (997, 5000, 70000), (1000, 200000, 900000))


def message(writer, n):
    """Message N of WRITER: mostly short, some longer than a page, few nearly a segment. A writer called big writes only such, one
    called binary any bytes."""
    begin = b"%s %d " % (writer.encode(), n)
    kind = zlib.crc32(begin)
    among = 999 if ".big" in writer else kind % 1000
    for limit, least, most in SIZES:
        if among < limit:
            size = least + kind // 1000 % (most - least)
            break
    noise = NOISE if ".binary" in writer else LINES
    at = kind % (1 << 20)
    return begin + noise[at:at + size] + b"\n"


class Writer:
    """One writer's file of a round, as it is written. Ticks are the process's. When OVER is set, answers no longer count."""
    ticks = itertools.count(1)

    def __init__(self, directory, name, over):
        self.name = name
        self.over = over
        self.n = 0
        self.fd = os.open(os.path.join(directory, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def note(self, *words):
        os.write(self.fd, (" ".join(map(str, words)) + "\n").encode())

    def intend(self, queue, sent=0):
        self.n += 1
        self.sent, self.whole = sent, False
        self.note("I", self.n, next(self.ticks), queue, sent)
        return message(self.name, self.n)

    def returned(self):
        self.whole = True
        if not self.over.is_set():
            self.note("R", self.n, next(self.ticks))

    def failed(self, why):
        """What failed behind its write (an fsync, a close), or in the middle of it, may be there all the same."""
        known = why in REFUSED and not self.sent and not self.whole and not self.over.is_set()
        self.note("X" if known else "U", self.n, why)

    def acknowledged(self):
        if not self.over.is_set():
            self.note("A", self.n)


class Told:
    """The same file, as the check reads it."""

    def __init__(self, directory, name):
        self.name = name
        self.queue, self.began, self.ended, self.sent, self.refused = {}, {}, {}, {}, set()
        self.acknowledged = 0
        for line in open(os.path.join(directory, name)):
            what, n, *rest = line.split()
            n = int(n)
            if what == "I":
                self.began[n], self.queue[n], self.sent[n] = int(rest[0]), rest[1], int(rest[2])
            elif what == "R":
                self.ended[n] = int(rest[0])
            elif what == "X":
                self.refused.add(n)
            elif what == "A":
                self.acknowledged = max(self.acknowledged, n)
