#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Lines are assembled for each writer of a handle; what is left without its newline is ended when its writer is done.
. "$(dirname "$0")/lib.sh"
need python3
mqfs_start
mkdir "$MNT/t"
q=$MNT/t/0
field() { json "$MNT/.mqfs/status.json" topics.0."$1"; }

# --- processes that share a handle, and write their lines in pieces
writer()
{
	local i
	for i in {1..200}; do
		printf '%s' "$1"
		printf ' %s' "$i"
		printf ' end\n'
	done
}
(writer a & writer b & writer c & wait) >> "$q"
for w in a b c; do
	same "the lines of $w" <(for i in {1..200}; do echo "$w $i end"; done) <(grep "^$w" "$q")
done
equal 'no other line' 600 "$(wc -l < "$q")"
equal 'messages' 600 "$(field messages)"
equal 'nothing is unfinished' 0 "$(json "$MNT/.mqfs/status.json" mount.unfinished)"

# --- content
printf 'a\0b\r\n\n\xff\n' >> "$q"
equal 'NUL, CR, empty lines and any byte' '6100620d0a0aff0a' "$(tail -c 8 "$q" | od -An -v -tx1 | tr -d ' \n')"

# --- an unfinished line is nobody's until it is ended. (In bash, each redirection of stdout, as of any
# file, closes a dup of what it was, and so ends it; hence the subshells.)
{
	printf 'begun'
	equal 'an unfinished line is not read' 603 "$(wc -l < "$q")"
	equal 'but counted' 5 "$(json "$MNT/.mqfs/status.json" mount.unfinished)"
	(echo 'other handle' >> "$q")
	(printf 'of a child')
	equal "a child's exit ends its line only" $'other handle\nof a child' "$(tail -n 2 "$q")"
	printf ', ended\n'
	equal 'then the line goes as one' $'of a child\nbegun, ended' "$(tail -n 2 "$q")"
	printf 'left'
} >> "$q"
equal 'a close ends it, with a newline' 'left' "$(tail -n 1 "$q")"
printf 'at once' >> "$q"
equal 'so does the end of a builtin' 'at once' "$(tail -n 1 "$q")"
equal 'they are counted' 3 "$(field partial)"
equal 'as records that say so' 3 "$("$MQCTL" dump "$q" | grep -c partial)"

# --- fsync ends a line, O_DSYNC does not
python3 - "$q" << 'END'
import os, sys
f = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
os.write(f, b'synced')
os.fsync(f)
os.write(f, b'data synced')
os.fdatasync(f)
g = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_DSYNC)
os.write(g, b'not ')
os.write(g, b'ended\n')
END
equal 'fsync and O_DSYNC' $'synced\ndata synced\nnot ended' "$(tail -n 3 "$q")"

# --- the line of a process that is killed
{ bash -c 'exec >> "$1"; printf killed; kill -9 $$' - "$q" || true; } 2> /dev/null
# Its close does not wait for the commit.
ends_in() { [ "$(tail -n 1 "$q")" = "$1" ]; }
wait_for 'the line of a killed writer' ends_in killed

# --- .config/partial
echo keep > "$MNT/t/.config/partial"
printf 'kept ' >> "$q"
equal 'keep: as it is' 'kept ' "$(tail -c 5 "$q")"
match 'keep: as a record that says so' '"partial":true,"body":"kept "' "$("$MQCTL" dump "$q" | tail -n 1)"
echo 'and glued' >> "$q"
equal 'keep: the next writer ends it' 'kept and glued' "$(tail -n 1 "$q")"
echo lost > "$MNT/t/.config/partial"
printf 'lost' >> "$q"
equal 'lost' 'kept and glued' "$(tail -n 1 "$q")"
python3 - "$q" << 'END'
import os, sys
f = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
os.write(f, b'not lost ')
os.fsync(f)
os.write(f, b'by fsync\n')
END
equal 'lost: not by fsync' 'not lost by fsync' "$(tail -n 1 "$q")"
equal 'lost: nothing is unfinished' 0 "$(json "$MNT/.mqfs/status.json" mount.unfinished)"

# --- what is unfinished when the mount stops
echo newline > "$MNT/t/.config/partial"
python3 - "$q" > "$DIR/wrote" << 'END' &
import os, sys, time
f = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
os.write(f, b'when it stops')
print(flush=True)
time.sleep(100)
END
writer=$!
disown $writer
wait_lines "$DIR/wrote" 1
mqfs_stop
kill -9 $writer
mqfs_start
equal 'it is ended then' 'when it stops' "$(tail -n 1 "$q")"
mqfs_stop
