# SPDX-License-Identifier: Apache-2.0
"""A disk is full, fails, or rots, on either node."""
import os

from lab import run
from node import wait_for
from real_history import Told, message
from rot import rot
from runbook import Operator


def full(lab):
    """The standby's is full: it takes nothing more, and goes on when there is room. So with the primary's."""
    a, b = lab.pair()
    load = lab.load(big=True)
    lab.wait_acknowledged(a, 20)
    for node in (b, a):
        node.disk.fill()
        # What is prepared is used up first.
        wait_for("an end of the room on " + node.name, lambda: load.outcomes.get("ETIMEDOUT" if node is b else "ENOSPC"))
        wait_for("%s to say so" % node.name, lambda: node.status()["health"]["state"] == "full")
        lab.say("the disk of %s is full: %s", node.name, node.status()["health"]["why"])
        node.disk.free()
        lab.settle()
        lab.wait_acknowledged(a)
    lab.finish(restart=False)


def fails(lab):
    """A standby whose disk fails acknowledges nothing more; a primary's takes nothing more, and the other node is promoted."""
    a, b = lab.pair()
    lab.load(big=True)
    operator = Operator(lab)
    lab.wait_acknowledged(a, 20)
    b.disk.fail()
    lab.wait_outcome("ETIMEDOUT", "EHOSTDOWN")
    b.kill()
    operator.alone(a, b)
    b.disk.heal()
    b.disk.again()
    b.start()
    lab.settle()
    lab.say("b is a member again")
    lab.wait_acknowledged(a)
    a.disk.fail()
    lab.wait_outcome("EIO")
    a.kill()
    operator.promote(b, a)
    a.disk.heal()
    a.start()
    lab.settle()
    lab.wait_acknowledged(b)
    lab.finish(restart=False)


def rots(lab):
    """What has rotted on one is fetched from the other, whichever it is."""
    a, b = lab.pair()
    load = lab.load()
    lab.wait_acknowledged(a, 40)
    told = Told(load.history, "a.w0")
    for n, node in enumerate((b, a), 1):
        rot(node, message("a.w0", sorted(told.ended)[n]), lab.rng)
        with open(os.path.join(node.mnt, ".mqfs/scrub"), "w") as f:
            f.write("now\n")
        wait_for("the repair on " + node.name, lambda: node.status()["damage"]["repaired"] > 0)
        wait_for("no damage on " + node.name, lambda: node.status()["damage"]["open"] == 0)
    lab.finish(restart=False)


run(full, fails, rots)
