#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# How a node starts: what of its options is refused, a first start that waits for its primary, a mirror, a store that has to be made anew, and
# a node of a pair that is started without its options.
. "$(dirname "$0")/lib.sh"
. "$TOOLS/pair.sh"
node_keys a b c
a=$(mnt a) b=$(mnt b) c=$(mnt c)
keys="cert=$DIR/keys/a.crt,key=$DIR/keys/a.key,ca=$DIR/keys/ca.crt"

# --- refused, in one line, before anything is made
no_start()
{
	status "$1" "$3" "$MQFS" -f -o "$4" "$STORE" "$MNT"
	refused "$1" "$2" "$MQFS" -f -o "$4" "$STORE" "$MNT"
	equal "$1: in one line" 1 "$("$MQFS" -f -o "$4" "$STORE" "$MNT" 2>&1 | wc -l)"
	[ ! -e "$STORE" ] && [ ! -e "$MNT" ] || fail "$1: something was made"
}
no_start 'no keys' 'mqfs: cert is missing: with listen' 1 'listen=:0'
no_start 'two other nodes' 'mqfs: standby_of and peer contradict' 1 "standby_of=x,peer=y,$keys"
no_start 'an address to listen at' 'mqfs: listen: host:port: a port is a number' 1 "listen=host:port,$keys"
no_start 'an address to call' 'mqfs: standby_of: :1: which host' 1 "standby_of=a:1+:1,$keys"
no_start 'the same of peer' 'mqfs: peer: a:0: nobody can be called' 1 "peer=a:0,$keys"
no_start 'no certificate there' "$DIR/none.*No such file" 1 "listen=:0,$keys,cert=$DIR/none"
no_start 'a blank standby, with create=no' "$STORE: is no store, and create=no" 32 "standby_of=$(address b),create=no,$keys"
no_start 'keys that do not belong together' '' 1 "listen=:0,$keys,key=$DIR/keys/b.key"
chmod 644 "$DIR/keys/a.key"
no_start 'a key that everyone may read' "$DIR/keys/a.key" 1 "listen=:0,$keys"
chmod 600 "$DIR/keys/a.key"

# --- waiting for a primary: ended by a signal, in good order
node_run b standby_of=a
wait_for 'a word of what it waits for' grep -q "waits for a primary: $(address a)" "$DIR/b.log"
node_stop b
[ ! -e "$b" ] || fail 'it has left a mountpoint behind'

# --- without -f it is the process that was called that hears of the signal
"$MQFS" -o "listen=$(address b),standby_of=$(address a),${keys//\/a.//b.}" "$DIR/b.store" "$b" 2> "$DIR/called.err" &
called=$!
wait_for 'a word of what it waits for' grep -q "waits for a primary: $(address a)" "$DIR/called.err"
kill $called
ended=0
wait $called || ended=$?
equal 'exit status without a mount' 32 $ended
match 'and why' 'told to stop' "$(cat "$DIR/called.err")"
[ ! -e "$b" ] || fail 'it has left a mountpoint behind'
node_run b standby_of=a
node_start a peer=b
node_live b
wait_pair a b
mkdir "$a/t"
lines early 1 10 >> "$a/t/0"
refused 'an address in use' "$(address a)" "$MQFS" -f -o "listen=$(address a),$keys" "$STORE" "$MNT"
equal 'it has appended nothing' '' "$(find "$STORE/log" -type f)"

# Before hours of copying: no store is made.
rm -rf "$STORE"
"$MQFS" -f -o "listen=$(address a),standby_of=$(address a),${keys//\/a.//c.}" "$STORE" "$MNT" > "$DIR/in_use" 2>&1 || true
match 'the same, of a standby that has no store yet' "$(address a): Address already in use" "$(cat "$DIR/in_use")"
equal 'nothing else is said' 1 "$(wc -l < "$DIR/in_use")"
[ ! -e "$STORE" ] || fail 'a store was copied to a node that cannot listen'

