#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Restore: appends the messages in an archive of backup.sh to a mount, each to a queue of the same name.
#
#	restore.sh ~/mq backup.tar.gz
set -eu
mount=${1:?which mount? See the top of this file}
archive=$2

unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT
tar --extract --file "$archive" --directory "$unpacked"

[ -e "$mount/.mqfs/pid" ] || { echo "$mount is not mounted" >&2; exit 1; }
for file in "$unpacked"/*/.retained/*; do
	[ -e "$file" ] || continue
	topic=${file%/.retained/*}
	topic=$mount/${topic##*/}
	queue=${file##*/}
	[ -d "$topic" ] || mkdir "$topic"
	[ -e "$topic/$queue" ] || echo $((queue + 1)) > "$topic/.config/queues"
	cat "$file" >> "$topic/$queue"
done
