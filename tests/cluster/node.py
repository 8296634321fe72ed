# SPDX-License-Identifier: Apache-2.0
"""The mqfs of a host: its daemon, with a disk, a store and a mount of its own.

All that asks the mount something is bounded: who waits for longer than TOO_LONG has found an error. A node that is stopped (SIGSTOP) is not asked.
"""
import glob
import json
import os
import signal
import subprocess
import threading
import time

from clients import COMMIT_TIMEOUT, TOO_LONG
from disk import Disk

SMALL = "segment_size=1M,checkpoint_every=1M,commit_timeout=%ds" % COMMIT_TIMEOUT


class Broken(Exception):
    """Something that must hold does not."""


def broken(what, *words):
    raise Broken(what % words if words else what)


def bounded(what, call):
    """What CALL returns; it may hang only for so long. The thread of one that hangs stays behind."""
    done = []

    def run():
        try:
            done.append((call(), None))
        except OSError as e:
            done.append((None, e))
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(TOO_LONG)
    if not done:
        broken("%s: no answer within %d s", what, TOO_LONG)
    value, error = done[0]
    if error:
        raise error
    return value


def wait_for(what, call, within=60):
    """Until CALL returns something; an OSError is not yet."""
    end = time.monotonic() + within
    while True:
        try:
            value = call()
        except OSError:
            value = None
        if value:
            return value
        if time.monotonic() > end:
            what = what() if callable(what) else what
            broken("not within %d s: %s", within, what)
        time.sleep(0.01)


class Node:
    def __init__(self, lab, host, options, keys=None):
        self.lab, self.host, self.name, self.options = lab, host, host.name, options
        self.keys = keys or os.path.join(lab.keys, self.name)
        self.mnt = os.path.join(lab.directory, self.name)
        self.disk = Disk(self.mnt)
        self.store = os.path.join(self.disk.path, "store")
        self.log = self.mnt + ".log"
        self.process = None
        self.asleep = False

    # --- start and end

    def run(self, extra=""):
        """Starts it, and does not wait."""
        options = "%s,listen=%s,cert=%s.crt,key=%s.key,ca=%s/ca.crt,%s" % (
            SMALL, self.host.address, self.keys, self.keys, os.path.dirname(self.keys), self.options + extra)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self.host.command(self.lab.mqfs, "-f", "-o", options, self.store, self.mnt)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def start(self):
        self.run()
        self.wait_live()

    def is_live(self):
        if self.process.poll() is not None:
            broken("node %s ended at its start: %s", self.name, self.last_words())
        with open(os.path.join(self.mnt, ".mqfs/pid")) as f:
            return f.read().strip() == str(self.process.pid)

    def wait_live(self):
        wait_for("the mount of " + self.name, lambda: bounded("the start of " + self.name, self.is_live))

    def last_words(self):
        with open(self.log, errors="replace") as f:
            return " / ".join(f.read().splitlines()[-3:])

    def runs(self):
        return self.process is not None and self.process.poll() is None

    def answers(self):
        return self.runs() and not self.asleep

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.awake()

    def stop(self):
        """In good order."""
        self.process.terminate()
        try:
            status = self.process.wait(TOO_LONG)
        except subprocess.TimeoutExpired:
            broken("%s does not end on SIGTERM", self.name)
        if status:
            broken("%s ended with status %d: %s", self.name, status, self.last_words())

    def cut_power(self):
        """Nobody hears from it any more, what it had not synced is gone, and then the disk is there again."""
        self.sleep()                                # in this moment; the rest takes longer than a sync
        for other in self.lab.nodes:
            if other is not self:
                self.lab.hosts.part(self.host, other.host)
        self.kill()
        self.disk.cut()
        self.disk.again()

    # --- SIGSTOP

    def sleep(self):
        if self.asleep:
            return
        self.asleep = True
        self.lab.use.tell("asleep", self.name)
        self.process.send_signal(signal.SIGSTOP)

    def wake_up(self):
        self.process.send_signal(signal.SIGCONT)
        self.awake()

    def awake(self):
        if self.asleep:
            self.lab.use.tell("awake", self.name)
        self.asleep = False

    # --- what it says

    def read(self, name):
        def take():
            with open(os.path.join(self.mnt, name), errors="replace") as f:
                return f.read()
        return bounded("%s of %s" % (name, self.name), take)

    def status(self):
        return json.loads(self.read(".mqfs/status.json"))

    def says(self, *path):
        """A value in its status's object replication."""
        value = self.status()["replication"]
        for key in path:
            value = value[key]
        return value

    def wait_says(self, wanted, *path):
        wait_for(lambda: "%s's %s to be %s: %s" % (self.name, ".".join(path), wanted, self.shortly()), lambda: self.says(*path) == wanted or None)

    def shortly(self):
        try:
            s = self.status()["replication"]
        except (OSError, ValueError) as e:
            return "%s is not there: %s" % (self.name, e)
        pair = s["pair"]
        return "%s is %s, linked %s, current %s, refused %s, committed %d of %d, pair %s, why '%s', last order '%s'" % (
            self.name, s["role"], s["linked"], s["current"], s["refused"], s["committed"], s["received"],
            pair and "of %d, min_standbys %d" % (len(pair["nodes"]), pair["min_standbys"]), s["why"], s["last_order"])

    def lost_files(self):
        return sorted(f for f in glob.glob(os.path.join(self.store, "lost", "*")) if os.path.isfile(f))

    def ctl(self, *words):
        """mqctl: exit status and what it printed."""
        done = subprocess.run([self.lab.mqctl, *words], capture_output=True, text=True, timeout=4 * TOO_LONG)
        return done.returncode, (done.stdout + done.stderr).strip()

    def order(self, verb, *words):
        return self.ctl(verb, "-m", self.mnt, *words)

    def dump(self, *operands):
        """The messages of a store, or of a file of lost/."""
        done = subprocess.run([self.lab.mqctl, "dump", *operands], capture_output=True, timeout=4 * TOO_LONG)
        if done.returncode:
            broken("mqctl dump %s: %s", operands, done.stderr.decode(errors="replace"))
        return [json.loads(line) for line in done.stdout.splitlines()]

    def check_store(self):
        status, said = self.ctl("check", self.store)
        if status:
            broken("mqctl check of %s: %s", self.name, said)