# --- a mirror follows, is read, and is never of the pair
node_start c standby_of=a mirror
shows() { cmp -s "$a/t/0" "$1/t/0"; }
wait_for 'the mirror to show all' shows "$c"
level() { grep -Eq '^c [0-9a-f]+ log mirror 0 0 0.000 level$' "$a/.mqfs/standbys"; }
wait_for 'standbys to show that the mirror has all' level
match 'mqctl status of the primary' 'standby   c, a mirror, has all' "$("$MQCTL" status -m "$a")"
match 'mqctl status of a mirror' "primary   a \($(address a)\), linked; this node is not of the pair, has all" "$("$MQCTL" status -m "$c")"
for verb in switchover promote 'promote --stopped a --accept-loss'; do
	refused "$verb of a mirror" 'this node is a mirror, which is never of the pair' "$MQCTL" $verb -m "$c"
done
equal 'which has not left its primary for that' 1 "$(grep -c follows "$DIR/c.log")"
equal 'the pair' 'a b' "$(what c pair.nodes.0.name) $(what c pair.nodes.1.name)"
node_stop c

# --- a node of the pair does not become a mirror, nor a copy of its store a third one
node_stop b
cp -r "$DIR/b.store" "$DIR/c.store.copy"
node_run b standby_of=a mirror
wait "${PIDS[b]}" && fail 'a node of the pair starts as a mirror' || equal 'the status of a mirror that is of the pair' 32 $?
match 'why' "mqfs: mirror: this store is of the pair, and stays so" "$(tail -n 1 "$DIR/b.log")"
node_start b standby_of=a
wait_pair a b
rm -rf "$DIR/c.store"
mv "$DIR/c.store.copy" "$DIR/c.store"
node_start c standby_of=a
wait_for 'the copy to be refused' grep -q 'the store is a copy of that of another node, which is linked' "$DIR/c.log"
status 'promote of a copy' 1 "$MQCTL" promote -m "$c"
node_stop c
node_run c 'private,standby_of='"$(address b)+$(address a)"
node_live c
status 'promote of a copy that knows its original' 1 "$MQCTL" promote -m "$c"
status 'the same with a word' 1 "$MQCTL" promote --stopped a -m "$c"
node_stop c
_pair a b || fail 'the copy has taken the place of its original, or the primary has stepped down for it'
node_stop a
rm -rf "$DIR/c.store"
cp -r "$DIR/a.store" "$DIR/c.store"
node_start a peer=b
node_start c standby_of=a
refused 'an append to a copy of the primary' 'Host is down' bash -c "echo x >> $c/t/0"
match 'why' 'health +rival: the store of a has the same id: one of the two is a copy' "$("$MQCTL" status -m "$c" || true)"
node_stop c
wait_pair a b

# --- a store without its options says why it takes nothing, and can be told to go on alone
node_stop b
succeeds 'two others are waited for' "$MQCTL" min-standbys 0 -m "$a"
node_start b standby_of=a
wait_pair a b
succeeds 'min_standbys=1' "$MQCTL" min-standbys 1 -m "$a"
node_stop b
node_stop a
"$MQFS" -f "$DIR/a.store" "$a" >> "$DIR/a.log" 2>&1 &
PIDS[a]=$!
DAEMONS+=("$!")
node_live a
refused 'an append' 'Host is down' bash -c "echo x >> $a/t/0"
equal 'reads go on' 10 "$(wc -l < "$a/t/0")"
match 'status says why' 'health +away: b is not linked' "$("$MQCTL" status -m "$a" || true)"
status 'it may not be current' 1 "$MQCTL" alone -m "$a" --stopped=b
succeeds 'alone' "$MQCTL" alone -m "$a" --stopped=b --accept-loss
succeeds 'an append' bash -c "echo x >> $a/t/0"
node_stop a
node_start a peer=b

# --- what only the dead primary had committed is given up, on the operator's word: it comes back, gives its store up and makes it anew from
# the other's, and its mount is there again by itself
node_start b standby_of=a min_standbys=0 sync_delay=500ms
joins() { grep -Eq '^b [0-9a-f]+ log joining ' "$a/.mqfs/standbys"; }
wait_for 'standbys to show that b is to be of the pair' joins
wait_pair a b
succeeds 'nobody waits for the standby' "$MQCTL" min-standbys 0 -m "$a"
refused 'the loss of a primary that answers' 'a is the primary and can be reached: mqctl switchover loses nothing' \
	"$MQCTL" promote -m "$b" --stopped=a --accept-loss
