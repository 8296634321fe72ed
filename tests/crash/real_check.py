#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does a mounted store hold what it said? real_check.py MOUNTPOINT HISTORY ROUND [--peek], after a fault in ROUND and a new start.

Every acknowledged message is there, byte for byte, once, in its writer's order; nothing is there that nobody wrote, or that was refused;
what is missing is a suffix of the log; nothing that a reader was given is gone; commands that were answered are done. What an
earlier check saw is still there, and nothing came before it: HISTORY/seen keeps that, so a second check after one more start shows
that unknown outcomes stay as they are. --peek: the store could only be opened for reading, up to what its log proves committed.
That may be less than what was, until it can be written to again; but what is shown is right, and the beginning of the rest.

Exit status 0: all of it holds; 1: the first thing that does not is on standard error; 3: the same, and what does not hold is that
something acknowledged or seen is gone.
"""
import json
import os
import sys

from real_history import Told, message


class Broken(Exception):
    pass


class Gone(Broken):
    pass


def broken(what, *words):
    raise Broken(what % words)


def gone(what, *words):
    raise Gone(what % words)


def load(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except FileNotFoundError:
        return b""


def differs(a, b):
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


class Queue:
    """What is retained of one queue."""

    def __init__(self, mountpoint, name):
        self.name = name
        topic, number = name.split("/")
        self.trimmed = load(os.path.join(mountpoint, topic, ".config/retention.size")) != b"none\n"
        self.path, self.head_path = os.path.join(mountpoint, name), os.path.join(mountpoint, topic, ".config", "head." + number)
        while not self.read():                  # else retention went on meanwhile
            pass
        self.end = self.head + len(self.data)
        self.new = self.head                    # where what the check before did not see begins
        self.passed = self.head > 0             # has the head passed all that it saw?
        if self.head and not self.trimmed:
            gone("%s begins at %d", name, self.head)

    def read(self):
        self.head = int(load(self.head_path))
        fd = os.open(self.path, os.O_RDONLY)
        size = os.fstat(fd).st_size
        parts, at, part = [], self.head, b""
        try:
            while at < size:
                part = os.pread(fd, min(size - at, 1 << 20), at)
                if not part:
                    break
                parts.append(part)
                at += len(part)
        except BrokenPipeError:
            pass
        os.close(fd)
        self.data = b"".join(parts)
        if self.head != int(load(self.head_path)):
            return False
        if at < size:
            gone("%s: nothing can be read at %d, but it is %d long", self.name, at, size)
        return True

    def holds(self, at, data, whose, peek):
        """DATA, which was at AT, is still there, as far as the head has not passed it."""
        if peek:
            data = data[:max(0, self.end - at)]
        if self.end < at + len(data):
            gone("%s: %s had %d bytes, there are %d", self.name, whose, at + len(data), self.end)
        past = max(0, self.head - at)
        have = self.data[max(0, at - self.head):max(0, at + len(data) - self.head)]
        if data[past:] != have:
            gone("%s: %s had other bytes at %d", self.name, whose, at + past + differs(data[past:], have))


class Check:
    def __init__(self, mountpoint, history, number, peek=False):
        self.mnt, self.history, self.round, self.peek = mountpoint, history, number, peek
        self.seen = os.path.join(history, "seen")
        os.makedirs(self.seen, exist_ok=True)
        mine = "r%d." % number
        self.told = {n: Told(history, n) for n in os.listdir(history) if n.startswith(mine)}
        self.present = {}                       # (writer, n)
        self.queues = {}

    # --- what is in the queues

    def read(self):
        for topic in sorted(os.listdir(self.mnt)):
            if topic.startswith(".") or topic.startswith("made."):
                continue
            for number in os.listdir(os.path.join(self.mnt, topic)):
                if number.isdigit():
                    name = topic + "/" + number
                    self.queues[name] = Queue(self.mnt, name)

    def before(self, queue):
        """What the last check saw begins the queue; what came since begins at queue.new."""
        base = os.path.join(self.seen, queue.name.replace("/", "."))
        data = load(base)
        if data:
            head, data = data.split(b"\n", 1)
            queue.holds(int(head), data, "the check before", self.peek)
            queue.new = max(queue.head, int(head) + len(data))
            queue.passed = queue.head > int(head) + len(data)
            if queue.head < int(head):
                broken("%s: the head was at %s, it is at %d", queue.name, head.decode(), queue.head)

    def reads(self, queue):
        given = load(os.path.join(self.history, "reads", queue.name.replace("/", ".")))
        if given:
            queue.holds(0, given, "a reader", self.peek)

    def one_message(self, queue, at):
        """The message at AT: one that was intended, and its end."""
        words = queue.data[at:at + 64].split(b" ", 2)
        where = "%s, offset %d" % (queue.name, queue.head + at)
        if len(words) < 3 or not words[1].isdigit():
            broken("%s: nobody wrote %r", where, queue.data[at:at + 100])
        writer, n = words[0].decode(errors="replace"), int(words[1])
        told = self.told.get(writer)
        if not told or told.queue.get(n) != queue.name:
            broken("%s: message %d of %s was not meant for here and now", where, n, writer)
        wanted = message(writer, n)
        if queue.data[at:at + len(wanted)] != wanted:
            unfinished = wanted[:told.sent[n]] + b"\n"
            if not told.sent[n] or n in told.ended or queue.data[at:at + len(unfinished)] != unfinished:
                broken("%s: message %d of %s is %r, not %r", where, n, writer, queue.data[at:at + 200], wanted[:200])
            wanted = unfinished
        if n in told.refused:
            broken("%s: message %d of %s was refused, and is there", where, n, writer)
        return writer, n, at + len(wanted)

    def messages(self, queue):
        last, at = {}, queue.new - queue.head
        while at < len(queue.data):
            writer, n, at = self.one_message(queue, at)
            if n <= last.get(writer, 0):
                broken("%s: message %d of %s stands behind %d", queue.name, n, writer, last[writer])
            last[writer] = n
            self.present[writer, n] = True

    # --- what must be in them

    def trimmed(self, told, n):
        """Was N removed by retention? Then nothing of its writer before it is there either, and the head is where it came to."""
        queue = self.queues.get(told.queue[n])
        return queue and queue.trimmed and queue.passed and not any((told.name, m) in self.present for m in range(1, n))

    def acknowledged(self):
        count = 0
        for told in self.told.values():
            for n in range(1, told.acknowledged + 1):
                if n in told.refused or n not in told.ended:
                    continue
                count += 1
                if (told.name, n) not in self.present and not self.trimmed(told, n):
                    gone("message %d of %s for %s was acknowledged, and is not there", n, told.name, told.queue[n])
        return count

    def suffix(self):
        """What returned before something began that is there, has the lower position: it is there too."""
        last = max((told.began[n] for told in self.told.values() for n in told.began if (told.name, n) in self.present), default=0)
        for told in self.told.values():
            for n, tick in told.ended.items():
                if tick < last and (told.name, n) not in self.present and not self.trimmed(told, n):
                    broken("message %d of %s is not there, but later ones are", n, told.name)

    def all_of_topic(self):
        """A topic's messages in log order: what a reader of all was given begins it still."""
        given = load(os.path.join(self.history, "reads", "write.all"))
        if not given:
            return
        fd = os.open(os.path.join(self.mnt, "write/.follow/all"), os.O_RDONLY)
        have = b""
        sizes = sum(q.end for name, q in self.queues.items() if name.startswith("write/"))
        if sizes < len(given):
            gone("topic write has %d bytes, a reader of all had %d", sizes, len(given))
        while len(have) < len(given):
            have += os.read(fd, min(1 << 17, len(given) - len(have)))
        os.close(fd)
        if have != given:
            gone("write/.follow/all differs at %d from what a reader had", differs(have, given))

    # --- commands

    def setting(self, topic, name):
        return load(os.path.join(self.mnt, topic, ".config", name)).decode().strip()

    def commands(self):
        """All that were answered are done; the last one may be, or not."""
        lines = load(os.path.join(self.history, "commands")).decode().splitlines()
        open_end = bool(lines) and lines[-1] != "done" and not lines[-1].startswith("head ")
        todo = [line.split() for line in lines if line != "done"]
        if open_end:
            todo.pop()
        wanted, removed = {}, set()
        for what, topic, *rest in todo:
            if what == "set":
                wanted[topic, rest[0]] = rest[1]
            elif what == "head" and self.queues[topic + "/0"].head < int(rest[0]):
                gone("the head of %s was at %s, it is at %d", topic, rest[0], self.queues[topic + "/0"].head)
            elif what == "rmdir":
                removed.add(topic)
        last = lines[-1].split() if open_end else ["", "", ""]
        for (topic, name), value in wanted.items():
            if topic in removed or last[:2] == ["rmdir", topic]:
                continue
            got = self.setting(topic, name)
            if last[:3] == ["set", topic, name] and got == last[3]:
                continue
            if got != value:
                gone("%s/.config/%s is %r, and was set to %s", topic, name, got, value)
        for topic in removed:
            if os.path.exists(os.path.join(self.mnt, topic)):
                gone("topic %s is there again", topic)
        for what, topic, *_ in todo:
            if what == "mkdir" and topic not in removed and last[:2] != ["rmdir", topic] and not os.path.isdir(os.path.join(self.mnt, topic)):
                gone("topic %s is not there", topic)
        return len(todo)

    def made(self):
        """Topics that come and go: all that the last check saw of them, if nobody has done anything since, or they are of a round before."""
        now = {}
        for topic in sorted(os.listdir(self.mnt)):
            if topic.startswith("made."):
                now[topic] = [self.setting(topic, n) for n in ("queues", "retention.size", "commit", "retired")]
        was = json.loads(load(os.path.join(self.seen, "made")) or "{}")
        for topic in set(was) | set(now):
            if (topic in was or int(topic.split(".")[1]) != self.round) and was.get(topic) != now.get(topic):
                gone("topic %s was %s, is %s", topic, was.get(topic), now.get(topic))
        return now

    def remember(self, made):
        for queue in self.queues.values():
            with open(os.path.join(self.seen, queue.name.replace("/", ".")), "wb") as f:
                f.write(b"%d\n" % queue.head + queue.data)
        with open(os.path.join(self.seen, "made"), "w") as f:
            json.dump(made, f)
        open(os.path.join(self.seen, "round.%d" % self.round), "w").close()

    def run(self):
        self.read()
        for queue in self.queues.values():
            self.before(queue)
            self.reads(queue)
        again = os.path.exists(os.path.join(self.seen, "round.%d" % self.round))
        if again:
            for queue in self.queues.values():
                if queue.new < queue.end:
                    broken("%s has grown since the check before: %r", queue.name, queue.data[queue.new - queue.head:][:100])
            counted = "as before"
        else:
            for queue in self.queues.values():
                self.messages(queue)
            if self.peek:
                self.suffix()
                return "%d messages" % len(self.present)
            counted = "%d acknowledged messages" % self.acknowledged()
            self.suffix()
            counted += ", %d commands" % self.commands()
        self.all_of_topic()
        self.remember(self.made())
        return counted


if __name__ == "__main__":
    try:
        print(Check(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:] == ["--peek"]).run())
    except Gone as e:
        print("gone:", e, file=sys.stderr)
        sys.exit(3)
    except Broken as e:
        print("broken:", e, file=sys.stderr)
        sys.exit(1)
