#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A daemon without free descriptors, again and again: nothing is lost, and it goes on by itself. See tests/crash/real_descriptors.py.
. "$(dirname "$0")/../crash/real.sh"
. "$(dirname "$0")/lib.sh"
need_root
need python3
new_history descriptors
start
python3 "$SOURCE/tests/crash/real_descriptors.py" "$MNT" "$HISTORY" "$PID" "$([ "$LONG" = 1 ] && echo 200 || echo 10)" >&2 || die 'it does not hold'
equal 'health at the end' fine "$(json "$MNT/.mqfs/status.json" health.state)"
must_hold 1
end
start
must_hold 1
mqfs_stop
succeeds 'mqctl check' "$MQCTL" check "$STORE"
