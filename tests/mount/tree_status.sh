#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# .mqfs: what the node tells of itself; status.json is JSON with its keys, metrics.prom is what Prometheus reads.
. "$(dirname "$0")/lib.sh"
mqfs_start
mkdir "$MNT/orders" "$MNT/we \"said\" \\o"
echo 3 > "$MNT/orders/.config/queues"
lines line 1 10 >> "$MNT/orders/0"
lines line 1 5 >> "$MNT/orders/2"
printf 'no newline' >> "$MNT/orders/1"

equal 'the files' 'metrics.prom order pid role scrub standbys status.json version' "$(ls "$MNT/.mqfs" | paste -sd ' ')"
equal 'pid' "$PID" "$(cat "$MNT/.mqfs/pid")"
equal 'role' primary "$(cat "$MNT/.mqfs/role")"
match 'version' '^[0-9]+\.[0-9]+\.[0-9]+$' "$(cat "$MNT/.mqfs/version")"
equal 'modes' '555 444 644 444 644 644 444 444 444' "$(stat -c %a "$MNT/.mqfs" "$MNT"/.mqfs/* | paste -sd ' ')"
for f in pid role version; do
	equal "size of $f" "$(cat "$MNT/.mqfs/$f" | wc -c)" "$(stat -c %s "$MNT/.mqfs/$f")"
done
for f in status.json metrics.prom; do
	exec 7< "$MNT/.mqfs/$f"
	equal "size of $f while it is open" "$(stat -L -c %s /dev/fd/7)" "$(cat <&7 | wc -c)"
	exec 7<&-
done
# What has no blocks is a hole to a program that archives sparse files.
tar -C "$MNT/.mqfs" -cSf - status.json | tar -xOf - > "$DIR/status.json"
equal 'tar -S of status.json' "$PID" "$(json "$DIR/status.json" pid)"
call EACCES open "$MNT/.mqfs/pid" O_WRONLY

# --- status.json
cat "$MNT/.mqfs/status.json" > "$DIR/status.json"
status_is() { equal "status.json: $1" "$2" "$(json "$DIR/status.json" "$1")"; }
status_is pid "$PID"
status_is role primary
status_is version "$(cat "$MNT/.mqfs/version")"
status_is store "$STORE"
status_is mountpoint "$MNT"
status_is replication.role primary
status_is replication.pair null
status_is replication.standbys '[]'
status_is replication.refused false
status_is health.state fine
status_is health.why ''
status_is counts.topics 2
status_is counts.queues 4
status_is appended.messages 16
status_is appended.bytes $((10 * 7 + 1 + 5 * 7 + 11))
status_is topics.0.name orders
status_is topics.0.queues 3
status_is topics.0.messages 16
status_is topics.0.retained $((10 * 7 + 1 + 5 * 7 + 11))
status_is topics.0.partial 1
status_is topics.0.retired false
status_is topics.1.name 'we "said" \o'
status_is topics.1.bytes 0
python3 - "$DIR/status.json" << 'END' || fail 'keys of status.json'
import json, sys
s = json.load(open(sys.argv[1]))
keys = {
    "epoch": "reign start node", "replication": "role name linked current refused why unheld rival primary received synced committed lag pair standbys promise last_order",
    "health": "state why",
    "log": "start committed written end checkpoint checkpoint_time segments segments_unsealed segments_prepared segment_size pinned recovered",
    "disk": "store total free", "appended": "records messages bytes refused_full", "commit": "mode timeout_ns syncs sync_ns",
    "damage": "found open repaired repaired_bytes lost_files lost_bytes", "scrub": "rate running position end bytes passes found began ended", "mount": "handles nodes parked unfinished", "counts": "topics queues"}
assert set(s) == set(keys) | set("version pid role mountpoint store cluster node started now pins topics".split()), set(s)
for k, names in keys.items():
    assert set(s[k]) == set(names.split()), (k, set(s[k]))
assert s["log"]["start"] < s["log"]["committed"] <= s["log"]["written"] <= s["log"]["end"]
assert s["started"] <= s["now"] and s["now"].endswith("Z")
assert len(s["node"]) == 16 and int(s["node"], 16)
END

# --- metrics.prom
cat "$MNT/.mqfs/metrics.prom" > "$DIR/metrics.prom"
metric() { METRIC=$1 awk 'index($0, ENVIRON["METRIC"] " ") == 1 { print $NF }' "$DIR/metrics.prom"; }
equal 'messages' 16 "$(metric mqfs_messages_total)"
equal 'a topic' 16 "$(metric 'mqfs_topic_messages_total{topic="orders"}')"
equal 'a topic whose name has to be quoted' 0 "$(metric 'mqfs_topic_messages_total{topic="we \"said\" \\o"}')"
equal 'a queue that had a misfortune' 1 "$(metric 'mqfs_queue_partial_lines_total{topic="orders",queue="1"}')"
equal 'a queue that had none' '' "$(metric 'mqfs_queue_partial_lines_total{topic="orders",queue="0"}')"
python3 - "$DIR/metrics.prom" << 'END' || fail 'the format of metrics.prom'
import re, sys
help_, type_, done, last = set(), {}, set(), None
for line in open(sys.argv[1]):
    assert line.endswith("\n")
    line = line[:-1]
    if line.startswith("# HELP "):
        name, text = line[7:].split(" ", 1)
        assert text.endswith(".") and name not in help_
        help_.add(name)
    elif line.startswith("# TYPE "):
        name, kind = line[7:].split(" ")
        assert kind in ("counter", "gauge") and name in help_ and name not in type_
        assert name.endswith("_total") == (kind == "counter"), line
        type_[name] = kind
    else:
        m = re.fullmatch(r'(mqfs_[a-z0-9_]+)(\{[a-z]+="(?:[^"\\]|\\.)*"(?:,[a-z]+="(?:[^"\\]|\\.)*")*\})? (\d+(?:\.\d+)?)', line)
        assert m, line
        assert m[1] in type_ and (m[1] == last or m[1] not in done), line
        if last != m[1]:
            done.add(last)
            last = m[1]
assert set(type_) == help_
END

# Who asks for what is gone is counted; who asks for all there is, is not.
echo 14 > "$MNT/orders/.config/head.0"
cat "$MNT/orders/0" > "$DIR/left"
dd if="$MNT/orders/0" of="$DIR/left" bs=5 skip=1 count=1 2> "$DIR/dd.err"
cat "$MNT/.mqfs/metrics.prom" > "$DIR/metrics.prom"
equal 'skips of a queue' 1 "$(metric 'mqfs_queue_skips_total{topic="orders",queue="0"}')"
equal 'and what they missed' 9 "$(metric 'mqfs_queue_skipped_bytes_total{topic="orders",queue="0"}')"
mqfs_stop

# --- names that are no UTF-8
mqfs_start_at "$DIR/"$'caf\xe9.store' "$DIR/"$'caf\xe9'
equal 'the store' "$DIR/caf?.store" "$(json "$DIR/"$'caf\xe9/.mqfs/status.json' store)"
equal 'the mountpoint' "$DIR/caf?" "$(json "$DIR/"$'caf\xe9/.mqfs/status.json' mountpoint)"
succeeds 'mqctl status' "$MQCTL" status -m "$DIR/"$'caf\xe9'
mqfs_stop
