#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A byte that has rotted under a running mount: who reads it gets EIO, in its place and nowhere else; what is behind it can be read; and the
# scrub finds what nobody reads.
. "$(dirname "$0")/lib.sh"

# segment N: its file
segment() { find "$STORE/log" -name '0???????????????' | sort | sed -n "$1p"; }
metric() { awk -v name="$1" '$1 == name { print $2 }' "$MNT/.mqfs/metrics.prom"; }
status_now() { cat "$MNT/.mqfs/status.json" > "$DIR/status.json" && json "$DIR/status.json" "$1"; }
status_is() { [ "$(status_now "$1")" = "$2" ]; }
scrub() { echo now > "$MNT/.mqfs/scrub" && wait_for "pass $1 of the scrub" status_is scrub.passes "$1"; }

mqfs_start -o segment_size=1M,commit=close
mkdir "$MNT/t"
# Records of 10 lines of 100 bytes, in order over some segments
python3 - "$MNT/t/0" "$DIR/all" << 'END'
import os, sys
f, keep = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND), open(sys.argv[2], "wb")
for n in range(3000):
    record = b"".join(b"%099d\n" % (n * 10 + i) for i in range(10))
    os.write(f, record)
    keep.write(record)
END
wait_for 'sealed segments' test -e "$(segment 2).index"
wait_for 'the first pass of the scrub' status_is scrub.passes 1

# --- a read
at=$(python3 - "$(segment 1)" << 'END'
import sys
b = open(sys.argv[1], "rb").read()
print(b.index(b"%099d\n" % 1234))
END
)
flip "$(segment 1)" $((at + 50))
refused 'cat of the queue' 'Input/output error' cat "$MNT/t/0"
cat "$MNT/t/0" > "$DIR/got" 2> "$DIR/err" || true
same 'what is before it is read' <(head -c 123000 "$DIR/all") "$DIR/got"
call EIO pread "$MNT/t/0" 123000 1000
dd if="$MNT/t/0" bs=1000 skip=124 of="$DIR/got" 2> "$DIR/err"
same 'what is behind it is read' <(tail -c +124001 "$DIR/all") "$DIR/got"
bounded head -c 5000 "$MNT/t/.follow/0@124000" > "$DIR/got"
same 'what is behind it is followed' <(tail -c +124001 "$DIR/all" | head -c 5000) "$DIR/got"
# By pages, as the kernel reads for sendfile(2) and mappings: the damage is no end of the file.
python3 - "$MNT/t" "$DIR/all" << 'END'
import errno, os, sys
topic, want = sys.argv[1], open(sys.argv[2], "rb").read()
for name in "0", ".follow/0", ".retained/0":
    f, to = os.open(topic + "/" + name, os.O_RDONLY), os.memfd_create("to")
    try:
        while os.sendfile(to, f, None, 1 << 20):
            pass
        raise AssertionError(name + ": an end of the file")
    except OSError as e:
        assert e.errno == errno.EIO, (name, e)
    got = os.pread(to, len(want), 0)
    assert got == want[:len(got)] and 123000 - 4096 < len(got) <= 123000, (name, len(got))
END
python3 - "$MNT/t/.follow/all" "$DIR/all" << 'END'
import errno, os, select, sys
want = open(sys.argv[2], "rb").read()
for polls in False, True:
    f = os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK)
    poll = select.poll()
    poll.register(f, select.POLLIN)
    got, errors = b"", []
    while len(got) < len(want) - 1000:
        assert not polls or poll.poll(60000)
        try:
            got += os.read(f, 1 << 17)
        except OSError as e:
            errors.append((e.errno, len(got)))
    assert errors == [(errno.EIO, 123000)], errors
    assert got == want[:123000] + want[124000:]
    os.close(f)
END
status 'dump tells of it' 1 "$MQCTL" dump "$MNT/t/0" > "$DIR/dump"
"$MQCTL" dump "$MNT/t/0" > "$DIR/dump" 2> "$DIR/err" || true
equal 'dump has all but its record' 29990 "$(wc -l < "$DIR/dump")"
match 'dump says where' 'body is damaged|damaged' "$(cat "$DIR/err")"
equal 'damage in status.json' 1 "$(status_now damage.found)"
equal 'damage in metrics.prom' 1 "$(metric mqfs_damaged_total)"
equal 'the administrator is told once' 1 "$(grep -c 'damage at log position' "$DIR/mqfs.log")"
status 'mqctl status' 1 "$MQCTL" -m "$MNT" status
echo more >> "$MNT/t/0"

# --- the scrub
flip "$(segment 2)" 300000
flip "$(segment 3)" 20
flip "$(segment 1).index" 4200
scrub 2
equal 'found by the scrub' 4 "$(status_now scrub.found)"
equal 'the same in metrics.prom' 4 "$(metric mqfs_scrub_found)"
equal 'all damage' 4 "$(status_now damage.found)"
equal 'each is told once' 4 "$(grep -c 'damage at log position' "$DIR/mqfs.log")"
equal 'when it was' "$(status_now scrub.ended | cut -c 1-10)" "$(date -u -d "@$(metric mqfs_scrub_last_pass_seconds)" +%Y-%m-%d)"
equal 'passes in metrics.prom' 2 "$(metric mqfs_scrub_passes_total)"
wait_for 'the index, made again' grep -q 'made the index of segment' "$DIR/mqfs.log"
scrub 3
equal 'what is derived has mended itself' 3 "$(status_now scrub.found)"
equal 'between passes' idle "$(cat "$MNT/.mqfs/scrub")"
call EINVAL write "$MNT/.mqfs/scrub" O_WRONLY then
mqfs_stop

# --- without a scrub
mqfs_start -o scrub_rate=0
equal 'off' off "$(cat "$MNT/.mqfs/scrub")"
refused 'there is none' 'Invalid argument' bash -c 'echo now > "$1/.mqfs/scrub"' - "$MNT"
mqfs_stop
