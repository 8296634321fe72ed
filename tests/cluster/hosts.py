# SPDX-License-Identifier: Apache-2.0
"""Hosts on this machine, and what happens to the network between them.

A host is a network namespace with one interface, eth0, a veth pair whose other end is a port of a bridge; that is a namespace too. None of them has
a name: they are this process's descriptors, so they are gone when it is. Mounts are its own (own_mounts()), and daemons die with it.

    own_mounts()
    with Hosts() as hosts:
        a, b = hosts.add("a"), hosts.add("b")      # 10.77.0.1, 10.77.0.2
        hosts.part(a, b)                           # packets between them are dropped, silently
        hosts.mend()

Dropping is the kernel's work (nftables), and so is a slow link (tc's tbf). Delay and another order are wire.py's.
"""
import ctypes
import os
import socket
import subprocess
import threading

from wire import Wire

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def must(result, what):
    if result < 0:
        raise OSError(ctypes.get_errno(), what + ": " + os.strerror(ctypes.get_errno()))


def own_mounts():
    """What this process mounts is seen by its children only, and gone with the last of them."""
    must(libc.unshare(CLONE_NEWNS), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def in_thread(call):
    """What CALL returns, in a thread of its own: what it enters there, it alone is in."""
    done = []

    def run():
        try:
            done.append((call(), None))
        except OSError as e:
            done.append((None, e))
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    value, error = done[0]
    if error:
        raise error
    return value


class Space:
    """A network namespace."""

    def __init__(self):
        def make():
            must(libc.unshare(CLONE_NEWNET), "unshare")
            return os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.fd = in_thread(make)
        self.path = "/proc/%d/fd/%d" % (os.getpid(), self.fd)
        self.run("ip", "link", "set", "lo", "up")

    def command(self, *words):
        return ["nsenter", "--net=" + self.path, *words]

    def run(self, *words, text=None):
        done = subprocess.run(self.command(*words), input=text, text=True, capture_output=True)
        if done.returncode:
            raise RuntimeError("%s: %s" % (" ".join(words), done.stderr.strip()))
        return done.stdout

    def inside(self, call):
        """What CALL makes (a socket, a device) belongs to this namespace, and can be used from everywhere."""
        def run():
            must(libc.setns(self.fd, CLONE_NEWNET), "setns")
            return call()
        return in_thread(run)

    def close(self):
        os.close(self.fd)


class Host(Space):
    def __init__(self, name, number):
        super().__init__()
        self.name = name
        self.address = "10.77.0.%d" % number
        self.drops = {}                             # what is dropped of what comes: who from: of a hundred

    def connect(self, address, port, timeout=10):
        """A connected TCP socket of this host."""
        return self.inside(lambda: socket.create_connection((address, port), timeout))

    def listen(self, port):
        return self.inside(lambda: socket.create_server((self.address, port)))

    def drop(self):
        rules = "".join("ip saddr %s %s drop\n" % (address, "" if share >= 100 else "numgen random mod 100 < %d" % share)
                        for address, share in self.drops.items())
        self.run("nft", "-f", "-", text="table inet faults\ndelete table inet faults\n"
                 "table inet faults {\nchain come {\ntype filter hook input priority 0; policy accept;\n%s}\n}\n" % rules)

    def rate(self, rate):
        """Bits a second that may leave it, as tc has them; None: any."""
        if rate:
            self.run("tc", "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", rate, "burst", "32kb", "latency", "300ms")
        elif self.slow:
            self.run("tc", "qdisc", "del", "dev", "eth0", "root")
        self.slow = rate

    slow = None


class Hosts:
    def __init__(self):
        self.all, self.wires = [], []
        self.bridge = Space()
        self.bridge.run("ip", "link", "add", "br0", "type", "bridge")
        self.bridge.run("ip", "link", "set", "br0", "up")

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.mend()
        for host in self.all:
            host.close()
        self.bridge.close()

    def add(self, name):
        host = Host(name, len(self.all) + 1)
        port = "port%d" % len(self.all)
        self.bridge.run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host.path)
        self.bridge.run("ip", "link", "set", port, "master", "br0", "up")
        host.run("ip", "address", "add", host.address + "/24", "dev", "eth0")
        host.run("ip", "link", "set", "eth0", "up")
        self.all.append(host)
        return host

    # --- what happens to the network; mend() ends all of it

    def deaf(self, host, to, share=100):
        """HOST does not get what TO sends: nothing of it, or SHARE of a hundred packets."""
        host.drops[to.address] = share
        host.drop()

    def part(self, one, other):
        self.deaf(one, other)
        self.deaf(other, one)

    def lose(self, one, other, share):
        self.deaf(one, other, share)
        self.deaf(other, one, share)

    def slow(self, host, rate):
        host.rate(rate)

    def delay(self, one, other, least, most, rng):
        """Each packet takes LEAST to MOST seconds, so that they come in another order."""
        self.wires.append(Wire(one, other, least, most, rng))

    def mend(self):
        for wire in self.wires:
            wire.close()
        self.wires = []
        for host in self.all:
            if host.drops:
                host.drops = {}
                host.drop()
            host.rate(None)
