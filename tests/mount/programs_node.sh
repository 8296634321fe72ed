#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Node: createWriteStream, appendFile, createReadStream, fs.read, readline over a follower.
. "$(dirname "$0")/lib.sh"
need node
mqfs_start
mkdir "$MNT/t"
echo 4 > "$MNT/t/.config/queues"
sample "$DIR/text"

cat > "$DIR/queue.js" << 'END'
const fs = require('fs'), path = require('path'), readline = require('readline')
const { spawn } = require('child_process')
const { pipeline } = require('stream/promises')
const [, , verb, ...a] = process.argv

function check(what, got, wanted) {
  if (Buffer.compare(got, wanted)) throw new Error(`${what}: ${got.length} bytes, wanted ${wanted.length}`)
}

async function produce(plain, topic) {
  const lines = fs.readFileSync(plain, 'utf8').split(/(?<=\n)/)
  const w = fs.createWriteStream(path.join(topic, '0'), { flags: 'a' })
  for (const line of lines) if (!w.write(line)) await new Promise(go => w.once('drain', go))
  await new Promise((go, no) => w.end(e => e ? no(e) : go()))
  await pipeline(fs.createReadStream(plain), fs.createWriteStream(path.join(topic, '1'), { flags: 'a' }))
  fs.appendFileSync(path.join(topic, '2'), 'by appendFileSync\n')
  await fs.promises.appendFile(path.join(topic, '2'), 'by appendFile\n')
  fs.writeFileSync(path.join(topic, '2'), 'by writeFileSync\n')
  const fd = fs.openSync(path.join(topic, '2'), 'a')
  fs.writeSync(fd, 'by writeSync\n')
  fs.fsyncSync(fd)
  fs.closeSync(fd)
}

// base: the offset in name of the first byte that is there
async function read(name, plain, base) {
  const wanted = fs.readFileSync(plain)
  check('readFileSync', fs.readFileSync(name), wanted)
  check('readFile', await fs.promises.readFile(name), wanted)
  const chunks = []
  for await (const c of fs.createReadStream(name)) chunks.push(c)
  check('createReadStream', Buffer.concat(chunks), wanted)
  const fd = fs.openSync(name, 'r'), part = Buffer.alloc(500)
  fs.readSync(fd, part, 0, 500, base + 1000)
  check('fs.read at a position', part, wanted.subarray(1000, 1500))
  const got = [], b = Buffer.alloc(777)
  const again = fs.openSync(name, 'r')
  for (let n; (n = fs.readSync(again, b, 0, b.length, null)) > 0;) got.push(Buffer.from(b.subarray(0, n)))
  check('fs.read', Buffer.concat(got), wanted)
  // copyFile goes on until it has copied st_size bytes, which past a head are more than there are.
  if (base === 0) {
    fs.copyFileSync(name, plain + '.copy')
    check('copyFile', fs.readFileSync(plain + '.copy'), wanted)
  }
}

async function follow(name) {
  const cat = spawn('cat', [name])
  for await (const line of readline.createInterface({ input: cat.stdout })) {
    console.log('got ' + line)
    if (line === 'end') { cat.kill(); process.exit(3) }
  }
}

({ produce, read: (n, p, b) => read(n, p, Number(b)), follow })[verb](...a).catch(e => { console.error(e); process.exit(1) })
END
queue() { bounded node "$DIR/queue.js" "$@"; }

succeeds 'Node produces' queue produce "$DIR/text" "$MNT/t"
same 'createWriteStream' "$DIR/text" "$MNT/t/0"
same 'pipeline' "$DIR/text" "$MNT/t/1"
equal 'appendFile and others' $'by appendFileSync\nby appendFile\nby writeFileSync\nby writeSync' "$(cat "$MNT/t/2")"

succeeds 'Node reads' queue read "$MNT/t/0" "$DIR/text" 0
succeeds 'Node reads .retained' queue read "$MNT/t/.retained/0" "$DIR/text" 0
past_head "$MNT/t/0" "$DIR/text"
succeeds 'Node reads past a head' queue read "$MNT/t/0" "$DIR/text.left" "$(cat "$MNT/t/.config/head.0")"
succeeds 'Node reads .retained past a head' queue read "$MNT/t/.retained/0" "$DIR/text.left" 0

# Node reads in threads that it waits for when it exits: what may wait for ever is another process's to read.
queue follow "$MNT/t/.follow/3" > "$DIR/out" &
follower=$!
echo one >> "$MNT/t/3"
wait_lines "$DIR/out" 1
echo end >> "$MNT/t/3"
status=0
wait $follower || status=$?
equal 'exit status of Node following' 3 $status
equal 'Node follows' $'got one\ngot end' "$(cat "$DIR/out")"
