#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Java: FileWriter and FileChannel append, force, BufferedReader, Files, RandomAccessFile, transferTo, locks, a follower.
. "$(dirname "$0")/lib.sh"
need java javac
mqfs_start
mkdir "$MNT/t"
echo 4 > "$MNT/t/.config/queues"
sample "$DIR/text"

cat > "$DIR/Queue.java" << 'END'
import java.io.*;
import java.nio.ByteBuffer;
import java.nio.channels.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;

public class Queue {
    static void check(String what, byte[] got, byte[] wanted) {
        if (!Arrays.equals(got, wanted))
            throw new AssertionError(what + ": " + got.length + " bytes, wanted " + wanted.length);
    }

    static void produce(Path plain, Path topic) throws Exception {
        List<String> lines = Files.readAllLines(plain, StandardCharsets.UTF_8);
        String text = Files.readString(plain);
        try (BufferedWriter w = new BufferedWriter(new FileWriter(topic.resolve("0").toString(), StandardCharsets.UTF_8, true))) {
            w.write(text);
        }
        try (FileChannel c = FileChannel.open(topic.resolve("1"), StandardOpenOption.WRITE, StandardOpenOption.APPEND)) {
            ByteBuffer b = ByteBuffer.wrap(Files.readAllBytes(plain));
            while (b.hasRemaining()) {
                b.limit(Math.min(b.position() + 10000, b.capacity()));
                c.write(b);
                b.limit(b.capacity());
            }
            c.force(true);
            if (c.size() != Files.size(plain))
                throw new AssertionError("size after force: " + c.size());
        }
        Files.write(topic.resolve("2"), List.of("one", "two"), StandardOpenOption.APPEND);
        Files.writeString(topic.resolve("2"), "three\n", StandardOpenOption.WRITE, StandardOpenOption.APPEND);
    }

    /* base: the offset in NAME of the first byte that is there */
    static void read(Path name, Path plain, long base) throws Exception {
        byte[] wanted = Files.readAllBytes(plain);
        check("readAllBytes", Files.readAllBytes(name), wanted);
        StringBuilder s = new StringBuilder();
        try (FileInputStream in = new FileInputStream(name.toFile())) {
            check("FileInputStream", in.readAllBytes(), wanted);
        }
        int lines = 0;
        try (BufferedReader r = new BufferedReader(new InputStreamReader(new FileInputStream(name.toFile()), StandardCharsets.UTF_8))) {
            for (String l; (l = r.readLine()) != null; lines++)
                s.append(l);
        }
        try (var l = Files.lines(plain)) {
            if (!l.reduce("", String::concat).replace("\r", "").equals(s.toString()))
                throw new AssertionError("readLine");
        }
        try (RandomAccessFile f = new RandomAccessFile(name.toFile(), "r")) {
            f.seek(base + 1000);
            byte[] got = new byte[500];
            f.readFully(got);
            check("seek", got, Arrays.copyOfRange(wanted, 1000, 1500));
        }
        try (FileChannel c = FileChannel.open(name); ByteArrayOutputStream out = new ByteArrayOutputStream()) {
            ByteBuffer b = ByteBuffer.allocate(777);
            while (c.read(b) > 0) {
                out.write(b.array(), 0, b.position());
                b.clear();
            }
            check("FileChannel.read", out.toByteArray(), wanted);
            ByteBuffer at = ByteBuffer.allocate(500);
            c.read(at, base + 1000);
            check("read at a position", at.array(), Arrays.copyOfRange(wanted, 1000, 1500));
        }
        Path copy = Path.of(plain + ".copy");
        try (FileChannel c = FileChannel.open(name);
                FileChannel out = FileChannel.open(copy, StandardOpenOption.CREATE, StandardOpenOption.WRITE, StandardOpenOption.TRUNCATE_EXISTING)) {
            long at = base;
            for (long n; at < c.size() && (n = c.transferTo(at, c.size() - at, out)) > 0; )
                at += n;
            check("transferTo", Files.readAllBytes(copy), wanted);
        } catch (IOException refused) {
            // Past a head the kernel refuses to send pages, and Java would go over to a shared mapping.
            if (base == 0)
                throw refused;
        }
        Files.copy(name, copy, StandardCopyOption.REPLACE_EXISTING);
        check("Files.copy", Files.readAllBytes(copy), wanted);
        try (FileChannel c = FileChannel.open(name)) {
            c.map(FileChannel.MapMode.READ_ONLY, 0, Math.max(1, c.size()));
            throw new AssertionError("map: wanted an IOException");
        } catch (IOException refused) {
        }
    }

    static void follow(Path name) throws Exception {
        try (BufferedReader r = new BufferedReader(new FileReader(name.toFile()))) {
            for (String l; (l = r.readLine()) != null; ) {
                System.out.println("got " + l);
                if (l.equals("end"))
                    System.exit(3);
            }
        }
    }

    static void lock(Path name) throws Exception {
        try (FileChannel c = FileChannel.open(name, StandardOpenOption.WRITE)) {
            System.exit(c.tryLock() == null ? 4 : 5);
        }
    }

    public static void main(String[] a) throws Exception {
        switch (a[0]) {
        case "produce" -> produce(Path.of(a[1]), Path.of(a[2]));
        case "read" -> read(Path.of(a[1]), Path.of(a[2]), Long.parseLong(a[3]));
        case "follow" -> follow(Path.of(a[1]));
        case "lock" -> lock(Path.of(a[1]));
        }
    }
}
END
javac -d "$DIR" "$DIR/Queue.java"
queue() { timeout 60 java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$DIR" Queue "$@"; }

succeeds 'Java produces' queue produce "$DIR/text" "$MNT/t"
same 'FileWriter' "$DIR/text" "$MNT/t/0"
same 'FileChannel' "$DIR/text" "$MNT/t/1"
equal 'Files.write' $'one\ntwo\nthree' "$(cat "$MNT/t/2")"

succeeds 'Java reads' queue read "$MNT/t/0" "$DIR/text" 0
succeeds 'Java reads .retained' queue read "$MNT/t/.retained/0" "$DIR/text" 0
past_head "$MNT/t/0" "$DIR/text"
succeeds 'Java reads past a head' queue read "$MNT/t/0" "$DIR/text.left" "$(cat "$MNT/t/.config/head.0")"
succeeds 'Java reads .retained past a head' queue read "$MNT/t/.retained/0" "$DIR/text.left" 0

queue follow "$MNT/t/.follow/3" > "$DIR/out" &
follower=$!
echo one >> "$MNT/t/3"
wait_lines "$DIR/out" 1
echo end >> "$MNT/t/3"
status=0
wait $follower || status=$?
equal 'exit status of Java following' 3 $status
equal 'Java follows' $'got one\ngot end' "$(cat "$DIR/out")"

# FileChannel.tryLock is a record lock, as lockf is.
status 'tryLock of a free queue' 5 queue lock "$MNT/t/2"
python3 -c 'import fcntl, sys, time
f = open(sys.argv[1], "r+")
fcntl.lockf(f, fcntl.LOCK_EX)
open(sys.argv[2], "w")
time.sleep(60)' "$MNT/t/2" "$DIR/locked" &
locker=$!
wait_for 'the lock' test -e "$DIR/locked"
status 'tryLock of a locked queue' 4 queue lock "$MNT/t/2"
kill $locker
