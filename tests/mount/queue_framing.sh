#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# framing=write: each write(2) is a message, whatever it holds.
. "$(dirname "$0")/lib.sh"
need python3
mqfs_start
mkdir "$MNT/t"
q=$MNT/t/0
echo 'a line' >> "$q"
# In subshells and other programs: a redirection in this shell would close a dup of its stdout, and so end the line.
{
	printf 'unfinished'
	(echo write > "$MNT/t/.config/framing")
	(printf 'no newline' >> "$q")
	python3 -c 'import os, sys; os.write(os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND), b"two\nlines\n")' "$q"
	equal 'nothing is added' $'a line\nno newlinetwo\nlines' "$(cat "$q")"
	equal 'three messages' 3 "$(json "$MNT/.mqfs/status.json" topics.0.messages)"
} >> "$q"
equal 'a line that was begun as one ends as one' $'lines\nunfinished' "$(tail -n 2 "$q")"

# --- and the next message of its writer ends it, as partial says; then each is there by itself when it is answered
python3 - "$q" "$MNT/t" << 'END'
import errno, os, sys
q, t = sys.argv[1:]
def config(name, value):
    with open(t + '/.config/' + name, 'w') as c:
        c.write(value)
ended = {'newline': [b'half\n'], 'keep': [b'half'], 'lost': []}
messages = [b'a message', b'another\nmessage', b'and one\n']
for commit in 'write', 'fsync':
    config('commit', commit)
    for partial in ended:
        config('partial', partial)
        config('framing', 'lines')
        at = os.stat(q).st_size
        w = os.open(q, os.O_WRONLY | os.O_APPEND)
        os.write(w, b'half')
        config('framing', 'write')
        try:
            os.write(w, bytes(1 << 20))
            assert False
        except OSError as e:
            assert e.errno == errno.EMSGSIZE
        for m in messages:
            os.write(w, m)
        if commit == 'fsync':
            os.fsync(w)
        f = os.open(t + '/.follow/0@%d' % at, os.O_RDONLY | os.O_NONBLOCK)
        want = ended[partial] + messages
        for m in want:
            got = os.read(f, 65536)
            assert got == m, (commit, partial, m, got)
        os.close(w)
        assert os.stat(q).st_size == at + len(b''.join(want)), (commit, partial)
config('commit', 'default')
config('partial', 'default')
END
echo 16M > "$MNT/t/.config/max_message"
call 1044480 fill "$q" 'O_WRONLY|O_APPEND' $((1024 * 1024 - 4096))
call EMSGSIZE fill "$q" 'O_WRONLY|O_APPEND' $((1024 * 1024 - 4095))
call EMSGSIZE fill "$q" 'O_WRONLY|O_APPEND' 1M
call EMSGSIZE fill "$q" 'O_WRONLY|O_APPEND' 3M
echo 1000 > "$MNT/t/.config/max_message"
call EMSGSIZE fill "$q" 'O_WRONLY|O_APPEND' 1001
call 1000 fill "$q" 'O_WRONLY|O_APPEND' 1000

# --- a read of .follow never crosses a message's end
python3 - "$q" "$MNT/t/.follow" << 'END'
import os, sys
q, follow = sys.argv[1:]
at = os.stat(q).st_size
w = os.open(q, os.O_WRONLY | os.O_APPEND)
messages = [b'one', b'two\n', b'3' * 900, b'\n\n']
for m in messages:
    os.write(w, m)
for name in ('0@%d' % at, 'all@latest'):
    f = os.open(follow + '/' + name, os.O_RDONLY)
    if name == 'all@latest':
        for m in messages:
            os.write(w, m)
    got = [os.read(f, 65536) for m in messages]
    assert got == messages, (name, got)
# which they keep when lines are written behind them
with open(q[:-1] + '.config/framing', 'w') as c:
    c.write('lines')
os.write(os.open(q, os.O_WRONLY | os.O_APPEND), b'a line\n')
f = os.open(follow + '/0@%d' % at, os.O_RDONLY)
for m in 2 * messages + [b'a line\n']:
    got = os.read(f, 65536)
    assert got == m, (m, got)
f = os.open(follow + '/0@%d' % at, os.O_RDONLY)
assert [os.read(f, 2), os.read(f, 100), os.read(f, 100)] == [b'on', b'e', b'two\n']
END
mqfs_kill
mqfs_start
equal 'after a restart' 35 "$(json "$MNT/.mqfs/status.json" topics.0.messages)"

# --- by pages the file goes on behind each
mkdir "$MNT/from" "$MNT/to"
echo write > "$MNT/from/.config/framing"
python3 - "$MNT" "$DIR/sent" << 'END'
import os, sys
mnt, sent = sys.argv[1:]
w = os.open(mnt + '/from/0', os.O_WRONLY | os.O_APPEND)
for i in range(200):
    os.write(w, b'%d' % (i % 10) * 4100)
    os.write(w, b'short message\n')
want = open(mnt + '/from/0', 'rb').read()
for name in '0', '.follow/0', '.retained/0':
    f, to = os.open(mnt + '/from/' + name, os.O_RDONLY), os.open(sent, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    while os.sendfile(to, f, None, 1 << 20):
        pass
    assert open(sent, 'rb').read() == want, name
f, to = os.open(mnt + '/from/.follow/0', os.O_RDONLY), os.open(mnt + '/to/0', os.O_WRONLY)
while os.copy_file_range(f, to, len(want)):
    pass
assert open(mnt + '/to/0', 'rb').read().rstrip(b'\n') == want.rstrip(b'\n')
END
mqfs_stop
