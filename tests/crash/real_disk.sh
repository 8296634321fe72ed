# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# real_disk.sh - a disk whose power can be cut: a file system in a sparse file, at DIR/disk. To be read before lib.sh.

# umount does not end a file system while another process has a copy of its mount, so nobody gets one.
if [ "${MQFS_OWN_MOUNTS:-0}" = 0 ] && unshare --mount true 2> /dev/null; then
	MQFS_OWN_MOUNTS=1 exec unshare --mount bash "$0" "$@"
fi

# disk_make ext4|xfs
disk_make()
{
	truncate -s 512M "$DIR/image"
	case $1 in
	ext4) mkfs.ext4 -q -F -E nodiscard "$DIR/image" ;;
	xfs) mkfs.xfs -q -f -K "$DIR/image" ;;
	esac
	mkdir -p "$DIR/disk"
	disk_mount
}

disk_mount() { mount -o loop "$DIR/image" "$DIR/disk" || skip 'cannot mount a file system in a file'; }

# CUT becomes the command that cuts the power: what is not synced is gone, and every call fails from there on. One in two writes what the
# journal has in memory before that.
disk_cut_command()
{
	local flush=
	[ $((RANDOM % 2)) -eq 0 ] || flush=' -f'
	# shellcheck disable=SC2034
	CUT=(xfs_io -x -c "shutdown$flush" "$DIR/disk")
}

# The power is back: the journal is replayed.
disk_again()
{
	umount "$DIR/disk"
	mount -o loop "$DIR/image" "$DIR/disk"
}

disk_gone()
{
	umount "$DIR/disk"
	rm "$DIR/image"
}
