#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# .follow/Q@START and .follow/all@START: where reading begins. .retained/Q: what was retained when it was looked up.
. "$(dirname "$0")/lib.sh"
mqfs_start
mkdir "$MNT/t"
echo 2 > "$MNT/t/.config/queues"
now() { python3 -c 'import time; print(time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + ".%09dZ" % (time.time_ns() % 10**9))'; }
# follow PATH LINES: the first LINES of it, which never ends, joined by blanks
follow() { bounded head -n "$2" "$MNT/t/.follow/$1" | paste -sd ' '; }

echo a >> "$MNT/t/0"
echo b >> "$MNT/t/1"
between=$(now)
echo c >> "$MNT/t/0"
echo d >> "$MNT/t/1"
echo e >> "$MNT/t/0"

equal 'a queue from its beginning' 'a c e' "$(follow 0 3)"
equal '@0' 'a c e' "$(follow 0@0 3)"
equal '@ an offset' 'c e' "$(follow 0@2 2)"
equal '@ an offset inside a message' ' c e' "$(follow 0@1 3)"
equal '@ a time' 'c e' "$(follow "0@$between" 2)"
equal '@ a span' 'a c e' "$(follow 0@-1h 3)"
equal 'all queues, in the order of writing' 'a b c d e' "$(follow all 5)"
equal 'all@ a time' 'c d e' "$(follow "all@$between" 3)"
equal 'all@ a span' 'a b c d e' "$(follow all@-10m 5)"

# latest: what comes from now on. It is open when its process has it as its input.
for path in 0@latest all@latest 0@4000; do
	bounded head -n 1 < "$MNT/t/.follow/$path" > "$DIR/${path%@*}.out" &
	reader=$!
	wait_for "a reader of $path" bash -c "[ \"\$(cat $MNT/.mqfs/metrics.prom | awk '\$1 == \"mqfs_parked_requests\" { print \$2 }')\" -ge 1 ]"
	# Enough for an offset that is to come.
	lines "for $path" 1 100 >> "$MNT/t/0"
	wait $reader
	case $path in
	0@4000) equal 'an offset to come' "$(tail -c +4001 "$MNT/t/0" | head -n 1)" "$(cat "$DIR/0.out")" ;;
	*) equal "$path" "for $path 1" "$(cat "$DIR/${path%@*}.out")" ;;
	esac
done

equal 'one inode, wherever it begins' 1 "$(stat -c %i "$MNT/t/.follow/0" "$MNT/t/.follow/0@2" "$MNT/t/.follow/0@latest" | sort -u | wc -l)"
equal 'size of what follows' "$(stat -c %s "$MNT/t/0")" "$(stat -c %s "$MNT/t/.follow/0")"

# .retained does not change while it is open, whatever is appended.
exec 7< "$MNT/t/.retained/1"
echo f >> "$MNT/t/1"
equal 'size of .retained while it is open' 4 "$(stat -L -c %s /dev/fd/7)"
equal 'and what is read' 'b d' "$(paste -sd ' ' <&7)"
exec 7<&-
equal '.retained when it is opened again' 'b d f' "$(paste -sd ' ' "$MNT/t/.retained/1")"
mqfs_stop
