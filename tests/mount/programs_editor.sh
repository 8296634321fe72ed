#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What edits a file in place is refused, says so, and leaves the queue as it was: vim, sed -i, perl -i, sort -o, truncate, patch.
. "$(dirname "$0")/lib.sh"
need vim patch
mqfs_start
mkdir "$MNT/t"
q=$MNT/t/0
seq 5 >> "$q"
cat "$q" > "$DIR/before"

unchanged()
{
	same "the queue after $1" "$DIR/before" "$q"
	equal "the topic after $1" '0 any' "$(ls "$MNT/t" | paste -sd ' ')"
}

# -es is for scripts: no screen, and the exit status tells of an error.
vim() { timeout -k 1 20 env vim -es -u NONE "$@" < /dev/null; }
refused 'vim :wq' '' vim -c 'normal ggOnew' -c 'wq' "$q"
unchanged 'vim :wq'
refused 'vim :w!' '' vim -c 'normal ggOnew' -c 'w!' -c 'q!' "$q" || true
unchanged 'vim :w!'
refused 'view' '' vim -R -c 'normal ggOnew' -c 'w' -c 'cq' "$q"
unchanged view
succeeds 'vim :q after looking' vim -c 'q' "$q"
unchanged 'looking by vim'
succeeds 'vim :w of a copy' vim -c 'normal ggOnew' -c "w! $DIR/copy" -c 'q!' "$q"
same 'a copy by vim' <(echo new; cat "$DIR/before") "$DIR/copy"
refused 'sed -i' 'not permitted' sed -i 's/1/2/' "$q"
unchanged 'sed -i'
match 'perl -i' "Can't do inplace edit.*not permitted" "$(perl -i -pe 's/1/2/' "$q" 2>&1)"
unchanged 'perl -i'
refused 'truncate' 'not permitted' truncate -s 0 "$q"
unchanged truncate
refused 'fallocate' 'not supported|not permitted' fallocate -l 1M "$q"
unchanged fallocate
refused 'patch' 'not permitted|can.t|Can.t' bash -c "cd $MNT/t && printf '%s\n' '--- 0' '+++ 0' '@@ -1,2 +1,2 @@' '-1' '+one' ' 2' | patch --no-backup-if-mismatch 0"
unchanged patch

# What truncates its handle and writes on, whether that was refused or not, would add its copy to the queue: its writes are refused.
refused 'ftruncate and write' 'not permitted' python3 -c 'import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY)
try:
    os.ftruncate(fd, 0)
except PermissionError:
    pass
os.write(fd, b"1\n")' "$q"
unchanged 'ftruncate and write'
