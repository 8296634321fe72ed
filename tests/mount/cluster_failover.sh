#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two hosts, random faults of both and of the network, an operator who acts by the runbook, and clients who remember: trials that a seed decides,
# see tests/cluster/trial.py. With min_standbys=1 nothing acknowledged or read is ever lost, and never do two nodes acknowledge.
#
# MQFS_TRIALS=N   3 by default, 1,000 in long runs
# MQFS_AT_ONCE=N  of them at a time, 3 by default
# MQFS_SEED=N     of the first one; the others have the next ones
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/cluster/cluster.sh"
seed=${MQFS_SEED:-$((RANDOM * 32768 + RANDOM))}
say "seed $seed"
cluster trial "$seed" "${MQFS_TRIALS:-$([ "$LONG" = 1 ] && echo 1000 || echo 3)}" "${MQFS_AT_ONCE:-3}"
