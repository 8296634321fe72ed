#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A producer for cron: one message a run, about how full the disks are.
#
#	cron-producer.sh ~/mq
#	*/5 * * * * /path/to/cron-producer.sh $HOME/mq          in your crontab: every five minutes
#
# When echo comes back the message is on disk. If it could not be written, the exit status says so and cron mails the error.
set -eu
mount=${1:?which mount? See the top of this file}
topic=$mount/disks

# Not mounted: say so, rather than write beside the mount.
[ -e "$mount/.mqfs/pid" ] || { echo "$mount is not mounted" >&2; exit 1; }
[ -d "$topic" ] || mkdir "$topic"

used=$(df --output=pcent / | tail -n 1 | tr -dc 0-9)
echo "{\"time\":\"$(date -u +%FT%TZ)\",\"host\":\"$(uname -n)\",\"used\":$used}" >> "$topic/0"
