#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Below the head: who begins there is served from it, who was overtaken is told once; seeking back in what was served works.
. "$(dirname "$0")/lib.sh"
need python3
mqfs_start
mkdir "$MNT/t"
q=$MNT/t/0
lines m 1 10000 >> "$q"
lines m 1 10000 > "$DIR/all"
raise() { echo "$1" > "$MNT/t/.config/head.0"; }
metric() { sed -n "s/^mqfs_queue_$1{topic=\"t\",queue=\"0\"} //p" "$MNT/.mqfs/metrics.prom"; }
head=$(head -n 4000 "$DIR/all" | wc -c)
raise "$head"
tail -n 6000 "$DIR/all" > "$DIR/retained"

same 'cat' "$DIR/retained" "$q"
same 'dd of small blocks' "$DIR/retained" <(dd if="$q" bs=100 2> /dev/null)
same 'cat of .follow' "$DIR/retained" <(head -c "$(stat -c %s "$DIR/retained")" "$MNT/t/.follow/0")
equal 'head' "$(head -n 3 "$DIR/retained")" "$(head -n 3 "$q")"
equal 'head of a handle that goes on' $'m 4001\nm 4002' "$( (head -n 1; head -n 1) < "$q")"
same "bash's read, which reads ahead and seeks back" <(head -n 100 "$DIR/retained") \
	<(for i in {1..100}; do read -r l && echo "$l"; done < "$q")
same 'read and cat of one handle' "$DIR/retained" <((read -r l && echo "$l" && cat) < "$q")
equal 'tail' "$(tail -n 5 "$DIR/all")" "$(tail -n 5 "$q")"
same 'from an offset behind the head' "$DIR/retained" <(tail -c +$((head + 1)) "$q")
equal 'who reads from 0 has missed nothing' '' "$(metric skips_total)"

python3 - "$q" "$MNT/t/.config/head.0" "$head" "$DIR/all" << 'END'
import errno, os, sys
q, control, head, all = sys.argv[1:]
head = int(head)
all = open(all, 'rb').read()
def epipe(f, *a):
    try:
        f(*a)
    except OSError as e:
        assert e.errno == errno.EPIPE, e
    else:
        raise AssertionError('not told')
f = os.open(q, os.O_RDONLY)
assert os.pread(f, 100, 50) == all[head:head + 100]         # began 50 bytes from the beginning: a skip
assert os.pread(f, 100, 150) == all[head + 100:head + 200]
assert os.pread(f, 30, 60) == all[head + 10:head + 40]
assert os.pread(f, 100, head + 1000) == all[head + 1000:head + 1100]
epipe(os.pread, f, 100, 1000)                               # elsewhere below the head
assert os.pread(f, 100, 1000) == all[head:head + 100]

g = os.open(q, os.O_RDONLY)                                 # a reader that is overtaken
assert os.pread(g, 100, head) == all[head:head + 100]
os.lseek(g, head + 100, os.SEEK_SET)
later = all.index(b'm 8000\n')
with open(control, 'w') as c:
    c.write(str(later))
epipe(os.read, g, 100)
assert os.read(g, 100) == all[later:later + 100]
assert os.read(g, 100) == all[later + 100:later + 200]
END
# 50 bytes from the beginning, at 1000, and the one that was overtaken
equal 'skips are counted' 3 "$(metric skips_total)"
later=$(head -n 7999 "$DIR/all" | wc -c)
equal 'and what they missed' $((head - 50 + head - 1000 + later - head - 100)) "$(metric skipped_bytes_total)"

raise latest
equal 'nothing is retained' '' "$(cat "$q")"
equal 'the size stays' "$(stat -c %s "$DIR/all")" "$(stat -c %s "$q")"
echo new >> "$q"
equal 'what comes then is' new "$(cat "$q")"
mqfs_kill
mqfs_start
equal 'after a restart' new "$(cat "$q")"
mqfs_stop
