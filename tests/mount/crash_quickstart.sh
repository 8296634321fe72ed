#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The quickstart as a stranger types it, by root and by a user who is not.
. "$(dirname "$0")/lib.sh"
need fusermount3
need_own_mounts

cat > "$DIR/quickstart" << 'END'
set -e
PATH=$1:$PATH HOME=$2
cd "$HOME"
mqfs ~/mq.store ~/mq
mkdir ~/mq/orders
: > ~/watched
cat ~/mq/orders/.follow/0 > ~/watched &
echo '{"order":17}' >> ~/mq/orders/0 && echo "on disk"
seq 100000 | tee -a ~/mq/orders/0 > /dev/null
until [ "$(wc -l < ~/watched)" -eq 100001 ]; do sleep 0.05; done
kill $!
kill -9 "$(cat ~/mq/.mqfs/pid)"
mqfs ~/mq.store ~/mq
wc -l ~/mq/orders/0
mqctl status
{ echo '{"order":17}'; seq 100000; } | cmp - ~/mq/orders/0
{ echo '{"order":17}'; seq 100000; } | cmp - ~/watched
pid=$(cat ~/mq/.mqfs/pid)
fusermount3 -u ~/mq || umount ~/mq
while kill -0 "$pid" 2> /dev/null; do sleep 0.05; done
ls -A ~/mq | wc -l
END
chmod 755 "$DIR"
quickstart()
{
	local home=$1 status=0
	shift
	timeout -k 1 60 "$@" bash "$DIR/quickstart" "$(dirname "$MQFS")" "$home" > "$DIR/out" 2> "$DIR/quickstart.log" || status=$?
	equal 'exit status of the quickstart' 0 $status
	equal 'first line' 'on disk' "$(head -n 1 "$DIR/out")"
	match 'wc -l' '100001 .*mq/orders/0' "$(cat "$DIR/out")"
	equal 'nothing is left mounted' 0 "$(tail -n 1 "$DIR/out")"
	match 'mqctl status knows the topic' 'orders' "$(cat "$DIR/out")"
	equal 'nothing on stderr' '' "$(cat "$DIR/quickstart.log")"
}
mkdir "$DIR/root"
quickstart "$DIR/root"

if [ "$(id -u)" -eq 0 ]; then
	need_tester
	mkdir "$DIR/home"
	chown "$TESTER" "$DIR/home"
	quickstart "$DIR/home" runuser -u "$TESTER" --
fi
