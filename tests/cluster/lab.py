# SPDX-License-Identifier: Apache-2.0
"""A cluster of two nodes with its network, disks and clients, for one story of a test.

    def story(lab):
        a, b = lab.pair(min_standbys=1)
        load = lab.load()
        ...
        lab.settle()                    # the faults are over: the pair is one again by itself
        lab.finish()                    # what must hold holds

    if __name__ == "__main__":
        run(story)                      # NAME.py DIRECTORY [STORY]; MQFS and MQCTL are the programs

It is all gone when the process is: network, mounts, daemons. A story that is broken prints what is, and the ends of both logs. Exit status 0, or 1.
"""
import os
import random
import subprocess
import sys
import time
import traceback

from clients import TOPIC
from hosts import Hosts, own_mounts
from invariant import Invariant
from load import Load
from node import Broken, Node, broken, wait_for


class Lab:
    def __init__(self, directory, seed, hosts):
        self.directory, self.seed, self.hosts = directory, seed, hosts
        self.rng = random.Random(seed)
        self.mqfs, self.mqctl = os.environ["MQFS"], os.environ["MQCTL"]
        self.keys = os.path.join(directory, "keys")
        self.nodes, self.losses, self.failovers = [], [], []
        self.use = None
        self.began = time.monotonic()
        self.ctl("keys", "init", self.keys)

    def ctl(self, *words):
        subprocess.run([self.mqctl, *words], check=True, stdout=subprocess.DEVNULL)

    def say(self, what, *words):
        print("%6.2f %s" % (time.monotonic() - self.began, what % words if words else what), flush=True)

    # --- two nodes

    def make(self, name, options):
        self.ctl("keys", "node", self.keys, name)
        node = Node(self, self.hosts.add(name), options)
        self.nodes.append(node)
        return node

    def pair(self, min_standbys=1):
        a = self.make("a", "peer=10.77.0.2")
        b = self.make("b", "standby_of=10.77.0.1")
        self.begin(a, b, min_standbys)
        return a, b

    def begin(self, a, b, min_standbys=1):
        """They become a pair, with the queues that the load uses."""
        self.min_standbys = min_standbys
        for node in (a, b):
            node.options += ",min_standbys=%d" % min_standbys
        a.run()
        b.run()
        a.wait_live()
        b.wait_live()
        self.settle()
        os.mkdir(os.path.join(a.mnt, TOPIC))
        with open(os.path.join(a.mnt, TOPIC, ".config/queues"), "w") as f:
            f.write("2\n")
        wait_for("the topic on b", lambda: os.path.exists(os.path.join(b.mnt, TOPIC, "1")))
        self.say("a and b are a pair, min_standbys %d", min_standbys)

    def load(self, big=False):
        """BIG: one writer on each node has large messages, to fill disks."""
        self.use = Load(self.nodes, os.path.join(self.directory, "history"), big)
        return self.use

    def other(self, node):
        return self.nodes[1 - self.nodes.index(node)]

    def primary(self):
        """The one of those that answer; None: there is none."""
        primaries = [n for n in self.nodes if n.answers() and n.read(".mqfs/role").strip() == "primary"]
        return primaries[0] if len(primaries) == 1 else None

    # --- events of the load

    def wait_acknowledged(self, node, count=3, within=60):
        """So many more on NODE."""
        before = self.use.acknowledged[node.name]
        if not self.use.wait(lambda: self.use.acknowledged[node.name] >= before + count, within):
            broken("no appends on %s within %d s: %s", node.name, within, node.shortly())

    def wait_outcome(self, *kinds, within=60):
        def count():
            return sum(self.use.outcomes.get(k, 0) for k in kinds)
        before = count()
        if not self.use.wait(lambda: count() > before, within):
            broken("no write ends with %s within %d s", " or ".join(kinds), within)

    # --- after the faults

    def is_pair(self):
        roles = {}
        for node in self.nodes:
            s = node.status()["replication"]
            pair = s["pair"]
            if not (s["linked"] and s["current"] and not s["refused"] and pair and pair["committed"] and len(pair["nodes"]) == 2
                    and pair["min_standbys"] == self.min_standbys):
                return False
            roles[s["role"]] = node
            if s["role"] == "primary" and not any(o["member"] and o["linked"] and o["current"] for o in s["standbys"]):
                return False
        return len(roles) == 2

    def settle(self):
        """Nobody gives an order any more: the two are a pair all the same, and take appends."""
        wait_for(lambda: "a and b to be a pair again: %s; %s" % tuple(n.shortly() for n in self.nodes), self.is_pair)
        return self.primary()

    def same(self):
        a, b = (n.status()["replication"] for n in self.nodes)
        return a["committed"] == b["committed"] == a["received"] == b["received"] and a["role"] != b["role"]

    def finish(self, restart=True):
        """The load ends, all that must hold is checked, and again after one more start, and both stores are verified."""
        self.use.stop()
        primary = self.settle()
        wait_for(lambda: "the same on both: %s; %s" % tuple(n.shortly() for n in self.nodes), self.same)
        invariant = Invariant(self.use, self.losses)
        contents = invariant.check(primary, self.other(primary))
        if restart:
            for node in self.nodes:
                node.kill()
            for node in self.nodes:
                node.run()
            for node in self.nodes:
                node.wait_live()
            self.settle()
            for node in self.nodes:
                wait_for("all of it on " + node.name, self.same)
                invariant.again(node, contents)
        for node in sorted(self.nodes, key=lambda n: n is primary):
            node.stop()
        self.use.join()
        if self.use.wrong:
            broken("; ".join(self.use.wrong[:5]))
        for node in self.nodes:
            node.check_store()
        self.say("%d acknowledged messages, none lost; answers: %s; the longest wait %.2f s", invariant.count,
                 " ".join("%s %d" % kv for kv in sorted(self.use.outcomes.items())), self.use.slowest)

    def words(self):
        """The ends of both logs."""
        for node in self.nodes:
            if os.path.exists(node.log):
                with open(node.log, errors="replace") as f:
                    print("--- the log of %s" % node.name, *f.read().splitlines()[-30:], sep="\n", file=sys.stderr)


