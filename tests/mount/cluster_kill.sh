#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two hosts, and either, or both, are killed or lose power, in every order; with min_standbys=0 what is lost is in lost/. See tests/cluster/story_kill.py.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/cluster/cluster.sh"
cluster story_kill
