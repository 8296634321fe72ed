# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# pair.sh - nodes on this machine, for mounted tests; behind lib.sh.
#
#	. "$TOOLS/pair.sh"
#	pair_start min_standbys=1
#	mkdir "$(mnt a)/t"
#	node_kill b; wait_health a away
#	node_start b standby_of=a; wait_pair a b
#
# What is no such pair begins with node_keys a b c; node_start a peer=b; ...
#
# Node NAME has its store at DIR/NAME.store, its mount at DIR/NAME, messages in DIR/NAME.log, the process id in PIDS[NAME], and an address of its
# own, 127.0.0.1 with a port that was free when its keys were made. In options of node_start a name stands for its address.
#
# A node that is called by way of a relay (relay.py), as its port's name, can be cut off: relay_start NAME OF; kill $RELAY.

need python3
declare -A PORTS PIDS

mnt() { echo "$DIR/$1"; }
address() { echo "127.0.0.1:${PORTS[$1]}"; }

# Keys and ports for the nodes named.
node_keys()
{
	local name
	"$MQCTL" keys init "$DIR/keys" > /dev/null
	for name; do
		"$MQCTL" keys node "$DIR/keys" "$name" > /dev/null
	done
	# All of them are bound at once, so that no two are the same.
	read -r -a ports < <(python3 -c 'import socket, sys
s = [socket.socket() for _ in sys.argv[1:]]
for one in s: one.bind(("127.0.0.1", 0))
print(*[one.getsockname()[1] for one in s])' "$@")
	for name; do
		PORTS[$name]=${ports[0]}
		ports=("${ports[@]:1}")
	done
}

# node_run NAME [OPTION...]: starts it; OPTIONs are those of -o. Does not wait for its mount.
node_run()
{
	local name=$1 list option
	shift
	list="listen=$(address "$name"),cert=$DIR/keys/$name.crt,key=$DIR/keys/$name.key,ca=$DIR/keys/ca.crt"
	for option; do
		case $option in
			peer=* | standby_of=*) list+=",${option%%=*}=$(address "${option#*=}")" ;;
			*) list+=",$option" ;;
		esac
	done
	"$MQFS" -f -o "$list" "$DIR/$name.store" "$DIR/$name" >> "$DIR/$name.log" 2>&1 < /dev/null &
	PIDS[$name]=$!
	DAEMONS+=("$!")
}

# The same, until its mount is live.
node_start()
{
	node_run "$@"
	node_live "$1"
}

node_live()
{
	wait_for "the mount of node $1" _live_or_dead "$DIR/$1" "${PIDS[$1]}" || die "node $1 is not live"
	# Not whether it is live still: the mount of one that finds its log given up goes at once, and comes again.
	! _gone "${PIDS[$1]}" || die "node $1 ended at once"
}

# relay_start NAME OF: at NAME's address OF is reached
relay_start()
{
	python3 "$TOOLS/relay.py" "${PORTS[$1]}" "${PORTS[$2]}" &
	RELAY=$!
}

node_stop() { mqfs_stop "${PIDS[$1]}"; }
node_kill() { mqfs_kill "${PIDS[$1]}"; }

# status_of NAME KEY.KEY...: in its status.json; what NAME KEY.KEY...: of the object replication there
status_of() { cat "$DIR/$1/.mqfs/status.json" > "$DIR/$1.status" && json "$DIR/$1.status" "$2"; }
what() { status_of "$1" "replication.$2"; }

# metric NAME METRIC: its value
metric() { awk -v name="$2" '$1 == name { print $2 }' "$DIR/$1/.mqfs/metrics.prom"; }

is() { [ "$(what "$1" "$2")" = "$3" ]; }
# wait_is NAME KEY VALUE
wait_is() { wait_for "$1's $2 to be $3" is "$1" "$2" "$3"; }
# wait_health NAME STATE
wait_health() { wait_for "$1's health to be $2" health_is "$1" "$2"; }
health_is() { [ "$(status_of "$1" health.state)" = "$2" ]; }
role_is() { [ "$(cat "$DIR/$1/.mqfs/role")" = "$2" ]; }

# wait_pair PRIMARY STANDBY: they are a pair, the standby is current, and what it acknowledges counts
wait_pair() { wait_for "$1 and $2 to be a pair" _pair "$1" "$2"; }
_pair()
{
	[ "$(python3 -c 'import json, sys
a, b = (json.load(open(f))["replication"] for f in sys.argv[1:])
s = a["standbys"]
print(a["linked"] and b["linked"] and a["current"] and b["current"] and a["pair"]["committed"] and b["pair"]["committed"] and len(s) == 1 and s[0]["member"])
' "$DIR/$1/.mqfs/status.json" "$DIR/$2/.mqfs/status.json")" = True ]
}

# pair_start [OPTION...]: the nodes a, the primary, and b, its standby, each with these OPTIONs, until they are a pair
pair_start()
{
	node_keys a b
	node_start a peer=b "$@"
	node_start b standby_of=a "$@"
	wait_pair a b
	[[ " $* " != *' min_standbys=1 '* ]] || wait_is a pair.min_standbys 1
}

# The store of node B is on a disk of 20 MB, at DIR/disk.
small_disk()
{
	need_root
	need mkfs.ext4
	truncate -s 20M "$DIR/image"
	mkfs.ext4 -q -F -m 0 -J size=1 "$DIR/image"
	mkdir "$DIR/disk"
	mount -o loop "$DIR/image" "$DIR/disk" || skip 'cannot mount a loop device'
	mkdir "$DIR/disk/store"
	ln -s disk/store "$DIR/b.store"
}
