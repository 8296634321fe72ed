#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A daemon that gets no more descriptors: real_descriptors.py MOUNTPOINT HISTORY PID TIMES

Each time it may keep those that it has and open none, while appends need new segments. What is refused then is refused for a reason that says so,
or is not told to be there; reads of what is open go on. As soon as it may, it goes on by itself.
"""
import errno
import os
import resource
import sys
import threading
import time

from real_history import Writer

BOUND = 60                      # seconds until appends succeed
MOST = 40                       # messages that are appended without descriptors: many segments of them


def append(writer, queue, fd):
    data = writer.intend(queue)
    try:
        assert os.write(fd, data) == len(data)
    except OSError as e:
        writer.failed(errno.errorcode[e.errno])
        return errno.errorcode[e.errno]
    writer.returned()
    writer.acknowledged()
    return None


mountpoint, history, pid, times = sys.argv[1:]
pid, times = int(pid), int(times)
hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
writer = Writer(history, "r1.big", threading.Event())
os.mkdir(os.path.join(mountpoint, "trimmed"))
with open(os.path.join(mountpoint, "trimmed/.config/retention.size"), "w") as f:
    f.write("8M")
queue = os.open(os.path.join(mountpoint, "trimmed/0"), os.O_WRONLY | os.O_APPEND)
errors = {}
for _ in range(times):
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, hard))
    for _ in range(MOST):
        why = append(writer, "trimmed/0", queue)
        errors[why] = errors.get(why, 0) + 1
    with open(os.path.join(mountpoint, ".mqfs/pid")) as f:
        assert int(f.read()) == pid
    os.stat(os.path.join(mountpoint, "trimmed/0"))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
    end = time.monotonic() + BOUND
    while append(writer, "trimmed/0", queue):
        assert time.monotonic() < end, "appends do not succeed again"
        time.sleep(0.001)
refused = sum(n for why, n in errors.items() if why)
print("%d messages, without descriptors: %s" % (writer.n, errors))
assert refused, "nothing was refused: the limit does not limit"
