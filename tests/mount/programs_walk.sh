#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What walks the whole mount comes to an end, reads the right bytes and changes nothing: grep -r, find, du, df, stat, ls -R, tar.
. "$(dirname "$0")/lib.sh"
need setfattr lsof
mqfs_start

mkdir "$MNT/orders" "$MNT/päckchen" "$MNT/with space"
echo 3 > "$MNT/orders/.config/queues"
sample "$DIR/text"
cat "$DIR/text" >> "$MNT/orders/0"
echo 'needle in orders' >> "$MNT/orders/2"
echo 'needle in a package' >> "$MNT/päckchen/0"
echo 'needle with space' >> "$MNT/with space/0"
size() { stat -c %s "$MNT/$1"; }

status='' before=$(cat "$MNT"/*/[0-9]* | sha256sum)
grep -r needle "$MNT" > "$DIR/found" || status=$?
equal 'exit status of grep -r' '' "$status"
equal 'grep -r finds each message once' "$MNT/orders/2:needle in orders
$MNT/päckchen/0:needle in a package
$MNT/with space/0:needle with space" "$(grep -v "^$MNT/[^/]*/any:" "$DIR/found" | sort)"
status=0
grep -rq 'no such thing at all' "$MNT" || status=$?
equal 'exit status of grep -r without a match' 1 $status
# -R follows `any` as well.
succeeds 'grep -R' grep -Rq needle "$MNT"

equal 'find shows topics, queues and their any' "$MNT/orders/0
$MNT/orders/1
$MNT/orders/2
$MNT/päckchen/0
$MNT/with space/0" "$(find "$MNT" -name '.*' -prune -o -type f -print | sort)"
equal 'find -size' "$MNT/orders/0" "$(find "$MNT" -name '.*' -prune -o -type f -size +40k -print)"
equal 'find -newer' 0 "$(find "$MNT/päckchen/0" -newer "$MNT/with space/0" | wc -l)"
succeeds 'find of everything' find "$MNT" -ls
succeeds 'ls -lR' ls -laR "$MNT"
equal 'ls -1 of a topic' "0 1 2 any" "$(ls "$MNT/orders" | paste -sd ' ')"
equal 'size by ls' "$(wc -c < "$DIR/text")" "$(ls -l "$MNT/orders/0" | awk '{ print $5 }')"
equal 'size by stat' "$(wc -c < "$DIR/text")" "$(size orders/0)"
equal 'size by du' "$(wc -c < "$DIR/text")" "$(du --apparent-size -B1 "$MNT/orders/0" | cut -f 1)"
succeeds 'du' du -s "$MNT"
match 'df' "$MNT\$" "$(df "$MNT" | tail -n 1)"
match 'df -T' 'fuse.mqfs' "$(df -T "$MNT" | tail -n 1)"
match 'findmnt' 'fuse.mqfs' "$(findmnt -n -o FSTYPE "$MNT")"
succeeds 'df -i' df -i "$MNT"
equal 'kind by stat' 'regular file 1' "$(stat -c '%F %h' "$MNT/orders/0")"
equal 'kind by stat' 'symbolic link' "$(stat -c '%F' "$MNT/orders/any")"
equal 'kind by stat' 'directory' "$(stat -c '%F' "$MNT/orders")"
succeeds 'lsof of the mount' bash -c "lsof $MNT/orders/0 || [ \$? -eq 1 ]"
succeeds 'getfattr' bash -c "getfattr -d $MNT/orders/0 || true"
succeeds 'tar of everything' bash -c "tar -C $MNT -cf - orders päckchen | tar -xf - -C $DIR"
same 'tar of everything' "$DIR/text" "$DIR/orders/0"

equal 'nothing changed' "$before" "$(cat "$MNT"/*/[0-9]* | sha256sum)"

# flock(1): by queue, also between handles; released with the process.
exec 8< "$MNT/orders/0"
flock -n 8 || fail 'flock -n'
status 'flock while another handle has it' 1 flock -n "$MNT/orders/0" true
succeeds 'flock of another queue' flock -n "$MNT/orders/1" true
succeeds 'flock of it by the handle' flock -n 8
exec 8<&-
succeeds 'flock after it was released' flock -n "$MNT/orders/0" true
flock "$MNT/orders/1" bash -c "touch $DIR/locked; until [ -e $DIR/enough ]; do sleep 0.01; done; echo first" >> "$MNT/orders/1" &
holder=$!
wait_for 'the lock' test -e "$DIR/locked"
flock "$MNT/orders/1" echo second >> "$MNT/orders/1" &
waiter=$!
touch "$DIR/enough"
wait $holder $waiter
equal 'who waited for the lock came second' $'first\nsecond' "$(cat "$MNT/orders/1")"

# Past a head: the walk goes on, and sees what is left.
past_head "$MNT/orders/0" "$DIR/text"
last=$(tail -n 1 "$DIR/text.left")
first=$(head -n 1 "$DIR/text")
equal 'grep -r past a head' "$MNT/orders/0" "$(grep -rlxF --exclude=any "$last" "$MNT" | sort -u)"
status 'grep -r of what is gone' 1 grep -rqxF "$first" "$MNT/orders"
equal 'stat past a head keeps the size' "$(wc -c < "$DIR/text")" "$(size orders/0)"
equal 'stat of .retained' "$(wc -c < "$DIR/text.left")" "$(size orders/.retained/0)"
[ "$(du -B1 "$MNT/orders/0" | cut -f 1)" -lt "$(wc -c < "$DIR/text")" ] || fail 'du past a head shows what is retained'
