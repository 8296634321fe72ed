#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Topics: made, listed, configured with more queues, retired, removed, made again; owner and mode, kept in the log.
. "$(dirname "$0")/lib.sh"
mqfs_start
inode() { stat -c %i "$1"; }
mode() { stat -c %a "$1"; }

# --- made: the mode is mkdir's, what is executable is for directories
(umask 027 && mkdir "$MNT/a")
equal 'mode of a topic' 750 "$(mode "$MNT/a")"
equal 'mode of its queue' 640 "$(mode "$MNT/a/0")"
equal 'what follows is only to be read' '440 440' "$(mode "$MNT/a/.follow/0") $(mode "$MNT/a/.retained/0")"
equal 'its dot directories' '750 750 750' "$(stat -c %a "$MNT"/a/.{follow,retained,config} | paste -sd ' ')"
equal 'its configuration' 644 "$(mode "$MNT/a/.config/commit")"
mkdir -m 3777 "$MNT/sticky"
equal 'set-id bits are not kept, the sticky bit is' 1777 "$(mode "$MNT/sticky")"
rm -r "$MNT/sticky" 2> /dev/null && fail 'rm -r removes a topic'
mkdir -p "$MNT/a" || fail 'mkdir -p of what is there'

# --- listed
equal 'names in a topic' '. .. .config .follow .retained any 0' "$(ls -aU "$MNT/a" | paste -sd ' ')"
equal 'the first listing of the root' '. .. .mqfs a sticky' "$(ls -aU "$MNT" | paste -sd ' ')"
equal '.follow and .retained list as empty' '' "$(ls "$MNT/a/.follow" "$MNT/a/.retained" | grep -v : | tr -d '\n')"
echo 1024 > "$MNT/a/.config/queues"
equal 'all queues are listed once' "$(seq 0 1023)" "$(ls "$MNT/a" | grep -v any | sort -n)"
equal 'and have inodes of their own' 1024 "$(ls -i "$MNT/a" | grep -v any | awk '{ print $1 }' | sort -u | wc -l)"
equal 'd_ino is st_ino' "$(inode "$MNT/a/1023")" "$(ls -i "$MNT/a" | awk '$2 == 1023 { print $1 }')"
equal 'a head a queue' 1024 "$(ls "$MNT/a/.config" | grep -c '^head\.')"
equal 'a queue added later has the mode of queue 0' 640 "$(mode "$MNT/a/1023")"

# A listing goes on where it was, whatever came and went meanwhile.
python3 - "$MNT" << 'END' || fail 'a listing while topics come and go'
import ctypes, os, sys
root = sys.argv[1]
for i in range(300):
    os.mkdir(f"{root}/{'long name ' * 6}{i}")
libc = ctypes.CDLL(None, use_errno=True)
libc.opendir.restype = ctypes.c_void_p
class Entry(ctypes.Structure):
    _fields_ = [("ino", ctypes.c_uint64), ("off", ctypes.c_int64), ("reclen", ctypes.c_uint16), ("type", ctypes.c_uint8),
                ("name", ctypes.c_char * 256)]
libc.readdir.restype = ctypes.POINTER(Entry)
libc.readdir.argtypes = libc.closedir.argtypes = [ctypes.c_void_p]
d = libc.opendir(root.encode())
seen = []
while e := libc.readdir(d):
    seen.append(e.contents.name.decode())
    if len(seen) == 50:
        # What was seen goes, so that an index would skip others.
        for name in [n for n in seen if n.startswith("long")]:
            with open(f"{root}/{name}/.config/retired", "w") as f:
                f.write("1")
            os.rmdir(f"{root}/{name}")
libc.closedir(d)
wanted = {f"{'long name ' * 6}{i}" for i in range(300)}
assert wanted <= set(seen), wanted - set(seen)
assert len(seen) == len(set(seen))
END

# --- any
for i in $(seq 40); do readlink "$MNT/a/any"; done | sort -u > "$DIR/any"
[ "$(wc -l < "$DIR/any")" -gt 5 ] || fail 'any is always the same'
echo to any >> "$MNT/a/any"
equal 'appended to any' 1 "$(find "$MNT/a" -maxdepth 1 -type f -size +0 | wc -l)"

