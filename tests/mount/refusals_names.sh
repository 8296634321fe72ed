#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Names that are refused, and with what; names that are taken. Nothing changes by a refusal.
. "$(dirname "$0")/lib.sh"
mqfs_start
mkdir "$MNT/t"
echo 2 > "$MNT/t/.config/queues"
echo message >> "$MNT/t/0"
bytes() { printf "$1%.0s" $(seq "$2"); }
snapshot > "$DIR/snapshot"

# --- mkdir in the root: wanted, name
while IFS='|' read -r wanted name; do
	[ -n "$wanted" ] || continue
	printf -v name '%b.' "$name"
	call "$wanted" mkdir "$MNT/${name%.}"
done << END
EEXIST|
EEXIST|.
EEXIST|..
EEXIST|t
EINVAL|.hidden
EINVAL|...
EEXIST|.mqfs
EINVAL|.tx
EINVAL|line\nbreak
EINVAL|tab\ttab
EINVAL|\x01
EINVAL|bell\x07
EINVAL|\x1b[31mred
EINVAL|delete\x7f
EINVAL|\xff
EINVAL|broken \xc3
EINVAL|\xc3(
EINVAL|overlong \xc0\xaf
EINVAL|overlong \xe0\x80\xaf
EINVAL|surrogate \xed\xa0\x80
EINVAL|too high \xf4\x90\x80\x80
ENAMETOOLONG|$(bytes a 128)
ENAMETOOLONG|$(bytes ä 64)
ENAMETOOLONG|$(bytes a 255)
ENAMETOOLONG|$(bytes a 1000)
ENAMETOOLONG|$(bytes a 2000)
END
unchanged 'refused names of topics'

# --- lookup in the root
for name in .hidden nosuch $'\x01' $'\xff' "$(bytes a 128)" "$(bytes a 255)" .tx .Trash .git .DS_Store; do
	call ENOENT stat "$MNT/$name"
done
call ENOTDIR stat "$MNT/t/0/x"

# --- lookup in a topic
for name in 2 00 01 +1 -1 ' 1' '1 ' 1x 0x1 99999999999 18446744073709551616 1024 any2 .nosuch .groups .with .where .pending 0.jsonl \
	4913 0~ .0.swp; do
	call ENOENT stat "$MNT/t/$name"
done
for name in 2 x all2 0@ 0@x 0@18446744073709551616 0@2026-13-01T00:00:00Z 0@2026-11-23 0@-10y 0@latest2 1@1@1 00 any; do
	call ENOENT stat "$MNT/t/.follow/$name"
done
for name in 2 x 0@0 all any; do
	call ENOENT stat "$MNT/t/.retained/$name"
done
for name in nosuch head head. head.2 head.x queues2 0; do
	call ENOENT stat "$MNT/t/.config/$name"
done
call ENOENT stat "$MNT/.mqfs/nosuch"

# --- creating files, directories and whatever else
for place in "$MNT" "$MNT/t" "$MNT/t/.config" "$MNT/t/.follow" "$MNT/t/.retained" "$MNT/.mqfs"; do
	call EPERM create "$place/new"
	call EPERM create_new "$place/new"
	[ "$place" = "$MNT" ] || call EPERM mkdir "$place/new"
	call EPERM symlink target "$place/new"
	call EPERM link "$MNT/t/0" "$place/new"
	for kind in file fifo socket char block; do
		call EPERM mknod "$place/new" $kind
	done
	call 'EPERM|EOPNOTSUPP|ENOTSUP' tmpfile "$place"
done
for name in 2 7 -1 4913 .0.swp 0~ '#0#' 0.tmp .nosuch; do
	call EPERM create "$MNT/t/$name"
	call EPERM create_new "$MNT/t/$name"
done
call EEXIST create_new "$MNT/t/0"
(cd "$MNT/t" && call EPERM bind socket)
unchanged 'what may not be made'

# --- names that are taken
for name in a A Größe 'with space' -n a.b '~' '*' '$HOME' any all 0 4913 '"' "it's" 漢字 $'\u00a0' "$(bytes a 127)" "$(bytes ä 63)" "$(bytes 漢 42)"; do
	call ok mkdir "$MNT/$name"
	echo "in $name" >> "$MNT/$name/0" || fail "cannot write into $name"
	equal "what was written into $name" "in $name" "$(cat "$MNT/$name/0")"
done
equal 'topics are listed by their names' 1 "$(ls "$MNT" | grep -cx '漢字')"
