#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mqfs returns when the mount is live, serves in the background, and leaves nothing mounted however it is stopped.
. "$(dirname "$0")/lib.sh"
need fusermount3 setsid

unmounted() { ! findmnt "$MNT" > /dev/null; }

# live OPTION...: mqfs without -f; what it makes works the moment it returns
live()
{
	local status=0
	bounded "$MQFS" "$@" "$STORE" "$MNT" > "$DIR/out" 2> "$DIR/err" < /dev/null || status=$?
	equal "mqfs $*: exit status" 0 $status
	equal "mqfs $*: nothing on stdout and stderr" '' "$(cat "$DIR/out" "$DIR/err")"
	mqfs_adopt
}

# --- it makes both directories; nothing of the caller is kept
[ ! -e "$STORE" ] && [ ! -e "$MNT" ]
live
mkdir "$MNT/t"
echo 1 >> "$MNT/t/0"
equal 'type, source and options of the mount' "fuse.mqfs $STORE" "$(findmnt -n -o FSTYPE,SOURCE "$MNT" | tr -s ' ')"
for o in nosuid nodev noexec default_permissions; do
	match 'mount options' "(^|,)$o(,|$)" "$(findmnt -n -o OPTIONS "$MNT"),$(findmnt -n -o FS-OPTIONS "$MNT")"
done
equal 'its working directory' / "$(readlink "/proc/$PID/cwd")"
equal 'its standard streams' '/dev/null /dev/null /dev/null' "$(readlink /proc/"$PID"/fd/{0,1,2} | paste -sd ' ')"
equal 'a session of its own' "$PID" "$(ps -o sid= -p "$PID" | tr -d ' ')"

# --- each way to stop it; the store is free for the next start at once
n=1
restarted()
{
	n=$((n + 1))
	live
	echo $n >> "$MNT/t/0"
	equal "messages after $1" "$(seq $n)" "$(cat "$MNT/t/0")"
}
umount "$MNT"
restarted umount
fusermount3 -u "$MNT"
restarted fusermount3
for signal in TERM INT HUP; do
	kill -$signal "$PID"
	wait_gone "$PID"
	unmounted || fail "$signal leaves a mount"
	restarted "$signal"
done
kill -9 "$PID"
restarted 'kill -9'
kill -TERM "$PID"
wait_gone "$PID"

# --- paths as people type them: relative, through links, with a slash at the end and odd letters
cd "$DIR"
ln -s "$DIR" link
STORE='link/a store #1, 100%\n' MNT='./a mount #1, "x"/'
live
rm link
echo x > "$DIR/x"
mkdir "$MNT/t"
echo odd >> "$MNT/t/0"
equal 'the store is where it was named' 1 "$(find "$DIR/a store #1, 100%\\n" -name id | wc -l)"
refused 'again' 'is in use' "$MQFS" "$DIR/a store #1, 100%\\n" "$MNT"
kill -9 "$PID"
STORE="$DIR/a store #1, 100%\\n"
live
equal 'mended under an odd name' odd "$(cat "$MNT/t/0")"
kill "$PID"
wait_gone "$PID"
equal 'nothing is left mounted' '' "$(ls -A "$MNT")"

# --- read-only
STORE=$DIR/store MNT=$DIR/mnt
live -o ro
refused 'mkdir on a read-only mount' 'Read-only' mkdir "$MNT/u"
call EROFS open "$MNT/t/0" O_WRONLY
equal 'reads go on' "$(seq $n)" "$(cat "$MNT/t/0")"
umount "$MNT"
wait_gone "$PID"

# --- options on the command line, in any place
live --commit=close --workers 2 -o commit=fsync,partial=lost
equal 'the command line weighs more' 'close lost' "$(cat "$MNT/t/.config/commit" "$MNT/t/.config/partial" | paste -sd ' ')"
umount "$MNT"

# --- a directory that was made for a mount that failed goes again
wait_gone "$PID"
mkdir "$DIR/other"
echo x > "$DIR/other/file"
refused 'a store that is none' 'not a store' "$MQFS" "$DIR/other" "$DIR/mnt2"
[ ! -e "$DIR/mnt2" ] || fail 'the mountpoint of a refused store stays'

# --- a caller that has closed its standard files
bounded bash -c '"$0" "$1" "$2" <&- >&- 2>&-' "$MQFS" "$STORE" "$MNT" || fail 'with closed standard files'
mqfs_adopt "$MNT"
bounded bash -c 'echo closed >> "$0/t/0"' "$MNT" || fail 'appending with closed standard files'
umount "$MNT"
wait_gone "$PID"
