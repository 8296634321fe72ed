#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A retired topic takes no appends; when it is removed, open handles read on and followers get their end.
. "$(dirname "$0")/lib.sh"
need python3
mqfs_start
mkdir "$MNT/t"
q=$MNT/t/0
echo one >> "$q"
{
	echo two
	(echo 1 > "$MNT/t/.config/retired")
	refused 'an append' 'Read-only file system' bash -c "echo no >> $q"
	call EROFS write "$q" 'O_WRONLY|O_APPEND' 'not even begun'
	equal 'reads go on' $'one\ntwo' "$(cat "$q")"
	(echo 0 > "$MNT/t/.config/retired")
	echo three
} >> "$q"
equal 'until it is not any more' $'one\ntwo\nthree' "$(cat "$q")"

# --- a line that is refused when its writer leaves it without a newline is not there, nor later, nor in front of another's
python3 - "$q" "$MNT/t/.config/retired" << 'END' || fail 'a line that is refused at close'
import errno, os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
def retire(text):
    with open(sys.argv[2], 'w') as f:
        f.write(text)
os.write(fd, b'refused')
retire('1')
try:
    os.close(os.dup(fd))
    raise AssertionError('closed')
except OSError as e:
    assert e.errno == errno.EROFS, e
retire('0')
os.write(fd, b'four\n')
os.write(fd, b'refused')
retire('1')
try:
    os.close(os.dup(fd))
except OSError:
    pass
retire('0')
os.close(fd)
END
equal 'it is not there' $'one\ntwo\nthree\nfour' "$(cat "$q")"
equal 'but counted' 2 "$(json "$MNT/.mqfs/status.json" topics.0.lost)"

# --- but where that call answers for whole lines, too, which are in the log, it may not say that nothing is there
mkdir "$MNT/u"
cat > "$DIR/answers.py" << 'END'
import errno, os, sys
t, mode, fails = sys.argv[1:]
def config(name, text):
    with open(t + '/.config/' + name, 'w') as f:
        f.write(text)
def refused(wanted, f, *a):
    try:
        f(*a)
        raise AssertionError('acknowledged')
    except OSError as e:
        assert e.errno == wanted, (e, errno.errorcode[wanted])
config('commit', mode)
fd = os.open(t + '/0', os.O_WRONLY | os.O_APPEND)
os.write(fd, b'whole\nun')
config('retired', '1')
refused(errno.EIO, getattr(os, fails), fd if fails == 'fsync' else os.dup(fd))
config('retired', '0')
os.close(fd)
fd = os.open(t + '/0', os.O_WRONLY | os.O_APPEND)
os.write(fd, b'nothing else')
config('retired', '1')
refused(errno.EROFS, os.close, fd)
config('retired', '0')
END
succeeds 'commit=close, close' python3 "$DIR/answers.py" "$MNT/u" close close
succeeds 'commit=fsync, close' python3 "$DIR/answers.py" "$MNT/u" fsync close
succeeds 'commit=close, fsync' python3 "$DIR/answers.py" "$MNT/u" close fsync
succeeds 'commit=fsync, fsync' python3 "$DIR/answers.py" "$MNT/u" fsync fsync
# it is not known whose the line is for which fsync failed
succeeds 'commit=write, fsync' python3 "$DIR/answers.py" "$MNT/u" write fsync
equal 'what was whole is there' $'whole\nwhole\nwhole\nun\nwhole\nun\nwhole\nun' "$(cat "$MNT/u/0")"
echo 1 > "$MNT/u/.config/retired"
rmdir "$MNT/u"
echo 1 > "$MNT/t/.config/retired"

cat "$MNT/t/.follow/0" > "$DIR/follow" &
follow=$!
cat "$MNT/t/.follow/all" > "$DIR/all" &
all=$!
exec 5< "$q" 6>> "$q" 7< "$MNT/t/.follow/0"
wait_lines "$DIR/follow" 4
wait_lines "$DIR/all" 4
rmdir "$MNT/t"
wait_gone $follow
wait_gone $all
succeeds 'a follower gets its end' wait $follow
succeeds 'so does one of all' wait $all
mkdir "$MNT/t"
echo other >> "$q"
equal 'an open handle reads on' $'one\ntwo\nthree\nfour' "$(cat <&5)"
equal 'a follower that comes late, too, to its end' $'one\ntwo\nthree\nfour' "$(cat <&7)"
refused 'its appends' 'Read-only file system' bash -c 'echo no >&6'
equal 'a topic of the same name is another' other "$(cat "$q")"
exec 5<&- 6>&- 7<&-
mqfs_stop
