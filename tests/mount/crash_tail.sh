#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A torn tail, made by hand behind a killed daemon: garbage, zeros over a part of the last record, a record cut short. What
# is committed stays; the torn bytes go to lost/; appends go on. The same inside what is committed is damage: reported, not cut.
. "$(dirname "$0")/lib.sh"
need python3

# The end of the last record in the last segment, as a byte in its file: the last byte that is not 0, up to 8.
cat > "$DIR/tail.py" << 'END'
import glob, os, sys
def last(store):
    return max(n for n in glob.glob(store + "/log/*") if all(c in "0123456789abcdef" for c in os.path.basename(n)))
def end(name):
    data = open(name, "rb").read()
    n = len(data.rstrip(b"\0"))
    return max(4096, (n + 7) & ~7)
store, how = sys.argv[1:3]
name = last(store)
at = end(name)
with open(name, "r+b") as f:
    if how == "garbage":
        f.seek(at)
        f.write(os.urandom(3000))
    elif how == "text":
        f.seek(at)
        f.write(b"not a record\n" * 50)
    elif how == "zero":
        # the last message's bytes: the tail's record loses its body
        data = open(name, "rb").read()
        i = data.rindex(b"last message")
        f.seek(i + 4)
        f.write(b"\0" * 6)
    elif how == "flip":
        data = open(name, "rb").read()
        i = data.rindex(sys.argv[3].encode())
        f.seek(i)
        f.write(bytes([data[i] ^ 1]))
    elif how == "cut":
        f.truncate(at - 20)
    os.fsync(f.fileno())
END
lost() { find "$STORE/lost" -type f 2> /dev/null | wc -l; }

for how in garbage text zero cut; do
	rm -rf "$STORE"
	mqfs_start
	mkdir "$MNT/t"
	lines committed 1 100 > "$DIR/committed"
	while read -r m; do echo "$m"; done < "$DIR/committed" >> "$MNT/t/0"
	# One more whose commitment no later record tells of: what a crash may tear.
	echo 'the last message' >> "$MNT/t/0"
	mqfs_kill
	python3 "$DIR/tail.py" "$STORE" $how
	mqfs_start
	if [ $how = garbage ] || [ $how = text ]; then
		same "after $how: all is there" <(cat "$DIR/committed"; echo 'the last message') "$MNT/t/0"
	else
		same "after $how: all before it is there" "$DIR/committed" "$MNT/t/0"
	fi
	equal "after $how: the torn bytes are in lost/" 1 "$(lost)"
	match "after $how: it is told" 'lost' "$(cat "$DIR/mqfs.log")"
	: > "$DIR/mqfs.log"
	echo next >> "$MNT/t/0"
	equal "after $how: appends go on" next "$(tail -n 1 "$MNT/t/0")"
	mqfs_kill
	mqfs_start
	equal "after $how: and stay" next "$(tail -n 1 "$MNT/t/0")"
	equal "after $how: nothing more is lost" 1 "$(lost)"
	mqfs_stop
	succeeds "after $how: mqctl check" "$MQCTL" check "$STORE"
	# 1: it says that the record is damaged, as it is after some of these
	status=0
	"$MQCTL" dump "$STORE/lost/$(ls "$STORE/lost")" > "$DIR/dump.out" 2>&1 || status=$?
	[ $status -le 1 ] || fail "after $how: mqctl dump of lost/: exit status $status: $(cat "$DIR/dump.out")"
done

# Damage within what is committed: reported, kept; what stands behind it is readable, and nothing is cut.
rm -rf "$STORE"
mqfs_start
mkdir "$MNT/t"
echo 2 > "$MNT/t/.config/queues"
for i in $(seq 20); do
	echo "message $i of queue 0" >> "$MNT/t/0"
	echo "message $i of queue 1" >> "$MNT/t/1"
done
mqfs_kill
python3 "$DIR/tail.py" "$STORE" flip 'message 10 of queue 0'
status=0
"$MQCTL" check "$STORE" > "$DIR/check.out" 2>&1 || status=$?
[ $status -ne 0 ] || fail 'mqctl check finds no damage'
match 'mqctl check says where' 'position [0-9]+.* queue 0 ' "$(cat "$DIR/check.out")"
mqfs_start
same 'another queue is whole' <(seq -f 'message %.0f of queue 1' 20) "$MNT/t/1"
refused 'reading the damaged record' 'Input/output error' cat "$MNT/t/0"
equal 'what stands before it' 9 "$(cat "$MNT/t/0" 2> /dev/null | wc -l)"
at=$(seq -f 'message %.0f of queue 0' 10 | wc -c)
same 'what stands behind it' <(seq -f 'message %.0f of queue 0' 11 20) <(tail -c "+$((at + 1))" "$MNT/t/0")
echo more >> "$MNT/t/0"
equal 'appends go on' more "$(tail -c "+$(($(stat -c %s "$MNT/t/0") - 4))" "$MNT/t/0")"
equal 'nothing was cut' 0 "$(lost)"
mqfs_stop
