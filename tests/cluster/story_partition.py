# SPDX-License-Identifier: Apache-2.0
"""The network between the two breaks, in several ways."""
import os
import signal
import subprocess

from clients import TOPIC
from lab import run
from node import broken, wait_for
from runbook import Operator


def gone(process):
    """It can be killed, whatever it waits for."""
    process.kill()
    wait_for("the end of a killed %s" % process.args[0], lambda: process.poll() is not None)
    if process.returncode != -signal.SIGKILL:
        broken("%s ended with %s before it was killed", process.args, process.returncode)


def waiting(lab, node, *words):
    """A program that is in the middle of a call on NODE."""
    process = subprocess.Popen(words, cwd=node.mnt, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wait_for("%s to begin" % words[0], lambda: node.mnt in os.readlink("/proc/%d/cwd" % process.pid))
    return process


def both_ways(lab):
    """Nobody acknowledges, who waits can be killed, reads go on, and the two find each other again."""
    a, b = lab.pair()
    load = lab.load()
    lab.wait_acknowledged(a, 20)
    follower = waiting(lab, b, "cat", "%s/.follow/1@latest" % TOPIC)
    lab.hosts.part(a.host, b.host)
    lab.wait_outcome("ETIMEDOUT")
    writer = waiting(lab, a, "sh", "-c", "while :; do echo killed >> none/0; cat %s/0; done" % TOPIC)
    lab.wait_outcome("EHOSTDOWN")
    before = load.acknowledged["a"] + load.acknowledged["b"]
    lab.wait_outcome("EHOSTDOWN")
    gone(writer)
    gone(follower)
    if a.ctl("status", "-m", a.mnt)[0] != 1 or "away" not in a.ctl("status", "-m", a.mnt)[1]:
        broken("mqctl status does not say that the other node is away")
    if load.acknowledged["a"] + load.acknowledged["b"] != before:
        broken("something was acknowledged by half a pair")
    lab.hosts.mend()
    lab.settle()
    lab.wait_acknowledged(a)
    lab.say("they have found each other again")

    # The primary cannot be heard of. It is ended, and only then the other one is promoted; what it did not know comes to it later.
    lab.hosts.deaf(b.host, a.host)
    lab.wait_outcome("ETIMEDOUT", "EHOSTDOWN")
    a.kill()
    Operator(lab).promote(b, a)
    a.start()
    lab.hosts.mend()
    lab.settle()
    lab.wait_acknowledged(b)

    # The standby is not heard.
    lab.hosts.deaf(b.host, a.host)
    lab.wait_outcome("ETIMEDOUT", "EHOSTDOWN")
    lab.hosts.mend()
    lab.settle()
    lab.wait_acknowledged(b)
    lab.finish(restart=False)


def bad(lab):
    """It flaps, loses, reorders and is slow: that costs time, and nothing else; a switch-over works meanwhile."""
    a, b = lab.pair()
    lab.load()
    operator = Operator(lab)
    for _ in range(3):
        lab.wait_acknowledged(a)
        lab.hosts.part(a.host, b.host)
        lab.wait_outcome("ETIMEDOUT", "EHOSTDOWN", "EROFS")
        lab.hosts.mend()
    lab.settle()
    lab.say("the network has flapped")
    lab.hosts.lose(a.host, b.host, 20)
    lab.wait_acknowledged(a, 20)
    lab.hosts.mend()
    lab.say("it has lost")
    lab.hosts.delay(a.host, b.host, 0.001, 0.03, lab.rng)
    lab.wait_acknowledged(a, 20)
    if not operator.switchover(a):
        broken("no switch-over over a network that reorders")
    lab.wait_acknowledged(b)
    overtaken, carried = lab.hosts.wires[0].overtaken, lab.hosts.wires[0].carried
    lab.hosts.mend()
    lab.say("it has reordered: %d of %d packets were overtaken", overtaken, carried)
    if not overtaken:
        broken("no packet was overtaken")
    for node in (a, b):
        lab.hosts.slow(node.host, "2mbit")
    lab.wait_acknowledged(b, 20)
    lab.hosts.mend()
    lab.say("it was slow")
    lab.settle()
    lab.finish(restart=False)


run(both_ways, bad)
