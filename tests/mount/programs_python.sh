#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Python: open('a'), logging, readline, poll, epoll, select and selectors, non-blocking reads, locks, sendfile, mmap.
. "$(dirname "$0")/lib.sh"
need python3
mqfs_start
mkdir "$MNT/t"
sample "$DIR/text"

python() { bounded python3 -c "$1" "${@:2}" || fail "exit status $? of: $1"; }

python '
import sys
with open(sys.argv[1], "rb") as source, open(sys.argv[2], "ab") as q:
    for line in source:
        q.write(line)
' "$DIR/text" "$MNT/t/0"
same 'open("ab"), buffered' "$DIR/text" "$MNT/t/0"

echo 8 > "$MNT/t/.config/queues"
python '
import logging, sys
log = logging.getLogger("shop")
handler = logging.FileHandler(sys.argv[1], encoding="utf-8")
handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
log.addHandler(handler)
for i in range(300):
    log.warning("order %d: Größe ✓", i)
logging.shutdown()
' "$MNT/t/1"
equal 'logging' "$(seq -f 'shop WARNING order %.0f: Größe ✓' 0 299)" "$(cat "$MNT/t/1")"

python '
import os, sys
q = sys.argv[1]
print("by print", file=open(q, "a"))
with open(q, "a", buffering=1) as f:
    f.write("line buffered\n")
    assert "line buffered\n" in open(q).read(), "a whole line is there before close"
    f.write("unfinished")
    assert "unfinished" not in open(q).read(), "an unfinished line is not"
    f.flush(); os.fsync(f.fileno())
    assert open(q).read().endswith("unfinished\n"), "fsync ends it"
with open(q, "w") as f:
    f.write("open(w) truncates nothing\n")
with open(q, "ab", buffering=0) as f:
    assert f.write(b"unbuffered\n") == 11
with open(q, "r+b") as f:
    f.seek(0, os.SEEK_END)
    f.write(b"at the end\n")
fd = os.open(q, os.O_WRONLY | os.O_APPEND | os.O_DSYNC)
assert os.writev(fd, [b"a", b"b", b"c\n", b"d\n"]) == 6
assert os.fstat(fd).st_size == os.stat(q).st_size
os.close(fd)
' "$MNT/t/2"
same 'ways to write' <(printf '%s\n' 'by print' 'line buffered' unfinished 'open(w) truncates nothing' unbuffered 'at the end' abc d) "$MNT/t/2"

# Readers, of a plain copy and of the queue: live, past a head and .retained.
cat > "$DIR/read.py" << 'END'
import mmap, os, shutil, sys
name, plain, base = sys.argv[1], open(sys.argv[2], "rb").read(), int(sys.argv[3])
# base: the queue offset of the first byte that is there
def check(what, got, wanted=plain):
    assert got == wanted, "%s: %d bytes, wanted %d" % (what, len(got), len(wanted))
check("read()", open(name, "rb").read())
check("for line", b"".join(open(name, "rb")))
f = open(name, "rb"); lines = []
while True:
    line = f.readline()
    if not line:
        break
    lines.append(line)
check("readline()", b"".join(lines))
assert f.readline() == b"", "readline() at the end, again"
check("text", open(name, encoding="utf-8", newline="").read().encode())
fd = os.open(name, os.O_RDONLY)
parts = []
while True:
    part = os.read(fd, 777)
    if not part:
        break
    parts.append(part)
