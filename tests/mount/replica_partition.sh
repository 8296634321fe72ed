#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A primary that is cut off and does not know it: its appends end in time, it acknowledges nothing more, and when it hears of the one that was
# promoted meanwhile it becomes a standby, by the same mount and with the files that were open.
. "$(dirname "$0")/lib.sh"
. "$TOOLS/pair.sh"
node_keys a b to_a to_b
relay_start to_a a
relays=("$RELAY")
relay_start to_b b
relays+=("$RELAY")
node_start a peer=to_b min_standbys=1 commit_timeout=1s
node_start b standby_of=to_a min_standbys=1
a=$(mnt a) b=$(mnt b)
wait_pair a b
wait_is a pair.min_standbys 1
mkdir "$a/t" "$a/at-close" "$a/at-fsync"
echo close > "$a/at-close/.config/commit"
echo fsync > "$a/at-fsync/.config/commit"
echo both >> "$a/t/0"
echo both >> "$a/at-close/0"
cat "$a/t/.follow/0" > "$DIR/follow" 2> "$DIR/follow.err" &
wait_lines "$DIR/follow" 1
exec 4>> "$a/at-close/0" 5>> "$a/at-fsync/0" 6>> "$a/t/0" 7>> "$a/t/0" 8>> "$a/at-close/0" 9< "$a/t/0"
echo kept >&8
wait_for 'the other node to have it' grep -q kept "$b/at-close/0"

# --- the network goes quiet
cat > "$DIR/cut_off.py" << 'END'
import errno, os, signal, sys, time
q = 6
def told(f, *a):
    began = time.monotonic()
    try:
        f(*a)
        got = 'taken'
    except OSError as e:
        got = errno.errorcode[e.errno]
    took = time.monotonic() - began
    assert took < 8, (f, got, took)
    return got
# kill(2) returns before they have stopped; what is written meanwhile would still come over.
def stopped(relay):
    stats = [open(f'/proc/{relay}/task/{task}/stat').read() for task in os.listdir(f'/proc/{relay}/task')]
    return all(stat.rpartition(')')[2].split()[0] == 'T' for stat in stats)
for relay in sys.argv[2:]:
    os.kill(int(relay), signal.SIGSTOP)
while not all(map(stopped, sys.argv[2:])):
    time.sleep(0.001)
for fd in 4, 5:
    assert os.write(fd, b'not known\n')
first = told(os.write, q, b'not known\n')
assert first == 'ETIMEDOUT', first
first = told(os.mkdir, sys.argv[1] + '/not-known')
assert first in ('ETIMEDOUT', 'EHOSTDOWN'), first
while True:
    got = told(os.write, q, b'not there\n')
    if got == 'EHOSTDOWN':
        break
    assert got == 'ETIMEDOUT', got
began = time.monotonic()
assert os.read(9, 100) == b'both\n' and os.read(9, 100) == b'' and os.read(9, 100) == b''
assert time.monotonic() - began < 0.9, 'a read waits for a node that is known to be away'
END
succeeds 'what a primary is told that is cut off' python3 "$DIR/cut_off.py" "$a" "${relays[@]}"
role_is a primary || fail 'it has nobody to hear of another one from'

# --- the other node goes on, on the operator's word; each of them says what it is
wait_is b linked false
succeeds 'promotion' "$MQCTL" promote -m "$b" --stopped=a
succeeds 'an append' bash -c "echo new >> $b/t/0"
refused 'an append of the old primary' 'Host is down' bash -c "echo x >> $a/t/0"
equal 'what it shows' both "$(cat "$a/t/0")"

# --- and the network is there again
kill -CONT "${relays[@]}"
wait_for 'the old primary to step down' role_is a standby
wait_pair b a
wait_for 'the old primary to show what is committed' cmp -s "$a/t/0" "$b/t/0"
equal 'which is what was acknowledged' $'both\nnew' "$(cat "$b/t/0")"
refused 'what had been open' 'Read-only' bash -c 'echo x >&7'
began=$(date +%s%N)
equal 'a read of the end does not wait for what was cut' '' "$(tail -c +10 "$a/t/0")"
[ $((($(date +%s%N) - began) / 1000000)) -lt 900 ] || fail 'a read of the old primary waits'
wait_lines "$DIR/follow" 2
same 'who followed has seen no error' "$b/t/0" "$DIR/follow"
match 'status says what that is' "or this node's primary did not have.*mqctl dump $DIR/a.store/lost/FILE .*mqctl replay --produce $DIR/a.store/lost/FILE MNT" \
	"$("$MQCTL" status -m "$a")"

# --- who asks for it by a file that was open is never told that it is there
cat > "$DIR/asked.py" << 'END'
import errno, os, sys, time
began = time.monotonic()
assert os.read(9, 100) == b'new\n' and os.read(9, 100) == b''
assert time.monotonic() - began < 0.9, 'who reads waits for what was cut'
def told(fd, ask):
    try:
        ask(fd)
        return 'fine'
    except OSError as e:
        return errno.errorcode[e.errno]
def close(fd):
    os.close(os.dup(fd))
# at-close, at-fsync, t; t and at-close by who has not written since
for fd, ask, expected in (
        (4, close, 'EIO'), (4, os.fsync, 'EIO'), (4, close, 'EIO'), (4, os.fsync, 'fine'), (8, close, 'fine'),
        (5, os.fsync, 'EIO'), (5, os.fsync, 'fine'),
        (6, close, 'EIO'), (6, os.fsync, 'EIO'), (7, close, 'fine'), (7, os.fsync, 'EIO'), (7, os.fsync, 'fine')):
    got = told(fd, ask)
    assert got == expected, (fd, ask, got)
later = os.open(sys.argv[1] + '/t/0', os.O_RDONLY)
assert told(later, os.fsync) == 'fine'
END
succeeds 'what who asks is told' python3 "$DIR/asked.py" "$a"
match 'what was not committed is kept' '"body": *"not known"' "$("$MQCTL" dump "$DIR"/a.store/lost/*)"

# --- and back: the file that was open takes appends again
succeeds 'switchover' "$MQCTL" switchover -m "$b"
wait_pair a b
succeeds 'what had been open' bash -c 'echo again >&7'
equal 'all of it' $'both\nnew\nagain' "$(cat "$a/t/0")"
exec 4>&- 5>&- 6>&- 7>&- 8>&- 9<&-
node_stop b
node_stop a
