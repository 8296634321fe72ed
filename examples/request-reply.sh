#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Request and reply: a server in a shell loop, asked through one topic and answering through another.
#
#	request-reply.sh ~/mq serve                     stop it with ^C
#	request-reply.sh ~/mq ask 6 x 7                 prints the answer
set -eu
mount=${1:?which mount? See the top of this file}
verb=${2:-serve}

for t in requests replies; do
	[ -d "$mount/$t" ] || mkdir "$mount/$t"
done

case $verb in
serve)
	# Only what is asked from now on. Each request brings an id, so that the one who asked knows its answer.
	while read -r id a operator b; do
		case $operator in
		x) answer=$((a * b)) ;;
		+) answer=$((a + b)) ;;
		*) answer="what is $operator?" ;;
		esac
		echo "$id $answer" >> "$mount/replies/0"
	done < "$mount/requests/.follow/0@latest"
	;;
ask)
	shift 2
	id=$(cat /proc/sys/kernel/random/uuid)
	# Note the end of the replies before asking: the answer can only be behind it.
	from=$(stat -c %s "$mount/replies/0")
	echo "$id $*" >> "$mount/requests/0"
	timeout 10 sed -n "/^$id /{s/^[^ ]* //p;q}" "$mount/replies/.follow/0@$from"
	;;
esac
