# SPDX-License-Identifier: Apache-2.0
"""A bad wire between two hosts: packets take their time, each its own, so that they come in another order.

It is this process: a TUN device in each host to which a route leads while there is a wire. (The kernel's netem would do the same, where it is built in.)
"""
import fcntl
import heapq
import itertools
import os
import select
import struct
import threading
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
LARGEST = 1 << 16


def tun():
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"wire", IFF_TUN | IFF_NO_PI))
    return fd


class Wire:
    def __init__(self, one, other, least, most, rng):
        self.least, self.most, self.rng = least, most, rng
        self.ends = []
        for host, to in ((one, other), (other, one)):
            fd = host.inside(tun)
            self.ends.append(fd)
            host.run("ip", "link", "set", "wire", "up")
            host.run("ip", "route", "replace", to.address + "/32", "dev", "wire", "src", host.address)
        self.over, self.wake = os.pipe()
        self.carried = self.overtaken = 0
        self.thread = threading.Thread(target=self.carry)
        self.thread.start()

    def carry(self):
        waiting, order, last = [], itertools.count(), {}
        peer = dict(zip(self.ends, reversed(self.ends)))
        while True:
            wait = max(0, waiting[0][0] - time.monotonic()) if waiting else None
            ready = select.select([self.over, *self.ends], [], [], wait)[0]
            if self.over in ready:
                return
            for fd in ready:
                packet = os.read(fd, LARGEST)
                heapq.heappush(waiting, (time.monotonic() + self.rng.uniform(self.least, self.most), next(order), peer[fd], packet))
            while waiting and waiting[0][0] <= time.monotonic():
                _, number, fd, packet = heapq.heappop(waiting)
                self.carried += 1
                self.overtaken += number < last.get(fd, -1)
                last[fd] = number
                os.write(fd, packet)

    def close(self):
        """What was under way is lost; the route is as it was."""
        os.close(self.wake)
        self.thread.join()
        for fd in (self.over, *self.ends):
            os.close(fd)
