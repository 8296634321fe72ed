#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# .config: one value a file; written with one write(2), read as what is in force, inherited again with "default", kept in the log.
. "$(dirname "$0")/lib.sh"
need python3
mqfs_start
mkdir "$MNT/t" "$MNT/u"
c=$MNT/t/.config
value() { cat "$c/$1"; }

# --- what is in force; st_size is the text's
equal 'the settings' 'commit framing head.0 max_message partial queues retention.age retention.pinned retention.size retired' \
	"$(ls "$c" | sort | paste -sd ' ')"
equal 'the values of a new topic' 'write lines 0 4M newline 1 none keep none 0' \
	"$(cd "$c" && cat commit framing head.0 max_message partial queues retention.age retention.pinned retention.size retired | paste -sd ' ')"
for f in "$c"/*; do
	equal "size of $(basename "$f")" "$(wc -c < "$f")" "$(stat -c %s "$f")"
	equal "bytes of $(basename "$f") read" "$(stat -c %s "$f")" "$(cat "$f" | wc -c)"
done

# --- set, and back to what the mount says
while read -r name text canonical; do
	echo "$text" > "$c/$name" || fail "$name does not take $text"
	equal "$name" "$canonical" "$(value $name)"
done << END
commit close close
framing write write
partial lost lost
max_message 1048576 1M
retention.age 90m 90m
retention.age 3600 1h
retention.size 10G 10G
retention.pinned drop drop
END
equal 'another topic has its own' 'write lines newline 4M none none keep' \
	"$(cd "$MNT/u/.config" && cat commit framing partial max_message retention.age retention.size retention.pinned | paste -sd ' ')"
mqfs_kill
mqfs_start
equal 'the values after kill -9' 'close write lost 1M 1h 10G drop' \
	"$(cd "$c" && cat commit framing partial max_message retention.age retention.size retention.pinned | paste -sd ' ')"
for name in commit framing partial max_message retention.age retention.size retention.pinned; do
	echo default > "$c/$name"
	equal "$name inherits" "$(cat "$MNT/u/.config/$name")" "$(value $name)"
done
# Without a newline, with blanks, by a program that appends, or truncates, or writes at some offset.
printf fsync > "$c/commit"
equal 'without a newline' fsync "$(value commit)"
call 10 write "$c/commit" 'O_WRONLY|O_APPEND' ' \tclose \n\n'
equal 'with blanks around it' close "$(value commit)"
call 6 pwrite "$c/commit" O_RDWR 3 'write\n'
equal 'at any offset' write "$(value commit)"
: > "$c/commit"
equal 'no write changes nothing' write "$(value commit)"
call EINVAL write "$c/commit" O_WRONLY 'close\nfsync\n'
equal 'two values in one write' write "$(value commit)"
call EINVAL write "$c/commit" O_WRONLY 'close\x00'
cp "$c/commit" "$c/partial" 2> /dev/null && fail 'a value of another setting'
succeeds 'cp of a value' cp "$c/commit" "$MNT/u/.config/commit"

# --- kept open: as it is at each read from the beginning
python3 - "$c/queues" << 'END'
import os, sys
f = os.open(sys.argv[1], os.O_RDWR)
assert os.pread(f, 100, 0) == b'1\n'
with open(sys.argv[1], 'w') as other:
    other.write('3')
assert os.pread(f, 100, 1) == b'\n', 'what was begun goes on as it was'
assert os.read(f, 100) == b'3\n', 'what another has written'
assert os.write(f, b'4\n') == 2
assert os.pread(f, 100, 0) == b'4\n', 'what it has written itself'
assert os.read(f, 100) == b'', 'the end'
END
equal 'more queues' 4 "$(value queues)"
echo 4 > "$c/queues" || fail 'as many queues as there are'
call EINVAL write "$c/queues" O_WRONLY 3

# --- head.Q
printf 'one\ntwo\nthree\nfour\n' >> "$MNT/t/0"
equal 'head of a new queue' 0 "$(value head.0)"
echo 4 > "$c/head.0"
equal 'head moved to a message' 4 "$(value head.0)"
equal 'what is left' 'two three four' "$(paste -sd ' ' "$MNT/t/.retained/0")"
equal 'and of the live view, below the head' 'two three four' "$(paste -sd ' ' "$MNT/t/0")"
echo 10 > "$c/head.0"
equal 'inside a message: this message stays' 8 "$(value head.0)"
call EINVAL write "$c/head.0" O_WRONLY 4
call EINVAL write "$c/head.0" O_WRONLY 20
call EINVAL write "$c/head.0" O_WRONLY -1
call EINVAL write "$c/head.0" O_WRONLY default
equal 'refused ones change nothing' 8 "$(value head.0)"
echo 8 > "$c/head.0" || fail 'the head where it is'
echo -1h > "$c/head.0" || fail 'a time before all'
equal 'a time before all changes nothing' 8 "$(value head.0)"
now() { python3 -c 'import time; print(time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + ".%09dZ" % (time.time_ns() % 10**9))'; }
now=$(now)
echo five >> "$MNT/t/0"
echo "$now" > "$c/head.0"
equal 'a time' 19 "$(value head.0)"
equal 'what is left' five "$(cat "$MNT/t/.retained/0")"
echo latest > "$c/head.0"
equal 'latest' 24 "$(value head.0)"
equal 'nothing is left' '' "$(cat "$MNT/t/.retained/0")"
equal 'sizes' '24 0 0' "$(stat -c %s "$MNT/t/0") $(stat -c %s "$MNT/t/.retained/0") $(stat -c %b "$MNT/t/0")"
mqfs_kill
mqfs_start
equal 'after kill -9' 24 "$(value head.0)"
echo six >> "$MNT/t/0"
equal 'and appends go on' '24 six' "$(value head.0) $(cat "$MNT/t/0")"

# --- of a topic that was removed while they were open
python3 - "$MNT/t" << 'END'
import errno, os, sys
t = sys.argv[1]
names = sorted(os.listdir(t + "/.config"))
files = {name: os.open(t + "/.config/" + name, os.O_WRONLY) for name in names}
values = {"retired": b"1", "queues": b"4", "commit": b"write", "framing": b"lines", "partial": b"keep"}
with open(t + "/.config/retired", "w") as f:
    f.write("1")
os.rmdir(t)
for name, f in files.items():
    try:
        os.write(f, values.get(name, b"latest" if name.startswith("head.") else b"default"))
        sys.exit("%s could be written" % name)
    except OSError as e:
        assert e.errno == errno.ENOENT, (name, e)
    finally:
        os.close(f)
END
mqfs_stop
