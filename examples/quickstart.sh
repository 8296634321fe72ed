#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Quickstart: mounts a store, produces and consumes, and leaves the mount to play with. No root needed.
#
#	quickstart.sh                   ~/mq.store at ~/mq
#	quickstart.sh STORE MOUNTPOINT
set -eu
store=${1:-$HOME/mq.store}
mount=${2:-$HOME/mq}

[ -e "$mount/.mqfs/pid" ] || mqfs "$store" "$mount"
echo "$store is mounted at $mount"

# A topic is a directory; it comes with a queue, 0.
mkdir -p "$mount/orders"

# Consume as it comes: a read at the end of .follow/0 waits for more. From now on, so @latest.
exec 3< "$mount/orders/.follow/0@latest"

# Produce: when echo is back, the message is on the disk.
echo '{"order":17}' >> "$mount/orders/0"
read -r message <&3
echo "consumed: $message"

seq -f '{"order":%.0f}' 100000 | tee -a "$mount/orders/0" > /dev/null
head -n 100000 <&3 | tail -n 1 | sed 's/^/consumed 100000 more, the last: /'
exec 3<&-

echo "all that is in $mount/orders/0: $(wc -l < "$mount/orders/0") messages"
cat << END

Yours to play with:
	mkdir $mount/mine; echo hello >> $mount/mine/0
	tail -f $mount/mine/0
	while read -r m; do echo "got: \$m"; done < $mount/mine/.follow/0
	mqctl status
	umount $mount                      (mqfs $store $mount mounts it again)
END
