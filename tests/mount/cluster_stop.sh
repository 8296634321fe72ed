#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two hosts, and either stands still (SIGSTOP) for longer than every timeout. See tests/cluster/story_stop.py.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/cluster/cluster.sh"
cluster story_stop
