#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The man pages, --help, the options and what a mount shows name the same things, in both directions.
. "$(dirname "$0")/lib.sh"
need mandoc python3
man=$SOURCE/man

# agree WHAT: the two lists say the same
agree()
{
	sort -u "$DIR/one" > "$DIR/one.sorted"
	sort -u "$DIR/other" > "$DIR/other.sorted"
	[ -s "$DIR/one.sorted" ] || fail "$1: nothing found to compare"
	diff "$DIR/one.sorted" "$DIR/other.sorted" > "$DIR/difference" || fail "$1 (< first, > second): $(cat "$DIR/difference")"
}
# section PAGE HEADING: the page's lines from a .Sh or .Ss to the next of either
section() { awk -v want="$2" '/^\.S[hs] / { on = substr($0, 5) == want; next } on' "$man/$1"; }
# flags: the letters and long names in .It Fl lines, one a line
flags() { awk '/^\.It Fl/ { for (i = 2; i < NF; i++) if ($i == "Fl") print "-" $(i + 1) }' | sed 's/,$//'; }
# help_flags: the same of a --help
help_flags() { grep -E '^ +-' | grep -oE '(^| )--?[a-zA-Z][a-z-]*' | tr -d ' '; }

# --- lint. A page's references to the others are not found before they are installed.
for page in "$man"/*.[1-9]; do
	mandoc -T lint "$page" 2> /dev/null | grep -v 'referenced manual not found' > "$DIR/lint" || true
	equal "lint of $(basename "$page")" '' "$(cat "$DIR/lint")"
	for section in NAME DESCRIPTION EXAMPLES 'SEE ALSO'; do
		grep -q "^\.Sh $section" "$page" || fail "$(basename "$page") has no section $section"
	done
done

# --- mqctl: its verbs, and the options of each
"$MQCTL" --help > "$DIR/help"
grep -oE '^  [a-z-]+ ' "$DIR/help" | tr -d ' ' > "$DIR/one"
awk '/^\.Sh DESCRIPTION/ { on = 1; next } /^\.Sh/ { on = 0 } on && /^\.Ss/ { print $2 }' "$man/mqctl.1" > "$DIR/other"
agree 'verbs of mqctl --help and mqctl(1)'
verbs=$(cat "$DIR/one")
help_flags < "$DIR/help" > "$DIR/common"
section mqctl.1 DESCRIPTION | flags > "$DIR/other"
cp "$DIR/common" "$DIR/one"
agree 'options of mqctl --help and mqctl(1)'
for verb in $verbs; do
	"$MQCTL" "$verb" --help > "$DIR/help"
	help_flags < "$DIR/help" | { grep -vxF -f "$DIR/common" || true; } > "$DIR/one"
	section mqctl.1 "$verb" | flags > "$DIR/other"
	[ -s "$DIR/one" ] || [ -s "$DIR/other" ] || continue
	agree "options of mqctl $verb --help and mqctl(1)"
done

# --- mqfs: the options of the command line, and those of -o with their defaults
"$MQFS" --help > "$DIR/help"
{ help_flags < "$DIR/help"; grep -oE -m 1 '\[-o ' "$DIR/help" | tr -d '[ '; } > "$DIR/one"
section mqfs.1 OPTIONS | flags > "$DIR/other"
agree 'options of mqfs --help and mqfs(1)'
grep -oE '^ +[a-z_.]+\[?=' "$DIR/help" | tr -d ' [=' > "$DIR/one"
section mqfs.1 'Mount options' | awk '/^\.It Cm/ { print $3 }' > "$DIR/other"
agree 'mount options of mqfs --help and mqfs(1)'
# page_defaults PAGE SECTION: "name value" of each entry that says "by default"
page_defaults()
{
	section "$1" "$2" | awk '/^\.It Cm/ { name = $3 } tolower($0) ~ /by default$/ { getline; print name, $2 }'
}
page_defaults mqfs.1 'Mount options' > "$DIR/defaults"
equal 'each mount option has its default in mqfs(1)' "$(sort -u "$DIR/other")" "$(cut -d' ' -f1 "$DIR/defaults" | sort -u)"
while read -r name value; do
	grep -E "^ +$name\[?=" "$DIR/help" | grep -qF "($value)" ||
		fail "default of $name: mqfs --help does not say $value, as mqfs(1) does"
done < "$DIR/defaults"

# --- a mount: its .config, .mqfs and metrics
mqfs_start
mkdir "$MNT/t"
printf 'partial' >> "$MNT/t/0"
echo message >> "$MNT/t/0"
echo '100' > "$MNT/t/.config/head.0" 2> /dev/null || true
ls "$MNT/t/.config" | sed 's/^head\.[0-9]*$/head.Q/' > "$DIR/one"
section mqfs-tree.7 CONFIGURATION | awk '/^\.It Cm/ { print $3 }' > "$DIR/other"
agree '.config and mqfs-tree(7)'
page_defaults mqfs-tree.7 CONFIGURATION > "$DIR/defaults"
match 'defaults were found' commit "$(cat "$DIR/defaults")"
while read -r name value; do
	equal "the default of $name" "$value" "$(cat "$MNT/t/.config/$name")"
	grep -qxF "$name $value" <(page_defaults mqfs.1 'Mount options') || fail "default of $name: not the same in mqfs(1)"
done < "$DIR/defaults"
ls "$MNT/.mqfs" > "$DIR/one"
section mqfs-tree.7 'STATUS AND METRICS' | awk '/^\.It Pa/ { print $3 }' > "$DIR/other"
agree '.mqfs and mqfs-tree(7)'
awk '/^# TYPE/ { print $3, $4 }' "$MNT/.mqfs/metrics.prom" > "$DIR/one"
section mqfs-tree.7 'STATUS AND METRICS' | awk '/^\.It mqfs_/ { print $2, $4 }' > "$DIR/other"
agree 'metrics.prom and mqfs-tree(7)'

# --- the members of mqctl dump
"$MQCTL" dump -m "$MNT" > "$DIR/dump"
"$MQCTL" dump -m "$MNT" --records >> "$DIR/dump"
printf '\xff\n' >> "$MNT/t/0"
"$MQCTL" dump "$MNT/t/0" >> "$DIR/dump"
echo 1 > "$MNT/t/.config/retired"
rmdir "$MNT/t"
mkdir "$MNT/u"
echo message >> "$MNT/u/0"
"$MQCTL" dump -m "$MNT" >> "$DIR/dump"
python3 -c 'import json, sys
for line in sys.stdin:
    for key in json.loads(line): print(key)' < "$DIR/dump" > "$DIR/one"
section mqctl.1 dump | awk '/^\.It [a-z]/ { print $2 }' > "$DIR/other"
agree 'members of a line of mqctl dump, and mqctl(1)'

# --- the frames between two nodes
grep -oE '^ \* +[0-9]+ [A-Z_]+ ' "$SOURCE/replica/frame.h" | awk '{ print $2, $3 }' > "$DIR/one"
section mqfs-replication.7 FRAMES | awk '/^\.It [0-9]+ [A-Z_]+ Ta/ { print $2, $3 }' > "$DIR/other"
agree 'types of frames in replica/frame.h and mqfs-replication(7)'

# --- what errors say of an append, in both pages and in the history that the checks after a fault go by
# names: the errnos in the input, one a line
names() { grep -oE '\bE[A-Z]{2,}\b'; }
# contract BEGINNING: the line of the contract that begins so
contract() { awk -v begin="$1" 'index($0, begin) == 1 { on = 1 } /^\.It/ { on = 0 } on' "$man/mqfs-durability.7"; }
section mqfs-tree.7 'Not there: nothing was appended' | grep '^\.It Er' | names > "$DIR/one"
contract 'A message that was refused' | names > "$DIR/other"
agree 'what says "not there" in mqfs-tree(7) and mqfs-durability(7)'
grep '^REFUSED = ' "$SOURCE/tests/crash/real_history.py" | names | grep -v REFUSED > "$DIR/other"
agree 'what says "not there" in mqfs-tree(7) and tests/crash/real_history.py'
section mqfs-tree.7 'Unknown: it may have been appended' | grep '^\.It Er' | names > "$DIR/one"
contract 'A message of unknown outcome' | names > "$DIR/other"
agree 'what says "unknown" in mqfs-tree(7) and mqfs-durability(7)'
