# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# lib.sh - what every mounted test starts with: a store of its own, a mount of it, and checks.
#
#	#!/bin/bash
#	. "$(dirname "$0")/lib.sh"
#	mqfs_start
#	mkdir "$MNT/t"
#	echo one >> "$MNT/t/0"
#	mqfs_kill; mqfs_start
#	equal 'the line after kill -9' one "$(cat "$MNT/t/0")"
#
# The test is over when the script ends: all that it started or mounted is taken down by then, however it ends. Exit status 0: each
# check held; 1: one did not; 77: skipped, with the reason. A check that does not hold is reported and the script goes on; a
# command that fails outside a check ends it (set -e, pipefail).
#
# Variables  DIR    this test's own directory; gone at the end
#            STORE  DIR/store, not made yet
#            MNT    DIR/mnt, not made yet
#            MQFS, MQCTL   the programs under test: of $MQFS_BUILD, by default build/ of the source tree
#            TOOLS  tests/tools, SOURCE the source tree
#            PID    of the daemon that mqfs_start started last
#            LONG   1 when long runs are asked for (tests/run --long), else 0
# Bounds     a wait that is not over after 20 s fails the test; tests/run ends a test that hangs.

set -Eeuo pipefail
shopt -s inherit_errexit
# The ordinary messages of the C library, whatever the user speaks.
export LC_ALL=C.UTF-8
umask 022

SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
TOOLS=$SOURCE/tests/tools
MQFS_BUILD=${MQFS_BUILD:-$SOURCE/build}
MQFS=$MQFS_BUILD/fs/mqfs
MQCTL=$MQFS_BUILD/fs/mqctl
# shellcheck disable=SC2034
LONG=${MQFS_TEST_LONG:-0}
NAME=$(basename "$0" .sh)
DIR=$(mktemp -d "${TMPDIR:-/tmp}/mqfs-$NAME.XXXXXX")
STORE=$DIR/store
MNT=$DIR/mnt
PID=
export MQFS MQCTL TOOLS SOURCE MQFS_BUILD
DAEMONS=()
CLEANUPS=()

# --- how a test ends

say() { printf '%s\n' "$*" >&2; }

# One check did not hold; the script goes on.
fail()
{
	say "FAILED: $*"
	echo "$*" >> "$DIR/failed"
}

# The test cannot go on.
die()
{
	fail "$@"
	exit 1
}

skip()
{
	say "SKIPPED: $*"
	exit 77
}

# A command to run at the end, the last one given first. Failing is fine.
on_exit() { CLEANUPS+=("$(printf '%q ' "$@")"); }

_gone() { ! kill -0 "$1" 2> /dev/null; }

