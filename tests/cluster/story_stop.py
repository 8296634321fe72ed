# SPDX-License-Identifier: Apache-2.0
"""Either node stands still (SIGSTOP) for longer than every timeout, and goes on as if nothing had been."""
from clients import COMMIT_TIMEOUT
from lab import run
from node import broken, wait_for
from runbook import Operator


def standby(lab):
    """It is away like any other; what it was sent meanwhile it takes, or not, and nobody minds."""
    a, b = lab.pair()
    lab.load()
    lab.wait_acknowledged(a, 20)
    b.sleep()
    lab.wait_outcome("ETIMEDOUT")
    lab.wait_outcome("EHOSTDOWN")
    b.wake_up()
    lab.settle()
    lab.wait_acknowledged(a)
    lab.finish(restart=False)


def primary(lab):
    """A deposed primary that slept through it wakes up with what it had been about to acknowledge: nothing of it is acknowledged, and it follows."""
    a, b = lab.pair()
    load = lab.load()
    lab.wait_acknowledged(a, 20)
    a.sleep()
    wait_for("b to notice", lambda: not b.says("linked"))
    # The pair waits for both, so a cannot acknowledge anything that b has not; b is promoted by the rule that asks nobody. Appends wait for a.
    Operator(lab).promote_waiting(b)
    before = load.acknowledged["a"]
    lab.wait_outcome("EHOSTDOWN")
    a.wake_up()
    lab.settle()
    if lab.primary() is not b:
        broken("a is the primary again")
    lab.wait_acknowledged(b)
    # What it had been told of before it stood still it may have answered when it went on: the check finds it in b's log.
    lab.say("a has answered %d writes since", load.acknowledged["a"] - before)
    # The same, but it is ended before it can wake up, so that the operator may say so.
    b.sleep()
    wait_for("a to notice", lambda: not a.says("linked"))
    b.kill()
    Operator(lab).promote(a, b)
    b.start()
    lab.settle()
    lab.wait_acknowledged(a)
    lab.finish(restart=False)
    if load.slowest > COMMIT_TIMEOUT * 10:
        lab.say("somebody waited for %.1f s", load.slowest)


run(standby, primary)
