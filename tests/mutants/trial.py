# SPDX-License-Identifier: Apache-2.0
"""The tests that are to kill mutants, how each is run, and what it says.

    crash [SEED]              the simulation of crashes, from seed 1 or SEED on, up to so many states
    pair [SEED]               that of two nodes
    unit/NAME PATTERN         the tests of tests/unit/test_NAME whose names match
    mount/NAME VAR=VALUE...   a mounted test, in this environment: as root, or by sudo

What it has seen broken is only what a test itself says in its own words. That it ended by a signal, hung, or could not run, is not that.
"""
import os
import re
import shlex

CASES = {"crash": ("test_crash", "--states", 30000), "pair": ("test_pair", "--schedules", 6000)}


class Verdict:
    def __init__(self, broken="", after="", ill="", control=""):
        self.broken = broken      # the rule, as the test tells it
        self.after = after        # how long that took
        self.ill = ill            # why the test says nothing
        self.control = control    # what a store without syncs was seen to break


class Trial:
    limit = 300                   # seconds

    def __init__(self, name, targets):
        self.name, self.targets = name, targets

    def run(self, workshop):
        status, output, seconds = workshop.run(self.command(workshop.build_directory), self.limit)
        if status is None:
            return Verdict(ill=f"it hangs: ended after {self.limit} s", after=f"{seconds:.0f} s")
        v = self.read(output)
        v.after = v.after or f"{seconds:.0f} s"
        if not v.broken and not v.ill and status != 0:
            v.ill = f"it ends with status {status}: {output.strip().splitlines()[-1:]}"
        if v.broken and status == 0:
            v.ill, v.broken = f"it says '{v.broken}' and ends with status 0", ""
        return v


class Simulation(Trial):
    """Seeds in one process, so that a mutant is killed by the same one each time."""

    def __init__(self, name, first="1"):
        self.program, self.option, self.cases = CASES[name]
        self.first = first
        super().__init__(name, [f"tests/crash/{self.program}"])

    def command(self, build):
        return [os.path.join(build, self.targets[0]), "--jobs", "1", "--first", self.first, self.option, str(self.cases)]

    def read(self, output):
        count = re.search(r"^(\d+ \w+), \d+ of them distinct, in ([\d.]+) s", output, re.M)
        after = f"{count[1]}, {float(count[2]):.0f} s" if count else ""
        failed = re.search(r"^seed (\d+) failed: (.*)$", output, re.M)
        if not failed:
            return Verdict(after=after)
        if re.match(r"signal \d+|nobody can go on|out of memory", failed[2]):
            return Verdict(ill=failed[2], after=after)
        return Verdict(broken=f"{failed[2]} (seed {failed[1]})", after=after)


class Unit(Trial):
    def __init__(self, name, pattern):
        super().__init__(f"{name} {pattern}", [f"tests/test_{name[5:]}"])
        self.pattern = pattern

    def command(self, build):
        return [os.path.join(build, self.targets[0]), "--color=never", "--short-filename", "--jobs", "1", "--filter", f"*/{self.pattern}"]

    def read(self, output):
        if "Tested: 0 " in output:
            return Verdict(ill="there is no such test")
        asserted = re.search(r"^\[----\] (\S+): Assertion Failed\n\[----\] *\n\[----\] *(.*?)\n(?:\[----\] *\n)?", output, re.M)
        failed = re.search(r"^\[FAIL\] \w+::(\w+): \(", output, re.M)
        if asserted and failed:
            return Verdict(broken=f"{failed[1]}: {asserted[2]}")
        return Verdict(ill="a test crashes" if "CRASH!" in output else "")


class Mount(Trial):
    limit = 600

    def __init__(self, name, *environment):
        super().__init__(name, ["fs/mqfs", "fs/mqctl", "tests/real_kill"])
        self.environment = environment

    def command(self, build):
        script = os.path.join(os.path.dirname(build), "tests", self.name + ".sh")
        root = [] if os.geteuid() == 0 else ["sudo"]
        return [*root, "env", f"MQFS_BUILD={build}", *self.environment, "bash", script]

    def read(self, output):
        failed = re.search(r"^FAILED: (.*)$", output, re.M)
        control = re.search(r"^without syncs: cut \d+: (.*)$", output, re.M)
        skipped = re.search(r"^SKIPPED: (.*)$", output, re.M)
        asserted = re.search(r"AssertionError: (.*?)(?:\\n|'|$)", output, re.M)
        broken = asserted[1] if asserted else failed[1] if failed else ""
        if broken.startswith("not within"):
            return Verdict(ill=broken)
        return Verdict(broken=broken, ill=skipped[0] if skipped else "", control=control[1] if control else "")


def trial_of(text):
    name, *rest = shlex.split(text)
    trial = {"crash": Simulation, "pair": Simulation, "unit": Unit, "mount": Mount}[name.split("/")[0]](name, *rest)
    trial.text = text
    return trial
