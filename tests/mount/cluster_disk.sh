#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two hosts, and the disk of either is full, fails, or rots. See tests/cluster/story_disk.py.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/cluster/cluster.sh"
cluster story_disk