# --- retired, removed, made again
mkdir "$MNT/gone"
echo message >> "$MNT/gone/0"
refused 'rmdir of a topic in use' 'not empty' rmdir "$MNT/gone"
echo 1 > "$MNT/gone/.config/retired"
refused 'an append to a retired topic' 'Read-only' bash -c "echo x >> $MNT/gone/0"
echo 0 > "$MNT/gone/.config/retired"
succeeds 'an append when it is back' bash -c "echo x >> $MNT/gone/0"
old=$(inode "$MNT/gone") old_queue=$(inode "$MNT/gone/0")
exec 7< "$MNT/gone/0" 8< "$MNT/gone/.config/queues"
cd "$MNT/gone"
echo 1 > .config/retired
rmdir "$MNT/gone"
equal 'an open handle reads on' 'message x' "$(paste -sd ' ' <&7)"
equal 'also of a control file' 1 "$(cat <&8)"
exec 7<&- 8<&-
equal 'a working directory that is gone is empty' '' "$(ls)"
[ ! -e 0 ] || fail 'a queue is left in a topic that is gone'
cd "$DIR"
call ENOENT stat "$MNT/gone"
call ENOENT rmdir "$MNT/gone"
mkdir "$MNT/gone"
[ "$old" != "$(inode "$MNT/gone")" ] || fail 'a topic has the inode of one that is gone'
[ "$old_queue" != "$(inode "$MNT/gone/0")" ] || fail 'a queue has the inode of one that is gone'
equal 'a topic made again is empty' '' "$(cat "$MNT/gone/0")"

# --- a working directory stays one, whoever looks at its topic meanwhile
cd "$MNT/a"
ls "$MNT/a" > "$DIR/names"
equal 'working directory' "$MNT/a" "$(pwd -P)"
equal 'and what is in it' 640 "$(mode 0)"
cd "$DIR"

# --- stat: what stays, what moves
old=$(inode "$MNT/a/0")
before=$(stat -c %Y.%y "$MNT/a/0")
echo line >> "$MNT/a/0"
equal 'an inode stays' "$old" "$(inode "$MNT/a/0")"
[ "$before" != "$(stat -c %Y.%y "$MNT/a/0")" ] || fail 'mtime does not move with a commit'
equal 'one link each' 1 "$(stat -c %h "$MNT" "$MNT/a" "$MNT/a/0" "$MNT/a/.config" "$MNT/a/any" "$MNT/.mqfs/pid" | sort -u)"
before=$(stat -c '%y %s' "$MNT/a/0")
succeeds 'touch' touch "$MNT/a/0"
equal 'touch changes nothing' "$before" "$(stat -c '%y %s' "$MNT/a/0")"

# --- owner and mode: in the log
if [ "$(id -u)" -eq 0 ]; then
	chown 1234:4321 "$MNT/a/0" "$MNT/a"
	chown 77 "$MNT"
	chmod 751 "$MNT/a"
	chmod 1777 "$MNT"
	chmod u=rw,g=r,o= "$MNT/a/5"
	mqfs_kill
	mqfs_start
	equal 'owners after kill -9' '77:0 1234:4321 1234:4321' "$(stat -c %u:%g "$MNT" "$MNT/a" "$MNT/a/0" | paste -sd ' ')"
	equal 'modes after kill -9' '1777 751 640 640' "$(stat -c %a "$MNT" "$MNT/a" "$MNT/a/0" "$MNT/a/5" | paste -sd ' ')"
	equal 'owner of what belongs to a topic' '1234:4321' \
		"$(stat -c %u:%g "$MNT"/a/.config/commit "$MNT"/a/.follow "$MNT"/a/.follow/0 "$MNT"/a/.retained/0 "$MNT"/a/any | sort -u)"
	equal 'owner of what belongs to the node: who runs it' '0:0' "$(stat -c %u:%g "$MNT"/.mqfs "$MNT"/.mqfs/pid | sort -u)"
	equal 'inodes after kill -9' "$old" "$(inode "$MNT/a/0")"
fi
for p in a/.config a/.config/commit a/.follow a/.follow/0 a/.retained/0 .mqfs .mqfs/pid; do
	refused "chmod of $p" 'not permitted' chmod 700 "$MNT/$p"
	refused "chown of $p" 'not permitted' chown 0 "$MNT/$p"
done
# --- the file system that the store is on
equal 'statfs: length of names' 127 "$(stat -f -c %l "$MNT")"
equal 'statfs: size' "$(df --output=size "$STORE" | tail -n 1)" "$(df --output=size "$MNT" | tail -n 1)"
