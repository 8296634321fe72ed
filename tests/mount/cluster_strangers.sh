#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two hosts, and a third one that does not belong to them: other certificates and none, another cluster, 10,000 connections that are never finished;
# and one that does, sits between them, spoils frames and says old ones again. See tests/cluster/story_strangers.py.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/cluster/cluster.sh"
need faketime
cluster story_strangers
