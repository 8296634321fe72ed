# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# cluster.sh - hosts on this machine, for mounted tests. To be read behind lib.sh.
#
#	cluster NAME [ARGUMENT...]      plays tests/cluster/NAME.py, whose end is the test's; MQFS_SEED=N repeats its choices

cluster()
{
	local name=$1 status=0
	shift
	need_root
	need python3 ip nft tc nsenter setpriv mkfs.ext4
	unshare --net --mount true 2> /dev/null || skip 'there are no network namespaces'
	[ -c /dev/net/tun ] || skip 'there is no /dev/net/tun'
	unshare --net nft add table inet faults 2> /dev/null || skip 'this kernel has no nftables'
	python3 "$SOURCE/tests/cluster/$name.py" "$DIR" "$@" || status=$?
	[ $status -eq 0 ] || die "$name: see above"
}