check("os.read()", b"".join(parts))
check("os.pread() at an offset", os.pread(fd, 500, base + 1000), plain[1000:1500])
f = open(name, "rb"); f.seek(base + 1000)
check("seek and read", f.read(500), plain[1000:1500])
shutil.copyfile(name, "copied")
check("shutil.copyfile()", open("copied", "rb").read())
fd, out = os.open(name, os.O_RDONLY), os.open("sent", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
try:
    while os.sendfile(out, fd, None, 65536):
        pass
    check("os.sendfile()", open("sent", "rb").read())
except OSError as e:
    assert e.errno == 22 and base, e
# From an offset, where reading by pages would begin below the head: the right bytes, or EINVAL, at which programs go over to read(2).
for send in ("sendfile", "splice"):
    out, into = os.pipe()
    try:
        sent = os.sendfile(into, fd, base + 1000, 500) if send == "sendfile" else os.splice(fd, into, 500, offset_src=base + 1000)
        check(send + " from an offset", os.read(out, 500), plain[1000:1500])
    except OSError as e:
        assert e.errno == 22 and base, e
if base == 0:
    m = mmap.mmap(fd, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
    check("mmap, private", m[:])
    try:
        mmap.mmap(fd, 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
        raise SystemExit("mmap, shared: wanted ENODEV")
    except OSError as e:
        assert e.errno == 19, e
END
cd "$DIR"
succeeds 'reading live' python3 read.py "$MNT/t/0" text 0
succeeds 'reading .retained' python3 read.py "$MNT/t/.retained/0" text 0
cat text >> "$MNT/t/3"
past_head "$MNT/t/3" text
base=$(cat "$MNT/t/.config/head.3")
succeeds 'reading past a head' python3 read.py "$MNT/t/3" text.left "$base"
succeeds 'reading .retained past a head' python3 read.py "$MNT/t/.retained/3" text.left 0

# Waiting for more, in each of the ways; ready.$NAME says that it waits.
cat > "$DIR/wait.py" << 'END'
import os, select, selectors, sys
how, name, ready = sys.argv[1:]
fd = os.open(name, os.O_RDONLY | (os.O_NONBLOCK if how != "read" else 0))
got = b""
if how == "read":
    wait = lambda: None
elif how == "poll":
    p = select.poll(); p.register(fd, select.POLLIN); wait = lambda: p.poll(20000)
elif how == "epoll":
    p = select.epoll(); p.register(fd, select.EPOLLIN); wait = lambda: p.poll(20)
elif how == "edge":
    p = select.epoll(); p.register(fd, select.EPOLLIN | select.EPOLLET); wait = lambda: p.poll(20)
elif how == "select":
    wait = lambda: select.select([fd], [], [], 20)[0]
elif how == "selectors":
    p = selectors.DefaultSelector(); p.register(fd, selectors.EVENT_READ); wait = lambda: p.select(20)
while got.count(b"\n") < 3:
    try:
        part = os.read(fd, 65536)
        assert part, "a follower has no end"
        got += part
    except BlockingIOError:
        open(ready, "a").write("x")
        assert wait(), "nothing within 20 s"
sys.stdout.buffer.write(got)
END
cd "$DIR"
for how in poll epoll edge select selectors; do
	python3 wait.py $how "$MNT/t/.follow/4@latest" ready.$how > out.$how 2> out.log &
done
python3 wait.py read "$MNT/t/.follow/4" ready.read > out.read &
for how in poll epoll edge select selectors; do
	wait_for "$how waits" test -s ready.$how
done
for n in 1 2 3; do
	echo "message $n" >> "$MNT/t/4"
done
wait_jobs
for how in poll epoll edge select selectors read; do
	equal "$how" $'message 1\nmessage 2\nmessage 3' "$(cat out.$how)"
done

# The live view is always ready, as a file is.
python '
import os, select, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_APPEND)
p = select.poll(); p.register(fd, select.POLLIN | select.POLLOUT)
assert p.poll(0)[0][1] & select.POLLOUT, "writable"
' "$MNT/t/4"

# Locks between processes
python '
import fcntl, os, subprocess, sys
f = open(sys.argv[1], "r+")
child = lambda call: subprocess.run([sys.executable, "-c", "import fcntl, sys; f = open(sys.argv[1], \"r+\"); fcntl." + call + "(f, fcntl.LOCK_EX | fcntl.LOCK_NB)", sys.argv[1]], stderr=subprocess.DEVNULL).returncode
for call in "flock", "lockf":
    getattr(fcntl, call)(f, fcntl.LOCK_EX)
    assert child(call) != 0, call + " is shared"
    getattr(fcntl, call)(f, fcntl.LOCK_UN)
    assert child(call) == 0, call + " is not free"
' "$MNT/t/5"