_cleanup()
{
	local status=$? i mounted pid
	trap - EXIT ERR
	set +e
	if grep -qsE 'Sanitizer|runtime error:' "$DIR"/*.log; then
		fail 'a sanitizer has found something'
	fi
	if [ -e "$DIR/failed" ] && [ $status -ne 1 ]; then
		[ $status -eq 0 ] || say "the script ended with status $status"
		status=1
	fi
	for ((i = ${#CLEANUPS[@]} - 1; i >= 0; i--)); do
		eval "${CLEANUPS[i]}" > /dev/null 2>&1
	done
	# What reads or writes in the background ends with its mount, so daemons go first.
	for pid in "${DAEMONS[@]}"; do
		kill -9 "$pid" 2> /dev/null && wait "$pid" 2> /dev/null
	done
	for pid in $(jobs -p); do
		kill -9 "$pid" 2> /dev/null && wait "$pid" 2> /dev/null
	done
	mounted=$(awk -v dir="$DIR/" 'index($5, dir) == 1 { print $5 }' /proc/self/mountinfo | tac)
	for i in $mounted; do
		umount "$i" 2> /dev/null || fusermount3 -uz "$i" 2> /dev/null || umount -l "$i"
	done
	if [ $status -ne 0 ] && [ $status -ne 77 ]; then
		for i in "$DIR"/*.log; do
			[ -s "$i" ] && { say "--- the end of $(basename "$i")"; tail -n 40 "$i" >&2; }
		done
	fi
	if [ "${MQFS_TEST_KEEP:-0}" = 1 ]; then
		say "kept: $DIR"
	else
		rm -rf --one-file-system "$DIR"
	fi
	exit $status
}

_error()
{
	local status=$?
	[ "$BASHPID" = $$ ] || exit $status
	say "FAILED: line $2: status $status: $1"
	exit 1
}
trap _cleanup EXIT
trap '_error "$BASH_COMMAND" "$LINENO"' ERR
trap 'exit 1' INT TERM HUP

# --- what a test needs

# The programs named, or the test is skipped.
need()
{
	local p
	for p; do
		command -v "$p" > /dev/null || skip "there is no $p"
	done
}

need_root() { [ "$(id -u)" -eq 0 ] || skip 'needs root'; }

# No mqfs is mounted but what the test mounts: the script begins again, in a mount namespace of its own.
need_own_mounts()
{
	local i
	need_root
	if [ -z "${MQFS_TEST_OWN_MOUNTS:-}" ]; then
		unshare --mount true 2> /dev/null || skip 'cannot make a mount namespace'
		rm -rf "$DIR"
		MQFS_TEST_OWN_MOUNTS=1 exec unshare --mount bash "$0"
	fi
	for i in $(awk '/ - fuse\.mqfs / { print $5 }' /proc/self/mountinfo | tac); do
		umount -l "$i"
	done
}

# A user that is not root, as the variable TESTER; DIR is open to it. `runuser -u "$TESTER" -- COMMAND` runs as it.
need_tester()
{
	need_root
	need runuser fusermount3
	TESTER=mqfs-tester
	id "$TESTER" > /dev/null 2>&1 || useradd --system --shell /bin/sh --no-create-home "$TESTER" ||
		id "$TESTER" > /dev/null 2>&1 || skip "cannot make the user $TESTER"
	chmod 755 "$DIR"
	# The tree may be where only its owner may go.
	runuser -u "$TESTER" -- test -x "$MQFS" || {
		cp "$MQFS" "$MQCTL" "$DIR/"
		MQFS=$DIR/mqfs MQCTL=$DIR/mqctl
	}
	# Without udev /dev/fuse may be root's alone; elsewhere it is everybody's.
	runuser -u "$TESTER" -- test -w /dev/fuse || {
		mknod -m 666 "$DIR/fuse" c 10 229
		mount --bind "$DIR/fuse" /dev/fuse || skip 'a user who is not root cannot open /dev/fuse'
		on_exit umount /dev/fuse
	}
}

# --- waiting: never for a time, always for a thing

# wait_for [-t SECONDS] WHAT COMMAND...: until COMMAND succeeds, which must be harmless to repeat.
wait_for()
{
	local bound=20 what end
	[ "$1" != -t ] || { bound=$2; shift 2; }
	what=$1
	shift
	end=$((SECONDS + bound))
	until "$@" > /dev/null 2>&1; do
		[ $SECONDS -lt $end ] || { fail "not within $bound s: $what"; return 1; }
		sleep 0.01
	done
}

# A command with a bound: exit status 124 when it takes longer than 20 s.
bounded() { timeout -k 1 20 "$@"; }

# PID stands still: kill(2) with SIGSTOP returns before all its threads do.
halt() { kill -STOP "$1" && wait_for "process $1 to stand still" _halted "$1"; }
_halted() { ! grep -hoE '\) [A-Za-z] ' /proc/"$1"/task/*/stat | grep -qv '^) T '; }

# The process PID is gone.
wait_gone() { wait_for "the end of process $1" _gone "$1"; }

# All background jobs but the daemons, for which a plain wait would wait too.
wait_jobs()
{
	local pid
	for pid in $(jobs -p); do
		[[ " ${DAEMONS[*]} " = *" $pid "* ]] || wait "$pid" || fail "a background job ended with status $?"
	done
}

# FILE has at least COUNT lines.
wait_lines() { wait_for "$2 lines in $1" _has_lines "$1" "$2"; }
_has_lines() { [ "$(wc -l < "$1")" -ge "$2" ]; }

# --- the daemon

# mqfs_start [OPTION...]: mounts STORE on MNT in the foreground of a background job; returns when it is live. Messages go to DIR/mqfs.log.
# mqfs_start_at STORE MNT [OPTION...]: the same of another store.
mqfs_start() { mqfs_start_at "$STORE" "$MNT" "$@"; }

