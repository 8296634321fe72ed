# SPDX-License-Identifier: Apache-2.0
"""Either node, and both, are killed or lose power, in every order."""
import shutil

from lab import run
from node import broken, wait_for
from runbook import Operator


def killed(lab):
    """kill -9 of the standby, of the primary, of both; who was left out is a member again."""
    a, b = lab.pair()
    lab.load()
    operator = Operator(lab)
    lab.wait_acknowledged(a, 20)
    b.kill()
    lab.wait_outcome("EHOSTDOWN")
    operator.alone(a, b)
    lab.wait_acknowledged(a)
    b.run()
    b.wait_live()
    lab.settle()
    lab.say("b is a member again")
    a.kill()
    operator.promote(b, a)
    a.start()
    lab.settle()
    lab.say("a is b's standby")
    # Without a word that it is down, appends wait for the other one.
    b.kill()
    operator.promote_waiting(a)
    lab.wait_outcome("EHOSTDOWN")
    b.start()
    lab.settle()
    lab.wait_acknowledged(a)
    a.kill()
    b.kill()
    b.run()
    a.run()
    lab.settle()
    lab.wait_acknowledged(a)
    # A standby that has not been in touch since its start is no candidate, and says so.
    a.kill()
    b.kill()
    b.start()
    status, said = b.order("promote", "--stopped", "a")
    if status != 1 or "has not been in touch" not in said:
        broken("promotion of a node that may not be current: %s", said)
    a.start()
    lab.settle()
    lab.wait_acknowledged(a)
    lab.finish(restart=False)


def power(lab):
    """Power is cut: what was not synced is gone, the other node notices by silence only."""
    a, b = lab.pair()
    lab.load()
    operator = Operator(lab)
    lab.wait_acknowledged(a, 20)
    a.cut_power()
    operator.promote(b, a)
    lab.hosts.mend()
    a.start()
    lab.settle()
    for first, second in ((b, a), (a, b)):
        lab.wait_acknowledged(b)
        first.cut_power()
        second.cut_power()
        lab.hosts.mend()
        first.run()
        second.run()
        lab.settle()
        lab.say("both have lost power, %s first", first.name)
    lab.wait_acknowledged(b)
    lab.finish()


def replaced(lab):
    """Both lose power, and the primary's disk is gone for good: the other one's has all that was acknowledged, and a new machine becomes its standby."""
    a, b = lab.pair()
    lab.load()
    lab.wait_acknowledged(a, 20)
    b.sleep()                                       # in the same moment
    a.cut_power()
    b.cut_power()
    lab.hosts.mend()
    shutil.rmtree(a.store)
    b.start()
    operator = Operator(lab)
    status, said = operator.order(b, "promote", "--stopped", "a")
    if status != 1 or "--accept-loss" not in said:
        broken("promotion of a node that may not be current: %s", said)
    # The operator knows that a has taken nothing alone.
    if operator.order(b, "promote", "--stopped", "a", "--accept-loss")[0]:
        broken("b is not promoted")
    a.options = "standby_of=10.77.0.2,min_standbys=1"
    a.start()
    lab.settle()
    lab.wait_acknowledged(b)
    lab.finish(restart=False)


def lossy(lab):
    """min_standbys=0: what a loss may be is said before it is accepted, and afterwards it is in lost/."""
    a, b = lab.pair(min_standbys=0)
    lab.load()
    operator = Operator(lab)
    lab.wait_acknowledged(a, 20)
    lab.hosts.part(a.host, b.host)
    wait_for("b to lose its link", lambda: not b.says("linked"))
    lab.wait_acknowledged(a, 20)
    a.kill()
    operator.promote(b, a)
    lab.hosts.mend()
    a.start()
    lab.settle()
    operator.looks_at_loss()
    if not lab.losses[0].count:
        broken("nothing was lost, which a had acknowledged alone")
    lab.wait_acknowledged(b)
    lab.finish(restart=False)


run(killed, power, replaced, lossy)
