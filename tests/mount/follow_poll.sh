#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# poll: the live view is always ready, as any file; .follow when there is something behind the last read. Edges are not lost.
. "$(dirname "$0")/lib.sh"
need python3
mqfs_start
mkdir "$MNT/t"
echo old >> "$MNT/t/0"
python3 - "$MNT/t" << 'END'
import os, select, sys, threading, time
t = sys.argv[1]
w = os.open(t + '/0', os.O_WRONLY | os.O_APPEND)

def ready(fd, timeout=0):
    p = select.poll()
    p.register(fd, select.POLLIN | select.POLLOUT)
    events = p.poll(timeout)
    return events[0][1] if events else 0

def drain(f):
    os.set_blocking(f, False)
    try:
        while True:
            os.read(f, 1000)
    except BlockingIOError:
        os.set_blocking(f, True)

# the live view
q = os.open(t + '/0', os.O_RDWR)
assert ready(q) == select.POLLIN | select.POLLOUT
assert os.read(q, 100) == b'old\n' and os.read(q, 100) == b''
assert ready(q) == select.POLLIN | select.POLLOUT

for name in '0', 'all':
    # what is there is ready, what was read is not
    f = os.open('%s/.follow/%s' % (t, name), os.O_RDONLY)
    assert ready(f) == select.POLLIN
    drain(f)
    assert ready(f) == 0
    # somebody who waits is woken
    timer = threading.Timer(0.05, os.write, (w, b'd\n'))
    began = time.monotonic()
    timer.start()
    assert ready(f, 5000) == select.POLLIN
    assert time.monotonic() - began < 2
    assert ready(f) == select.POLLIN, 'as long as it is not read'
    assert os.read(f, 100) == b'd\n'
    assert ready(f) == 0
    # a poll reads nothing away
    os.write(w, b'1\n22\n333\n')
    assert ready(f) == select.POLLIN
    assert os.read(f, 3) == b'1\n2' and ready(f) == select.POLLIN
    assert os.read(f, 100) == b'2\n333\n' and ready(f) == 0
    timer.join()

    # edges, as Go's runtime waits: read until EAGAIN, then wait for the next edge
    os.set_blocking(f, False)
    e = select.epoll()
    e.register(f, select.EPOLLIN | select.EPOLLET)
    count = 2000
    def write():
        for i in range(count):
            os.write(w, b'%06d\n' % i)
            if i % 100 == 0:
                time.sleep(0.002)
    writer = threading.Thread(target=write)
    writer.start()
    got = b''
    while len(got) < count * 7:
        try:
            while True:
                got += os.read(f, 50)
        except BlockingIOError:
            pass
        if len(got) < count * 7:
            assert e.poll(5), 'an edge was lost at %d' % len(got)
    writer.join()
    assert got == b''.join(b'%06d\n' % i for i in range(count))
    # an edge without reading what was before
    os.write(w, b'a\n')
    assert e.poll(5)
    os.write(w, b'b\n')
    assert e.poll(5), 'no edge for more'
    e.close()
    os.close(f)
    # closed while it is told
    for i in range(200):
        f = os.open('%s/.follow/%s@latest' % (t, name), os.O_RDONLY)
        p = select.poll()
        p.register(f, select.POLLIN)
        p.poll(0)
        writer = threading.Thread(target=os.write, args=(w, b'now\n'))
        writer.start()
        os.close(f)
        writer.join()
END
equal 'the daemon is well' 0 "$(json "$MNT/.mqfs/status.json" mount.parked)"
mqfs_stop
