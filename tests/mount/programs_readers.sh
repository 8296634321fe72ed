#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Programs that read files read a queue: the same bytes and the same exit status as of a plain file with the same content. Then the
# same on a queue whose head is past 0, where a plain file has what is left. Each row runs where the file is called 0.
. "$(dirname "$0")/lib.sh"
need less rsync gawk mawk busybox file
mqfs_start

# What a program does on the live view past a head:
#   same     as on a plain file of what is left
#   counts   it believes st_size, the queue's end, which counts what is gone too
#   refuses  it seeks below the head and reports the error (EPIPE)
# Of .retained each does the same as of a plain file of what is left.
rows='
same    | cat 0
same    | cat < 0
same    | cat -A 0
same    | head -n 3 0
same    | head -n 500 0
same    | head -c 5000 0
same    | tail -n 3 0
same    | tail -c 2000 0
refuses | tail -n 1500 0
same    | sed -n 5,9p 0
same    | sed -e s/order/ORDER/ 0
same    | grep -c . 0
same    | grep -n order 0
same    | grep -F "no such thing" 0
same    | grep -a -o "order.:[0-9]*" 0
same    | sort 0
same    | sort -u 0
same    | uniq -c 0
same    | cut -c 1-20 0
same    | tr a-z A-Z < 0
same    | nl 0
same    | rev 0
same    | fold -w 40 0
same    | paste -s 0
same    | od -c 0
same    | wc -l 0
same    | wc -L 0
same    | wc -w < 0
counts  | wc -c 0
refuses | tac 0
same    | md5sum 0
same    | sha256sum < 0
same    | cksum 0
same    | base64 0
same    | gzip -n -c < 0
same    | strings 0
same    | gawk "{ n += length(\$0) } END { print NR, n }" 0
same    | mawk "{ print NR \": \" \$1 }" 0
same    | perl -ne "print scalar reverse" 0
same    | perl -e "open F, q(0); local \$/; print length <F>"
same    | python3 -c "print(sum(1 for _ in open(\"0\", \"rb\")))"
same    | bash -c "mapfile -t a < 0; echo \${#a[@]} \${a[3]}"
same    | bash -c "echo \"\$(< 0)\""
same    | busybox cat 0
same    | busybox head -n 3 0
same    | busybox grep -c order 0
same    | dd if=0 bs=1000 status=none
same    | dd if=0 bs=1M status=none
same    | dd if=0 bs=64k iflag=fullblock status=none
same    | xargs -a 0 -d "\n" -n 50 printf "%.20s|"
same    | file -bL 0
same    | less -E 0 | cat
same    | less -f -X 0 > /dev/null
same    | cmp 0 ../plain/0
same    | diff 0 ../plain/0
same    | comm -3 --nocheck-order 0 ../plain/0
'

# output DIRECTORY COMMAND: what it prints there, and its exit status behind that
output()
{
	local status=0
	(cd "$1" && timeout -k 1 20 bash -o pipefail -c "$2") 2> "$DIR/errors" || status=$?
	echo "exit status $status"
}

# compare WHAT DIRECTORY PLAIN-DIRECTORY COMMAND
compare()
{
	output "$3" "$4" > "$DIR/wanted"
	output "$2" "$4" > "$DIR/got"
	same "$1: $4 $(head -c 200 "$DIR/errors")" "$DIR/wanted" "$DIR/got"
}

mkdir "$MNT/t" "$DIR/plain" "$DIR/left"
sample "$DIR/plain/0"
cat "$DIR/plain/0" >> "$MNT/t/0"
# The programs find both in a directory beside the plain ones.
mkdir "$DIR/live" "$DIR/retained"
ln -s "$MNT/t/0" "$DIR/live/0"
ln -s "$MNT/t/.retained/0" "$DIR/retained/0"

while IFS=' |' read -r kind command; do
	[ -z "$kind" ] || compare 'live' "$DIR/live" "$DIR/plain" "$command"
	[ -z "$kind" ] || compare '.retained' "$DIR/retained" "$DIR/plain" "$command"
done <<< "$rows"

past_head "$MNT/t/0" "$DIR/plain/0"
cp "$DIR/plain/0.left" "$DIR/left/0"
while IFS=' |' read -r kind command; do
	case $kind in
	same) compare 'past a head' "$DIR/live" "$DIR/left" "$command" ;;
	counts) compare 'past a head' "$DIR/live" "$DIR/plain" "$command" ;;
	refuses)
		output "$DIR/live" "$command" > "$DIR/got"
		no_match "past a head: $command" 'exit status 0' "$(tail -n 1 "$DIR/got" | tr -d '\0')"
		match "past a head: $command" 'Broken pipe' "$(cat "$DIR/errors")"
		;;
	*) continue ;;
	esac
	compare '.retained past a head' "$DIR/retained" "$DIR/left" "$command"
done <<< "$rows"
