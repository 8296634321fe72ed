# SPDX-License-Identifier: Apache-2.0
"""The programs of clients.py, as the test sees them: told what to do, counted, and waited for."""
import os
import subprocess
import sys
import threading

from clients import TOO_LONG


class Load:
    def __init__(self, nodes, history, big):
        self.history = history
        os.makedirs(os.path.join(history, "reads"))
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients.py"), history,
             *["--big"][:big], *("%s=%s" % (n.name, n.mnt) for n in nodes)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.acknowledged = {n.name: 0 for n in nodes}
        self.outcomes, self.firsts, self.wrong, self.slowest, self.stopped = {}, {}, [], 0.0, False
        self.heard = threading.Condition()
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        for line in self.process.stdout:
            what, rest = line.rstrip("\n").split(" ", 1)
            with self.heard:
                if what == "wrong":
                    self.wrong.append(rest)
                elif what == "took":
                    self.slowest = float(rest)
                elif what == "stopped":
                    self.stopped = True
                elif what == "first":
                    node, took = rest.split()
                    self.firsts[node] = None if took == "-" else float(took)
                else:
                    self.outcomes[what] = self.outcomes.get(what, 0) + 1
                    self.acknowledged[rest] += what == "acknowledged"
                self.heard.notify_all()

    def tell(self, *words):
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()

    def wait(self, what, within):
        """Until WHAT() is so; whether it is."""
        with self.heard:
            return self.heard.wait_for(what, within)

    def first(self, node):
        """A new program writes to NODE: seconds until its first message is acknowledged, None: none is."""
        self.firsts.pop(node.name, None)
        self.tell("first", node.name)
        self.wait(lambda: node.name in self.firsts, 5 * TOO_LONG)
        return self.firsts.get(node.name)

    def stop(self):
        """No more is written, when this returns."""
        self.tell("stop")
        if not self.wait(lambda: self.stopped, 5 * TOO_LONG):
            self.wrong.append("somebody still writes after %d s" % (5 * TOO_LONG))

    def join(self):
        """Behind stop(), when the mounts have gone: so have the programs."""
        try:
            self.process.wait(TOO_LONG)
        except subprocess.TimeoutExpired:
            self.wrong.append("a program still waits %d s after the mounts have gone" % TOO_LONG)
        self.thread.join(TOO_LONG)
