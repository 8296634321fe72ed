#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Programs that copy and archive: cp, dd, split, rsync, tar, cpio, install, cat from queue to queue; into a queue and out of one.
. "$(dirname "$0")/lib.sh"
need rsync cpio gzip
mqfs_start
sample "$DIR/text"

# fresh: a new topic, whose queue is $q
topics=0
fresh()
{
	topics=$((topics + 1))
	t=$MNT/t$topics
	q=$t/0
	mkdir "$t"
}

# --- into a queue
into()
{
	fresh
	(cd "$t" && bounded bash -o pipefail -c "$1" - "$DIR/text" 0) > "$DIR/out" 2>&1 || fail "$1: exit status $?: $(cat "$DIR/out")"
	same "into a queue: $1" "$DIR/text" "$q"
	# and behind what is there already
	echo before >> "$q"
	(cd "$t" && bounded bash -o pipefail -c "${2:-$1}" - "$DIR/text" 0) > "$DIR/out" 2>&1 || fail "${2:-$1}: exit status $?: $(cat "$DIR/out")"
	same "into a queue that is not empty: ${2:-$1}" <(cat "$DIR/text" <(echo before) "$DIR/text") "$q"
}
into 'cat "$1" >> "$2"'
into 'cat "$1" > "$2"'
into 'cp "$1" "$2"'
into 'cp --reflink=auto "$1" "$2"'
into 'dd if="$1" of="$2" bs=1000 oflag=append conv=notrunc status=none'
into 'dd if="$1" of="$2" bs=64k conv=notrunc,fsync status=none' 'dd if="$1" bs=64k status=none >> "$2"'
into 'dd if="$1" bs=333 status=none | dd of="$2" bs=4k oflag=append,dsync conv=notrunc status=none'
into 'tee -a "$2" < "$1" > /dev/null'
into 'split -l 100 --filter "cat >> $2" "$1"'
into 'split -C 20000 --filter "cat >> $2" "$1"'
into 'gzip -c "$1" | zcat >> "$2"'
into 'xargs -a "$1" -d "\n" -n 100 printf "%s\n" >> "$2"'
into 'sed -n p "$1" >> "$2"'
into 'sed -u -n p "$1" >> "$2"'

# cat from one queue to another, spliced in the kernel
fresh
from=$q
cat "$DIR/text" >> "$from"
fresh
succeeds 'cat from queue to queue' bash -c "cat $from >> $q"
same 'cat from queue to queue' "$DIR/text" "$q"
refused 'cat from a queue to itself' 'input file is output file' bash -c "cat $q >> $q"
same 'cat from a queue to itself' "$DIR/text" "$q"
succeeds 'cp from queue to queue' cp "$from" "$q"
same 'cp from queue to queue' <(cat "$DIR/text" "$DIR/text") "$q"

# What makes files of its own here is refused, and destroys nothing.
refused 'rsync without --inplace' 'not permitted' rsync "$DIR/text" "$from"
# rsync ends by ftruncate(2), even of a file that is as long as it should be: what it brought is there, but it reports an error.
fresh
refused 'rsync --inplace' 'ftruncate failed.*not permitted' rsync --inplace "$DIR/text" "$q"
refused 'split into a topic' 'not permitted' bash -c "cd $t && split -l 100 $DIR/text"
refused 'cp of a new name' 'not permitted' cp "$DIR/text" "$t/new"
refused 'mv onto a queue' 'not permitted' mv "$DIR/text" "$from"
refused 'mv of a queue' 'not permitted' mv "$from" "$DIR/moved"
refused 'install' 'not permitted|File exists|cannot' install -m 644 "$DIR/text" "$from"
refused 'tar -x over a queue' 'not permitted|File exists|Cannot' bash -c "cd $DIR && cp text 0 && tar -cf - 0 | tar -C $(dirname "$from") -xf -"
refused 'rm -r' 'not permitted|not empty' rm -r "$(dirname "$from")"
rm -f "$DIR/moved"
same 'the queue after all the refusals' "$DIR/text" "$from"

# --- out of a queue
fresh
cat "$DIR/text" >> "$q"
mkdir "$DIR/o"
# out_of COMMAND [KIND]: from the queue 0 of a directory to the file o/0
out_of()
{
	rm -rf "$DIR/o"
	mkdir "$DIR/o"
	status=0
	(cd "$1" && bounded bash -o pipefail -c "$2" - 0 "$DIR/o") > "$DIR/out" 2>&1 || status=$?
}
commands='
same    | cp $1 $2/0
same    | cp -p $1 $2/0
same    | cp --sparse=always $1 $2/0
same    | cp --sparse=never $1 $2/0
same    | cp -rL $1 $2/0
same    | cat $1 > $2/0
same    | dd if=$1 of=$2/0 bs=1000 status=none
same    | dd if=$1 of=$2/0 bs=1M conv=fsync status=none
same    | split -l 100 $1 $2/x && cat $2/x* > $2/0
same    | split -b 5000 $1 $2/x && cat $2/x* > $2/0
same    | split -n l/3 $1 $2/x && cat $2/x* > $2/0
refuses | rsync $1 $2/0
refuses | rsync -c --inplace $1 $2/0
refuses | tar -cf - $1 | tar -C $2 -xf -
refuses | tar -czf - $1 | tar -C $2 -xzf -
pads    | echo $1 | cpio --quiet -o | (cd $2 && cpio --quiet -i)
same    | install -m 600 $1 $2/0
same    | tee $2/0 < $1 > /dev/null
same    | gzip -c $1 | zcat > $2/0
'
# A program that lists a link copies the link, so these stand in the topic itself.
echo "$commands" | while IFS=' |' read -r kind command; do
	for place in "$t" "$t/.retained"; do
		[ -n "$kind" ] || continue
		out_of "$place" "$command"
		equal "$command in $place: exit status" 0 $status
		same "$command in $place" "$DIR/text" "$DIR/o/0"
	done
done

# Past a head. Who takes st_size for the number of bytes gets fewer, and refuses, or fills up with zeros and says so: .retained is
# there for them.
past_head "$q" "$DIR/text"
echo "$commands" | while IFS=' |' read -r kind command; do
	[ -n "$kind" ] || continue
	out_of "$t" "$command"
	case $kind in
	same)
		equal "past a head: $command: exit status $(cat "$DIR/out")" 0 $status
		same "past a head: $command" "$DIR/text.left" "$DIR/o/0"
		;;
	refuses) [ $status -ne 0 ] || fail "past a head: $command: wanted an error" ;;
	pads) match "past a head: $command" 'padding with zeros' "$(cat "$DIR/out")" ;;
	esac
	out_of "$t/.retained" "$command"
	equal "past a head, .retained: $command: exit status $(cat "$DIR/out")" 0 $status
	same "past a head, .retained: $command" "$DIR/text.left" "$DIR/o/0"
done
