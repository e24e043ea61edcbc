/** Commands, queries and replies as bytes: what goes in comes out, and nothing that comes in can hurt. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import type { RolesReply, UsersReply } from "../../src/kv/model/access/AccessReply.ts"
import type { Command } from "../../src/kv/model/Command.ts"
import { decodeCommand, encodeCommand, noSession, writeCommandId } from "../../src/kv/model/Command.ts"
import { decodeMetadata, encodeMetadata } from "../../src/kv/model/StoreMetadata.ts"
import type { Revision } from "../../src/kv/model/History.ts"
import { decodeRevisions, encodeRevisions } from "../../src/kv/model/History.ts"
import { HistoryBlock } from "../../src/kv/model/HistoryBlock.ts"
import { prefixRange } from "../../src/bytes/KeyRange.ts"
import { encodeRole } from "../../src/kv/model/access/Role.ts"
import { encodeUser } from "../../src/kv/model/access/User.ts"
import { encodeRecord } from "../../src/kv/model/KeyRecord.ts"
import {
  maxKeyBytes,
  maxScanLimit,
  maxTransactionOperations,
  maxTtlMs,
  maxValueBytes
} from "../../src/kv/model/Limits.ts"
import { encodeLease } from "../../src/kv/model/Lease.ts"
import { encodeSession } from "../../src/kv/model/Session.ts"
import type { Query } from "../../src/kv/model/Query.ts"
import { decodeQuery, encodeQuery } from "../../src/kv/model/Query.ts"
import type { CommandReply, CountReply, LeaseKeysReply, LeasesReply, SessionsReply } from "../../src/kv/model/Reply.ts"
import { decodeReply, encodeGetReply, encodeReply, encodeScanReply, refusalOf } from "../../src/kv/model/ReplyCodec.ts"
import type { Operation, Transaction } from "../../src/kv/model/Transaction.ts"
import { blockOf, decodeBlock, revisionsOf } from "./HistoryBlocks.ts"

const key = Uint8Array.of(0x6b, 0xff)
const value = Uint8Array.of(1, 2, 3)
const record = { createRevision: 3, modRevision: 2 ** 40, version: 7, lease: 12, value }
const range = prefixRange(key)

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex")

const transaction: Transaction = {
  compares: [
    { _tag: "CompareValue", key, operator: "<=", value },
    { _tag: "CompareNumber", key, figure: "modRevision", operator: "!=", value: 2 ** 33 },
    { _tag: "CompareNumber", key, figure: "lease", operator: "=", value: 0 },
    { _tag: "CompareExists", key, exists: true }
  ],
  success: [
    { _tag: "Put", key, value, lease: 9 },
    { _tag: "DeleteRange", range: prefixRange(Uint8Array.of(0x7a)) },
    { _tag: "Range", range, limit: 5, keysOnly: true, reverse: true }
  ],
  failure: [{ _tag: "Delete", key }, { _tag: "Get", key: value }]
}

const secret = Uint8Array.from({ length: 16 }, (_, i) => i)

const commands: ReadonlyArray<Command> = [
  { _tag: "Put", key, value, lease: 0 },
  { _tag: "Put", key, value: new Uint8Array(0), lease: 2 ** 40 },
  { _tag: "Delete", key },
  { _tag: "Transact", transaction },
  { _tag: "GrantLease", ttlMs: 10_000 },
  { _tag: "KeepAlive", lease: 7 },
  { _tag: "RevokeLease", lease: 7 },
  { _tag: "Compact", through: 2 ** 41 },
  { _tag: "OpenSession", ttlMs: 10_000, secret, owner: "orders" },
  { _tag: "EndSession", session: 2 ** 35 },
  { _tag: "Expire", leases: [1, 2 ** 35], sessions: [3] },
  { _tag: "Checkpoint" },
  { _tag: "Checkpoint", token: 2 ** 40 + 7 },
  { _tag: "GrantLease", ttlMs: 10_000, caller: "orders" },
  { _tag: "OpenSession", ttlMs: 10_000, secret, owner: "orders-1", caller: "orders" },
  { _tag: "OpenSession", ttlMs: 10_000, secret, owner: "", caller: "orders" },
  { _tag: "PutRole", role: { name: "orders", read: [key, new Uint8Array(0)], write: [value], admin: false } },
  { _tag: "PutRole", role: { name: "a.b_c-d", read: [], write: [], admin: true } },
  { _tag: "DeleteRole", name: "orders" },
  { _tag: "PutUser", name: "bob", roles: ["orders", "admin"], maxLeases: 7, maxSessions: 0 },
  { _tag: "DeleteUser", name: "bob" },
  { _tag: "AddToken", user: "admin", hash: new Uint8Array(32).fill(9), expiresMs: 2 ** 41 },
  { _tag: "RemoveToken", user: "bob", token: 2 ** 40 }
]

type SampleReply = CommandReply | CountReply | LeasesReply | LeaseKeysReply | SessionsReply | RolesReply | UsersReply

const replies: ReadonlyArray<SampleReply> = [
  { _tag: "PutReply", revision: 5, createRevision: 4, version: 2 },
  { _tag: "DeleteReply", revision: 5, deleted: true },
  {
    _tag: "TransactionReply",
    revision: 6,
    succeeded: true,
    results: [
      { _tag: "Put", createRevision: 2, version: 3 },
      { _tag: "Delete", deleted: 4 },
      { _tag: "Get", record },
      { _tag: "Get", record: undefined },
      { _tag: "Range", more: true, rows: [{ key, record }] }
    ]
  },
  { _tag: "LeaseReply", revision: 7, lease: 9, ttlMs: 5_000, remainingMs: 4_000 },
  { _tag: "RevokedReply", revision: 8, deleted: 3 },
  { _tag: "SessionReply", revision: 8, session: 12, ttlMs: 60_000 },
  { _tag: "DigestReply", revision: 9, succeeded: true, results: 3, bytes: 2 ** 31 },
  { _tag: "DoneReply", revision: 9 },
  {
    _tag: "RefusedReply",
    revision: 9,
    reason: "lease-not-found",
    field: "lease",
    text: "7 has ended",
    current: 1,
    maximum: 2
  },
  { _tag: "CountReply", revision: 9, count: 2 ** 34 },
  { _tag: "LeasesReply", revision: 9, leases: [{ lease: 9, ttlMs: 5_000, remainingMs: 1, keys: 2, caller: "orders" }] },
  { _tag: "LeaseKeysReply", revision: 9, lease: 9, ttlMs: 5_000, remainingMs: 1, keys: [key, value] },
  { _tag: "TokenReply", revision: 9, token: 2 ** 40 },
  {
    _tag: "SessionsReply",
    revision: 9,
    more: true,
    sessions: [{
      session: 9,
      owner: "orders-1",
      caller: "orders",
      ageMs: 1,
      ttlMs: 5_000,
      remainingMs: 2,
      lastSequence: 3,
      replies: 4,
      keptBytes: 5
    }]
  },
  { _tag: "RolesReply", revision: 9, more: true, roles: [{ name: "orders", read: [key], write: [], admin: false }] },
  {
    _tag: "UsersReply",
    revision: 9,
    more: false,
    users: [{
      name: "bob",
      roles: ["orders"],
      maxLeases: 5,
      maxSessions: 6,
      leases: 1,
      sessions: 2,
      tokens: [{ token: 7, createdMs: 8, expiresMs: 0 }]
    }]
  }
]

const revisions: ReadonlyArray<Revision> = [
  {
    revision: 8,
    logTimeMs: 1_700_000_000_000,
    changes: [
      { key, record, previousRevision: 0, previous: undefined },
      { key: value, record: undefined, previousRevision: 3, previous: undefined }
    ]
  },
  { revision: 9, logTimeMs: 1_700_000_000_001, changes: [{ key, record, previousRevision: 8, previous: record }] }
]

describe("round trips", () => {
  it.prop("of puts and deletes", [Schema.Uint8Array, Schema.Uint8Array], ([anyKey, anyValue]) => {
    const ownKey = Uint8Array.of(1, ...anyKey)
    const some: ReadonlyArray<Command> = [
      { _tag: "Put", key: ownKey, value: anyValue, lease: 3 },
      { _tag: "Delete", key: ownKey }
    ]
    for (const command of some) {
      assert.deepStrictEqual(decodeCommand(encodeCommand(command)), { _tag: "Decoded", commandId: noSession, command })
    }
  })

  it("of every command, with and without a session", () => {
    const commandId = { session: 2 ** 36, sequence: 12, answered: 10, secret }
    for (const command of commands) {
      const bytes = encodeCommand(command)
      assert.deepStrictEqual(decodeCommand(bytes), { _tag: "Decoded", commandId: noSession, command })
      writeCommandId(bytes, commandId)
      assert.deepStrictEqual(decodeCommand(bytes), { _tag: "Decoded", commandId, command })
      assert.deepStrictEqual(encodeCommand(command, commandId), bytes)
    }
    const command = { _tag: "CloseSession" } as const
    assert.deepStrictEqual(decodeCommand(encodeCommand(command, commandId)), { _tag: "Decoded", commandId, command })
    assert.deepInclude(decodeCommand(encodeCommand(command)), { _tag: "Problem", field: "session" })
  })

  it("of the numbers that are not used again are none", () => {
    const keepSession = encodeCommand({ _tag: "CloseSession" }, { session: 1, sequence: 2, answered: 0, secret })
    keepSession[1] = 9
    assert.deepInclude(decodeCommand(keepSession), { _tag: "Problem", field: "command" })
    const refusal = { revision: 1, field: "", text: "", current: 0, maximum: 0 } as const
    const compacted = encodeReply({ _tag: "RefusedReply", reason: "overloaded", ...refusal })
    compacted[10] = 5
    assert.deepInclude(decodeReply(compacted), { _tag: "Problem", field: "reply" })
    assert.isUndefined(refusalOf(compacted))
  })

  it.prop("of scans", [Schema.Uint8Array, Schema.Boolean, Schema.Boolean], ([prefix, keysOnly, reverse]) => {
    const queries: ReadonlyArray<Query> = [
      { _tag: "Get", key: Uint8Array.of(1, ...prefix) },
      { _tag: "Scan", range: prefixRange(prefix), limit: 10, keysOnly, reverse },
      { _tag: "Scan", range: { gte: new Uint8Array(0), lt: key }, limit: maxScanLimit, keysOnly, reverse }
    ]
    for (const query of queries) assert.deepStrictEqual(decodeQuery(encodeQuery(query)), query)
  })

  it("of every other query", () => {
    const reads: Transaction = { compares: transaction.compares, success: [{ _tag: "Get", key }], failure: [] }
    const queries: ReadonlyArray<Query> = [
      { _tag: "Count", range },
      { _tag: "Transact", transaction: reads },
      { _tag: "Leases" },
      { _tag: "LeaseKeys", lease: 7 },
      { _tag: "Sessions", after: 3, limit: 7 },
      { _tag: "Roles", after: "", limit: 200 },
      { _tag: "Users", after: "bob", limit: 1 }
    ]
    for (const query of queries) assert.deepStrictEqual(decodeQuery(encodeQuery(query)), query)
    assert.deepInclude(decodeQuery(encodeQuery({ _tag: "Transact", transaction })), {
      _tag: "Problem",
      field: "transaction"
    })
  })

  it("of replies", () => {
    for (const reply of replies) assert.deepStrictEqual(decodeReply(encodeReply(reply)), reply)
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

  it("of history, on disk and to a watch", () => {
    const second = revisions[1] as Revision
    const stored = revisions.map((revision) => ({
      ...revision,
      changes: revision.changes.map((change) => ({ ...change, previous: undefined }))
    }))
    assert.deepStrictEqual(revisionsOf(decodeBlock(blockOf(revisions, 100).row)), stored)
    assert.deepStrictEqual(decodeRevisions(encodeRevisions(revisions, true)), revisions)
    assert.deepStrictEqual(decodeRevisions(encodeRevisions([second], false)), [
      { ...second, changes: [{ key, record, previousRevision: 8, previous: undefined }] }
    ])
    const metadata = { revision: 4, compacted: 2, logTimeMs: 9, historyBytes: 500, compactedBytes: 100 }
    assert.deepStrictEqual(decodeMetadata(encodeMetadata(metadata)), metadata)
  })
})

it("the formats are the ones that are on disks and wires already", () => {
  const { key: historyKey, value: block } = blockOf([
    { revision: 8, logTimeMs: 9, changes: [{ key, record, previousRevision: 7, previous: undefined }] },
    { revision: 9, logTimeMs: 10, changes: [{ key, record: undefined, previousRevision: 8, previous: undefined }] }
  ], 100).row
  assert.strictEqual(hex(historyKey), "200000000000000008")
  assert.strictEqual(
    hex(block),
    [
      "0000000000000064",
      ["00000040", "0000000000000009", "00000001", "0100026bff0000000000000007"],
      ["00000023", "0000000000000003", "0000010000000000", "0000000000000007", "000000000000000c", "010203"],
      ["00000019", "000000000000000a", "00000001", "0200026bff0000000000000008"]
    ].flat().join("")
  )
  const plain = "0".repeat(80)
  assert.strictEqual(
    hex(encodeCommand({ _tag: "Put", key, value, lease: 5 })),
    `0301${plain}000000000000000500026bff010203`
  )
  assert.strictEqual(hex(encodeCommand({ _tag: "Delete", key })), `0302${plain}00026bff`)
  assert.strictEqual(
    hex(encodeCommand({ _tag: "CloseSession" }, { session: 1, sequence: 3, answered: 2, secret })),
    "030a000000000000000100000000000000030000000000000002000102030405060708090a0b0c0d0e0f"
  )
  // Without a caller the bytes are those from before there were any.
  assert.strictEqual(hex(encodeCommand({ _tag: "GrantLease", ttlMs: 5_000 })), `0304${plain}0000000000001388`)
  assert.strictEqual(
    hex(encodeCommand({ _tag: "GrantLease", ttlMs: 5_000, caller: "bob" })),
    `0304${plain}0000000000001388626f62`
  )
  assert.strictEqual(
    hex(encodeCommand({ _tag: "PutRole", role: { name: "shop", read: [key], write: [value], admin: false } })),
    `030e${plain}000473686f7000000100026bff00010003010203`
  )
  assert.strictEqual(
    hex(encodeCommand({ _tag: "PutUser", name: "bob", roles: ["shop"], maxLeases: 7, maxSessions: 8 })),
    `0310${plain}0003626f6200000007000000080001000473686f70`
  )
  assert.strictEqual(
    hex(encodeCommand({ _tag: "AddToken", user: "bob", hash: new Uint8Array(32).fill(0xab), expiresMs: 9 })),
    `0312${plain}0003626f620000000000000009${"ab".repeat(32)}`
  )
  const session = { ttlMs: 1, heardMs: 3, answered: 4, openedMs: 2, secret, owner: "a" }
  const sessionRow = `${[1, 3, 4, 2].map((n) => `000000000000000${n}`).join("")}000102030405060708090a0b0c0d0e0f61`
  assert.strictEqual(hex(encodeSession({ ...session, caller: "" })), sessionRow)
  assert.strictEqual(hex(encodeSession({ ...session, caller: "bob" })), `${sessionRow}00626f62`)
  const lease = { id: 9, ttlMs: 1, deadlineMs: 2, keys: 3 }
  assert.strictEqual(hex(encodeLease({ ...lease, caller: "" })), "0000000000000001000000000000000200000003")
  assert.strictEqual(hex(encodeLease({ ...lease, caller: "bob" })), "0000000000000001000000000000000200000003626f62")
  assert.strictEqual(
    hex(encodeRole({ read: [key], write: [], admin: true })),
    "01000100026bff0000"
  )
  assert.strictEqual(
    hex(encodeUser({
      name: "bob",
      roles: ["shop"],
      maxLeases: 7,
      maxSessions: 8,
      tokens: [{ id: 1, createdMs: 2, expiresMs: 3, hash: new Uint8Array(32).fill(0xab) }]
    })),
    `00000007000000080001000473686f700001${[1, 2, 3].map((n) => `000000000000000${n}`).join("")}${"ab".repeat(32)}`
  )
  assert.strictEqual(hex(encodeQuery({ _tag: "Users", after: "bob", limit: 7 })), "03090003626f6200000007")
  assert.strictEqual(hex(encodeQuery({ _tag: "Get", key })), "030100026bff")
  assert.strictEqual(
    hex(encodeQuery({ _tag: "Scan", range, limit: 7, keysOnly: true, reverse: true })),
    "0302030000000700026bff00016c"
  )
  assert.strictEqual(
    hex(encodeRecord(record)),
    "000000000000000300000100000000000000000000000007000000000000000c010203"
  )
  assert.strictEqual(
    hex(encodeReply({ _tag: "PutReply", revision: 5, createRevision: 4, version: 2 })),
    "0301000000000000000500000000000000040000000000000002"
  )
  assert.strictEqual(hex(encodeReply({ _tag: "DeleteReply", revision: 5, deleted: true })), "0302000000000000000501")
})

describe("limits", () => {
  const put = (keyBytes: number, valueBytes: number) =>
    decodeCommand(
      encodeCommand({ _tag: "Put", key: new Uint8Array(keyBytes), value: new Uint8Array(valueBytes), lease: 0 })
    )

  it("of keys and values, each named", () => {
    assert.strictEqual(put(maxKeyBytes, maxValueBytes)._tag, "Decoded")
    assert.deepInclude(put(0, 1), { _tag: "Problem", field: "key" })
    assert.deepInclude(put(maxKeyBytes + 1, 1), { _tag: "Problem", field: "key" })
    assert.deepInclude(put(1, maxValueBytes + 1), { _tag: "Problem", field: "value" })
  })

  it("of pages", () => {
    const scan = (limit: number, from = range) =>
      decodeQuery(encodeQuery({ _tag: "Scan", range: from, limit, keysOnly: false, reverse: false }))
    assert.strictEqual(scan(1)._tag, "Scan")
    assert.deepInclude(scan(0), { _tag: "Problem", field: "limit" })
    assert.deepInclude(scan(maxScanLimit + 1), { _tag: "Problem", field: "limit" })
    assert.deepInclude(scan(1, { gte: key, lt: key }), { _tag: "Problem", field: "range" })
  })

  it("of times to live", () => {
    const grant = (ttlMs: number) => decodeCommand(encodeCommand({ _tag: "GrantLease", ttlMs }))
    assert.strictEqual(grant(1_000)._tag, "Decoded")
    for (const ttlMs of [0, 999, maxTtlMs + 1]) {
      assert.deepInclude(grant(ttlMs), { _tag: "Problem", field: "ttlMs" })
    }
  })

  it("of transactions, with the place of what is wrong", () => {
    const check = (success: ReadonlyArray<Operation>, compares: Transaction["compares"] = []) =>
      decodeCommand(encodeCommand({ _tag: "Transact", transaction: { compares, success, failure: [] } }))
    const one: Operation = { _tag: "Put", key, value, lease: 0 }
    assert.strictEqual(check([one])._tag, "Decoded")
    assert.deepInclude(check([one, { _tag: "Delete", key }]), { _tag: "Problem", field: "success[1].key" })
    assert.deepInclude(check([{ _tag: "DeleteRange", range }, one]), { _tag: "Problem", field: "success[1].key" })
    assert.deepInclude(check([one, { _tag: "DeleteRange", range }]), { _tag: "Problem", field: "success[1].range" })
    assert.deepInclude(check([{ _tag: "Get", key: new Uint8Array(0) }]), { _tag: "Problem", field: "success[0].key" })
    assert.deepInclude(
      check([{ _tag: "Range", range, limit: 0, keysOnly: false, reverse: false }]),
      { _tag: "Problem", field: "success[0].limit" }
    )
    assert.deepInclude(check([], [{ _tag: "CompareExists", key: new Uint8Array(0), exists: true }]), {
      _tag: "Problem",
      field: "compares[0].key"
    })
    const many = Array.from({ length: maxTransactionOperations + 1 }, (_, i): Operation => ({
      _tag: "Get",
      key: new Uint8Array(2).fill(i + 1)
    }))
    assert.deepInclude(check(many), { _tag: "Problem", field: "success" })
    const large = Array.from({ length: 5 }, (_, i): Operation => ({
      _tag: "Put",
      key: Uint8Array.of(i),
      value: new Uint8Array(maxValueBytes),
      lease: 0
    }))
    assert.deepInclude(check(large), { _tag: "Problem", field: "transaction" })
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
    ...commands.map((command) => encodeCommand(command)),
    encodeQuery({ _tag: "Scan", range, limit: 7, keysOnly: true, reverse: true }),
    blockOf(revisions).row.value,
    encodeRevisions(revisions, true),
    ...replies.map(encodeReply),
    encodeScanReply(9, [{ key, record: encodeRecord(record) }], true),
    encodeGetReply(9, encodeRecord(record))
  ]
  let problems = 0
  for (let i = 0; i < 10_000; i++) {
    const bytes = Uint8Array.from(whole[next(whole.length)] as Uint8Array).subarray(0, 1 + next(160))
    for (let change = next(4); change >= 0 && bytes.length > 0; change--) bytes[next(bytes.length)] = next(256)
    for (const decode of [decodeCommand, decodeQuery, decodeReply]) {
      if (decode(bytes)._tag === "Problem") problems += 1
    }
    HistoryBlock.decode(1, bytes)?.revision(1)
    decodeRevisions(bytes)
  }
  assert.isAbove(problems, 10_000)
})
