#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two hosts, and the network between them breaks: both ways, one way, again and again; or loses, reorders, is slow. See tests/cluster/story_partition.py.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/cluster/cluster.sh"
cluster story_partition