wait_pair a b
node_stop b
node_stop a
node_start a peer=b
lines given-up 1 5 >> "$a/t/0"
status 'a primary that was restarted does not know whether b was promoted' 1 "$MQCTL" alone -m "$a" --stopped=b
node_kill a
node_start b standby_of=a
status 'promote of one that is not current' 1 "$MQCTL" promote -m "$b" --stopped=a
role_is b standby || fail 'it is promoted all the same'
succeeds 'promote with a loss' "$MQCTL" promote -m "$b" --stopped=a --accept-loss
lines late 1 5 >> "$b/t/0"
node_start a peer=b
! echo 'of nobody' >> "$a/t/0" || fail 'it takes an append before it has asked the other one'
wait_for 'a word of it' grep -q 'the store is given up' "$DIR/a.log"
wait_pair b a
wait_for 'the other node to show the same' shows "$b"
equal 'the process is the same' "${PIDS[a]}" "$(cat "$a/.mqfs/pid")"
equal 'what the first had alone is in no queue' 0 "$(grep -c given-up "$a/t/0" || true)"
equal 'but kept' 5 "$("$MQCTL" dump "$DIR"/a.store/lost/* | grep -c '"body": *"given-up')"
equal 'and nothing else is' 5 "$("$MQCTL" dump "$DIR"/a.store/lost/* | grep -c '"type": *"message"')"

# --- nor does a copy of the primary's store that knows the standby alone
node_stop b
rm -rf "$DIR/c.store"
cp -r "$DIR/b.store" "$DIR/c.store"
node_start b standby_of=a
wait_pair b a
node_start c standby_of=a
refused 'an append to a copy of the primary that the standby follows' 'Host is down' bash -c "echo x >> $c/t/0"
match 'why' 'health +rival: a says: the store is a copy of that of b, which this node follows' "$("$MQCTL" status -m "$c" || true)"
node_stop c
_pair b a || fail 'the copy has disturbed the pair'

# --- nor one with the very certificate of the primary, which names that and itself; the primary may name itself too
again=$DIR/again
"$MQFS" -f -o "peer=$(address b)+$(address c),listen=$(address c),${keys//\/a./\/b.}" "$DIR/c.store" "$again" >> "$DIR/c.log" 2>&1 &
PIDS[c]=$!
DAEMONS+=("$!")
wait_for 'the mount of the copy' _live "$again" "${PIDS[c]}"
mkdir "$again/t2" 2> /dev/null && fail 'the copy takes a topic'
refused 'an append to a copy with the same certificate' 'Host is down' bash -c "echo x >> $again/t/0"
match 'why' 'health +rival: the store of b has the same id: one of the two is a copy' "$("$MQCTL" status -m "$again" || true)"
node_stop c
node_stop a
node_stop b
rm -rf "$DIR/c.store"
"$MQFS" -f -o "peer=$(address b),listen=$(address b),${keys//\/a./\/b.}" "$DIR/b.store" "$b" >> "$DIR/b.log" 2>&1 &
PIDS[b]=$!
DAEMONS+=("$!")
node_live b
succeeds 'an append to a primary that names itself' bash -c "echo x >> $b/t/0"
node_stop b

# --- a primary that commits alone asks the others before its mount is there: where they are silent, a signal ends that
coproc SILENT { exec python3 -c 'import select, socket
all = [socket.create_server(("127.0.0.1", 0)) for _ in range(5)]
print("+".join("127.0.0.1:%d" % s.getsockname()[1] for s in all), flush=True)
held = []
while True:
    for s in select.select(all, [], [])[0]:
        held.append(s.accept())
        print("called", flush=True)'; }
on_exit kill "$SILENT_PID"
read -r -u "${SILENT[0]}" silent
for signal in TERM INT; do
	"$MQFS" -f -o "peer=$silent,$keys" "$STORE" "$MNT" > "$DIR/asks" 2>&1 &
	asks=$!
	DAEMONS+=("$asks")
	read -r -u "${SILENT[0]}"
	kill -s "$signal" "$asks"
	wait_gone "$asks" || die "it does not end on SIG$signal"
	wait "$asks" && ended=0 || ended=$?
	_forget "$asks"
	equal "the status of a start that SIG$signal ends" 0 "$ended"
	[ ! -e "$MNT" ] || fail "SIG$signal: a mountpoint is left behind"
	! read -r -t 0 -u "${SILENT[0]}" || fail "SIG$signal: the others were called before it ended"
done
