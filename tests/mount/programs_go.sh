#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Go: os, bufio, io.Copy; its runtime polls FUSE files, so a follower has deadlines; a writer while appends are refused.
. "$(dirname "$0")/lib.sh"
need go
mqfs_start
mkdir "$MNT/t"
echo 5 > "$MNT/t/.config/queues"
sample "$DIR/text"

cat > "$DIR/queue.go" << 'END'
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func check(what string, got, wanted []byte) {
	if !bytes.Equal(got, wanted) {
		panic(fmt.Sprintf("%s: %d bytes, wanted %d", what, len(got), len(wanted)))
	}
}

func slurp(name string) []byte {
	b, err := os.ReadFile(name)
	must(err)
	return b
}

func appendTo(name string) *os.File {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0644)
	must(err)
	return f
}

func produce(plain, topic string) {
	text := slurp(plain)
	w := bufio.NewWriter(appendTo(filepath.Join(topic, "0")))
	for _, line := range bytes.SplitAfter(text, []byte("\n")) {
		_, err := w.Write(line)
		must(err)
	}
	must(w.Flush())
	f := appendTo(filepath.Join(topic, "1"))
	in, err := os.Open(plain)
	must(err)
	n, err := io.Copy(f, in)
	must(err)
	if n != int64(len(text)) {
		panic("io.Copy")
	}
	must(f.Sync())
	must(f.Close())
	must(os.WriteFile(filepath.Join(topic, "2"), []byte("by WriteFile\n"), 0644))
	f = appendTo(filepath.Join(topic, "2"))
	fmt.Fprintf(f, "by Fprintf %d\n", 17)
	must(f.Close())
}

// base: the offset in name of the first byte that is there
func read(name, plain string, base int64) {
	wanted := slurp(plain)
	check("ReadFile", slurp(name), wanted)
	f, err := os.Open(name)
	must(err)
	var lines bytes.Buffer
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		lines.Write(s.Bytes())
	}
	must(s.Err())
	check("Scanner", lines.Bytes(), bytes.ReplaceAll(bytes.ReplaceAll(wanted, []byte("\r\n"), nil), []byte("\n"), nil))
	part := make([]byte, 500)
	_, err = f.ReadAt(part, base+1000)
	must(err)
	check("ReadAt", part, wanted[1000:1500])
	_, err = f.Seek(base+2000, io.SeekStart)
	must(err)
	_, err = io.ReadFull(f, part)
	must(err)
	check("Seek", part, wanted[2000:2500])
	f, err = os.Open(name)
	must(err)
	out, err := os.Create(plain + ".copy")
	must(err)
	_, err = io.Copy(out, f)
	must(err)
	check("io.Copy", slurp(plain+".copy"), wanted)
}

func follow(name string) {
	f, err := os.Open(name)
	must(err)
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadString('\n')
		must(err)
		fmt.Print("got ", line)
		if line == "end\n" {
			break
		}
	}
	// Nothing more comes: a deadline, or Close by another goroutine, ends the read.
	if err := f.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err == nil {
		_, err = r.ReadByte()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			panic(fmt.Sprint("after the deadline: ", err))
		}
		fmt.Println("deadline")
	}
	os.Exit(3)
}

// Writes numbered lines, each until it is accepted; says which were refused at first, and how.
func insist(name string, count int) {
	f := appendTo(name)
	refused := 0
	for i := 1; i <= count; {
		_, err := fmt.Fprintf(f, "go %d %s\n", i, bytes.Repeat([]byte("x"), 1000))
		if err == nil {
			i++
			continue
		}
		if !errors.Is(err, syscall.ENOSPC) {
			panic(err)
		}
		if refused == 0 {
			fmt.Println("refused", err)
		}
		refused++
		time.Sleep(2 * time.Millisecond)
	}
	fmt.Println("done")
	must(f.Close())
	if refused == 0 {
		os.Exit(4)
	}
}

func main() {
	a := os.Args
	switch a[1] {
	case "produce":
		produce(a[2], a[3])
	case "read":
		base, _ := strconv.ParseInt(a[4], 10, 64)
		read(a[2], a[3], base)
	case "follow":
		follow(a[2])
	case "insist":
		count, _ := strconv.Atoi(a[3])
		insist(a[2], count)
	}
}
END
(cd "$DIR" && GO111MODULE=off CGO_ENABLED=0 go build -o queue queue.go)
queue() { bounded "$DIR/queue" "$@"; }

succeeds 'Go produces' queue produce "$DIR/text" "$MNT/t"
same 'bufio.Writer' "$DIR/text" "$MNT/t/0"
same 'io.Copy' "$DIR/text" "$MNT/t/1"
equal 'WriteFile and Fprintf' $'by WriteFile\nby Fprintf 17' "$(cat "$MNT/t/2")"

succeeds 'Go reads' queue read "$MNT/t/0" "$DIR/text" 0
succeeds 'Go reads .retained' queue read "$MNT/t/.retained/0" "$DIR/text" 0
past_head "$MNT/t/0" "$DIR/text"
succeeds 'Go reads past a head' queue read "$MNT/t/0" "$DIR/text.left" "$(cat "$MNT/t/.config/head.0")"
succeeds 'Go reads .retained past a head' queue read "$MNT/t/.retained/0" "$DIR/text.left" 0

queue follow "$MNT/t/.follow/3" > "$DIR/out" 2> "$DIR/go.log" &
follower=$!
echo one >> "$MNT/t/3"
wait_lines "$DIR/out" 1
echo end >> "$MNT/t/3"
status=0
wait $follower || status=$?
equal 'exit status of Go following' 3 $status
equal 'Go follows, with a deadline' $'got one\ngot end\ndeadline' "$(cat "$DIR/out")"
mqfs_stop

# A full disk: a Go writer gets ENOSPC, not a goroutine parked for ever, and goes on once there is space. What it was told was
# refused is not there, so each line is there once.
small_disk "$DIR/small" 64M
mqfs_start_at "$DIR/small/store" "$DIR/full" -o segment_size=4M
mkdir "$DIR/full/t"
head -c 100M /dev/zero > "$DIR/small/filler" 2> /dev/null || true
queue insist "$DIR/full/t/0" 20000 > "$DIR/insist.out" 2> "$DIR/go.log" &
writer=$!
wait_for 'the first refusal' grep -q refused "$DIR/insist.out"
match 'the refusal' 'no space left on device' "$(cat "$DIR/insist.out")"
match 'reads go on' '^go 1 x' "$(head -n 1 "$DIR/full/t/0")"
rm "$DIR/small/filler"
status=0
wait $writer || status=$?
equal 'exit status of the Go writer' 0 $status
equal 'each line once, in order' "$(seq 20000 | sha256sum)" "$(cut -d ' ' -f 2 "$DIR/full/t/0" | sha256sum)"
