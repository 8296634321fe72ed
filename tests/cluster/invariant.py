# SPDX-License-Identifier: Apache-2.0
"""What must hold of a cluster, whatever happened to it, by what its clients remember (clients.py):

- every acknowledged message is there, once, byte for byte, in its writer's order, on both nodes, and nothing else but what had an unknown outcome;
- what any reader was given of a queue begins that queue still: no node ever showed what another one has not, so no two acknowledged at the same time;
- who waited, waited no longer than commit_timeout and a margin;
- a loss that the operator accepted took the end of what the old primary had, nothing that had been received by the other node, and all of it is in
  lost/ (Loss).
"""
import glob
import os

from clients import QUEUES, TOPIC
from node import Broken, broken, wait_for
from real_history import Told, message


class Loss:
    """What an accepted loss took from the old primary, by its lost/; RECEIVED: the end of the log that the other node had then."""

    def __init__(self, node, received, before):
        self.name, self.queues = node.name, {}
        files = [f for f in node.lost_files() if f not in before]
        for file in files:
            for m in node.dump(file):
                if m["position"] < received:
                    broken("lost is position %d, and %d had been received", m["position"], received)
                if m["topic"] == TOPIC:
                    body = m["body"].encode() + b"\n"
                    self.queues.setdefault(str(m["queue"]), {})[m["offset"]] = body
        status = node.status()["damage"]
        if files and status["lost_files"] < len(files):
            broken("the status of %s tells of %d files in lost/, and there are %d", node.name, status["lost_files"], len(files))
        self.count = sum(len(q) for q in self.queues.values())

    def old(self, queue, now):
        """The queue as it was on the old primary; NOW: as it is."""
        lost = self.queues.get(queue)
        if not lost:
            return now
        at = min(lost)
        data = bytearray(now[:at])
        if len(data) < at:
            broken("queue %s ends at %d, and what was lost of it began at %d", queue, len(now), at)
        for offset in sorted(lost):
            if offset != len(data):
                broken("between %d and %d nothing of queue %s is in lost/", len(data), offset, queue)
            data += lost[offset]
        return bytes(data)


class Invariant:
    def __init__(self, load, losses=()):
        self.load, self.losses = load, losses
        self.told = {}
        for name in os.listdir(load.history):
            if os.path.isfile(os.path.join(load.history, name)):
                self.told[name] = Told(load.history, name)
        self.present = {}

    def content(self, node, queue):
        def take():
            with open(os.path.join(node.mnt, TOPIC, queue), "rb") as f:
                return f.read()
        return wait_for("queue %s of %s to be read" % (queue, node.name), lambda: (take(),))[0]

    # --- messages

    def one_message(self, queue, data, at):
        words = data[at:at + 64].split(b" ", 2)
        where = "queue %s, offset %d" % (queue, at)
        if len(words) < 3 or not words[1].isdigit():
            broken("%s: nobody wrote %r", where, data[at:at + 100])
        writer, n = words[0].decode(errors="replace"), int(words[1])
        told = self.told.get(writer)
        if not told or told.queue.get(n) != "%s/%s" % (TOPIC, queue):
            broken("%s: message %d of %s was not meant for here", where, n, writer)
        wanted = message(writer, n)
        if data[at:at + len(wanted)] != wanted:
            broken("%s: message %d of %s is %r, not %r", where, n, writer, data[at:at + 200], wanted[:200])
        if n in told.refused:
            broken("%s: message %d of %s was refused, and is there", where, n, writer)
        return writer, n, at + len(wanted)

    def messages(self, queue, data, present):
        last, at = {}, 0
        while at < len(data):
            writer, n, at = self.one_message(queue, data, at)
            if n <= last.get(writer, 0):
                broken("queue %s: message %d of %s stands behind %d", queue, n, writer, last[writer])
            last[writer] = n
            present.add((writer, n))

    def acknowledged(self, present):
        count = 0
        for told in self.told.values():
            for n in told.ended:
                count += 1
                if (told.name, n) not in present:
                    broken("message %d of %s was acknowledged, and is not there", n, told.name)
        return count

    def reads(self, queue, data):
        """Begins with, or with what it was before a loss."""
        was = [data] + [loss.old(queue, data) for loss in self.losses]
        for path in glob.glob(os.path.join(self.load.history, "reads", "*.%s.*" % queue)):
            with open(path, "rb") as f:
                given = f.read()
            if not any(w.startswith(given) for w in was):
                at = max(len(os.path.commonprefix([w, given])) for w in was)
                broken("the reader %s was given %r at %d, where %r is", os.path.basename(path), given[at:at + 60], at, data[at:at + 60])

    # --- all of it

    def check(self, primary, standby):
        """Of two nodes that are a pair, and have the same. Returns what there is, for again()."""
        present, contents = set(), {}
        for queue in map(str, range(QUEUES)):
            data = contents[queue] = self.content(primary, queue)
            other = self.content(standby, queue)
            if other != data:
                broken("queue %s has %d bytes on %s and %d on %s, the same up to %d", queue, len(data), primary.name, len(other), standby.name,
                       len(os.path.commonprefix([data, other])))
            self.messages(queue, data, present)
            for loss in self.losses:
                self.messages(queue, loss.old(queue, data), present)
            self.reads(queue, data)
        self.count = self.acknowledged(present)
        if self.load.wrong:
            broken("; ".join(self.load.wrong[:5]))
        return contents

    def again(self, node, contents):
        """After one more start: unknown outcomes stay as they are."""
        for queue, data in contents.items():
            now = self.content(node, queue)
            if now != data:
                broken("queue %s on %s has changed from %d bytes to %d", queue, node.name, len(data), len(now))


__all__ = ["Broken", "Invariant", "Loss"]
