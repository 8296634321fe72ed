#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random trials: trial.py DIRECTORY SEED [COUNT [AT-ONCE]]

A trial is a cluster that is made, used all the time, and meets some faults and orders, which its seed decides; the moments are the machine's. Behind
each fault the two must be a pair again by themselves, and at the end all that must hold is checked (invariant.py). COUNT trials have the seeds
from SEED on, so `trial.py DIRECTORY 4711` is one of them again.
"""
import os
import subprocess
import sys
import time

from clients import QUEUES, TOPIC
from lab import play_alone
from node import wait_for
from rot import rot
from runbook import Operator

ROUNDS = (1, 3)


class Trial:
    def __init__(self, lab):
        self.lab, self.rng, self.hosts = lab, lab.rng, lab.hosts
        self.operator = Operator(lab)
        self.ills = []                              # what heals each ill, in no order

    # --- chance

    def pause(self, most):
        """Faults have a moment and a time, which are chance; nothing is waited for."""
        time.sleep(self.rng.uniform(0, most))

    def half(self):
        return self.rng.random() < 0.5

    def roles(self):
        primary = self.lab.settle()
        return primary, self.lab.other(primary)

    # --- processes

    def start_later(self, node):
        self.ills.append(lambda: node.run())

    def end_one(self, node):
        """It dies in one of several ways, and is down."""
        how = self.rng.choice(("kill", "power", "stop"))
        self.lab.say("%s: %s", node.name, how)
        {"kill": node.kill, "power": node.cut_power, "stop": node.stop}[how]()
        if how == "power":
            self.ills.append(self.hosts.mend)
        self.start_later(node)

    def primary_dies(self):
        primary, standby = self.roles()
        self.end_one(primary)
        self.pause(0.5)
        what = self.rng.choice(("promote", "promote", "wait", "nothing"))
        if what == "promote":
            self.operator.promote(standby, primary)
        elif what == "wait" and self.lab.min_standbys:
            self.operator.promote_waiting(standby)

    def standby_dies(self):
        primary, standby = self.roles()
        self.end_one(standby)
        self.pause(0.5)
        if self.half():
            self.operator.alone(primary, standby)
            self.lab.wait_acknowledged(primary)

    def both_die(self):
        nodes = list(self.roles())
        self.rng.shuffle(nodes)
        for node in nodes:
            self.end_one(node)
            self.pause(0.3)

    def dies_alone(self):
        """The primary goes on alone, dies, and is there again before the other one is."""
        primary, standby = self.roles()
        self.end_one(standby)
        self.operator.alone(primary, standby)
        self.end_one(primary)
        primary.run()
        self.ills.pop()
        self.lab.wait_acknowledged(primary)

    def sleeps(self):
        node = self.rng.choice(self.roles())
        self.lab.say("%s stands still", node.name)
        node.sleep()
        self.ills.append(node.wake_up)
        self.pause(5)

    def sleeps_and_is_replaced(self):
        """A primary that stands still is ended before the other one is promoted."""
        primary, standby = self.roles()
        primary.sleep()
        self.pause(4)
        primary.kill()
        self.start_later(primary)
        self.operator.promote(standby, primary)

    # --- the network

    def parted(self):
        primary, standby = self.roles()
        how = self.rng.choice(("both ways", "one way", "the other way", "flapping"))
        self.lab.say("a network that is parted: %s", how)
        self.ills.append(self.hosts.mend)
        if how == "flapping":
            for _ in range(self.rng.randint(2, 6)):
                self.hosts.part(primary.host, standby.host)
                self.pause(0.5)
                self.hosts.mend()
                self.pause(0.5)
            return
        if how != "one way":
            self.hosts.deaf(primary.host, standby.host)
        if how != "the other way":
            self.hosts.deaf(standby.host, primary.host)
        self.pause(4)
        what = self.rng.choice(("nothing", "alone", "promote"))
        if what == "alone" and self.lab.min_standbys:
            self.end_one(standby)
            self.operator.alone(primary, standby)
        elif what == "promote":
            self.end_one(primary)
            self.operator.promote(standby, primary)

    def bad_network(self):
        primary, standby = self.roles()
        how = self.rng.choice(("loses", "slow", "delays"))
        self.lab.say("a network that is bad: %s", how)
        self.ills.append(self.hosts.mend)
        if how == "loses":
            self.hosts.lose(primary.host, standby.host, self.rng.choice((5, 20, 50)))
        elif how == "slow":
            for node in (primary, standby):
                self.hosts.slow(node.host, self.rng.choice(("500kbit", "2mbit", "20mbit")))
        else:
            self.hosts.delay(primary.host, standby.host, 0.001, self.rng.choice((0.005, 0.05, 0.2)), self.rng)
        self.pause(2)
        self.rng.choice((self.switched, self.primary_dies, self.standby_dies, lambda: None))()

    def roles_now(self):
        primary = self.lab.primary()
        return primary, self.lab.other(primary) if primary else None

    # --- orders

    def switched(self):
        """Over a bad network the old primary may not hear of the new one in time, and take its role back."""
        primary, standby = self.roles_now()
        if primary and self.operator.switchover(self.rng.choice((primary, standby))) and not self.ills:
            self.lab.wait_acknowledged(standby)

    # --- disks

    def disk_full(self):
        node = self.rng.choice(self.roles())
        self.lab.say("the disk of %s is full", node.name)
        node.disk.fill()
        self.ills.append(node.disk.free)
        self.pause(2)

    def disk_fails(self):
        node = self.rng.choice(self.roles())
        self.lab.say("the disk of %s fails", node.name)
        node.disk.fail()
        self.pause(2)

        def heal():
            node.kill()
            node.disk.heal()
            if self.half():
                node.disk.again()
            node.run()
        self.ills.append(heal)

    def rots(self):
        """A committed message on one disk; the other node's copy mends it, so it has to have one."""
        primary, standby = self.roles()
        node = self.rng.choice((primary, standby))
        self.lab.wait_acknowledged(primary, 5)
        queue = str(self.rng.randrange(QUEUES))
        with open(os.path.join(primary.mnt, TOPIC, queue), "rb") as f:
            line = self.rng.choice(f.read().splitlines(True)[:-1] or [None])
        if not line:
            return
        committed = primary.says("committed")
        wait_for("%s to have it" % standby.name, lambda: standby.says("committed") >= committed)
        rot(node, line, self.rng)
        self.lab.say("message %s rots on %s", line[:line.index(b" ", line.index(b" ") + 1)].decode(), node.name)
        with open(os.path.join(node.mnt, ".mqfs/scrub"), "w") as f:
            f.write("now\n")

    # --- all of it

    def heal_one(self, ills):
        ills.pop(self.rng.randrange(len(ills)))()

    def heal(self):
        while self.ills:
            self.heal_one(self.ills)
            self.pause(0.3)
        self.lab.hosts.mend()
        for node in self.lab.nodes:
            node.wait_live()
        self.lab.settle()
        self.operator.looks_at_loss()

    FAULTS = (primary_dies, primary_dies, primary_dies, standby_dies, both_die, dies_alone, sleeps, sleeps_and_is_replaced, parted, parted, parted,
              bad_network, bad_network, switched, switched, disk_full, disk_fails, rots)

    def run(self):
        for _ in range(self.rng.randint(*ROUNDS)):
            self.pause(0.3)
            fault = self.rng.choice(self.FAULTS)
            self.lab.say("--- %s", fault.__name__.replace("_", " "))
            fault(self)
            self.heal()
            self.lab.wait_acknowledged(self.lab.primary())
        for node in self.lab.nodes:
            wait_for("all damage on %s to be mended" % node.name, lambda: node.status()["damage"]["open"] == 0)
        self.lab.finish(restart=self.rng.random() < 0.3)


