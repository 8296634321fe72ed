# SPDX-License-Identifier: Apache-2.0
"""Who does not belong to the cluster, or who does and lies, changes nothing, and is told why where it can be."""
import os
import re
import resource
import socket
import ssl
import subprocess
import threading

from lab import run
from meddler import COMMIT, PORT, RECORDS, Meddler, context
from node import Node, broken, wait_for

FLOOD = 10000


def words(node):
    with open(node.log, errors="replace") as f:
        return f.read()


def stranger(lab, host, to, what, said, make):
    """Who comes in MAKE's way gets nothing; TO says that it was turned away, as SAID."""
    def count():
        return len(re.findall(said, words(to)))
    before = count()

    def tries():
        try:
            with make(host.connect(to.host.address, PORT)) as s:
                if s.recv(100):
                    broken("%s was answered", what)
        except OSError:
            pass
        # One of them is reported a second.
        return count() > before
    wait_for("%s to say of %s: %s" % (to.name, what, said), tries)
    lab.say("%s: %s", what, said)


def keys_of_others(lab):
    """Another CA, with the nodes a and c; and an old certificate of this one."""
    others = os.path.join(lab.directory, "others")
    lab.ctl("keys", "init", others)
    lab.ctl("keys", "node", others, "c")
    lab.ctl("keys", "node", lab.keys, "c")
    subprocess.run(["faketime", "2000-01-01 00:00:00", lab.mqctl, "keys", "node", lab.keys, "old"], check=True, stdout=subprocess.DEVNULL)
    return others


def plain(s):
    s.sendall(b"GET / HTTP/1.0\r\n\r\n" * 10)
    return s


def with_tls(c):
    def make(s):
        s = c.wrap_socket(s)
        s.sendall(b"x" * 64)                        # TLS 1.3: the other side has not judged the certificate yet
        return s
    return make


def keys(lab):
    """No certificate, an old one, another CA's, none of TLS 1.3, no TLS; another cluster, with these keys and with its own. Meanwhile the pair works."""
    others = keys_of_others(lab)
    a, b = lab.pair()
    lab.load()
    host = lab.hosts.add("c")
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    nobody.check_hostname, nobody.verify_mode = False, ssl.CERT_NONE
    foreign, good = (context(ssl.PROTOCOL_TLS_CLIENT, lab, n) for n in ("../others/c", "c"))
    old_tls = context(ssl.PROTOCOL_TLS_CLIENT, lab, "c")
    old_tls.maximum_version = ssl.TLSVersion.TLSv1_2
    stranger(lab, host, a, "no certificate", "shows no certificate", with_tls(nobody))
    stranger(lab, host, b, "an old certificate", "the certificate has expired", with_tls(context(ssl.PROTOCOL_TLS_CLIENT, lab, "old")))
    stranger(lab, host, a, "another CA", "by another CA", with_tls(foreign))
    stranger(lab, host, b, "an older TLS", r"does not speak TLS 1\.3", with_tls(old_tls))
    stranger(lab, host, a, "no TLS", "does not speak TLS(?! 1)", plain)
    # Who belongs to the cluster and says what is no frame is let in, and out.
    with with_tls(good)(host.connect(a.host.address, PORT)) as s:
        while s.recv(1000):
            pass
    lab.wait_acknowledged(a)

    # A node of another cluster: with keys of its own it is not let in, with this one's it is known for what it is.
    c = Node(lab, host, "standby_of=%s" % a.host.address, keys=os.path.join(others, "c"))
    c.run()
    wait_for("c to hear why", lambda: "by another CA" in words(c))
    c.stop()
    c.options = ""
    c.keys = os.path.join(lab.keys, "c")
    c.start()
    c.stop()
    c.options = "standby_of=%s" % a.host.address
    before = len(words(c))
    c.start()
    told = wait_for("c to hear that it is another cluster's", lambda: re.search("mqfs: (.*cluster.*)", words(c)[before:]))
    lab.say("another cluster: %s", told.group(1))
    c.stop()
    lab.wait_acknowledged(a)
    lab.finish(restart=False)


def flood(lab):
    """10,000 connections that are never finished, of one host, and a standby gets in among them."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (FLOOD + 1000, FLOOD + 1000))
    a = lab.make("a", "peer=10.77.0.2,min_standbys=1")
    b = lab.make("b", "standby_of=10.77.0.1,min_standbys=1")
    lab.min_standbys = 1
    host = lab.hosts.add("c")
    a.start()
    half_open = []
    enough = threading.Event()

    def come():
        while len(half_open) < FLOOD:
            s = socket.create_connection((a.host.address, PORT), 30)
            if len(half_open) % 2:
                s.sendall(b"\x16\x03\x01\x02\x00\x01")   # the beginning of a ClientHello
            half_open.append(s)
            if len(half_open) == FLOOD // 2:
                enough.set()

    came = threading.Thread(target=lambda: host.inside(come), daemon=True)
    came.start()
    enough.wait(60)
    b.run()
    came.join(60)
    if len(half_open) < FLOOD:
        broken("only %d connections came through", len(half_open))
    b.wait_live()
    lab.settle()
    descriptors = len(os.listdir("/proc/%d/fd" % a.process.pid))
    lab.say("%d came, a has %d descriptors", len(half_open), descriptors)
    if descriptors > 400:
        broken("a has %d descriptors", descriptors)
    os.mkdir(os.path.join(a.mnt, "t"))
    lab.say("the pair takes a message among them")
    for node in (b, a):
        node.stop()
        node.check_store()


def frames(lab):
    """Somebody who has the keys of both sits between them, spoils frames, and says old ones again: of this reign, and of one before."""
    a, b = lab.make("a", "peer=10.77.0.3"), lab.make("b", "standby_of=10.77.0.3")
    meddler = Meddler(lab.hosts.add("c"), lab)
    meddler.be(b, a)
    lab.begin(a, b)
    lab.load()
    lab.wait_acknowledged(a, 20)

    def ends_link(what, said, do):
        links, node = meddler.links, lab.other(lab.primary())
        before = len(words(node))
        do()
        wait_for("a link that ends and comes again, after " + what, lambda: meddler.links > links)
        lab.settle()
        lab.wait_acknowledged(lab.primary())
        told = words(node)[before:].splitlines()[0]
        lab.say("%s: %s", what, told)
        if said not in told:
            broken("%s: %s does not say why: %s", what, node.name, told)

    old = list(meddler.heard[RECORDS])
    ends_link("a spoilt frame", "changed on its way", lambda: setattr(meddler, "spoil", True))
    ends_link("records once more", "no place here", lambda: meddler.say(old[-1]))
    ends_link("an older frame", "no place here", lambda: meddler.say(old[0]))
    ends_link("bytes that are no frame", "what came is no frame", lambda: meddler.say(bytes(200)))

    # b is the primary of the next reign: what a said before is no good for a itself, though all of its checksums are.
    a.kill()
    if b.order("promote", "--stopped", "a")[0]:
        broken("b is not promoted")
    meddler.be(a, b)
    a.start()
    lab.settle()
    ends_link("records of the reign before", "of another epoch", lambda: meddler.say(old[-1]))
    ends_link("its commit point", "of another epoch", lambda: meddler.say(meddler.heard[COMMIT][0]))
    lab.finish(restart=False)


run(keys, flood, frames)
