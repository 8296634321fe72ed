#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tail -f and -F see what is appended (they poll once a second); cat and others of .follow see it at once; less reads to the end.
. "$(dirname "$0")/lib.sh"
need less gawk
mqfs_start
mkdir "$MNT/t"
q=$MNT/t/0
lines early 1 20 > "$DIR/early"
cat "$DIR/early" >> "$q"

# watch NAME COMMAND...: in the background, its output to DIR/NAME.out
watch()
{
	local name=$1
	shift
	"$@" > "$DIR/$name.out" 2> "$DIR/$name.err" &
	eval "pid_$name=\$!"
}

watch f tail -f "$q"
watch F tail -F "$q"
watch n0 tail -n 0 -f "$q"
watch n3 tail -n 3 -f "$q"
watch c tail -c +1 -f "$q"
watch n1 tail -n +1 -f "$q"
watch cat cat "$MNT/t/.follow/0"
watch awk gawk '{ print "awk", $0; fflush() }' "$MNT/t/.follow/0"
watch grep grep --line-buffered 7 "$MNT/t/.follow/0"
watch sed sed -u 's/^/sed /' "$MNT/t/.follow/0"
watch head head -n 25 "$MNT/t/.follow/0"
watch late cat "$MNT/t/.follow/0@latest"
watch tee bash -c 'tee "$2" < "$1"' - "$MNT/t/.follow/0" "$DIR/tee.copy"

# tail -n 0 shows only what comes after it has looked: it has when it is asleep with the file open and its position at the end.
at_end() { grep -q "^pos:[[:space:]]*$(stat -c %s "$q")$" /proc/"$1"/fdinfo/3; }
wait_for 'tail -n 0 -f at the end' at_end "$pid_n0"
wait_lines "$DIR/cat.out" 20
open_late() { ls -l "/proc/$pid_late/fd" | grep -q follow; }
wait_for 'the late follower' open_late

lines later 1 20 > "$DIR/later"
while read -r m; do echo "$m" >> "$q"; done < "$DIR/later"
cat "$DIR/early" "$DIR/later" > "$DIR/all"

wait_lines "$DIR/cat.out" 40
same 'cat of .follow' "$DIR/all" "$DIR/cat.out"
wait_lines "$DIR/awk.out" 40
same 'awk of .follow' <(sed 's/^/awk /' "$DIR/all") "$DIR/awk.out"
wait_lines "$DIR/sed.out" 40
same 'sed of .follow' <(sed 's/^/sed /' "$DIR/all") "$DIR/sed.out"
wait_lines "$DIR/grep.out" 4
same 'grep of .follow' <(grep 7 "$DIR/all") "$DIR/grep.out"
wait_lines "$DIR/late.out" 20
same 'cat of .follow/0@latest' "$DIR/later" "$DIR/late.out"
wait_lines "$DIR/tee.copy" 40
same 'tee of .follow' "$DIR/all" "$DIR/tee.copy"
status=0
wait "$pid_head" || status=$?
equal 'exit status of head of .follow' 0 $status
same 'head of .follow' <(head -n 25 "$DIR/all") "$DIR/head.out"

wait_lines "$DIR/f.out" 30
same 'tail -f' <(tail -n 30 "$DIR/all") "$DIR/f.out"
wait_lines "$DIR/F.out" 30
same 'tail -F' <(tail -n 30 "$DIR/all") "$DIR/F.out"
wait_lines "$DIR/n0.out" 20
same 'tail -n 0 -f' "$DIR/later" "$DIR/n0.out"
wait_lines "$DIR/n3.out" 23
same 'tail -n 3 -f' <(tail -n 23 "$DIR/all") "$DIR/n3.out"
wait_lines "$DIR/c.out" 40
same 'tail -c +1 -f' "$DIR/all" "$DIR/c.out"
wait_lines "$DIR/n1.out" 40
same 'tail -n +1 -f' "$DIR/all" "$DIR/n1.out"
for p in f F n0 n3 c n1; do
	equal "errors of tail $p" '' "$(cat "$DIR/$p.err")"
done

# tail --pid ends with the process it is told.
sleep 600 &
sleeper=$!
wait_for 'sleep' grep -qx sleep /proc/$sleeper/comm
timeout 30 tail -n 1 --pid=$sleeper -f "$q" > "$DIR/pid.out" &
tailer=$!
kill $sleeper
status=0
wait $tailer || status=$?
equal 'exit status of tail --pid' 0 $status
equal 'tail --pid' 'later 20' "$(cat "$DIR/pid.out")"

# Past a head, while tails run: who has read on goes on.
past_head "$q" "$DIR/all"
watch past tail -n 3 -f "$q"
watch whole tail -n +1 -f "$q"
watch catpast cat "$MNT/t/.follow/0"
wait_lines "$DIR/past.out" 3
wait_lines "$DIR/whole.out" "$(wc -l < "$DIR/all.left")"
echo last >> "$q"
for p in f F n0 n3; do
	wait_for "the last line by tail $p" grep -qx last "$DIR/$p.out"
done
wait_for 'the last line by cat' grep -qx last "$DIR/catpast.out"
same 'cat of .follow past a head' <(cat "$DIR/all.left"; echo last) "$DIR/catpast.out"
wait_for 'the last line by tail past a head' grep -qx last "$DIR/past.out"
same 'tail -n 3 -f past a head' <(tail -n 3 "$DIR/all"; echo last) "$DIR/past.out"
wait_for 'the last line by tail past a head' grep -qx last "$DIR/whole.out"
same 'tail -n +1 -f past a head' <(cat "$DIR/all.left"; echo last) "$DIR/whole.out"

# Who follows ends when told to.
kill "$pid_cat" "$pid_f" "$pid_F"
for p in "$pid_cat" "$pid_f" "$pid_F"; do
	status=0
	wait "$p" || status=$?
	equal 'exit status of a follower that was told to end' 143 $status
done
