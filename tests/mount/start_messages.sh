#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Whom mqfs talks to: the caller until the mount is live, then syslog; in the foreground stderr, with the journal's priorities
# where that is the journal; and the service manager.
. "$(dirname "$0")/lib.sh"
need python3

# --- the service manager
cat > "$DIR/notified.py" << 'END'
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
open(sys.argv[2], 'w').close()
with open(sys.argv[3], 'a') as out:
    while True:
        text = s.recv(8192).decode()
        out.write(text + '\n')
        out.flush()
        if 'STOPPING=1' in text:
            break
END
python3 "$DIR/notified.py" "$DIR/notify" "$DIR/notify.ready" "$DIR/notified" &
wait_for 'the service manager' test -e "$DIR/notify.ready"
NOTIFY_SOCKET=$DIR/notify "$MQFS" -f "$STORE" "$MNT" > "$DIR/mqfs.log" 2>&1 &
PID=$!
DAEMONS+=("$PID")
wait_for 'READY' grep -qx READY=1 "$DIR/notified"
[ -e "$MNT/.mqfs/pid" ] || fail 'ready before the mount is live'
match 'which process' "MAINPID=$PID" "$(cat "$DIR/notified")"
mkdir "$MNT/t"
mqfs_stop
wait_for 'STOPPING' grep -qx STOPPING=1 "$DIR/notified"
status=0
NOTIFY_SOCKET=$DIR/nobody "$MQFS" "$STORE" "$MNT" || status=$?
equal 'a manager who is not there is no failure' 0 $status
mqfs_adopt
kill "$PID"
wait_gone "$PID"

# What a running daemon has to say: that a record is damaged, when a reader meets it. Each message is a record; the last is spoilt first,
# as a reader gets no further than the first that is damaged.
cat > "$DIR/spoil" << 'END'
segment=$(find "$1/log" -name '0*' ! -name '*.index' | sort | head -n 1)
at=$(grep -abo "message $2\$" "$segment" | head -n 1 | cut -d : -f 1)
printf 'X' | dd of="$segment" bs=1 seek="$at" conv=notrunc status=none
cat "$3/t/0" > /dev/null 2>&1 && echo 'a damaged record was read'
true
END
meet() { bash "$DIR/spoil" "$STORE" "$1" "$MNT"; }

# --- in the foreground: stderr
mqfs_start
for n in 1 2 3; do
	echo "message $n" >> "$MNT/t/0"
done
equal 'damage is not read' '' "$(meet 3)"
wait_for 'a message on stderr' grep -q '^mqfs: .*damage' "$DIR/mqfs.log"
mqfs_stop

# --- where stderr is the journal
cat > "$DIR/journal.py" << 'END'
import os, sys
out = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.dup2(out, 2)
st = os.fstat(2)
os.environ['JOURNAL_STREAM'] = '%d:%d' % (st.st_dev, st.st_ino)
os.execv(sys.argv[2], sys.argv[2:])
END
python3 "$DIR/journal.py" "$DIR/journal" "$MQFS" -f "$STORE" "$MNT" &
PID=$!
DAEMONS+=("$PID")
wait_for 'the mount' _live "$MNT" "$PID"
: > "$DIR/journal"
meet 2
wait_for 'a message for the journal' grep -qE '^<[2-4]>.*damage' "$DIR/journal"
mqfs_stop

# --- in the background: syslog
if [ "$(id -u)" -eq 0 ]; then
	cat > "$DIR/in-own-dev" << 'END'
set -e
mount --make-rprivate /
mkdir "$1/dev"
mount -t tmpfs -o dev mqfs-test "$1/dev"
cp -a /dev/null /dev/zero /dev/urandom /dev/fuse "$1/dev/"
mount --move "$1/dev" /dev
python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("/dev/log")
open(sys.argv[1], "w").close()
text = b""
while b"damage" not in text:
    text = s.recv(8192)
    open(sys.argv[2], "ab").write(text + b"\n")' "$1/syslog.ready" "$1/syslog" &
while [ ! -e "$1/syslog.ready" ]; do sleep 0.02; done
"$2" "$3" "$4" 2>> "$1/stderr"
mv "$1/stderr" "$1/stderr.start"
bash "$1/spoil" "$3" 1 "$4"
pid=$(cat "$4/.mqfs/pid")
wait
kill "$pid"
while kill -0 "$pid" 2> /dev/null; do sleep 0.02; done
END
	bounded unshare --mount bash "$DIR/in-own-dev" "$DIR" "$MQFS" "$STORE" "$MNT" || fail 'in the background'
	match 'in syslog' 'mqfs\[[0-9]+\]: .*damage' "$(cat "$DIR/syslog")"
	no_match 'not on stderr' "$(sed -n 's/.*\(position [0-9]*\).*/\1/p' "$DIR/syslog" | head -n 1)" "$(cat "$DIR/stderr.start")"
fi

# --- what dies while it starts is no success: here between the first syncs of a new store
"$MQFS" -o sync_delay=10s "$DIR/store2" "$MNT" 2> "$DIR/err" &
caller=$!
child() { pgrep -P $caller; }
wait_for 'the process in the background' child
kill -9 "$(child)"
status=0
wait $caller || status=$?
equal 'exit status of what died' 2 $status
match 'it says so' 'signal 9' "$(cat "$DIR/err")"
equal 'and mounts nothing' '' "$(findmnt -n "$MNT" || true)"
