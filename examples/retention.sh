#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Retention: how long a topic keeps its messages.
#
#	retention.sh ~/mq orders                        a week, and not more than 10 GiB
#	retention.sh ~/mq orders 12h 500M
#	retention.sh ~/mq orders none none              for ever
#
# What is too old or too much goes from the oldest end, whether it was read or not. Offsets of what stays do not change.
set -eu
mount=${1:?which mount? See the top of this file}
topic=$mount/${2:-orders}
age=${3:-7d}
size=${4:-10G}

[ -d "$topic" ] || mkdir "$topic"
echo "$age" > "$topic/.config/retention.age"
echo "$size" > "$topic/.config/retention.size"

echo "${topic##*/} keeps $(cat "$topic/.config/retention.age"), at most $(cat "$topic/.config/retention.size") bytes"
for queue in "$topic"/[0-9]*; do
	q=${queue##*/}
	echo "queue $q: offsets $(cat "$topic/.config/head.$q") to $(stat -c %s "$queue")"
done

# To drop what is there now, by hand and for good: echo latest > ~/mq/orders/.config/head.0
