#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mqctl switchover: primary and standby change places, on either one's order, without a remount: readers see no error, no acknowledged message is
# lost, writers of the old primary get EROFS.
. "$(dirname "$0")/lib.sh"
. "$TOOLS/pair.sh"
pair_start min_standbys=1
a=$(mnt a) b=$(mnt b)
mkdir "$a/t"
echo first >> "$a/t/0"
shown() { [ -e "$b/t/0" ] && cmp -s "$a/t/0" "$b/t/0"; }
wait_for 'the standby to show all' shown
cat "$a/t/.follow/0" > "$DIR/a.follow" 2> "$DIR/a.err" &
cat "$b/t/.follow/0" > "$DIR/b.follow" 2> "$DIR/b.err" &

# A writer on the primary's mount: what it was told is written, until it is told that this is no primary any more.
cat > "$DIR/writer.py" << 'END'
import errno, os, sys
f = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
out = open(sys.argv[2], 'w')
for i in range(10 ** 9):
    line = '%s %d\n' % (sys.argv[3], i)
    try:
        os.write(f, line.encode())
    except OSError as e:
        print(errno.errorcode[e.errno])
        break
    out.write(line)
    out.flush()
END
writer() { python3 "$DIR/writer.py" "$1/t/0" "$DIR/$2" "$2" > "$DIR/$2.end" & }
ended() { [ -s "$DIR/$1.end" ]; }

for round in 1 2; do
	# --- on the primary's order
	writer "$a" "w$round"
	wait_lines "$DIR/w$round" 100
	succeeds 'switchover, ordered of the primary' "$MQCTL" switchover -m "$a"
	role_is b primary || fail 'b is not the primary'
	role_is a standby || fail 'a is not a standby'
	wait_for 'the writer to be told' ended "w$round"
	equal 'what it was told' EROFS "$(cat "$DIR/w$round.end")"
	wait_pair b a
	equal 'no writer lost anything' '' "$(grep -vxF -f "$b/t/0" "$DIR/w$round" || true)"
	succeeds 'an append of the new primary' bash -c "echo in between $round >> $b/t/0"
	succeeds 'a topic of the new primary' mkdir "$b/topic $round"

	# --- and back, on the standby's
	succeeds 'switchover, ordered of the standby' "$MQCTL" switchover -m "$a"
	wait_pair a b
	role_is a primary || fail 'a is not the primary'
	succeeds 'an append of the old primary, by the same mount' bash -c "echo back $round >> $a/t/0"
done
shown() { cmp -s "$a/t/0" "$b/t/0"; }
wait_for 'the standby to show all' shown
wait_lines "$DIR/a.follow" "$(wc -l < "$a/t/0")"
wait_lines "$DIR/b.follow" "$(wc -l < "$a/t/0")"
same 'what followed on one node' "$a/t/0" "$DIR/a.follow"
same 'what followed on the other' "$a/t/0" "$DIR/b.follow"
equal 'without an error' '' "$(cat "$DIR/a.err" "$DIR/b.err")"

# --- without a standby there is nobody to change places with
node_stop b
wait_is a linked false
status 'switchover without a standby' 1 "$MQCTL" switchover -m "$a"
role_is a primary || fail 'a is not the primary any more'
node_start b standby_of=a
wait_pair a b
succeeds 'an append after all that' bash -c "echo last >> $a/t/0"
node_stop b
node_stop a
