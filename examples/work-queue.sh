#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A work queue: each line of the topic "jobs" is a job, done by one worker, in order.
#
#	work-queue.sh ~/mq                              a worker; stop it with ^C
#	echo 'resize cat.jpg' >> ~/mq/jobs/0            give it something to do
#
# A worker notes how far it has come, so a new one goes on where the last one stopped: in ~/.jobs.CLUSTER.INODE, which is this queue and no
# other, on both nodes of a pair. One that dies in the middle of a job does that job again: write handle() so that this does no harm. For
# more workers, raise the number of queues (echo 4 > ~/mq/jobs/.config/queues), start one for each (work-queue.sh ~/mq 3) and append to
# jobs/any, which picks one.
set -eu
export LC_ALL=C                                 # ${#job} must count bytes, as offsets do
mount=${1:?which mount? See the top of this file}
queue=${2:-0}
jobs=$mount/jobs

# Your work goes here.
handle()
{
	echo "doing: $1"
}

# Not mounted: say so, rather than make a directory beside the mount.
[ -e "$mount/.mqfs/pid" ] || { echo "$mount is not mounted" >&2; exit 1; }
[ -d "$jobs" ] || mkdir "$jobs"

cluster=$(sed -n 's/^ *"cluster": "\(.*\)",$/\1/p' "$mount/.mqfs/status.json")
bookmark=${3:-$HOME/.jobs.$cluster.$(stat -c %i "$jobs/$queue")}

# Where to begin: at the bookmark, or at the oldest job that is retained if that is later.
offset=$(cat "$bookmark" 2> /dev/null || echo 0)
head=$(cat "$jobs/.config/head.$queue")
[ "$offset" -ge "$head" ] || offset=$head
[ "$offset" -le "$(stat -c %s "$jobs/$queue")" ] || { echo "$bookmark is behind the end of $jobs/$queue" >&2; exit 1; }

# .follow waits for more at its end, so this loop ends only with the worker or the mount.
while IFS= read -r job; do
	handle "$job" < /dev/null                # else it could read the jobs that come
	offset=$((offset + ${#job} + 1))
	echo "$offset" > "$bookmark.new"
	mv "$bookmark.new" "$bookmark"
done < "$jobs/.follow/$queue@$offset"
