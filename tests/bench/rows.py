# SPDX-License-Identifier: Apache-2.0
"""The rows of the table: each a function that plays a piece of work on every contender in turn, several rounds, and compares
the medians. A contender that is not there (Missing) is left out, with a note."""
import os
import subprocess
import time

from report import Row, medians, spread
from stage import Floor, Missing, Mqfs, Nats, Plain, Redis, drop_caches, wait_until

ROWS = {}
LINE = 100                       # bytes of a message, its newline included
BULK = 1310                      # of them in one write: 128 KiB at most
SINGLE, MULTI, REFERENCE = "floor, one thread", "floor, many threads", "reference floor, one thread"


def row(name, work):
    """Declares a row: FUNCTION(bench, row) fills it in."""
    def declare(function):
        ROWS[name] = (work, function)
        return function
    return declare


class Bench:
    """How much to do, and where."""

    def __init__(self, stage, rounds, quick, peers, reference):
        self.stage, self.rounds, self.quick, self.peers, self.reference = stage, rounds, quick, peers, reference

    def amount(self, full, quick):
        return quick if self.quick else full

    def interleaved(self, row, contenders):
        """Each contender's samples. CONTENDERS: name -> function of no arguments that returns a figure, or a dict of them."""
        samples = {name: [] for name in contenders}
        gone = set()
        names = list(contenders)
        for turn in range(self.rounds):
            for name in names[turn % len(names):] + names[:turn % len(names)]:
                if name in gone:
                    continue
                try:
                    samples[name].append(contenders[name]())
                except Missing as why:
                    gone.add(name)
                    row.note(f"without {name}: {why}")
        return {name: values for name, values in samples.items() if values}

    def rates(self, row, contenders, unit="msg/s"):
        """interleaved(), its medians, and each as a figure of the row."""
        samples = self.interleaved(row, contenders)
        middle = medians(samples)
        for name, value in middle.items():
            row.figure(name, value, unit)
        wild = [name for name, values in samples.items() if spread(values) > 0.25]
        if wild:
            row.note("ranges of more than a quarter either way: " + ", ".join(wild))
        return middle

    def append_to(self, scene, file, key="rate", kill=False, files=1, **load):
        """One run of appends on a fresh scene. KILL: of mqfs, whose messages are counted after kill -9 and a restart."""
        def play():
            with scene() as on:
                if isinstance(on, Mqfs):
                    on.topic("t", max(files, 1))
                    path = os.path.join(on.directory, "t", str(file))
                else:
                    path = on.path(file)
                found = self.stage.load("append", path, size=LINE, **load)
                if kill and isinstance(on, Mqfs):
                    on.count(path, found["messages"], files=files)
                return found[key]
        return play

    def floors(self, file, **load):
        return {SINGLE: self.append_to(lambda: Floor(self.stage, "-s"), file, **load),
                MULTI: self.append_to(lambda: Floor(self.stage), file, **load)}

    def peer(self, scene, verb, key, *arguments, **options):
        def play():
            with scene() as on:
                return on.play(verb, *arguments, **options)[key]
        return play

    def with_peers(self, contenders, peers):
        return {**contenders, **(peers if self.peers else {})}


def best_floor(middle):
    return max(middle.get(SINGLE, 0), middle.get(MULTI, 0))


