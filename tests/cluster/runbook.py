# SPDX-License-Identifier: Apache-2.0
"""The operator of a cluster, who does what RUNBOOK in mqfs-replication(7) says, and gives no word that is not so.

What the product may refuse, and what an operator may then do about it, is told here: nobody accepts a loss where he was not told that there may be one.
"""
import time

from invariant import Loss
from node import broken, wait_for


class Operator:
    def __init__(self, lab):
        self.lab = lab
        self.accepted = None                        # a loss, until the old primary is there again: (node, received, what lost/ had)

    def down(self, node):
        """The word that it is down is only given when it is."""
        if node.runs():
            broken("an operator who says that %s is down, while it runs", node.name)

    def order(self, node, verb, *words):
        status, said = node.order(verb, *words)
        self.lab.say("%s %s on %s: %s%s", verb, " ".join(words), node.name, "" if status == 0 else "refused: ", said.split(": ", 1)[-1])
        return status, said

    def promote(self, node, stopped, current=True):
        """`The primary is lost': NODE takes its place. With min_standbys=1 that takes nobody's word about losses, if NODE is CURRENT.
        Time to the first acknowledged message, or None: it was refused."""
        self.down(stopped)
        began = time.monotonic()
        lossy = self.lab.min_standbys == 0
        before, received = set(stopped.lost_files()), node.says("received")
        status, said = self.order(node, "promote", "--stopped", stopped.name)
        if status and lossy:
            if not any(words in said for words in ("missing", "are not here", "gone on alone")):
                broken("promote does not say what may be lost: %s", said)
            began = time.monotonic()
            status, said = self.order(node, "promote", "--stopped", stopped.name, "--accept-loss")
            self.accepted = (stopped, received, before)
            self.lab.use.tell("other", stopped.name)
        elif status == 0 and lossy:
            broken("with min_standbys=0 a promotion may lose something, and nothing was said of it: %s", said)
        elif status and not current:
            return None
        if status:
            broken("promote is refused: %s", said)
        if self.lab.use.first(node) is None:
            broken("no appends on %s after its promotion: %s", node.name, node.shortly())
        took = time.monotonic() - began
        self.lab.say("from promote to the first acknowledged write: %.0f ms", took * 1000)
        self.lab.failovers.append(took)
        return took

    def promote_waiting(self, node):
        """Without a word about the other node, which only restarts: appends are taken when it has come back."""
        status, said = self.order(node, "promote")
        if status:
            broken("promote is refused: %s", said)

    def alone(self, node, stopped):
        """`The standby is lost'."""
        self.down(stopped)
        # It is refused while that is linked, which a dead node is for some seconds.
        wait_for("%s to see that %s is away" % (node.name, stopped.name), lambda: not any(s["name"] == stopped.name for s in node.says("standbys")))
        status, said = self.order(node, "alone", "--stopped", stopped.name)
        if status:
            broken("alone is refused: %s", said)
        if self.lab.use.first(node) is None:
            broken("no appends on %s alone: %s", node.name, node.shortly())

    def switchover(self, node):
        """Planned. It may be refused when the network is bad; then all is as it was."""
        return self.order(node, "switchover")[0] == 0

    def looks_at_loss(self):
        """The old primary is there again: what was lost is in its lost/."""
        if self.accepted:
            loss = Loss(*self.accepted)
            self.accepted = None
            self.lab.losses.append(loss)
            self.lab.use.tell("again", loss.name)
            self.lab.say("%d messages were lost, and are in lost/", loss.count)
