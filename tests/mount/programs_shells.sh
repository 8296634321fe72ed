#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Shells produce with >> and > and consume with while read: bash, dash, busybox sh, zsh.
. "$(dirname "$0")/lib.sh"
need dash busybox zsh
mqfs_start

cat > "$DIR/produce" << 'END'
q=$1
echo one >> "$q" || exit 1
printf 'two\nthree\n' >> "$q" || exit 2
echo four > "$q" || exit 3
: > "$q" || exit 4
cat << X >> "$q" || exit 5
five
six
X
{ echo seven; echo eight; } >> "$q" || exit 6
exec 3>> "$q"
echo nine >&3 || exit 7
/bin/echo ten >&3 || exit 8
exec 3>&-
echo eleven 1<> "$q" || exit 9
printf 'no newline' >> "$q" || exit 10
seq 13 15 | while read -r n; do
	echo "line $n" >> "$q" || exit 11
done
echo sixteen | tee -a "$q" > /dev/null || exit 12
printf 'seven\nteen\n' | tee "$q" > /dev/null || exit 13
{ echo 'to stderr' >&2; } 2>> "$q" || exit 14
[ -s "$q" ] && [ -r "$q" ] && [ -w "$q" ] && [ -f "$q" ] || exit 15
END
cat > "$DIR/produced" << 'END'
one
two
three
four
five
six
seven
eight
nine
ten
eleven
no newline
line 13
line 14
line 15
sixteen
seven
teen
to stderr
END
cat > "$DIR/consume" << 'END'
while IFS= read -r m; do printf '%s\n' "$m"; done < "$1"
END
cat > "$DIR/consume-one" << 'END'
IFS= read -r m < "$1" && printf '%s\n' "$m"
END
cat > "$DIR/follow" << 'END'
while IFS= read -r m; do
	echo "got $m"
	[ "$m" != end ] || exit 3
done < "$1"
END

sample "$DIR/text" 200
for shell in bash dash 'busybox sh' zsh; do
	t=$MNT/${shell%% *}
	mkdir "$t"
	status "$shell produces" 0 $shell "$DIR/produce" "$t/0"
	same "what $shell produced" "$DIR/produced" "$t/0"

	status "$shell follows to the end it knows" 3 bash -c 'echo one > "$1/0"; echo end > "$1/0"; exec timeout 20 '"$shell"' "$2" "$1/.follow/0" > "$3"' \
		- "$t" "$DIR/follow" "$DIR/followed"
	same "what $shell followed" <(sed 's/^/got /' "$DIR/produced"; printf 'got one\ngot end\n') "$DIR/followed"

	echo 2 > "$t/.config/queues"
	cat "$DIR/text" >> "$t/1"
	succeeds "$shell reads" bash -c 'exec '"$shell"' "$1" "$2" > "$3"' - "$DIR/consume" "$t/1" "$DIR/consumed"
	same "what $shell read" "$DIR/text" "$DIR/consumed"
	equal "one line by $shell" "$(head -n 1 "$DIR/text")" "$($shell "$DIR/consume-one" "$t/1")"

	past_head "$t/1" "$DIR/text"
	succeeds "$shell reads past a head" bash -c 'exec '"$shell"' "$1" "$2" > "$3"' - "$DIR/consume" "$t/1" "$DIR/consumed"
	same "what $shell read past a head" "$DIR/text.left" "$DIR/consumed"
	succeeds "$shell reads .retained" bash -c 'exec '"$shell"' "$1" "$2" > "$3"' - "$DIR/consume" "$t/.retained/1" "$DIR/consumed"
	same "what $shell read of .retained" "$DIR/text.left" "$DIR/consumed"
	equal "one line past a head by $shell" "$(head -n 1 "$DIR/text.left")" "$($shell "$DIR/consume-one" "$t/1")"
done

# Lines of many writers that share a handle, or have their own, stay whole.
mkdir "$MNT/many"
(
	for w in a b c d; do
		{ for n in $(seq 50); do echo "$w $n"; done; } &
	done
	wait
) >> "$MNT/many/0"
for w in e f; do
	{ for n in $(seq 50); do echo "$w $n" >> "$MNT/many/0"; done; } &
done
wait_jobs
equal 'lines of six writers' "$(for w in a b c d e f; do lines $w 1 50; done)" "$(sort -k1,1 -k2,2n "$MNT/many/0")"
