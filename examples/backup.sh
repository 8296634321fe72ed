#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Backup: all retained messages of a running mount in one archive.
#
#	backup.sh ~/mq backup.tar.gz
#	restore.sh ~/mq backup.tar.gz                   append them again, here or into another mount
#
# .retained/0 is queue 0 as an ordinary file: it begins with the oldest message that is retained and its size is what there is, as
# tar wants it. What is appended meanwhile is in the next backup. .retained is not listed, so the queues are named. Settings, owners and
# modes of topics are not in it; restore.sh makes topics and queues as new ones are.
set -eu
mount=${1:?which mount? See the top of this file}
archive=$(realpath "$2")

# Not mounted, there is nothing to save, and the last backup is better than none.
[ -e "$mount/.mqfs/pid" ] || { echo "$mount is not mounted" >&2; exit 1; }
cd "$mount"
for queue in */[0-9]*; do
	[ -f "$queue" ] || continue
	printf '%s\0' "./${queue%/*}/.retained/${queue##*/}"
done | tar --null --files-from - --gzip --create --file "$archive.new"
mv "$archive.new" "$archive"
