#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Without root; and who else gets in: by default everybody whom the permissions let where root mounts, and nobody where a user does,
# but with user_allow_other in fuse.conf.
. "$(dirname "$0")/lib.sh"
need_tester
mkdir "$DIR/home"
chown "$TESTER" "$DIR/home"

user=(runuser -u "$TESTER" --)
# by COMMAND...: mounts the user's store
by()
{
	bounded "$@" "$DIR/home/store" "$DIR/home/mnt" > "$DIR/out" 2> "$DIR/err" || fail "$* failed: $(cat "$DIR/err")"
	wait_for 'the mount' findmnt "$DIR/home/mnt"
	PID=$("${user[@]}" cat "$DIR/home/mnt/.mqfs/pid")
	DAEMONS+=("$PID")
}

# --- a user's own
by "${user[@]}" "$MQFS"
"${user[@]}" mkdir "$DIR/home/mnt/t"
"${user[@]}" bash -c "echo mine >> '$DIR/home/mnt/t/0'"
equal 'the root is whose store it is' "$TESTER 755" "$("${user[@]}" stat -c '%U %a' "$DIR/home/mnt")"
refused 'others, root included' 'Permission denied' ls "$DIR/home/mnt"
"${user[@]}" kill -9 "$PID"
by "${user[@]}" "$MQFS"
equal 'mended without root' mine "$("${user[@]}" cat "$DIR/home/mnt/t/0")"
"${user[@]}" fusermount3 -u "$DIR/home/mnt"
wait_gone "$PID"
by "${user[@]}" "$MQFS"
"${user[@]}" kill "$PID"
wait_gone "$PID"
equal 'unmounted without root' '' "$(findmnt -n "$DIR/home/mnt" || true)"
refused 'allow_other, which is not allowed' 'allow_other' "${user[@]}" "$MQFS" -o allow_other "$DIR/home/store" "$DIR/home/mnt"

# --- root mounts it in between: all of it stays the user's
mqfs_start_at "$DIR/home/store" "$DIR/home/mnt" -o segment_size=1M
mkdir "$DIR/home/mnt/r"
head -c 1500000 /dev/zero | tr '\0' '\n' >> "$DIR/home/mnt/r/0"
mqfs_stop
equal 'files that are not the user'"'"'s' '' "$(find "$DIR/home/store" ! -user "$TESTER")"
by "${user[@]}" "$MQFS"
equal 'what root wrote' 1500000 "$("${user[@]}" stat -c %s "$DIR/home/mnt/r/0")"
refused 'a remount by who is not root' 'only root' "${user[@]}" "$MQFS" -o remount,ro "$DIR/home/store" "$DIR/home/mnt"
"${user[@]}" kill "$PID"
wait_gone "$PID"
succeeds "the user's mqctl check" "${user[@]}" "$MQCTL" check "$DIR/home/store"

# --- a link that its owner put there leads root nowhere
echo root >> "$DIR/precious"
"${user[@]}" mkdir "$DIR/home/trap"
"${user[@]}" ln -s "$DIR/precious" "$DIR/home/trap/lock"
refused 'a store with a link in it' 'symbolic link' "$MQFS" -f "$DIR/home/trap" "$DIR/home/mnt"
equal 'what it leads to' 'root root' "$(cat "$DIR/precious") $(stat -c %U "$DIR/precious")"

# --- a file that is not the user's is named, and no damage
segment=$(find "$DIR/home/store/log" -name '????????????????' | sort | tail -n 1)
chown root "$segment"
refused 'another user'"'"'s file' "log/$(basename "$segment"): Permission denied" "${user[@]}" "$MQFS" "$DIR/home/store" "$DIR/home/mnt"
status 'check of what may not be read' 2 "${user[@]}" "$MQCTL" check "$DIR/home/store"
chown "$TESTER" "$segment"

# --- a /dev/fuse that is root's alone, as on images without udev, or none: one line that says what helps, and nothing made
cat > "$DIR/device" << 'END'
mount --make-rprivate /
mount -t tmpfs mqfs-test /dev
mknod -m 666 /dev/null c 1 3
[ "$1" = none ] || mknod -m "$1" /dev/fuse c 10 229
shift
exec "$@"
END
# without_device WHAT MODE REGEX COMMAND...
without_device()
{
	local what=$1 mode=$2 regex=$3 status=0
	shift 3
	bounded unshare --mount bash "$DIR/device" "$mode" "$@" "$DIR/home/store3" "$DIR/home/mnt3" 2> "$DIR/err" || status=$?
	equal "$what: exit status" 32 $status
	match "$what" "mnt3: cannot be mounted: /dev/fuse: $regex" "$(cat "$DIR/err")"
	equal "$what: one line" 1 "$(wc -l < "$DIR/err")"
	[ ! -e "$DIR/home/store3" ] && [ ! -e "$DIR/home/mnt3" ] || fail "$what: made something"
}
without_device "root's /dev/fuse" 600 'Permission denied; .*chmod 666 /dev/fuse' "${user[@]}" "$MQFS"
without_device 'no /dev/fuse' none 'No such file or directory; .*--device /dev/fuse' "$MQFS"

# --- with user_allow_other
echo '  user_allow_other # everybody' > "$DIR/fuse.conf"
cat > "$DIR/allowed" << 'END'
set -e
mount --make-rprivate /
mount --bind "$1/fuse.conf" /etc/fuse.conf
runuser -u "$3" -- "$2" "$1/home/store" "$1/home/mnt"
cat "$1/home/mnt/t/0"
pid=$(cat "$1/home/mnt/.mqfs/pid")
runuser -u "$3" -- "$2" -o private "$1/home/store2" "$1/home/mnt2"
ls "$1/home/mnt2" 2>&1 || true
fusermount3 -u "$1/home/mnt2" || umount "$1/home/mnt2"
umount "$1/home/mnt"
while kill -0 "$pid" 2> /dev/null; do sleep 0.02; done
END
if [ -e /etc/fuse.conf ]; then
	bounded unshare --mount bash "$DIR/allowed" "$DIR" "$MQFS" "$TESTER" > "$DIR/out" 2>&1 || fail "with user_allow_other: $(cat "$DIR/out")"
	equal 'root reads it' mine "$(head -n 1 "$DIR/out")"
	match 'but not with -o private' 'Permission denied' "$(cat "$DIR/out")"
fi

# --- root's: permissions decide
mqfs_start
mkdir "$MNT/t"
echo open >> "$MNT/t/0"
equal 'a user reads' open "$("${user[@]}" cat "$MNT/t/0")"
refused 'but may not write' 'Permission denied' "${user[@]}" bash -c "echo no >> '$MNT/t/0'"
chmod 666 "$MNT/t/0"
"${user[@]}" bash -c "echo yes >> '$MNT/t/0'"
equal 'until the mode says so' 'open yes' "$(paste -sd ' ' "$MNT/t/0")"
mqfs_stop
mqfs_start -o private
refused 'not with -o private' 'Permission denied' "${user[@]}" ls "$MNT"
mqfs_stop