mqfs_start_at()
{
	local store=$1 mnt=$2
	shift 2
	"$MQFS" -f "$@" "$store" "$mnt" >> "$DIR/mqfs.log" 2>&1 < /dev/null &
	PID=$!
	DAEMONS+=("$PID")
	wait_for "the mount of $mnt" _live_or_dead "$mnt" "$PID" || die "mqfs $* $store $mnt is not live"
	_live "$mnt" "$PID" || die "mqfs $* $store $mnt ended at once"
}

_live() { [ "$(cat "$1/.mqfs/pid" 2> /dev/null)" = "$2" ]; }
_live_or_dead() { _live "$1" "$2" || _gone "$2"; }

# mqfs_stop [PID]: SIGTERM; the daemon must end by itself, with status 0, and leave no mount.
mqfs_stop()
{
	local pid=${1:-$PID} status=0
	kill -TERM "$pid"
	wait_gone "$pid" || die "mqfs does not end on SIGTERM"
	wait "$pid" || status=$?
	_forget "$pid"
	equal 'exit status of a stopped mqfs' 0 $status
}

# mqfs_kill [PID]: kill -9. The dead mount stays, for the next start to mend.
mqfs_kill()
{
	local pid=${1:-$PID}
	kill -9 "$pid"
	wait "$pid" 2> /dev/null || true
	_forget "$pid"
}

_forget()
{
	local p left=()
	for p in "${DAEMONS[@]}"; do
		[ "$p" = "$1" ] || left+=("$p")
	done
	DAEMONS=(${left[@]+"${left[@]}"})
}

# A daemon that went into the background by itself (mqfs without -f): ended with the test.
mqfs_adopt()
{
	PID=$(cat "${1:-$MNT}/.mqfs/pid")
	DAEMONS+=("$PID")
}

# --- checks

# equal WHAT WANTED GOT
equal()
{
	[ "$2" = "$3" ] || fail "$1: wanted $(_short "$2"), got $(_short "$3")"
}

