#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# With min_standbys=1: appends are refused at once while the other node is away, the operator says who is down, and who was left out comes back as a
# standby, with what nobody else had in lost/.
. "$(dirname "$0")/lib.sh"
. "$TOOLS/pair.sh"
node_keys a b relay
relay_start relay a
node_start a peer=b min_standbys=1
a=$(mnt a) b=$(mnt b)
refused 'a topic before any standby has joined' 'Host is down' mkdir "$a/t"
node_start b standby_of=relay
wait_pair a b
mkdir "$a/t"
wait_is a pair.min_standbys 1
lines both 1 20 >> "$a/t/0"

# --- the standby dies: nothing more is taken, and nobody waits for it
node_kill b
wait_is a refused true
cat > "$DIR/refused.py" << 'END'
import errno, os, sys, time
m = sys.argv[1]
def refused(f, *a):
    began = time.monotonic()
    try:
        got = f(*a)
    except OSError as e:
        got = errno.errorcode[e.errno]
    assert got == 'EHOSTDOWN', (f, a, got)
    assert time.monotonic() - began < 2
q = os.open(m + '/t/0', os.O_WRONLY | os.O_APPEND)
refused(os.write, q, b'a line\n')
refused(os.write, q, b'half of one')
refused(os.mkdir, m + '/u')
refused(os.chmod, m + '/t/0', 0o600)
c = os.open(m + '/t/.config/framing', os.O_WRONLY)
refused(os.write, c, b'write\n')
os.fsync(q)
os.close(q)
END
succeeds 'what the primary refuses' python3 "$DIR/refused.py" "$a"
equal 'reads go on' 20 "$(wc -l < "$a/t/0")"
status 'mqctl status says that no appends are taken' 1 "$MQCTL" status -m "$a"
match 'and why' 'health +away: b is not linked' "$("$MQCTL" status -m "$a" || true)"
equal 'so do metrics' 1 "$(metric a mqfs_refused_away)"
equal 'and that it is not healthy' 0 "$(metric a mqfs_healthy)"

# --- alone, on the operator's word
status 'alone without a name' 2 "$MQCTL" alone -m "$a"
status 'alone of nobody' 1 "$MQCTL" alone -m "$a" --stopped=nobody
succeeds 'alone' "$MQCTL" alone -m "$a" --stopped=b
succeeds 'an append of a node alone' bash -c "lines() { seq -f 'alone %.0f' 1 5; }; lines >> $a/t/0"
match 'its pair' 'pair      a alone' "$("$MQCTL" status -m "$a")"

# --- the one left out comes back by itself, and counts again
node_start b standby_of=relay
wait_pair a b
wait_is a pair.min_standbys 1
wait_for 'the standby to show all' cmp -s "$a/t/0" "$b/t/0"

# --- the primary dies with something that only it had: the network between them has gone quiet
halt $RELAY
lines lost 1 3 >> "$a/t/0" 2> /dev/null &
written() { [ "$(what a received)" -gt "$(what a committed)" ]; }
wait_for 'a record that only the primary has' written
node_kill a
kill -9 $RELAY
wait_is b linked false
refused 'promotion by an order that is none' 'Invalid argument' bash -c "echo promote now > $b/.mqfs/order"
status 'promotion with the wrong word' 1 "$MQCTL" promote -m "$b" --stopped=c
equal 'it is still a standby' standby "$(cat "$b/.mqfs/role")"
began=$(date +%s%N)
succeeds 'promotion' "$MQCTL" promote -m "$b" --stopped=a
succeeds 'an append of the new primary' bash -c "echo new 1 >> $b/t/0"
say "promoted and appended in $((($(date +%s%N) - began) / 1000000)) ms"
equal 'it is the primary' primary "$(cat "$b/.mqfs/role")"
match 'it says what came of the order' '^promote: ' "$(cat "$b/.mqfs/order")"
lines new 2 10 >> "$b/t/0"
seq -f 'both %.0f' 1 20 > "$DIR/wanted"
seq -f 'alone %.0f' 1 5 >> "$DIR/wanted"
seq -f 'new %.0f' 1 10 >> "$DIR/wanted"
same 'nothing acknowledged is lost' "$DIR/wanted" "$b/t/0"

# --- the deposed one is a standby of the new primary, by its configuration; what only it had is in lost/
node_start a peer=b
wait_pair b a
wait_for 'the deposed node to show all' cmp -s "$a/t/0" "$b/t/0"
equal 'its role' standby "$(cat "$a/.mqfs/role")"
refused 'an append of the deposed' 'Read-only' bash -c "echo x >> $a/t/0"
set -- "$DIR"/a.store/lost/*
equal 'a file in lost/' 1 $#
lost=$1
match 'it has what was not acknowledged' '"body": *"lost 1"' "$("$MQCTL" dump "$lost")"
[ "$(status_of a damage.lost_files)" = 1 ] || fail 'status does not tell of it'

# --- and is produced again on request: into the primary's queues, once its file is there
match 'a look' 't/0: 3 messages' "$("$MQCTL" replay "$lost" "$b")"
equal 'which produces nothing' 35 "$(wc -l < "$b/t/0")"
refused 'a replay into a standby' "is this the primary's mount" "$MQCTL" replay --produce "$lost" "$a"
match 'a replay' '3 messages produced, 0 left out' "$("$MQCTL" replay --produce "$lost" "$b")"
seq -f 'lost %.0f' 1 3 >> "$DIR/wanted"
same 'all is there' "$DIR/wanted" "$b/t/0"
wait_for 'the standby to have it too' cmp -s "$a/t/0" "$b/t/0"
node_stop b
node_stop a
