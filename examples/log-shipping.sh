#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Log shipping: rsyslog writes what it gets into a queue, and any number of programs read it there.
#
#	log-shipping.sh ~/mq                            prints a snippet for rsyslog; as root:
#	log-shipping.sh /mnt/mq > /etc/rsyslog.d/60-mqfs.conf && systemctl restart rsyslog
#	tail -f /mnt/mq/syslog/0                        watch
#	cat /mnt/mq/syslog/.follow/0 | ssh archive 'cat >> all.log'             ship
#
# With commit=fsync a burst of log lines does not wait for the disk line by line, and kill -9 of mqfs loses none of them.
set -eu
mount=$(cd "${1:?which mount? See the top of this file}" && pwd)
topic=$mount/syslog

if [ ! -d "$topic" ]; then
	mkdir "$topic"
	echo fsync > "$topic/.config/commit"
	echo 30d > "$topic/.config/retention.age"
fi

cat << END
# Everything, one JSON object a line, into the queue. While the queue refuses (a full disk), rsyslog keeps it and tries again.
template(name="mqfs" type="list") {
	constant(value="{\"time\":\"")     property(name="timereported" dateFormat="rfc3339")
	constant(value="\",\"host\":\"")   property(name="hostname" format="json")
	constant(value="\",\"program\":\"") property(name="programname" format="json")
	constant(value="\",\"text\":\"")   property(name="msg" format="json" position.from="2")
	constant(value="\"}\n")
}
*.* action(type="omfile" file="$topic/0" template="mqfs" queue.type="LinkedList" action.resumeRetryCount="-1")
END