_short()
{
	local t
	printf -v t '%q' "$1"
	[ ${#t} -le 400 ] && echo "$t" || echo "${t:0:200}...${t: -150} (${#1} bytes)"
}

# same WHAT WANTED-FILE GOT-FILE: the same bytes. GOT may be a pipe: same 'what' want <(command)
same()
{
	local difference
	difference=$(cmp -- "$2" "$3" 2>&1) || fail "$1: ${difference:-differs}"
}

# match WHAT REGEX TEXT: an extended regular expression somewhere in TEXT
match()
{
	[[ $3 =~ $2 ]] || fail "$1: wanted something like '$2', got $(_short "$3")"
}

# no_match WHAT REGEX TEXT
no_match()
{
	[[ ! $3 =~ $2 ]] || fail "$1: wanted nothing like '$2', got $(_short "$3")"
}

# succeeds WHAT COMMAND...: exit status 0, within 20 s when COMMAND is a program
succeeds() { status "$1" 0 "${@:2}"; }

# status WHAT WANTED COMMAND...: the exit status; what it printed is shown only when that is another
status()
{
	local what=$1 wanted=$2 got=0 out
	shift 2
	out=$(_run "$@" 2>&1) || got=$?
	[ "$got" = "$wanted" ] || fail "$what: wanted exit status $wanted, got $got from: $* $(_short "$out")"
}

# refused WHAT REGEX COMMAND...: any exit status but 0, and REGEX in what it printed
refused()
{
	local what=$1 regex=$2 got=0 out
	shift 2
	out=$(_run "$@" 2>&1) || got=$?
	if [ $got -eq 0 ]; then
		fail "$what: wanted a refusal, but it succeeded: $*"
	elif [ $got -eq 124 ]; then
		fail "$what: hangs: $*"
	elif [[ ! $out =~ $regex ]]; then
		fail "$what: wanted a refusal with '$regex', got status $got and $(_short "$out")"
	fi
}

_run()
{
	if [ "$(type -t "$1")" = file ]; then
		bounded "$@"
	else
		"$@"
	fi
}

# call WANTED OPERATION ARGUMENT...: one system call (tests/tools/call.py); WANTED is "ok", what it prints, or the errno's name;
# several names as "EPERM|EACCES"
call()
{
	local wanted=$1 got
	shift
	[ -e "$DIR/calls" ] || _serve_calls
	printf '%s\0' $# "$PWD" "$@" > "$DIR/calls"
	read -r -t 20 got <&$_answers || got='nothing for 20 s'
	[[ "|$wanted|" = *"|$got|"* ]] || fail "$(_short "$*"): wanted $wanted, got $(_short "$got")"
}

# One Python for all of a test's calls: starting one takes longer than most calls.
_serve_calls()
{
	mkfifo "$DIR/calls" "$DIR/answers"
	exec {_answers}<> "$DIR/answers"
	python3 "$TOOLS/call.py" < "$DIR/calls" > "$DIR/answers" 2> "$DIR/call.log" &
	# It reads on for as long as anybody could write.
	exec {_calls}> "$DIR/calls"
}

# --- small things

# All that a mount shows of topics, as text: to see that nothing changed. snapshot [MOUNTPOINT]
snapshot()
{
	local mnt=${1:-$MNT}
	find "$mnt" -name .mqfs -prune -o -type l -printf '%P %y\n' -o -type d -printf '%P %y %m %u %g\n' -o -printf '%P %y %s %m %u %g\n' | sort
	find "$mnt" -name .mqfs -prune -o -type f -exec sha256sum '{}' + | sort
}

# unchanged WHAT: the mount shows what it did at the last snapshot > DIR/snapshot
unchanged()
{
	same "nothing changed: $1" "$DIR/snapshot" <(snapshot)
}

# The value behind KEY in DIR's status.json: json FILE KEY.KEY...
json()
{
	python3 -c 'import json, sys
v = json.load(open(sys.argv[1]))
for k in sys.argv[2].split("."):
    v = v[int(k)] if isinstance(v, list) else v[k]
print(v if isinstance(v, (str, int, float)) and not isinstance(v, bool) else json.dumps(v))' "$1" "$2"
}

# Numbered lines FROM..TO, each "PREFIX NUMBER".
lines() { seq -f "$1 %.0f" "$2" "$3"; }

# flip FILE BYTE: another bit there
flip()
{
	python3 -c 'import os, sys
f, at = os.open(sys.argv[1], os.O_RDWR), int(sys.argv[2])
os.pwrite(f, bytes([os.pread(f, 1, at)[0] ^ 0x20]), at)' "$1" "$2"
}

# small_disk DIRECTORY SIZE: a tmpfs of that size, for a full disk; gone at the end
small_disk()
{
	need_root
	mkdir -p "$1"
	mount -t tmpfs -o "size=$2,mode=0755" mqfs-test "$1" || skip 'cannot mount a tmpfs'
}

# sample FILE [LINES]: text as people have it: UTF-8, tabs, quotes, empty lines, a carriage return, one long line; nothing a shell's
# read would change. LINES is 2000 by default; the first line names the file, so that samples differ.
sample()
{
	python3 - "$1" "${2:-2000}" << 'END'
import sys
name, count = sys.argv[1], int(sys.argv[2])
kinds = ['{"order":%d,"note":"paid"}', 'line %d\twith a tab', 'Größe %d → ✓ 漢字', '"quoted" \'%d\' $HOME `x` \\n', '%d\r', '  leading and trailing %d  ', '']
with open(name, 'w', newline='') as f:
    f.write('the sample ' + name + '\n')
    for i in range(count - 1):
        kind = kinds[i % len(kinds)]
        f.write((kind % i if '%d' in kind else kind) + '\n')
        if i == count * 3 // 4:
            f.write('long ' + 'abcdefghij' * 1000 + '\n')
END
}

# past_head QUEUE PLAIN: raises the head of the queue, whose bytes PLAIN has, to the last line that begins in its first half; what
# is left of PLAIN goes to PLAIN.left.
past_head()
{
	local at
	at=$(python3 -c 'import sys
b = open(sys.argv[1], "rb").read()
at = b.rindex(b"\n", 0, len(b) // 2) + 1
open(sys.argv[1] + ".left", "wb").write(b[at:])
print(at)' "$2")
	echo "$at" > "$(dirname "$1")/.config/head.$(basename "$1")"
}
