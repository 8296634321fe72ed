#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Appends lines and notes what was answered: append.py QUEUE DIRECTORY FD, and for each "PREFIX COUNT [PADDING]" on standard input.

Each line by a write(2) and an open file of its own; where FD, an open descriptor, is not "none", one more by that, which begins
with "open.". DIRECTORY/acked gets the lines that were acknowledged, DIRECTORY/refused those with an errno that says "not there".
A line on standard output, when all of them have been tried.
"""
import errno
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../crash"))
from real_history import REFUSED                        # noqa: E402

queue, directory, fd = sys.argv[1:]
acked, refused = (open(os.path.join(directory, name), "a") for name in ("acked", "refused"))


def append(to, line):
    try:
        assert os.write(to, line.encode() + b"\n") == len(line) + 1
    except OSError as e:
        if errno.errorcode[e.errno] in REFUSED:
            print(line, file=refused)
        return
    print(line, file=acked)


def append_to_own(line):
    try:
        own = os.open(queue, os.O_WRONLY | os.O_APPEND)
    except OSError:                                     # nothing was written
        return
    append(own, line)
    try:
        os.close(own)
    except OSError:                                     # its number is free all the same
        pass


for asked in sys.stdin:
    prefix, count, *padding = asked.split()
    for n in range(1, int(count) + 1):
        line = "%s.%d%s" % (prefix, n, "".join(padding))
        append_to_own(line)
        if fd != "none":
            append(int(fd), "open." + line)
    acked.flush()
    refused.flush()
    print("done", flush=True)