def trial(lab):
    lab.pair(min_standbys=0 if lab.rng.random() < 0.25 else 1)
    lab.load()
    Trial(lab).run()


class Campaign:
    """Trials side by side, each a process of its own."""

    def __init__(self, directory, seed, count, at_once):
        self.directory, self.seeds, self.at_once = directory, range(seed, seed + count), at_once
        self.running, self.broken, self.sums = {}, [], [0, 0, []]

    def start(self, seed):
        directory = os.path.join(self.directory, "trial.%d" % seed)
        out = open(directory + ".out", "w+")
        self.running[seed] = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", sys.executable, __file__, directory, str(seed)], stdout=out, stderr=out), out

    def end(self, seed):
        process, out = self.running.pop(seed)
        out.seek(0)
        said = out.read()
        if process.returncode:
            self.broken.append(seed)
            print(said, flush=True)
            return
        for line in said.splitlines():
            words = line.split()
            if "acknowledged messages, none lost" in line:
                self.sums[0] += 1
                self.sums[1] += int(words[1])
            elif "first acknowledged write" in line:
                self.sums[2].append(int(words[-2]))
        out.close()
        subprocess.run(["rm", "-rf", "--one-file-system", os.path.join(self.directory, "trial.%d" % seed), out.name], check=True)

    def run(self):
        todo = list(self.seeds)
        while todo or self.running:
            while todo and len(self.running) < self.at_once:
                self.start(todo.pop(0))
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
            for seed in [s for s, (process, _) in self.running.items() if process.poll() is not None]:
                self.end(seed)
        took = sorted(self.sums[2])
        print("%d trials, %d acknowledged messages, %d broken%s" % (len(self.seeds), self.sums[1], len(self.broken), ": seeds %s" % self.broken if self.broken else ""))
        if took:
            print("%d promotions, to the first acknowledged write: median %d ms, longest %d ms" % (len(took), took[len(took) // 2], took[-1]))
        return 1 if self.broken else 0


if __name__ == "__main__":
    if len(sys.argv) == 3:
        play_alone(trial, sys.argv[1], int(sys.argv[2]))
    sys.exit(Campaign(sys.argv[1], *map(int, sys.argv[2:])).run())