def play(story, directory, seed):
    """0: it holds."""
    with Hosts() as hosts:
        lab = Lab(directory, seed, hosts)
        try:
            story(lab)
            return 0
        except Exception as e:
            if not isinstance(e, Broken):
                traceback.print_exc()
            print("BROKEN, seed %d: %s" % (seed, e), file=sys.stderr)
            for node in lab.nodes:
                if node.process:
                    print("    " + (node.shortly() if node.answers() else node.name + " does not run"), file=sys.stderr)
            lab.words()
            return 1
        finally:
            for node in lab.nodes:
                if node.runs():
                    node.process.kill()


def play_alone(story, directory, seed):
    """In this process, and never returns: threads may hang in a mount that does not answer."""
    own_mounts()
    os.mkdir(directory)
    status = play(story, directory, seed)
    sys.stdout.flush()
    os._exit(status)


def run(*stories):
    """All of them at once, as they wait most of the time: each a process of its own, with a directory below the one that is named. With a name
    behind that: this one."""
    seed = int(os.environ.get("MQFS_SEED") or random.SystemRandom().randrange(1 << 31))
    for story in stories:
        if sys.argv[2:] == [story.__name__]:
            play_alone(story, os.path.join(sys.argv[1], story.__name__), seed)
    print("seed %d" % seed, flush=True)
    processes = [(story, subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", sys.executable, *sys.argv[:2], story.__name__], env=dict(os.environ, MQFS_SEED=str(seed)),
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)) for story in stories]
    failed = 0
    for story, process in processes:
        said = process.communicate()[0]
        print("%s: %s\n%s" % (story.__name__, story.__doc__.strip(), said), flush=True)
        failed += process.returncode != 0
    sys.exit(1 if failed else 0)
