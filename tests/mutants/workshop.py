# SPDX-License-Identifier: Apache-2.0
"""A copy of the source tree with a build of its own, in which mutants are made and undone again."""
import contextlib
import fcntl
import filecmp
import os
import shutil
import signal
import subprocess
import time


class Failed(Exception):
    """A step came to nothing; what it said."""


def copy(root, to):
    """TO becomes what ROOT is, its builds left out. What is the same keeps its time, so that it is not built again."""
    here = set(os.listdir(root)) if os.path.isdir(root) else set()
    os.makedirs(to, exist_ok=True)
    for name in set(os.listdir(to)) - here:
        if name != "build":
            remove(os.path.join(to, name))
    for name in here:
        source, target = os.path.join(root, name), os.path.join(to, name)
        if name == ".git" or name.startswith("build"):
            continue
        if os.path.isdir(source) and not os.path.islink(source):
            copy(source, target)
        elif not os.path.lexists(target) or not filecmp.cmp(source, target, shallow=False):
            remove(target)
            shutil.copy(source, target, follow_symlinks=False)


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.remove(path)


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


class Workshop:
    def __init__(self, root, directory):
        self.tree = directory
        os.makedirs(directory, exist_ok=True)
        self.lock = os.open(directory, os.O_RDONLY)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed(f"{directory} is in use by another run") from None
        self.build_directory = os.path.join(directory, "build")
        self.running = None       # the process of a test
        # Whichever copy has compiled something has done it for all: their paths do not matter to ccache(1).
        self.environment = {**os.environ, "CCACHE_NOHASHDIR": "1"}
        copy(root, self.tree)
        if not os.path.exists(os.path.join(self.build_directory, "build.ninja")):
            self.must("meson", "setup", self.build_directory, self.tree)

    def must(self, *command):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", cwd=self.tree, env=self.environment)
        if done.returncode:
            raise Failed(f"{command[0]}: " + "\n".join(done.stdout.strip().splitlines()[-20:]))

    def build(self, targets):
        self.must("ninja", "-C", self.build_directory, "-j", "2", *targets)

    @contextlib.contextmanager
    def mutated(self, mutant):
        files = mutant.files(self.tree)
        originals = {}
        for path in files:
            with open(path) as f:
                originals[path] = f.read()
        try:
            for path, text in files.items():
                write(path, text)
            yield
        finally:
            for path, text in originals.items():
                write(path, text)

    def run(self, command, limit):
        """Exit status, None at the LIMIT; what it said; how many seconds it took."""
        began = time.monotonic()
        p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                             cwd=self.tree, env=self.environment, start_new_session=True)
        self.running = p
        status = None
        try:
            output, _ = p.communicate(timeout=limit)
            status = p.returncode
        except subprocess.TimeoutExpired:
            output = self.end(p)
        finally:
            self.running = None
        return status, output, time.monotonic() - began

    def stop(self):
        """From outside, whatever the workshop is at."""
        if p := self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(p.pid, signal.SIGTERM)

    def end(self, p):
        """A mounted test takes down what it has made when it is told to stop."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(p.pid, signal.SIGTERM)
        try:
            return p.communicate(timeout=30)[0]
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            return p.communicate()[0]
