# SPDX-License-Identifier: Apache-2.0
"""A disk that can lose power, be full, or fail: ext4 in a sparse file on a tmpfs of its own.

    disk = Disk(directory)          # mounted at disk.path
    disk.cut()                      # without power: what is not synced is gone, all calls fail; again() is the start after it
    disk.fill(); disk.free()        # no room in the file system
    disk.fail(); disk.heal()        # no room under it: blocks that are new to the image cannot be written, which syncs tell
"""
import fcntl
import os
import struct
import subprocess

SHUTDOWN, WITHOUT_JOURNAL = 0x8004587D, 2           # linux/ext4.h
SMALL, IMAGE, OWN = 192 << 20, 384 << 20, 16 << 20


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError("%s: %s" % (" ".join(words), done.stderr.strip()))
    return done.stdout


def take_room(path):
    """All that there is."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    at, step = 0, 1 << 24
    while step >= 4096:
        try:
            os.posix_fallocate(fd, at, step)
            at += step
        except OSError:
            step //= 2
    os.close(fd)


class Disk:
    def __init__(self, directory):
        self.small, self.path = directory + ".small", directory + ".disk"
        self.image, self.filler = os.path.join(self.small, "image"), os.path.join(self.small, "full")
        os.mkdir(self.small)
        os.mkdir(self.path)
        run("mount", "-t", "tmpfs", "-o", "size=%d,mode=0755" % SMALL, "mqfs-test", self.small)
        with open(self.image, "wb") as f:
            f.truncate(IMAGE)
        # The file system's own blocks are there for good.
        run("mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", "-N", "1024", "-J", "size=4", "-E",
            "nodiscard,lazy_itable_init=0,lazy_journal_init=0,packed_meta_blocks=1", self.image)
        fd = os.open(self.image, os.O_WRONLY)
        os.posix_fallocate(fd, 0, OWN)
        os.close(fd)
        self.mount()

    def mount(self):
        run("mount", "-o", "loop", self.image, self.path)
        device = os.path.basename(run("findmnt", "-n", "-o", "SOURCE", self.path).strip())
        # Larger requests are taken for written when only a part was (Linux 6.18), and then a sync says nothing.
        with open("/sys/block/%s/queue/max_sectors_kb" % device, "w") as f:
            f.write("4")

    def again(self):
        """Nothing of it is in memory any more; its journal is replayed."""
        run("umount", self.path)
        self.mount()

    def cut(self):
        # Not by xfs_io(8): that looks at all mounts, and one of them may stand still.
        fd = os.open(self.path, os.O_RDONLY)
        fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", WITHOUT_JOURNAL))
        os.close(fd)

    def fill(self):
        take_room(os.path.join(self.path, "full"))

    def free(self):
        os.unlink(os.path.join(self.path, "full"))

    def fail(self):
        take_room(self.filler)

    def heal(self):
        os.unlink(self.filler)
