#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Fan-out: many programs read the same messages, and none takes them away from another.
#
#	fan-out.sh ~/mq                                 stop it with ^C
#	echo 'error: no coffee' >> ~/mq/events/0        every reader below sees it at once
#
# .follow/all is the topic with all its queues, in the order in which the messages were written. What comes behind the @ is
# where to start: "latest", a time like 2026-11-23T08:00:00Z, or -10m for the last ten minutes.
set -eu
mount=${1:?which mount? See the top of this file}
events=$mount/events

[ -d "$events" ] || mkdir "$events"
trap 'kill $(jobs -p) 2> /dev/null' EXIT
trap exit INT TERM
echo "follows $events into archive.txt, errors.txt and count.txt"

# One keeps a copy of everything, from the oldest message on.
cat "$events/.follow/all" > archive.txt &

# One is told of errors only, of those that are new.
grep --line-buffered error "$events/.follow/all@latest" > errors.txt &

# One counts as it goes.
n=0
while read -r _; do
	n=$((n + 1))
	echo $n > count.txt
done < "$events/.follow/all" &

wait
