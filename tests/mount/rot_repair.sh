#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mqctl check --repair: what follows from the records is made again; they stay as they are; nothing is done to a store that is in use.
. "$(dirname "$0")/lib.sh"

repair() { "$MQCTL" check --repair "$STORE"; }

mqfs_start -o segment_size=1M
mkdir "$MNT/t"
lines 'a line of some length, the one with the number' 1 50000 > "$DIR/lines"
cat "$DIR/lines" >> "$MNT/t/0"
status 'a store in use is refused' 2 "$MQCTL" check --repair "$STORE"
mqfs_stop
cp -a "$STORE" "$DIR/good"

match 'a sound store' 'fine$' "$(repair)"
same 'a sound store is left alone' <(cd "$DIR/good" && find . -type f -exec sha256sum '{}' + | sort) \
	<(cd "$STORE" && find . -type f -exec sha256sum '{}' + | sort)

# All that is derived
for f in "$STORE"/log/*.index; do flip "$f" 20; done
for f in "$STORE"/checkpoint/*; do flip "$f" 60; done
for f in "$STORE"/log/0???????????????; do flip "$f" 30; done
touch "$STORE/log/filling" "$STORE/id.new"
status 'check finds it' 1 "$MQCTL" check "$STORE"
repair > "$DIR/out" || fail "repair: status $?: $(cat "$DIR/out")"
for what in 'log/.*index: made again' 'checkpoint/.*: made' 'the header was damaged: made again' 'log/filling: .*removed' 'id.new: .*removed'; do
	match 'what was done' "repaired: .*$what" "$(cat "$DIR/out")"
done
status 'it is right again' 0 "$MQCTL" check "$STORE"
no_match 'a second repair' repaired "$(repair)"
for f in "$DIR"/good/log/0???????????????; do
	same "records of $(basename "$f")" <(tail -c +4097 "$f") <(tail -c +4097 "$STORE/log/$(basename "$f")")
done
mqfs_start
same 'all is there' "$DIR/lines" "$MNT/t/0"
mqfs_stop

# A record
first=$(find "$STORE/log" -name '0???????????????' | sort | head -n 1)
flip "$first" 300000
sum=$(sha256sum < "$first")
status 'a record cannot be repaired' 1 "$MQCTL" check --repair "$STORE"
equal 'a damaged record is kept' "$sum" "$(sha256sum < "$first")"

# The identity
flip "$STORE/id" 100
status 'an identity cannot be repaired' 2 "$MQCTL" check --repair "$STORE"
