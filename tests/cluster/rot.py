# SPDX-License-Identifier: Apache-2.0
"""Bytes that rot where they are, in the log of a node that runs."""
import glob
import os

from node import broken


def rot(node, data, rng):
    """One bit of DATA."""
    for path in glob.glob(os.path.join(node.store, "log", "*")):
        with open(path, "r+b") as f:
            at = f.read().find(data)
            if at < 0:
                continue
            at += rng.randrange(len(data))
            f.seek(at)
            byte = f.read(1)[0]
            f.seek(at)
            f.write(bytes([byte ^ (1 << rng.randrange(8))]))
            return
    broken("a message is not in the store of %s: %r", node.name, data[:60])
