/** Commands, queries and replies as bytes: what goes in comes out, and nothing that comes in can hurt. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import type { Command } from "../../src/kv/Command.ts"
import { decodeCommand, encodeCommand } from "../../src/kv/Command.ts"
import { encodeRecord } from "../../src/kv/KeyRecord.ts"
import { maxKeyBytes, maxScanLimit, maxValueBytes } from "../../src/kv/Limits.ts"
import type { Query } from "../../src/kv/Query.ts"
import { decodeQuery, encodeQuery } from "../../src/kv/Query.ts"
import { decodeReply, encodeDeleteReply, encodeGetReply, encodePutReply, encodeScanReply } from "../../src/kv/Reply.ts"

const key = Uint8Array.of(0x6b, 0xff)
const value = Uint8Array.of(1, 2, 3)
const record = { createRevision: 3, modRevision: 2 ** 40, version: 7, value }

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex")

describe("round trips", () => {
  it.prop("of commands", [Schema.Uint8Array, Schema.Uint8Array], ([anyKey, anyValue]) => {
    const ownKey = Uint8Array.of(1, ...anyKey)
    const commands: ReadonlyArray<Command> = [
      { _tag: "Put", key: ownKey, value: anyValue },
      { _tag: "Delete", key: ownKey }
    ]
    for (const command of commands) assert.deepStrictEqual(decodeCommand(encodeCommand(command)), command)
  })

  it.prop("of queries", [Schema.Uint8Array, Schema.Boolean, Schema.Boolean], ([prefix, keysOnly, reverse]) => {
    const queries: ReadonlyArray<Query> = [
      { _tag: "Get", key: Uint8Array.of(1, ...prefix) },
      { _tag: "Scan", prefix, limit: 10, cursor: undefined, keysOnly, reverse },
      { _tag: "Scan", prefix, limit: maxScanLimit, cursor: Uint8Array.of(...prefix, 1), keysOnly, reverse }
    ]
    for (const query of queries) assert.deepStrictEqual(decodeQuery(encodeQuery(query)), query)
  })

  it("of replies", () => {
    assert.deepStrictEqual(decodeReply(encodePutReply({ revision: 5, createRevision: 4, version: 2 })), {
      _tag: "PutReply",
      revision: 5,
      createRevision: 4,
      version: 2
    })
    assert.deepStrictEqual(decodeReply(encodeDeleteReply({ revision: 5, deleted: true })), {
      _tag: "DeleteReply",
      revision: 5,
      deleted: true
    })
    assert.deepStrictEqual(decodeReply(encodeGetReply(9, undefined)), {
      _tag: "GetReply",
      revision: 9,
      record: undefined
    })
    assert.deepStrictEqual(decodeReply(encodeGetReply(9, encodeRecord(record))), {
      _tag: "GetReply",
      revision: 9,
      record
    })
    const rows = [{ key, record: encodeRecord(record) }, {
      key: value,
      record: encodeRecord({ ...record, value: key })
    }]
    assert.deepStrictEqual(decodeReply(encodeScanReply(9, rows, true)), {
      _tag: "ScanReply",
      revision: 9,
      more: true,
      rows: [{ key, record }, { key: value, record: { ...record, value: key } }]
    })
  })
})

it("the formats are the ones that are on disks and wires already", () => {
  assert.strictEqual(hex(encodeCommand({ _tag: "Put", key, value })), "010100026bff010203")
  assert.strictEqual(hex(encodeCommand({ _tag: "Delete", key })), "010200026bff")
  assert.strictEqual(hex(encodeQuery({ _tag: "Get", key })), "010100026bff")
  assert.strictEqual(
    hex(encodeQuery({ _tag: "Scan", prefix: key, limit: 7, cursor: undefined, keysOnly: true, reverse: true })),
    "0102030000000700026bff0000"
  )
  assert.strictEqual(hex(encodeRecord(record)), "000000000000000300000100000000000000000000000007010203")
  assert.strictEqual(
    hex(encodePutReply({ revision: 5, createRevision: 4, version: 2 })),
    "0101000000000000000500000000000000040000000000000002"
  )
  assert.strictEqual(hex(encodeDeleteReply({ revision: 5, deleted: true })), "0102000000000000000501")
})

describe("limits", () => {
  const put = (keyBytes: number, valueBytes: number) =>
    decodeCommand(encodeCommand({ _tag: "Put", key: new Uint8Array(keyBytes), value: new Uint8Array(valueBytes) }))

  it("of keys and values, each named", () => {
    assert.strictEqual(put(maxKeyBytes, maxValueBytes)._tag, "Put")
    assert.deepInclude(put(0, 1), { _tag: "Problem", field: "key" })
    assert.deepInclude(put(maxKeyBytes + 1, 1), { _tag: "Problem", field: "key" })
    assert.deepInclude(put(1, maxValueBytes + 1), { _tag: "Problem", field: "value" })
  })

  it("of pages", () => {
    const scan = (limit: number, cursor?: Uint8Array) =>
      decodeQuery(encodeQuery({ _tag: "Scan", prefix: key, limit, cursor, keysOnly: false, reverse: false }))
    assert.strictEqual(scan(1)._tag, "Scan")
    assert.deepInclude(scan(0), { _tag: "Problem", field: "limit" })
    assert.deepInclude(scan(maxScanLimit + 1), { _tag: "Problem", field: "limit" })
    assert.deepInclude(scan(1, Uint8Array.of(1)), { _tag: "Problem", field: "cursor" })
  })
})

/** A small generator, so that a failure can be repeated from its seed. */
const randomBytes = (seed: number) => {
  let state = seed
  return (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

it("ten thousand damaged inputs give a value or a problem, and never an exception", () => {
  const next = randomBytes(7)
  const whole = [
    encodeCommand({ _tag: "Put", key, value }),
    encodeQuery({
      _tag: "Scan",
      prefix: key,
      limit: 7,
      cursor: Uint8Array.of(...key, 1),
      keysOnly: true,
      reverse: true
    }),
    encodeScanReply(9, [{ key, record: encodeRecord(record) }], true),
    encodeGetReply(9, encodeRecord(record))
  ]
  let problems = 0
  for (let i = 0; i < 10_000; i++) {
    const bytes = Uint8Array.from(whole[next(whole.length)] as Uint8Array).subarray(0, 1 + next(80))
    for (let change = next(4); change >= 0 && bytes.length > 0; change--) bytes[next(bytes.length)] = next(256)
    for (const decode of [decodeCommand, decodeQuery, decodeReply]) {
      if (decode(bytes)._tag === "Problem") problems += 1
    }
  }
  assert.isAbove(problems, 10_000)
})
