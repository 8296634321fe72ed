# SPDX-License-Identifier: Apache-2.0
"""The rows of two nodes on one machine: what a standby costs, how it catches up, and how long nobody takes appends when the primary dies."""
import itertools
import os
import subprocess
import threading
import time

from report import medians
from rows import BULK, LINE, row
from stage import Missing, Mqfs, Plain, Scene, free_port, wait_until


class Pair(Scene):
    """Two nodes with stores of their own on the same disk, .a the primary and .b its standby; what is appended goes to .a, and so does kill()."""

    def __init__(self, stage, min_standbys, **options):
        super().__init__(stage)
        self.min_standbys, self.options = min_standbys, options

    def up(self):
        keys, ports = self.stage.path("keys"), [free_port(), free_port()]
        self.ctl("keys", "init", keys)
        address = [f"127.0.0.1:{port}" for port in ports]
        nodes = []
        for n, (name, how) in enumerate((("a", "peer"), ("b", "standby_of"))):
            self.ctl("keys", "node", keys, name)
            nodes.append(Mqfs(self.stage, listen=address[n], cert=f"{keys}/{name}.crt", key=f"{keys}/{name}.key", ca=f"{keys}/ca.crt",
                              min_standbys=self.min_standbys, **{how: address[1 - n]}, **self.options))
        self.a, self.b = nodes
        self.a.up()
        self.b.up()
        wait_until(self.is_current, "the pair")

    def ctl(self, *words):
        program = os.path.join(os.path.dirname(self.stage.mqfs_program), "mqctl")
        if not os.path.exists(program):
            raise Missing(f"{program} is not built")
        subprocess.run([program, *words], check=True, stdout=subprocess.DEVNULL)

    def is_current(self):
        return any(s["member"] and s["current"] for s in self.a.status()["replication"]["standbys"])

    def down(self):
        self.b.down()
        self.a.down()

    def lag(self):
        """Bytes of log that the primary has committed and the standby has not."""
        return self.a.status()["log"]["committed"] - self.b.status()["replication"]["synced"]


def append(bench, scene, file, key="rate", files=1, **load):
    """As Bench.append_to(), also on the primary of a pair."""
    def play():
        with scene() as on:
            node = on.a if isinstance(on, Pair) else on
            node.topic("t", files)
            found = bench.stage.load("append", os.path.join(node.directory, "t", str(file)), size=LINE, **load)
            if isinstance(on, Pair):
                wait_until(lambda: on.lag() <= 0, "the standby", 120)
            return found[key]
    return play


@row("pair-async", "with one standby that nobody waits for, against none")
def pair_async(bench, row):
    """Messages a second of a primary with one asynchronous standby on the same machine (two processors and one disk for both), against the
    same without: one writer of 100 B not synced, 16 writers whose every message is committed, and large writes. Of these the disk takes no more
    than of one node, with both stores on it: a figure, without a target."""
    stage = bench.stage
    works = {
        "one writer": dict(file=0, commit="fsync", messages=bench.amount(300_000, 100_000)),
        "16 writers, committed": dict(file="%d", commit="write", files=16, threads=16, messages=bench.amount(160_000, 48_000)),
        "128 KiB a write": dict(file=0, commit="fsync", per=BULK, messages=bench.amount(1 << 30, 256 << 20) // LINE // BULK * BULK, sync="end"),
    }
    contenders = {}
    for name, work in works.items():
        commit = work.pop("commit")
        contenders[f"{name}, none"] = append(bench, lambda c=commit: Mqfs(stage, commit=c), **work)
        contenders[f"{name}, one"] = append(bench, lambda c=commit: Pair(stage, 0, commit=c), **work)
    middle = bench.rates(row, contenders)
    for name in list(works)[:2]:
        row.check(f"{name}: one standby / none", middle[f"{name}, one"] / middle[f"{name}, none"], ">=", 0.7)


@row("pair-committed", "each message on both disks before the next, min_standbys=1")
def pair_committed(bench, row):
    """The mean time of one writer's message that is on both disks, against that of a node alone plus one round trip of a link (as `links` has
    it) and one fdatasync; and messages a second of 16 writers against one."""
    stage, n = bench.stage, bench.amount(20_000, 5_000)
    middle = bench.rates(row, {
        "alone": append(bench, lambda: Mqfs(stage), 0, messages=n),
        "on both": append(bench, lambda: Pair(stage, 1), 0, messages=n),
        "on both, 16 on 16 queues": append(bench, lambda: Pair(stage, 1), "%d", files=16, threads=16, messages=6 * n),
        "ext4 + fdatasync": bench.append_to(lambda: Plain(stage), 0, messages=n, sync="each"),
        "a round trip a second": lambda: 1e6 / stage.figures("links", "roundtrip", n)["p50_us"],
    })
    allowed = 1 / middle["alone"] + 1 / middle["ext4 + fdatasync"] + 1 / middle["a round trip a second"]
    row.check("on both / (alone + a round trip + an fdatasync)", 1 / middle["on both"] / allowed, "<=", 1.3)
    row.check("16 writers / one writer, on both", middle["on both, 16 on 16 queues"] / middle["on both"], ">=", 4)


def anonymous(pid):
    """MiB of its own memory, without what is mapped of files."""
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("RssAnon")) / 1024


