# SPDX-License-Identifier: Apache-2.0
"""What the rows are played on: daemons and mounts that are started for a run and gone after it.

Everything stands in one directory, and is started by a Stage, which ends and removes it in the reverse order, also when a
run fails or is interrupted.
"""
import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time


class Missing(Exception):
    """Something that a contender needs is not there; its figures are left out."""


def wait_until(true, what, seconds=30):
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.002)


def await_end(process, seconds=30):
    """Until no thread of the process is left; PROCESS: a pidfd, opened while it ran. A zombie will do, others than us have to reap it."""
    poll = select.poll()
    poll.register(process, select.POLLIN)
    if not poll.poll(seconds * 1000):
        raise TimeoutError(f"a process did not end within {seconds} s")


def mounted(path):
    with open("/proc/self/mountinfo") as f:
        return any(line.split()[4] == path for line in f)


def unmount(path, lazily=False):
    if os.geteuid() == 0:
        tool = ["umount", *(["-l"] if lazily else [])]
    else:
        tool = ["fusermount3", "-u", *(["-z"] if lazily else [])]
    if mounted(path):
        subprocess.run([*tool, path], check=True)


def drop_caches():
    os.sync()
    try:
        with open("/proc/sys/vm/drop_caches", "w") as f:
            f.write("3\n")
    except PermissionError:
        raise Missing("dropping the page cache needs root") from None


class Stage:
    """One directory, the programs, and what is to be undone."""

    def __init__(self, build, base):
        self.programs = os.path.join(build, "tests", "bench")
        self.mqfs_program = os.path.join(build, "fs", "mqfs")
        self.undo = contextlib.ExitStack()
        self.directory = tempfile.mkdtemp(prefix="mqfs-bench-", dir=base)
        self.undo.callback(shutil.rmtree, self.directory, ignore_errors=True)
        self.made = 0

    def close(self):
        self.undo.close()

    def path(self, name):
        self.made += 1
        return os.path.join(self.directory, f"{self.made}-{name}")

    def new_directory(self, name):
        path = self.path(name)
        os.mkdir(path)
        return path

    def program(self, name):
        path = os.path.join(self.programs, name)
        if not os.path.exists(path):
            raise Missing(f"{path} is not built: meson compile -C BUILD bench-programs")
        return path

    def figures(self, program, *arguments, timeout=1800):
        """Runs a program of ours; the figures that it printed."""
        done = subprocess.run([self.program(program), *map(str, arguments)], stdout=subprocess.PIPE, text=True, check=True,
                              timeout=timeout)
        return json.loads(done.stdout)

    def load(self, verb, *paths, **options):
        return self.figures("load", verb, *(f"--{k}={v}" for k, v in options.items()), *paths)

    def start(self, command, **how):
        process = subprocess.Popen(command, stdin=subprocess.PIPE, **how)
        self.undo.callback(end_process, process)
        return process


