#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# logger and rsyslog: an own rsyslogd writes what logger sends into a queue (omfile), and reads another queue (imfile, polling).
. "$(dirname "$0")/lib.sh"
need logger rsyslogd
need_root
mqfs_start
mkdir "$MNT/log" "$MNT/in" "$DIR/work"
seq -f 'old %.0f' 5 >> "$MNT/in/0"

cat > "$DIR/rsyslog.conf" << END
global(workDirectory="$DIR/work" maxMessageSize="64k")
module(load="imuxsock" sysSock.use="off")
module(load="imfile" mode="polling" pollingInterval="1")
input(type="imuxsock" socket="$DIR/socket" ruleset="produce" rateLimit.Interval="0" useSpecialParser="off")
input(type="imfile" file="$MNT/in/0" tag="queue:" ruleset="consume" freshStartTail="off")
template(name="line" type="string" string="%msg:2:\$%\n")
template(name="raw" type="string" string="%msg%\n")
ruleset(name="produce") {
	action(type="omfile" file="$MNT/log/0" template="line")
}
ruleset(name="consume") {
	action(type="omfile" file="$DIR/consumed" template="raw")
}
END
start_rsyslog()
{
	rsyslogd -n -f "$DIR/rsyslog.conf" -i "$DIR/rsyslogd.pid" >> "$DIR/rsyslogd.log" 2>&1 &
	rsyslog=$!
	wait_for 'the socket of rsyslogd' test -S "$DIR/socket"
}
stop_rsyslog()
{
	kill "$rsyslog"
	wait_gone "$rsyslog"
	wait "$rsyslog" || fail "rsyslogd ended with status $?"
}
start_rsyslog

# omfile
lines 'from logger' 1 500 > "$DIR/sent"
logger -u "$DIR/socket" -t test -f "$DIR/sent"
logger -u "$DIR/socket" -t test 'Größe "quoted" $HOME'
# -s prints it as well, here into another queue.
logger -u "$DIR/socket" -s -t shop 'order 17' 2>> "$MNT/in/0"
match 'logger -s into a queue' 'shop: order 17$' "$(tail -n 1 "$MNT/in/0")"
wait_lines "$MNT/log/0" 502
same 'omfile wrote what logger sent' <(cat "$DIR/sent"; echo 'Größe "quoted" $HOME'; echo 'order 17') "$MNT/log/0"

# imfile
wait_lines "$DIR/consumed" 6
lines new 1 500 >> "$MNT/in/0"
wait_lines "$DIR/consumed" 506
same 'imfile read the queue' "$MNT/in/0" "$DIR/consumed"

# It goes on where it was after a restart of its own,
stop_rsyslog
cat "$MNT/in/0" > "$DIR/whole"
echo 'while away' >> "$MNT/in/0"
start_rsyslog
wait_lines "$DIR/consumed" 507
# and while the head moves.
past_head "$MNT/in/0" "$DIR/whole"
echo 'and then' >> "$MNT/in/0"
wait_lines "$DIR/consumed" 508
same 'imfile went on where it was' <(cat "$DIR/whole"; echo 'while away'; echo 'and then') "$DIR/consumed"

# A new reader gets what is left.
stop_rsyslog
rm -r "$DIR/consumed" "$DIR/work"
mkdir "$DIR/work"
start_rsyslog
wait_lines "$DIR/consumed" $(($(wc -l < "$DIR/whole.left") + 2))
same 'imfile past a head' <(cat "$DIR/whole.left"; echo 'while away'; echo 'and then') "$DIR/consumed"
stop_rsyslog
equal 'rsyslogd had nothing to say' '' "$(cat "$DIR/rsyslogd.log")"
