#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What edits a file in place is refused, says so, and leaves the queue as it was: vim, sed -i, perl -i, sort -o, truncate, shred.
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
refused 'vim :wq' '' bash -c "timeout -k 1 20 vim -es -u NONE -c 'normal ggOnew' -c 'wq' $q < /dev/null"
unchanged vim
succeeds 'vim :q after looking' bash -c "timeout -k 1 20 vim -es -R -u NONE -c 'q' $q < /dev/null"
unchanged 'looking by vim'
succeeds 'view, copied' bash -c "timeout -k 1 20 vim -es -u NONE -c 'normal ggOnew' -c 'w! $DIR/copy' -c 'q!' $q < /dev/null"
same 'a copy by vim' <(echo new; cat "$DIR/before") "$DIR/copy"
refused 'sed -i' 'not permitted' sed -i 's/1/2/' "$q"
unchanged 'sed -i'
refused 'perl -i' 'not permitted|No such file|Can.t' perl -i -pe 's/1/2/' "$q"
unchanged 'perl -i'
refused 'truncate' 'not permitted' truncate -s 0 "$q"
unchanged truncate
refused 'shred' 'not permitted' shred -n 1 "$q"
unchanged shred
refused 'fallocate' 'not supported|not permitted' fallocate -l 1M "$q"
unchanged fallocate
refused 'patch' 'not permitted|can.t|Can.t' bash -c "cd $MNT/t && printf '%s\n' '--- 0' '+++ 0' '@@ -1,2 +1,2 @@' '-1' '+one' ' 2' | patch --no-backup-if-mismatch 0"
unchanged patch
