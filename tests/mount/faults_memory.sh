#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mqfs gets no memory, now and then or not at all: a request is answered ENOMEM and nothing comes of it. mqfs lives, goes on when there is some
# again, and what was acknowledged is there, then and after kill -9; so is what was read, and what was refused is not.
. "$(dirname "$0")/lib.sh"
MQFS=$MQFS_BUILD/tests/mqfs_no_memory
export MQFS_NO_MEMORY=$DIR/every

# every N: each Nth allocation fails, 0: none
every()
{
	local n
	printf -v n '\\x%02x\\x00\\x00\\x00' "$1"
	printf '%b' "$n" 1<> "$MQFS_NO_MEMORY"
}

# Appends through a new handle each, and through one that is open.
append() { echo "$1 20" | python3 "$TOOLS/append.py" "$MNT/t/0" "$DIR" 9 > "$DIR/answered"; }

# All the rest that programs ask for; whether they get it or not.
use()
{
	mkdir "$MNT/new.$1" && echo "new.$1" >> "$DIR/made"
	echo 3 > "$MNT/t/.config/queues"
	cat "$MNT/t/.config/queues" "$MNT/t/.config/retention.age"
	ls -lR "$MNT"
	stat "$MNT/t/1" "$MNT/t/any"
	bounded head -n 1 "$MNT/t/.follow/0"
	bounded head -n 1 "$MNT/t/.follow/all"
	cat "$MNT/t/.retained/0" "$MNT/.mqfs/status.json" "$MNT/.mqfs/metrics.prom"
	flock -n "$MNT/t/0" true
	bounded timeout 0.1 tail -n 0 -f "$MNT/t/0"
	mkdir "$MNT/gone.$1" && echo 1 > "$MNT/gone.$1/.config/retired" && rmdir "$MNT/gone.$1"
	# What is read, is right.
	if cat "$MNT/t/0" > "$DIR/read"; then
		cmp -n "$(stat -c %s "$DIR/read")" "$DIR/read" "$DIR/before" && return
		fail "with every allocation of $1 failing: wrong bytes"
	fi
}

must_be_there()
{
	local name
	sort "$DIR/acked" > "$DIR/acked.sorted"
	sort "$DIR/refused" > "$DIR/refused.sorted"
	cat "$MNT/t/0" > "$DIR/now"
	sort "$DIR/now" > "$DIR/there"
	equal "$1: acknowledged and gone" '' "$(comm -23 "$DIR/acked.sorted" "$DIR/there")"
	equal "$1: refused and there" '' "$(comm -12 "$DIR/refused.sorted" "$DIR/there")"
	equal "$1: there twice" '' "$(uniq -d "$DIR/there")"
	same "$1: what was read" "$DIR/before" <(head -c "$(stat -c %s "$DIR/before")" "$DIR/now")
	while read -r name; do
		[ -d "$MNT/$name" ] || fail "$1: topic $name is gone"
	done < "$DIR/made"
}

truncate -s 4 "$MQFS_NO_MEMORY"
mqfs_start
mkdir "$MNT/t"
echo first | tee -a "$MNT/t/0" > "$DIR/acked"
touch "$DIR/made" "$DIR/refused"
exec 9>> "$MNT/t/0"
for n in 2 3 4 5 7 11 13 17 19 23 29 31 37 41 1; do
	every $n
	append "with.$n"
	every 0
	cat "$MNT/t/0" > "$DIR/before"
	every $n
	use $n > /dev/null 2>&1 || true
	every 0
	kill -0 "$PID" || die "with every allocation of $n failing: mqfs is gone"
	must_be_there "after every $n"
	# A command that is in the log and that there is no memory to apply ends what can be written: the next start applies it.
	case $(json "$MNT/.mqfs/status.json" health.state) in
	fine) continue ;;
	read-only) ;;
	*) fail "after every $n: $(cat "$MNT/.mqfs/status.json")" ;;
	esac
	exec 9>&-
	mqfs_stop
	mqfs_start
	exec 9>> "$MNT/t/0"
done
every 1
call ENOMEM mkdir "$MNT/none"
call ENOMEM open "$MNT/t/0" O_WRONLY
every 0
[ ! -e "$MNT/none" ] || fail 'a topic that was refused is there'
append 'again'
exec 9>&-
equal 'appends after it' 40 "$(grep -c again "$DIR/acked")"
[ -s "$DIR/refused" ] || fail 'nothing was refused'
cat "$MNT/t/0" > "$DIR/before"
mqfs_kill
mqfs_start
must_be_there 'the next start'
mqfs_stop
