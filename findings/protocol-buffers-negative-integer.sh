#!/usr/bin/env bash
# protocol-buffers: a negative number of other libraries is read as another one, and the other way round.
#
# Versions:  protocol-buffers 5.0.0, protobufjs 8.8.1, pbf 5.1.2, protocol-buffers-schema 3.6.1, Node.js 24.21.0.
#            Seen 2026-11-30.
# Expected:  what one library writes for a schema another one reads, whatever its language. `int64` and `int32` take
#            negative numbers; a `sint64` has a shorter form for them.
# Happens:   protocol-buffers writes a negative `int64` with other bits than all others, and reads it so. Within it each
#            number comes back, and a test passes. The -5 of another library is read as -123, and its own -5 is -123
#            for them. A negative `int32` it writes in five bytes, which they understand, and theirs, of ten, it reads
#            as a number of 20 digits. So an offset, a balance or "-1 for none" becomes another number, without an
#            error. `sint64` is right.
# Setup:     -5 and -300 as int64, int32 and sint64, by who wrote them and who read them.
# Output:    protobufjs to pbf: -5 -5 -5 | -300 -300 -300
#            protobufjs to protocol-buffers: -123 18446744069414584000 -5 | -16084 18446744069414584000 -300
#            pbf to protocol-buffers: -123 18446744069414584000 -5 | -16084 18446744069414584000 -300
#            protocol-buffers to protobufjs: -123 -5 -5 | -16084 -300 -300
#            protocol-buffers to protocol-buffers: -5 -5 -5 | -300 -300 -300
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error protocol-buffers@5.0.0 protobufjs@8.8.1 pbf@5.1.2 \
  protocol-buffers-schema@3.6.1 "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import assert from "node:assert/strict"
import { PbfReader, PbfWriter } from "pbf"
import { compile } from "pbf/compile"
import protobuf from "protobufjs"
import protocolBuffers from "protocol-buffers"
import { parse } from "protocol-buffers-schema"

const source = `syntax = "proto3"; message Numbers { int64 wide = 1; int32 narrow = 2; sint64 zigzag = 3; }`
const ofProtobufjs = protobuf.parse(source).root.lookupType("Numbers")
const ofPbf = compile(parse(source))
const ofProtocolBuffers = protocolBuffers(source).Numbers
const write = {
  protobufjs: (numbers) => ofProtobufjs.encode(ofProtobufjs.fromObject(numbers)).finish(),
  pbf: (numbers) => {
    const writer = new PbfWriter()
    ofPbf.writeNumbers(numbers, writer)
    return writer.finish()
  },
  "protocol-buffers": (numbers) => ofProtocolBuffers.encode(numbers)
}
const read = {
  protobufjs: (bytes) => ofProtobufjs.toObject(ofProtobufjs.decode(bytes), { longs: Number }),
  pbf: (bytes) => ofPbf.readNumbers(new PbfReader(bytes)),
  "protocol-buffers": (bytes) => ofProtocolBuffers.decode(Buffer.from(bytes))
}
const lines = [
  ["protobufjs", "pbf"],
  ["protobufjs", "protocol-buffers"],
  ["pbf", "protocol-buffers"],
  ["protocol-buffers", "protobufjs"],
  ["protocol-buffers", "protocol-buffers"]
].map(([from, to]) => {
  const results = [-5, -300].map((number) => {
    const { wide, narrow, zigzag } = read[to](write[from]({ wide: number, narrow: number, zigzag: number }))
    return `${wide} ${narrow} ${zigzag}`
  })
  return `${from} to ${to}: ${results.join(" | ")}`
})
console.log(lines.join("\n"))
assert.deepEqual(lines, [
  "protobufjs to pbf: -5 -5 -5 | -300 -300 -300",
  "protobufjs to protocol-buffers: -123 18446744069414584000 -5 | -16084 18446744069414584000 -300",
  "pbf to protocol-buffers: -123 18446744069414584000 -5 | -16084 18446744069414584000 -300",
  "protocol-buffers to protobufjs: -123 -5 -5 | -16084 -300 -300",
  "protocol-buffers to protocol-buffers: -5 -5 -5 | -300 -300 -300"
], "the behaviour has changed")
JS
node_modules/.bin/node finding.mjs
