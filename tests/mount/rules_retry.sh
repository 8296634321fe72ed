#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A write that got an error may be there, and its program may write it again: lines twice then, but never glued to each other, nor half of one.
. "$(dirname "$0")/lib.sh"
need python3 strace
need_root
mqfs_start -o commit_timeout=600ms
mkdir "$MNT/t"
echo 7 > "$MNT/t/.config/queues"
q=$MNT/t/0
# delayed ARGUMENT: a sync takes longer than the commit timeout. Sets TRACER.
delayed()
{
	strace -f -p "$PID" -o "$DIR/strace.out" -e trace=fdatasync -e "inject=fdatasync:delay_enter=1500000$1" 2> "$DIR/strace.err" &
	TRACER=$!
	wait_for 'strace' grep -q attached "$DIR/strace.err" || skip "strace cannot attach: $(cat "$DIR/strace.err")"
}
in_time()
{
	kill "$TRACER" 2> /dev/null || true
	wait "$TRACER" || true
}

cat > "$DIR/late.py" << 'END'
import errno, os, signal, sys, time
fd = os.open(sys.argv[1], os.O_RDWR | os.O_APPEND)
text = b''.join(b'%d\n' % i for i in range(400000))
def spliced():
    source = os.memfd_create('text')
    os.write(source, text)
    os.dup2(os.open(sys.argv[1], os.O_WRONLY), fd)         # O_APPEND refuses it
    return os.sendfile(fd, source, 0, len(text))
def in_time():
    os.kill(int(sys.argv[2]), signal.SIGTERM)
    while 'TracerPid:\t0' not in open('/proc/%s/status' % sys.argv[3]).read():
        time.sleep(0.001)
def late(text):
    try:
        os.write(fd, text)
    except OSError as e:
        assert e.errno == errno.ETIMEDOUT, e
    else:
        raise AssertionError('in time')
END
delayed ''
python3 - "$q" << END || fail 'writes that time out'
$(cat "$DIR/late.py")
late(b'one\ntw')
late(b'one\ntwo\nthr')
late(b'two\nthree\n')
END
in_time
succeeds 'a write in time' bash -c "echo four >> $q"
equal 'whole lines only' $'one\none\ntwo\ntwo\nthree\nfour' "$(cat "$q")"

# --- a line that was begun by a write before, as stdio and Python do at the end of each buffer
delayed ''
python3 - "$MNT/t/1" << END || fail 'writes that finish a line'
$(cat "$DIR/late.py")
os.write(fd, b'abc')
late(b'def\nghi')
late(b'def\nghijkl\nmn')
late(b'something else\n')
END
in_time
succeeds 'a write in time' bash -c "echo last >> $MNT/t/1"
equal 'whole lines only, and what was given up is gone' $'abcdef\nabcdef\nghijkl\nsomething else\nlast' "$(cat "$MNT/t/1")"

# --- a write(2) that the kernel cuts: its program sees a short count, and the error when it goes on
# cut QUEUE WRITE: WRITE is Python, and writes text to fd
cut()
{
	delayed ':when=2+'
	python3 - "$MNT/t/$1" "$TRACER" "$PID" << END || fail "a write of which a later piece times out: $2"
$(cat "$DIR/late.py")
done = $2
assert 0 < done < len(text), done
late(text[done:])
in_time()
at = done
while at < len(text):
    at += os.write(fd, text[at:])
os.close(fd)
got = open(sys.argv[1], 'rb').read().split(b'\n')
numbers = [int(line) for line in got[:-1]]
assert set(numbers) == set(range(400000)), 'a line that nobody wrote, or one is not there'
again = text[done:done + (1 << 20)].count(b'\n') + 1
assert 400000 < len(numbers) <= 400000 + again, 'it was written again before its program had heard of it'
END
	in_time
}
cut 2 'os.write(fd, text)'
# each part may begin and end within a page
cut 3 'os.writev(fd, [text[i * 10000:(i + 1) * 10000] for i in range(60)] + [text[600000:]])'
# in pieces of the pipe that the kernel has between two files
cut 6 'spliced()'

# --- so it is where others have waited for the file meanwhile, and so come first
# between QUEUE HOW: HOW is Python, and runs other() beside what follows
between()
{
	delayed ':when=2+'
	python3 - "$MNT/t/$1" "$TRACER" "$PID" << END || fail "a write of which a later piece times out, and another behind it: $2"
$(cat "$DIR/late.py")
import threading
text = b''.join(b'%0500d\n' % i for i in range(4000))
def other():
    while not os.stat(sys.argv[1]).st_size:
        time.sleep(0.001)
    late(b'between\n')
$2
done = os.write(fd, text)
assert 0 < done < len(text) and text[done - 1:done] != b'\n', done
end_of_other()
in_time()
late(text[done:])
at = done
while at < len(text):
    at += os.write(fd, text[at:])
got = open(sys.argv[1], 'rb').read().split(b'\n')[:-1]
assert got.count(b'between') == 1, 'what came first'
assert set(got) == set(text.split(b'\n')[:-1] + [b'between']), 'a line that nobody wrote, or one is not there'
END
	in_time
}
between 4 'thread = threading.Thread(target=other); thread.start(); end_of_other = thread.join'
between 5 'child = os.fork()
if not child:
    other()
    os._exit(0)
end_of_other = lambda: os.waitpid(child, 0)'

# --- a refusal says that nothing is there: so it comes behind what the program has not heard of
mkdir "$MNT/u"
delayed ':when=2+'
python3 - "$MNT/u/0" "$TRACER" "$PID" << END || fail 'a write of which a later piece times out, and a retired topic'
$(cat "$DIR/late.py")
def retired(text):
    with open(os.path.dirname(sys.argv[1]) + '/.config/retired', 'w') as f:
        f.write(text)
done = os.write(fd, text)
assert 0 < done < len(text), done
in_time()
retired('1')
late(text[done:])
try:
    os.write(fd, text[done:])
    raise AssertionError('a retired topic takes it')
except OSError as e:
    assert e.errno == errno.EROFS, e
retired('0')
END
in_time
mqfs_stop