def catch_up(bench, size):
    """MB/s of a standby that was away while SIZE bytes were appended, and by how much its primary's memory grew meanwhile."""
    stage = bench.stage
    with Pair(stage, 0, commit="fsync") as on:
        on.a.topic("t")
        before = anonymous(on.a.pid)
        on.b.kill()
        stage.load("append", os.path.join(on.a.directory, "t", "0"), size=LINE, per=BULK, messages=size // LINE // BULK * BULK, sync="end")
        begin, held = time.monotonic(), anonymous(on.a.pid)
        on.b.mount()
        most = held
        while on.lag() > 0:
            most = max(most, anonymous(on.a.pid))
            time.sleep(0.02)
        return {"mb_s": size / (time.monotonic() - begin) / 1e6, "memory": most - before}


@row("pair-catch-up", "a standby that was away catches up with 5 GiB")
def pair_catch_up(bench, row):
    """Bytes a second from the start of the standby until it has all, against the slower of the disk (large writes and an fsync) and TLS alone on the
    loopback; and the memory that this takes of the primary."""
    stage, size = bench.stage, bench.amount(5 << 30, 1 << 30)
    samples = bench.interleaved(row, {
        "catch-up": lambda: catch_up(bench, size),
        "disk": bench.append_to(lambda: Plain(stage), 0, key="mb_s", per=BULK, messages=size // LINE // BULK * BULK, sync="end"),
        "TLS alone": lambda: stage.figures("links", "tls", bench.amount(2048, 512))["mb_s"],
    })
    rates = medians({**samples, "catch-up": [s["mb_s"] for s in samples["catch-up"]]})
    for name, value in rates.items():
        row.figure(name, value, "MB/s")
    row.check("catch-up / slower of disk and TLS", rates["catch-up"] / min(rates["disk"], rates["TLS alone"]), ">=", 0.7)
    row.check("memory of a sender, most", max(s["memory"] for s in samples["catch-up"]), "<=", 64)


def fail_over(bench):
    """Seconds from the order to the first acknowledged write, while there are writers until the primary dies."""
    stage = bench.stage
    with Pair(stage, 1) as on:
        on.a.topic("t")
        queue, under_load = os.path.join(on.a.directory, "t", "0"), threading.Event()

        def write():
            try:
                with open(queue, "ab", buffering=0) as f:
                    for n in itertools.count():
                        f.write(b"before\n")
                        if n == 100:
                            under_load.set()
            except OSError:
                pass
        writer = threading.Thread(target=write)
        writer.start()
        under_load.wait(60)
        on.a.kill()
        writer.join()
        begin = time.monotonic()
        on.ctl("promote", "--stopped", "a", "-m", on.b.directory)
        with open(os.path.join(on.b.directory, "t", "0"), "ab", buffering=0) as f:
            f.write(b"after\n")
        took = time.monotonic() - begin
        on.a.mount()
        return took


@row("pair-failover", "failover by hand: from promote --stopped to the first acknowledged write")
def pair_failover(bench, row):
    """Seconds, the primary having been killed under load; the median and the longest."""
    times = [fail_over(bench) for _ in range(bench.amount(20, 7))]
    row.figure("median", 1000 * medians({0: times})[0], "ms")
    row.check("the longest, s", max(times), "<=", 1)
