#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Options and configuration files that are refused: exit status 1 as of mount(8), a line that names what is wrong, nothing made.
. "$(dirname "$0")/lib.sh"

# refuses REGEX ARGUMENT...
refuses()
{
	local regex=$1 status=0
	shift
	bounded "$MQFS" "$@" > "$DIR/out" 2> "$DIR/err" || status=$?
	equal "mqfs $(_short "$*"): exit status" 1 $status
	match "mqfs $(_short "$*")" "$regex" "$(cat "$DIR/err")"
	equal "mqfs $(_short "$*"): nothing on stdout" '' "$(cat "$DIR/out")"
	if [ -e "$STORE" ] || [ -e "$MNT" ]; then
		fail "mqfs $*: made something"
		rm -rf "$STORE"
		umount -l "$MNT" 2> /dev/null || true
		rmdir "$MNT" || true
	fi
}
# option REGEX OPTION...: each is refused as -o OPTION
option()
{
	local regex=$1 o
	shift
	for o; do
		refuses "$regex" -o "$o" "$STORE" "$MNT"
	done
}

# --- the command line
refuses '[Uu]sage|store'
refuses 'ountpoint|MOUNTPOINT|usage' "$STORE"
refuses 'argument|usage|too many' "$STORE" "$MNT" extra
refuses '-x|invalid|unknown' -x "$STORE" "$MNT"
refuses 'nosuch' --nosuch "$STORE" "$MNT"
refuses 'argument|-o' "$STORE" "$MNT" -o
refuses 'empty|store|STORE' '' "$MNT"
refuses 'empty|ountpoint|MOUNTPOINT' "$STORE" ''

# --- -o: unknown names, bad values; each names the option
option 'nosuch' nosuch nosuch=1 commit=write,nosuch
option 'commit' commit commit= commit=sync commit=WRITE 'commit=write commit=close'
option 'framing' framing=words framing=
option 'partial' partial=maybe
option 'max_message' max_message=0 max_message=-1 max_message=4X max_message=1T max_message=
option 'retention.age' retention.age=5y retention.age=-1h retention.age=
option 'retention.size' retention.size=-1 retention.size=10Q
option 'retention.pinned' retention.pinned=maybe
option 'commit_timeout' commit_timeout=x commit_timeout=-1 commit_timeout=
option 'segment_size' segment_size=0 segment_size=x segment_size=1 segment_size=99999999999999999999
option 'private' private=1
option 'config|nosuch' config= "config=$DIR/nosuch"

# --- the configuration file
config()
{
	printf '%b' "$2" > "$DIR/conf"
	refuses "$1" -o "config=$DIR/conf" "$STORE" "$MNT"
}
config 'nosuch' 'nosuch = 1\n'
config 'commit' 'commit = sometimes\n'
config 'conf|line' 'commit\n'
config 'conf|line' '[mqfs\ncommit = write\n'
config 'max_message' '# a comment\nmax_message = much\n'
config 'conf:?2|line 2|commit' 'partial = newline\ncommit = x\n'
config 'retention.age=7d # week: allowed is' 'retention.age = 7d # week\n'
config 'retention.age=7d;week: allowed is' 'retention.age = 7d;week\n'
mkdir "$DIR/directory"
option 'directory' "config=$DIR/directory"

# --- what is taken: generic mount options, and the order of weight: command line, -o, file, default
printf '# ours\n; yes\ncommit = fsync\nmax_message = 1M ; a comment\npartial = lost\n' > "$DIR/conf"
mqfs_start -o "config=$DIR/conf,commit=close,rw,noatime,_netdev,nofail,x-systemd.automount,auto,user,nosuid,nodev,noexec"
mkdir "$MNT/t"
equal 'from -o' close "$(cat "$MNT/t/.config/commit")"
equal 'from the file' 1M "$(cat "$MNT/t/.config/max_message")"
equal 'from the file' lost "$(cat "$MNT/t/.config/partial")"
equal 'the default' none "$(cat "$MNT/t/.config/retention.age")"
mqfs_stop
succeeds '--help' "$MQFS" --help
succeeds '--version' "$MQFS" --version

# --- mqctl
control() { refused "mqctl $*" "$expect" "$MQCTL" "$@"; }
expect='[Uu]sage' control
expect=nosuch control nosuch
expect='nosuch|invalid|unknown' control status --nosuch
expect="$DIR" control status -m "$DIR"
expect='No such|nosuch' control check "$DIR/nosuch"
expect='conf|not a store|directory' control check "$DIR/conf"
expect='store' control check "$DIR/directory"
expect='No such|nosuch' control dump "$DIR/nosuch"
expect='offset' control dump "$STORE" --offset x
expect='since' control dump "$STORE" --since x
expect='count' control dump "$STORE" --count -1