def end_process(process):
    """Ends a child of ours, if need be with force."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Scene:
    """A contender while it plays: used as `with`; each has path(n), the n-th file to append to."""

    def __init__(self, stage):
        self.stage = stage

    def __enter__(self):
        self.up()
        return self

    def __exit__(self, failure, *_):
        if failure is None:
            self.down()      # otherwise the stage clears up, whatever state this is in


class Plain(Scene):
    """Files in a directory of the file system that the store is on, too."""

    def up(self):
        self.directory = self.stage.new_directory("plain")

    def down(self):
        shutil.rmtree(self.directory)

    def path(self, n):
        return os.path.join(self.directory, str(n))


class Floor(Scene):
    """tests/bench/floor.c, or another program with the same command line."""

    def __init__(self, stage, *options, program=None):
        super().__init__(stage)
        self.options = options
        self.program = program or stage.program("floor")

    def up(self):
        self.directory = self.stage.new_directory("floor")
        self.process = self.stage.start([self.program, "-f", *self.options, self.directory])
        self.stage.undo.callback(unmount, self.directory, lazily=True)
        wait_until(lambda: mounted(self.directory), "the floor's mount")

    def down(self):
        end_process(self.process)        # it unmounts
        os.rmdir(self.directory)

    def path(self, n):
        return os.path.join(self.directory, "q" if n == "q" else str(n))


class Mqfs(Scene):
    """A store of its own, mounted; killed and started again at will."""

    def __init__(self, stage, **options):
        super().__init__(stage)
        self.options = options

    def up(self):
        if not os.path.exists(self.stage.mqfs_program):
            raise Missing(f"{self.stage.mqfs_program} is not built")
        self.store = self.stage.path("store")
        self.directory = self.stage.new_directory("mq")
        self.process = None
        self.stage.undo.callback(self.force_down)
        self.mount()

    def mount(self):
        """Returns when the mount is live; how long that took."""
        options = ",".join(f"{k}={v}" for k, v in self.options.items())
        begin = time.monotonic()
        subprocess.run([self.stage.mqfs_program, *(["-o", options] if options else []), self.store, self.directory], check=True,
                       stdin=subprocess.DEVNULL)
        took = time.monotonic() - begin
        self.pid = int(self.control("pid"))
        self.process = os.pidfd_open(self.pid)
        return took

    def kill(self):
        """kill -9: what the log file holds survives it."""
        signal.pidfd_send_signal(self.process, signal.SIGKILL)
        self.ended()
        unmount(self.directory, lazily=True)

    def ended(self):
        await_end(self.process)
        os.close(self.process)
        self.process = None

    def down(self):
        signal.pidfd_send_signal(self.process, signal.SIGTERM)   # it unmounts
        self.ended()
        os.rmdir(self.directory)
        shutil.rmtree(self.store)

    def force_down(self):
        if self.process is not None:
            self.kill()
        shutil.rmtree(self.store, ignore_errors=True)

    def topic(self, name, queues=1, **config):
        directory = os.path.join(self.directory, name)
        os.mkdir(directory)
        if queues != 1:
            config["queues"] = queues
        for key, value in config.items():
            self.configure(name, key, value)
        return directory

    def configure(self, topic, key, value):
        with open(os.path.join(self.directory, topic, ".config", key), "wb", buffering=0) as f:
            f.write(f"{value}\n".encode())

    def control(self, name):
        with open(os.path.join(self.directory, ".mqfs", name)) as f:
            return f.read().strip()

    def status(self):
        return json.loads(self.control("status.json"))

    def metric(self, name):
        """The value of a metric without labels, or the sum over its labels."""
        values = [float(line.split()[-1]) for line in self.control("metrics.prom").splitlines()
                  if line.split("{")[0].split(" ")[0] == name]
        if not values:
            raise KeyError(name)
        return sum(values)

    def count(self, pattern, messages, checked=True, **options):
        """After a kill and a restart: every message is there once and in order, or this is no result."""
        self.kill()
        self.mount()
        found = self.stage.load("count", pattern, buffer=1 << 20, **options)
        wrong = found["messages"] != messages or found["alien"] or (checked and (found["missing"] or found["again"]))
        if wrong:
            raise AssertionError(f"{messages} messages were appended; after kill -9: {found}")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server(Scene):
    """A peer: a server on a free port of the loopback with its files beside the store."""
    peer = None

    def up(self):
        self.binary = shutil.which(self.command)
        if not self.binary:
            raise Missing(f"{self.command} is not installed")
        self.port = free_port()
        self.directory = self.stage.new_directory(self.peer)
        self.process = self.stage.start(self.arguments(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self.answers, self.command)

    def answers(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def down(self):
        end_process(self.process)
        shutil.rmtree(self.directory)

    def play(self, verb, messages, size=100, per=1, threads=1, rate=0, stream="q"):
        return self.stage.figures("peer", self.peer, verb, self.port, stream, messages, size, per, threads, rate)


class Redis(Server):
    """Redis Streams; SYNC: always or everysec."""
    peer, command = "redis", "redis-server"

    def __init__(self, stage, sync):
        super().__init__(stage)
        self.sync = sync

    def arguments(self):
        return [self.binary, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.directory, "--save", "", "--appendonly",
                "yes", "--appendfsync", self.sync]


class Nats(Server):
    """NATS JetStream, a stream in files; SYNC: default (every two minutes) or always, where the server knows it."""
    peer, command = "nats", "nats-server"

    def __init__(self, stage, sync):
        super().__init__(stage)
        self.sync = sync

    def arguments(self):
        config = os.path.join(self.directory, "nats.conf")
        always = "sync_interval: always" if self.sync == "always" else ""
        with open(config, "w") as f:
            f.write(f'listen: "127.0.0.1:{self.port}"\nmax_pending: 1GB\n'
                    f'jetstream {{ store_dir: "{self.directory}/js"\n {always} }}\n')
        if always and subprocess.run([self.binary, "-t", "-c", config], capture_output=True).returncode:
            raise Missing("this nats-server knows no sync_interval: always (2.10 does)")
        return [self.binary, "-c", config]
