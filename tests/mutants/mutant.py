# SPDX-License-Identifier: Apache-2.0
"""The mutants: what each takes away, where, and which test must find it.

A table of them, GROUP.toml, has for each

    name        in its group
    safeguard   what mqfs does otherwise, in a few words
    file, take, give     in FILE the text TAKE, which must stand there once, becomes GIVE; or edits, a list of these three
    test        the one that kills it: see trial.py
    rule        what it must say is broken, a regular expression; without, any rule will do
    survives    in place of a test: why mqfs can do without, and what stands in its way meanwhile
"""
import fnmatch
import os
import re
import tomllib

from trial import trial_of


class Stale(Exception):
    """The source is not any more what a mutant changes."""


class Mutant:
    def __init__(self, group, row):
        self.name = f"{group}/{row.pop('name')}"
        self.safeguard = row.pop("safeguard")
        self.edits = row.pop("edits", None) or [{key: row.pop(key) for key in ("file", "take", "give")}]
        self.rule = row.pop("rule", "")
        self.survives = row.pop("survives", None)
        self.trial = None if self.survives else trial_of(row.pop("test"))
        if row:
            raise ValueError(f"{self.name}: what is {', '.join(row)}?")

    def chosen(self, patterns):
        return not patterns or any(fnmatch.fnmatch(self.name, p) or fnmatch.fnmatch(self.name.split("/")[1], p) for p in patterns)

    def fits(self, broken):
        return re.search(self.rule, broken) is not None

    def files(self, tree):
        """The files that change, and their new text."""
        texts = {}
        for edit in self.edits:
            path = os.path.join(tree, edit["file"])
            if path not in texts:
                with open(path) as f:
                    texts[path] = f.read()
            times = texts[path].count(edit["take"])
            if times != 1:
                raise Stale(f"{edit['file']} has this {times} times, not once: {edit['take'].strip()}")
            texts[path] = texts[path].replace(edit["take"], edit["give"])
        return texts


def load(directory):
    mutants = []
    for table in sorted(os.listdir(directory)):
        group, extension = os.path.splitext(table)
        if extension == ".toml":
            with open(os.path.join(directory, table), "rb") as f:
                mutants += [Mutant(group, row) for row in tomllib.load(f)["mutant"]]
    names = [m.name for m in mutants]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"there are two mutants {name}")
    return mutants
