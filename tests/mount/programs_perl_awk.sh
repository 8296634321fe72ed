#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Perl and awk (gawk, mawk, busybox): they produce, read, follow; Perl seeks and tells, too.
. "$(dirname "$0")/lib.sh"
need perl gawk mawk busybox
mqfs_start
sample "$DIR/text"

# --- Perl
mkdir "$MNT/perl"
q=$MNT/perl/0
succeeds 'Perl >>' perl -e 'open my $in, "<", shift or die; open my $q, ">>", shift or die $!; print $q $_ while <$in>; close $q or die $!' "$DIR/text" "$q"
same 'Perl >>' "$DIR/text" "$q"
for place in perl/0 perl/.retained/0; do
	succeeds 'Perl while <>' bash -c "perl -ne print $MNT/$place > $DIR/out"
	same 'Perl while <>' "$DIR/text" "$DIR/out"
done
cat > "$DIR/read.pl" << 'END'
use strict;
my ($name, $plain, $base) = @ARGV;
open my $p, "<:raw", $plain or die; my $wanted = do { local $/; <$p> };
open my $q, "<:raw", $name or die $!;
my $all = do { local $/; <$q> };
$all eq $wanted or die "slurped ", length $all;
seek $q, $base + 1000, 0 or die $!;
my $line = <$q>;
$line eq substr($wanted, 1000, length $line) or die "after seek";
tell($q) == $base + 1000 + length $line or die "tell";
sysopen my $s, $name, 0 or die $!;
my ($got, $part) = "";
$got .= $part while sysread $s, $part, 777;
$got eq $wanted or die "sysread";
END
succeeds 'Perl reads' perl "$DIR/read.pl" "$q" "$DIR/text" 0
past_head "$q" "$DIR/text"
succeeds 'Perl reads past a head' perl "$DIR/read.pl" "$q" "$DIR/text.left" "$(cat "$MNT/perl/.config/head.0")"
succeeds 'Perl reads .retained past a head' perl "$DIR/read.pl" "$MNT/perl/.retained/0" "$DIR/text.left" 0
succeeds 'Perl IO::Handle with autoflush' perl -MIO::Handle -e 'open my $q, ">>", shift or die; $q->autoflush(1); print $q "part "; print $q "and rest\n"; $q->sync or die $!' "$q"
equal 'a line in two writes' 'part and rest' "$(tail -n 1 "$q")"
match 'perl -i' "Can't do inplace edit.*not permitted" "$(perl -i -pe 's/a/b/' "$q" 2>&1)"
perl -ne 'BEGIN { $| = 1 } print; exit 5 if /^end/' "$MNT/perl/.follow/0@latest" > "$DIR/out" &
follower=$!
wait_for 'Perl follows' bash -c "ls -l /proc/$follower/fd | grep -q follow"
echo first >> "$q"
echo end >> "$q"
status=0
wait $follower || status=$?
equal 'exit status of Perl following' 5 $status
equal 'Perl follows to its end' end "$(tail -n 1 "$DIR/out")"

# --- awk
for awk in gawk mawk 'busybox awk'; do
	t=$MNT/${awk##* }-${awk%% *}
	mkdir "$t"
	echo 2 > "$t/.config/queues"
	succeeds "$awk print >>" $awk -v "q=$t/0" '{ print >> q } END { exit close(q) }' "$DIR/text"
	same "$awk print >>" "$DIR/text" "$t/0"
	succeeds "$awk print >" $awk -v "q=$t/1" 'BEGIN { print "one" > q; print "two" > q; exit close(q) }'
	equal "$awk print >" $'one\ntwo' "$(cat "$t/1")"
	for place in 0 .retained/0; do
		succeeds "$awk reads $place" bash -c "$awk '{ print }' $t/$place > $DIR/out"
		same "$awk reads $place" "$DIR/text" "$DIR/out"
	done
	succeeds "$awk getline" bash -c "$awk -v q=$t/0 'BEGIN { while ((getline line < q) > 0) print line }' > $DIR/out"
	same "$awk getline" "$DIR/text" "$DIR/out"
	past_head "$t/0" "$DIR/text"
	for place in 0 .retained/0; do
		succeeds "$awk reads $place past a head" bash -c "$awk '{ print }' $t/$place > $DIR/out"
		same "$awk reads $place past a head" "$DIR/text.left" "$DIR/out"
	done
	# mawk fills a block before it looks at it, unless it is told not to.
	[ "$awk" != mawk ] || awk='mawk -W interactive'
	timeout 20 $awk '{ print "got " $0; fflush() } /end/ { exit 3 }' "$t/.follow/1" > "$DIR/out" &
	follower=$!
	wait_lines "$DIR/out" 2
	echo end >> "$t/1"
	status=0
	wait $follower || status=$?
	equal "exit status of $awk following" 3 $status
	equal "$awk follows" $'got one\ngot two\ngot end' "$(cat "$DIR/out")"
done
