#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two nodes on one machine: what is acknowledged is on both disks, and the standby takes over when the primary dies.
#
#	pair.sh                         in ~/mq.pair; ends with both nodes mounted at ~/mq.pair/a and ~/mq.pair/b
#	pair.sh DIRECTORY [PORT]        elsewhere; PORT and the next one on 127.0.0.1, by default 6737
#
# On two machines it is the same: give each its own certificate and key, and ca.crt; write their names in place of 127.0.0.1.
set -eu
dir=${1:-$HOME/mq.pair}
port=${2:-6737}
a=$dir/a b=$dir/b
keys=$dir/keys

# ca.crt and ca.key of the cluster; a certificate and a key for each node.
[ -d "$dir" ] || mkdir "$dir"
if [ ! -d "$keys" ]; then
	mqctl keys init "$keys"
	mqctl keys node "$keys" a
	mqctl keys node "$keys" b
fi

# node NAME OPTIONS: the same command at every start; which node is the primary is kept in the stores.
node()
{
	[ -e "$dir/$1/.mqfs/pid" ] ||
		mqfs -o "cert=$keys/$1.crt,key=$keys/$1.key,ca=$keys/ca.crt,min_standbys=1,$2" "$dir/$1.store" "$dir/$1"
}
start_a() { node a "listen=127.0.0.1:$port,peer=127.0.0.1:$((port + 1))"; }
start_b() { node b "listen=127.0.0.1:$((port + 1)),standby_of=127.0.0.1:$port"; }
# until COMMAND: looks ten times a second
until_is() { until "$@" 2> /dev/null; do sleep 0.1; done; }
# Asked for again only while b is the primary: an order that was interrupted may have been carried out.
switched() { [ "$(cat "$b/.mqfs/role")" != primary ] || mqctl switchover -m "$b"; }
takes_appends() { mkdir -p "$1/orders" && echo "$2" >> "$1/orders/0"; }

start_a
start_b
until_is grep -q ' member .* current$' "$a/.mqfs/standbys"      # b has caught up: from here on nothing is acknowledged that it has not
until_is takes_appends "$a" '{"order":1}'
until_is grep -q '"order":1' "$b/orders/0"                       # b has it; it shows it once it hears that it is committed
echo "on both disks: $(cat "$b/orders/0")"
mqctl status -m "$a"

# a dies. The operator says so, and b goes on.
kill -9 "$(cat "$a/.mqfs/pid")"
mqctl promote --stopped a -m "$b"
takes_appends "$b" '{"order":2}'
echo "b goes on: $(tail -n 1 "$b/orders/0")"

# a comes back as b's standby, by itself; and with planned work both change places without loss.
start_a
until_is grep -q '"order":2' "$a/orders/0"
until_is switched
until_is takes_appends "$a" '{"order":3}'
echo "a is the $(cat "$a/.mqfs/role") again, b its $(cat "$b/.mqfs/role")"
echo "umount $a $b         # ends both"