@row("one-writer", "one writer, 100 B a write, commit=fsync, nothing synced before the write returns")
def one_writer(bench, row):
    """Writes a second of one writer whose every write(2) is one message, against the better floor."""
    stage, n = bench.stage, bench.amount(300_000, 60_000)
    reference = {REFERENCE: bench.append_to(lambda: Floor(stage, "-s", program=bench.reference), "q", messages=n)}
    if not bench.reference:
        reference = {}
    middle = bench.rates(row, bench.with_peers({
        "mqfs": bench.append_to(lambda: Mqfs(stage, commit="fsync"), 0, kill=True, messages=n),
        **bench.floors("q", messages=n),
        **reference,
        "ext4": bench.append_to(lambda: Plain(stage), 0, messages=n),
    }, {
        "Redis everysec": bench.peer(lambda: Redis(stage, "everysec"), "append", "rate", n // 4),
        "NATS default": bench.peer(lambda: Nats(stage, "default"), "append", "rate", n // 4),
    }))
    if reference:
        row.check("our floor / reference floor, one thread", middle[SINGLE] / middle[REFERENCE], ">=", 0.95)
    if "mqfs" in middle:
        row.check("mqfs / floor", middle["mqfs"] / best_floor(middle), ">=", 0.80)


@row("sixteen-writers", "16 writers on one queue, 100 B a write, commit=fsync")
def sixteen_writers(bench, row):
    """Writes a second of 16 threads that append to one queue, against the floor with a file for each of them: the kernel
    lets only one writer into an inode at a time, and mqfs must get round that."""
    stage, n = bench.stage, bench.amount(640_000, 160_000)
    middle = bench.rates(row, bench.with_peers({
        "mqfs": bench.append_to(lambda: Mqfs(stage, commit="fsync"), 0, kill=True, messages=n, threads=16),
        **bench.floors("%d", messages=n, threads=16),
        "ext4": bench.append_to(lambda: Plain(stage), 0, messages=n, threads=16),
    }, {
        "Redis everysec": bench.peer(lambda: Redis(stage, "everysec"), "append", "rate", n // 4, threads=16),
        "NATS default": bench.peer(lambda: Nats(stage, "default"), "append", "rate", n // 4, threads=16),
    }))
    if "mqfs" in middle:
        row.check("mqfs / floor", middle["mqfs"] / best_floor(middle), ">=", 0.60)


def bulk(bench, row, size, peers):
    stage, n = bench.stage, size // LINE // BULK * BULK
    load = {"messages": n, "per": BULK, "key": "mb_s"}
    contenders = {
        "mqfs": bench.append_to(lambda: Mqfs(stage, commit="fsync"), 0, kill=True, **load),
        "ext4": bench.append_to(lambda: Plain(stage), 0, **load),
        "mqfs, one fsync at the end": bench.append_to(lambda: Mqfs(stage, commit="fsync"), 0, sync="end", **load),
        "ext4, one fsync at the end": bench.append_to(lambda: Plain(stage), 0, sync="end", **load),
        SINGLE: bench.append_to(lambda: Floor(stage, "-s"), "q", **load),
    }
    middle = bench.rates(row, bench.with_peers(contenders, peers), "MB/s")
    if "mqfs" in middle:
        row.check("mqfs / ext4, fsync included", middle["mqfs, one fsync at the end"] / middle["ext4, one fsync at the end"], ">=", 1)
        row.note("with no fsync mqfs has %.2f of ext4's rate, and a floor that throws all away %.2f" % (
            middle["mqfs"] / middle["ext4"], middle[SINGLE] / middle["ext4"]))


@row("bulk", "100 B lines in 128 KiB writes, commit=fsync, 1 GiB")
def bulk_once(bench, row):
    """Bytes a second of one writer of large writes with one fsync at the end, against the same onto the file system itself. Both once more
    without it: then the file system has copied the bytes once and the disk has none of them, where mqfs has synced all but the last
    10 ms, and no FUSE daemon comes near, as the floor shows, which does nothing but take the bytes through /dev/fuse."""
    stage, n = bench.stage, bench.amount(1_000_000, 300_000)
    bulk(bench, row, bench.amount(1 << 30, 256 << 20), {
        "Redis everysec, pipelines of 500": bench.peer(lambda: Redis(stage, "everysec"), "append", "mb_s", n, per=500),
        "NATS default, pipelines of 500": bench.peer(lambda: Nats(stage, "default"), "append", "mb_s", n, per=500),
    })


@row("bulk-sustained", "the same, 10 GiB")
def bulk_sustained(bench, row):
    """As bulk, with more than what the page cache takes before it makes writers wait for the disk."""
    bulk(bench, row, bench.amount(10 << 30, 2 << 30), {})


@row("committed-append", "append and commit, one writer, commit=write")
def committed_append(bench, row):
    """The mean time until one writer's message is durable, against write + fdatasync on the file system plus one round trip to
    a FUSE daemon. The round trip is the mean of the quicker floor's."""
    stage, n, m = bench.stage, bench.amount(30_000, 6_000), bench.amount(100_000, 30_000)
    middle = bench.rates(row, bench.with_peers({
        "mqfs": bench.append_to(lambda: Mqfs(stage), 0, kill=True, messages=n),
        "ext4 + fdatasync": bench.append_to(lambda: Plain(stage), 0, messages=n, sync="each"),
        **bench.floors("q", messages=m),
    }, {
        "Redis always": bench.peer(lambda: Redis(stage, "always"), "append", "rate", n // 2),
        "NATS always": bench.peer(lambda: Nats(stage, "always"), "append", "rate", n // 2),
    }))
    if "mqfs" in middle:
        allowed = 1 / middle["ext4 + fdatasync"] + 1 / best_floor(middle)
        row.check("mqfs / (ext4 write+fdatasync + a round trip)", 1 / middle["mqfs"] / allowed, "<=", 1.3)


@row("group-commit", "16 writers, each message committed, commit=write")
def group_commit(bench, row):
    """Durable messages a second of 16 writers on 16 queues and of 16 on one queue, against one writer's: one fdatasync has to
    serve them all."""
    stage, n = bench.stage, bench.amount(160_000, 48_000)
    middle = bench.rates(row, bench.with_peers({
        "mqfs, one writer": bench.append_to(lambda: Mqfs(stage), 0, messages=n // 8),
        "mqfs, 16 on 16 queues": bench.append_to(lambda: Mqfs(stage), "%d", kill=True, files=16, messages=n, threads=16),
        "mqfs, 16 on one queue": bench.append_to(lambda: Mqfs(stage), 0, kill=True, messages=n, threads=16),
        "ext4 + fdatasync, 16 on 16 files": bench.append_to(lambda: Plain(stage), "%d", messages=n // 2, threads=16, sync="each"),
        "ext4 + fdatasync, 16 on one file": bench.append_to(lambda: Plain(stage), 0, messages=n // 4, threads=16, sync="each"),
    }, {
        "Redis always, 16 writers": bench.peer(lambda: Redis(stage, "always"), "append", "rate", n // 2, threads=16),
        "NATS always, 16 writers": bench.peer(lambda: Nats(stage, "always"), "append", "rate", n // 4, threads=16),
    }))
    if "mqfs, one writer" in middle:
        for which in "16 on 16 queues", "16 on one queue":
            row.check(f"{which} / one writer", middle[f"mqfs, {which}"] / middle["mqfs, one writer"], ">=", 4)


@row("shells", "64 shells at once, each looping echo >> q, a sync of the disk made to take 2 ms")
def shells(bench, row):
    """fdatasyncs a message, as mqfs counts them: 64 programs that know nothing of each other share them."""
    stage, each = bench.stage, bench.amount(100, 25)

    def play():
        with Mqfs(stage, sync_delay="2ms") as on:
            queue = os.path.join(on.topic("t"), "0")
            script = f'i=0; while [ $i -lt {each} ]; do echo "$1 $i" >> "$2" || exit 1; i=$((i+1)); done'
            before, begin = on.metric("mqfs_syncs_total"), time.monotonic()
            started = [subprocess.Popen(["sh", "-c", script, "sh", str(i), queue]) for i in range(64)]
            failed = sum(shell.wait() != 0 for shell in started)
            took, syncs = time.monotonic() - begin, on.metric("mqfs_syncs_total") - before
            on.kill()
            on.mount()
            with open(queue) as f:
                lines = f.read().split("\n")[:-1]
            if failed or len(lines) != 64 * each or len(set(lines)) != 64 * each:
                raise AssertionError(f"{64 * each} lines were echoed, {failed} shells failed; after kill -9: {len(lines)}")
            return {"rate": 64 * each / took, "per_sync": 64 * each / syncs}
    samples = bench.interleaved(row, {"mqfs": play}).get("mqfs", [])
    if samples:
        row.figure("mqfs", medians({0: [s["rate"] for s in samples]})[0], "msg/s")
        row.check("messages an fdatasync", medians({0: [s["per_sync"] for s in samples]})[0], ">=", 8)


def read_old(bench, row, prepare, target, files, peers):
    """Reads of what PREPARE puts into the queues of a topic t0 of FILES queues, one after the other, and of as many bytes of the
    floor's and of plain files. All of it is in memory: in the page cache, or the floor's warm buffer."""
    stage = bench.stage
    with Mqfs(stage) as on:
        queues = prepare(on)
        on.kill()
        drop_caches()                            # what lay there as it was written, comes back as it is read
        on.mount()
        size = sum(os.stat(queues.replace("%d", str(i))).st_size for i in range(files))
        append = {"messages": size // LINE // BULK * BULK, "size": LINE, "per": BULK, "files": files}
        stage.load("read", queues, files=files)

        def floor(*options):
            def play():
                with Floor(stage, *options) as other:
                    stage.load("append", other.path("%d"), **append)
                    return stage.load("read", other.path("%d"), files=files)["mb_s"]
            return play

        def mqfs():
            found = stage.load("read", queues, files=files)
            if found["bytes"] != size:
                raise AssertionError(f"read {found['bytes']} of {size} bytes")
            return found["mb_s"]
        with Plain(stage) as plain:
            stage.load("append", plain.path("%d"), **append)
            middle = bench.rates(row, bench.with_peers({
                "mqfs": mqfs, SINGLE: floor("-s"), MULTI: floor(),
                "ext4": lambda: stage.load("read", plain.path("%d"), files=files)["mb_s"],
            }, peers), "MB/s")
    row.check("mqfs / floor", middle["mqfs"] / best_floor(middle), ">=", target)


@row("read", "sequential 128 KiB reads of old data, every record verified; written in 128 KiB writes")
def read_bulk(bench, row):
    """Bytes a second of one reader, in memory on both sides, against a floor that serves from a warm buffer."""
    stage, size, n = bench.stage, bench.amount(1 << 30, 256 << 20), bench.amount(1_000_000, 200_000)

    def prepare(on):
        queues = os.path.join(on.topic("t0"), "%d")
        stage.load("append", queues, messages=size // LINE // BULK * BULK, size=LINE, per=BULK, sync="end")
        return queues

    def backlog(scene):
        def play():
            with scene() as on:
                on.play("append", n, per=500)
                return on.play("read", n)["mb_s"]
        return play
    read_old(bench, row, prepare, 0.7, 1, {"Redis": backlog(lambda: Redis(stage, "everysec")),
                                           "NATS": backlog(lambda: Nats(stage, "default"))})


@row("read-interleaved", "the same; written 100 B at a time into 16 queues in turn")
def read_interleaved(bench, row):
    """As read, where every message is a record of its own and its neighbours in the log belong to other queues; all 16 are read, one
    after the other. fill.c puts them there."""
    stage, size = bench.stage, bench.amount(64 << 20, 16 << 20)

    def prepare(on):
        on.topic("t0", 16)
        on.kill()
        stage.figures("fill", on.store, 1, 16, 16 * (size // LINE), LINE)
        on.mount()
        return os.path.join(on.directory, "t0", "%d")
    read_old(bench, row, prepare, 0.35, 16, {})


@row("blocked-reader", "from the write to the return of a reader that was blocked, visible when committed")
def blocked_reader(bench, row):
    """The median time, 200 messages a second, from the start of write(2) to the return of read(2) in another thread that waits on
    .follow, against two FUSE round trips and one write + fdatasync, taken at the same pace: slow paces have cold caches."""
    stage, n = bench.stage, bench.amount(1000, 300)

    def pingpong(**options):
        def play():
            with Mqfs(stage, **options) as on:
                topic = on.topic("t")
                return stage.load("pingpong", f"{topic}/0", f"{topic}/.follow/0", messages=n, size=LINE, rate=200)["p50_us"]
        return play
    middle = bench.rates(row, bench.with_peers({
        "mqfs": pingpong(),
        "mqfs, commit=fsync": pingpong(commit="fsync"),
        "ext4 write+fdatasync": bench.append_to(lambda: Plain(stage), 0, "p50_us", messages=n, sync="each", rate=200),
        **bench.floors("q", key="p50_us", messages=n, rate=200),
    }, {
        "Redis everysec": bench.peer(lambda: Redis(stage, "everysec"), "pingpong", "p50_us", n, rate=200),
        "Redis always": bench.peer(lambda: Redis(stage, "always"), "pingpong", "p50_us", n, rate=200),
        "NATS default": bench.peer(lambda: Nats(stage, "default"), "pingpong", "p50_us", n, rate=200),
        "NATS always": bench.peer(lambda: Nats(stage, "always"), "pingpong", "p50_us", n, rate=200),
    }), "us")
    if "mqfs" in middle:
        allowed = 2 * min(middle[SINGLE], middle[MULTI]) + middle["ext4 write+fdatasync"]
        row.check("mqfs / (2 round trips + fdatasync)", middle["mqfs"] / allowed, "<=", 1.3)


@row("parked-readers", "1,000 readers parked on .follow")
def parked_readers(bench, row):
    """p99 of a writer of another queue with a thousand parked readers and without them; how long a delivery takes to reach the last
    of a thousand, and what it costs the writer's own write; and whether all go when their process is killed."""
    stage, n, readers = bench.stage, bench.amount(20_000, 5_000), 1000
    with Mqfs(stage) as on:
        quiet, busy = on.topic("quiet"), on.topic("busy")
        follow = f"{quiet}/.follow/0"

        def p99():
            return stage.load("append", f"{busy}/0", messages=n, size=LINE)["p99_us"]

        def p99_with_readers():
            process = stage.start([stage.program("load"), "park", f"--readers={readers}", follow], stdout=subprocess.PIPE)
            process.stdout.readline()
            wait_until(lambda: on.metric("mqfs_parked_requests") >= readers, "all readers to be parked")
            found = p99()
            begin = time.monotonic()
            process.kill()
            process.wait()
            wait_until(lambda: on.metric("mqfs_parked_requests") == 0, "the killed readers' requests to be gone")
            died.append(time.monotonic() - begin)
            return found
        died = []
        middle = bench.rates(row, {"writer elsewhere, p99": p99, f"the same, {readers} parked": p99_with_readers}, "us")
        row.check("p99 with / without", middle[f"the same, {readers} parked"] / middle["writer elsewhere, p99"], "<=", 1.2)
        row.figure("killed readers gone", max(died) * 1e3, "ms")
        delivered = {"one": [], "all": []}
        for _ in range(bench.rounds):
            for which, count in ("one", 1), ("all", readers):
                delivered[which].append(stage.load("deliver", f"{quiet}/0", f"{quiet}/.follow/0@latest", messages=30, size=LINE,
                                                   readers=count, rate=10))
        one, everyone = ({key: medians({0: [s[key] for s in delivered[which]]})[0] for key in ("write_p50_us", "max_us", "p50_us")}
                         for which in ("one", "all"))
        row.figure("write(2) with one reader waiting, p50", one["write_p50_us"], "us")
        row.figure(f"write(2) with {readers} waiting, p50", everyone["write_p50_us"], "us")
        row.figure("delivery to the last, p50", everyone["p50_us"] / 1e3, "ms")
        row.check("delivery to the last, slowest of 30", everyone["max_us"] / 1e3, "<=", 25, " ms")


def many(on, topics):
    for i in range(topics):
        on.topic(f"t{i}", 4)
    return f"{on.directory}/t%d"


@row("many-topics", "10,000 topics of 4 queues, messages round-robin, open-write-close each")
def many_topics(bench, row):
    """Messages a second over 40,000 queues against the four of one topic, both without and with a commit for each; descriptors and
    resident memory after it, when every queue was looked up."""
    stage, topics, n = bench.stage, bench.amount(10_000, 2_000), bench.amount(200_000, 40_000)
    ways = {"commit=fsync": ("fsync", n), "commit=write": ("write", n // 10)}
    with Mqfs(stage) as one, Mqfs(stage) as all_of_them:
        one_pattern, pattern = many(one, 1), many(all_of_them, topics)
        for label, (commit, count) in ways.items():
            for on, number in (one, 1), (all_of_them, topics):
                for i in range(number):
                    on.configure(f"t{i}", "commit", commit)
            middle = bench.rates(row, {
                f"one topic, {label}": lambda: stage.load("topics", one_pattern, messages=count, queues=4, size=LINE)["rate"],
                f"{topics} topics, {label}": lambda: stage.load("topics", pattern, messages=count, topics=topics, queues=4,
                                                                size=LINE)["rate"]})
            row.check(f"many / one, {label}", middle[f"{topics} topics, {label}"] / middle[f"one topic, {label}"], ">=", 0.8)
        stage.load("stat", pattern, topics=topics, queues=4)
        row.check("resident memory", resident(all_of_them.pid) / 1e6, "<=", 150, " MB")
        row.check("descriptors", len(os.listdir(f"/proc/{all_of_them.pid}/fd")), "<=", 1000)


@row("cold-tail", "the last 1,000 messages of one of 40,000 queues, page cache cold")
def cold_tail(bench, row):
    """The time of the last 1,000 messages of a queue whose messages lie one in 40,000 in the log, against as many random reads of
    4 KiB of the log's size, each after the page cache was dropped. The store is filled by fill.c: 1,000 messages in every queue."""
    stage, topics, messages = bench.stage, bench.amount(10_000, 500), bench.amount(1000, 1000)
    with Mqfs(stage) as on, Plain(stage) as plain:
        on.kill()
        stage.figures("fill", on.store, topics, 4, 4 * topics * messages, LINE)
        size = tree_bytes(on.store)
        stage.load("append", plain.path(0), messages=size // (1 << 20), size=1 << 20, sync="end")
        on.mount()
        turn = iter(range(1 << 20))

        def tail():
            on.kill()
            drop_caches()
            on.mount()
            queue = f"{on.directory}/t{next(turn) * 37 % topics}/2"
            return stage.load("tail", queue, messages=messages, size=LINE)["seconds"] * 1e3

        def random(*_):
            drop_caches()
            return stage.load("random", plain.path(0), messages=messages, size=4096, seed=next(turn) + 1)["seconds"] * 1e3
        middle = bench.rates(row, {"mqfs": tail, "random reads": random}, "ms")
    if "mqfs" in middle and "random reads" in middle:
        row.check("mqfs / random reads", middle["mqfs"] / middle["random reads"], "<=", 3)


@row("restart", "start after kill -9 with 10 GiB in the store")
def restart(bench, row):
    """From the start of mqfs to the first acknowledged write, with a store of large messages that was killed just before a checkpoint
    was due, and right after one."""
    stage, size, large = bench.stage, bench.amount(10 << 30, 1 << 30), 1 << 20
    with Mqfs(stage) as on:
        queue = f"{on.topic('t')}/0"

        def grow(by):
            stage.load("append", queue, messages=by // large, size=large, sync="end")

        def behind():
            status = on.status()["log"]
            return status["committed"] - status["checkpoint"]

        def start():
            on.kill()
            begin = time.monotonic()
            on.mount()
            with open(queue, "ab", buffering=0) as f:
                f.write(b"here again\n")
            return time.monotonic() - begin

        def before():
            while True:          # nearly 256 MiB behind the last checkpoint, whose size is small here
                left = (256 << 20) - behind()
                if 0 <= left < 12 << 20:
                    return start()
                grow(max(left - (8 << 20), 4 << 20) if left > 0 else 4 << 20)

        def after():
            start = behind()
            while behind() >= start:
                start = behind()
                grow(8 << 20)
            return on_restart()
        on_restart = start
        grow(size)
        middle = bench.rates(row, {"before a checkpoint": before, "after a checkpoint": after}, "s")
    row.check("before a checkpoint", middle["before a checkpoint"], "<=", 3, " s")
    row.check("after a checkpoint", middle["after a checkpoint"], "<=", 1, " s")


def tree_bytes(directory):
    return sum(os.stat(os.path.join(d, f)).st_blocks * 512 for d, _, files in os.walk(directory) for f in files)


def resident(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS:"))


def switches(pid):
    """How often its threads have gone to sleep or were put off the processor."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as f:
            total += sum(int(line.split()[1]) for line in f if line.startswith(("voluntary_ctxt", "nonvoluntary_ctxt")))
    return total


@row("idle", "idle")
def idle(bench, row):
    """Wake-ups a second and resident memory of a mount on which nothing happens, after some messages have been through it."""
    stage, seconds = bench.stage, bench.amount(20, 5)
    with Mqfs(stage) as on:
        queue = f"{on.topic('t')}/0"
        stage.load("append", queue, messages=1000, size=LINE)
        stage.load("read", queue)
        time.sleep(8)                    # what is done in idle time is done, and the last commit timeout is over
        before = switches(on.pid)
        time.sleep(seconds)
        row.check("wake-ups a second", (switches(on.pid) - before) / seconds, "<=", 1)
        row.check("resident memory", resident(on.pid) / 1e6, "<=", 20, " MB")
