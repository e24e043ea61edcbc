/** Backups whose checksums are right and whose content is not: refused before anything is written. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { readdirSync, writeFileSync } from "node:fs"
import { execFileSync } from "node:child_process"
import { join } from "node:path"
import type { BackupHeader } from "../../src/protocol/BackupFile.ts"
import { encodeBackupHeader } from "../../src/protocol/BackupFile.ts"
import { identityRowKey } from "../../src/protocol/ClusterIdentity.ts"
import { SnapshotEncoder } from "../../src/protocol/SnapshotChunk.ts"
import type { StateRow } from "../../src/protocol/StateRows.ts"
import { Writer } from "../../src/bytes/Binary.ts"
import { decodeMetadata, encodeMetadata } from "../../src/kv/model/StoreMetadata.ts"
import type { Revision } from "../../src/kv/model/History.ts"
import type { HistoryBlock } from "../../src/kv/model/HistoryBlock.ts"
import { decodeRecord, encodeRecord } from "../../src/kv/model/KeyRecord.ts"
import { encodeUser } from "../../src/kv/model/access/User.ts"
import {
  historyKey,
  leaseKey,
  leaseKeyKey,
  metadataKey,
  recordKey,
  roleKey,
  sessionKey,
  userRowKey
} from "../../src/kv/model/Keyspace.ts"
import { encodeLease } from "../../src/kv/model/Lease.ts"
import { encodeSession } from "../../src/kv/model/Session.ts"
import { checkOfBackup } from "../../src/machine/StateCheck.ts"
import { factsOf, keyValueMachine } from "../../src/machine/StateFacts.ts"
import { readBackup } from "../../src/storage/backup/BackupReader.ts"
import { MemoryDisk } from "../../src/storage/memory/MemoryStore.ts"
import * as MemoryStore from "../../src/storage/memory/MemoryStore.ts"
import { restore, restoreInto } from "../../src/storage/backup/Restore.ts"
import { TestCluster } from "../../src/testing/TestCluster.ts"
import { blockOf, decodeBlock, revisionsOf } from "../kv/HistoryBlocks.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

const passTime = TestClock.adjust(10)
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const hex = (key: Uint8Array): string => Buffer.from(key).toString("hex")
const secret = new Uint8Array(16).fill(7)
const session = { ttlMs: 60_000, heardMs: 0, answered: 0, openedMs: 0, secret, owner: "shop", caller: "" }
const largest = Number.MAX_SAFE_INTEGER

interface Good {
  readonly header: BackupHeader
  readonly rows: ReadonlyMap<string, StateRow>
}

/** A state with every kind of row, as a store wrote it. */
const goodState = Effect.gen(function*() {
  const cluster = yield* TestCluster.make({ voters: 1, passTime })
  const leader = yield* cluster.leader()
  for (let i = 0; i < 5; i++) yield* cluster.whileTimePasses(leader.put(`key ${i}`, `value ${i}`))
  const granted = yield* cluster.whileTimePasses(leader.run({ _tag: "GrantLease", ttlMs: 60_000 }))
  assert(granted._tag === "LeaseReply")
  yield* cluster.whileTimePasses(leader.put("leased", "1", granted.lease))
  yield* cluster.whileTimePasses(leader.run({ _tag: "OpenSession", ttlMs: 60_000, secret, owner: "shop" }))
  yield* cluster.whileTimePasses(leader.run({ _tag: "Delete", key: utf8("key 4") }))
  yield* cluster.whileTimePasses(leader.run({ _tag: "Compact", through: 2 }))
  const all = yield* Effect.scoped(Effect.gen(function*() {
    const exported = yield* leader.node.exportState
    return { point: exported.point, rows: yield* exported.next(10_000_000) }
  }))
  for (const node of cluster.nodes) yield* node.stop
  const { identity = "", logTimeMs, machine, revision } = factsOf(all.rows)
  const header: BackupHeader = {
    clusterId: "old",
    identity,
    nodeId: 1,
    version: "0",
    machine,
    index: all.point.index,
    term: all.point.term,
    revision,
    logTimeMs,
    createdMs: 6_000,
    estimatedBytes: 100
  }
  return { header, rows: new Map(all.rows.map((row) => [hex(row.key), row])) } satisfies Good
})

const fileOf = (path: string, header: BackupHeader, rows: Iterable<StateRow>) => {
  const encoder = new SnapshotEncoder()
  const chunks = [...rows].sort((a, b) => Buffer.compare(a.key, b.key)).flatMap((row) => Array.from(encoder.add(row)))
  writeFileSync(path, Buffer.concat([encodeBackupHeader(header), ...chunks, ...encoder.end().chunks]))
}

const lease = (good: Good): number => {
  const row = [...good.rows.values()].find(({ key }) => key[0] === 0x30) ?? assert.fail("no lease")
  return Number(Buffer.from(row.key).readBigUInt64BE(1))
}

const valueOf = ({ rows }: Good, key: Uint8Array): Uint8Array => rows.get(hex(key))?.value ?? assert.fail("no row")

const metadata = (good: Good) => decodeMetadata(valueOf(good, metadataKey)) ?? assert.fail("no metadata")

const record = (good: Good, key: string) =>
  decodeRecord(valueOf(good, recordKey(utf8(key)))) ?? assert.fail("no record")

type Change = (good: Good) => {
  readonly header?: Partial<BackupHeader>
  readonly rows?: ReadonlyArray<StateRow>
  /** Keys of rows that are left out. */
  readonly without?: ReadonlyArray<Uint8Array>
}

const row = (key: Uint8Array, value: Uint8Array) => ({ rows: [{ key, value }] })

/** The one block that the history of a good backup has, with other revisions in it. */
const history = (
  good: Good,
  change: (revisions: ReadonlyArray<Revision>) => ReadonlyArray<Revision>,
  bytesBefore = 0
): ReturnType<Change> => {
  const { key, value } = blockOf(change(revisionsOf(historyOf(good))), bytesBefore).row
  return row(key, value)
}

const historyOf = (good: Good): HistoryBlock => decodeBlock({ key: historyKey(1), value: valueOf(good, historyKey(1)) })

const lastOf = (revisions: ReadonlyArray<Revision>): Revision => revisions.at(-1) ?? assert.fail("no revisions")

/** The history as two blocks, the second one of which begins with the revision `at`, or has `from` as its first. */
const split = (good: Good, at: number, from = at) => {
  const revisions = revisionsOf(historyOf(good))
  const first = blockOf(revisions.slice(0, at - 1))
  const second = blockOf(revisions.slice(from - 1), first.bytesThrough)
  return { both: { rows: [first.row, second.row] }, withoutFirst: { rows: [second.row], without: [first.row.key] } }
}

/** What is changed about a good backup, and what is said of it. */
const attacks: ReadonlyArray<readonly [string, Change, RegExp]> = [
  ["a term of 2^53 - 1", () => ({ header: { term: largest } }), /header.*term 9007199254740991 is not from 1 to/],
  ["an index of 2^53 - 1", () => ({ header: { index: largest } }), /header.*index 9007199254740991/],
  ["a time that no date has", () => ({ header: { createdMs: largest } }), /header.*createdMs/],
  ["a cluster name with an escape", () => ({ header: { clusterId: "a\u001b[2J" } }), /name "a\\u001b\[2J" is not/],
  ["a machine name with an escape", () => ({ header: { machine: "\u009b2J" } }), /state machine, "\\u009b2J"/],
  ["an identity that is none", () => ({ header: { identity: "me" } }), /identity "me" is no UUID/],
  ["another machine's name", () => ({ header: { machine: "jobs/1" } }), /machine of the state is "key-value"/],
  ["a revision that the rows do not have", () => ({ header: { revision: 3 } }), /revision of the state is/],
  ["an identity that the rows do not have", () => row(identityRowKey, utf8("a")), /"a" is not a cluster identity/],
  ["metadata that is cut short", () => row(metadataKey, new Uint8Array(39)), /metadata of the store is malformed/],
  [
    "a revision of 2^53 - 1",
    (good) => row(metadataKey, encodeMetadata({ ...metadata(good), revision: largest })),
    /store's revision 9007199254740991/
  ],
  [
    "a log time of 2^53 - 1",
    (good) => row(metadataKey, encodeMetadata({ ...metadata(good), logTimeMs: largest })),
    /log time 9007199254740991/
  ],
  ["a record that is cut short", () => row(recordKey(utf8("key 1")), new Uint8Array(31)), /key 1.*record.*malformed/],
  [
    "a key of a later revision",
    (good) => row(recordKey(utf8("key 1")), encodeRecord({ ...record(good, "key 1"), modRevision: 1_000 })),
    /stored as "\\x10key 1": the mod revision 1000 is not from 1 to/
  ],
  [
    "a version of 2^53 - 1",
    (good) => row(recordKey(utf8("key 1")), encodeRecord({ ...record(good, "key 1"), version: largest })),
    /the version 9007199254740991/
  ],
  [
    "a lease that is not there",
    (good) => row(recordKey(utf8("key 1")), encodeRecord({ ...record(good, "key 1"), lease: 1 })),
    /lease 1 has 0 keys, 1 keys name it/
  ],
  [
    "a value that is too large",
    (good) => row(recordKey(utf8("key 1")), encodeRecord({ ...record(good, "key 1"), value: new Uint8Array(2 ** 21) })),
    /the value has 2097152 bytes/
  ],
  [
    "a key that is too long",
    (good) => row(recordKey(new Uint8Array(5_000)), valueOf(good, recordKey(utf8("key 1")))),
    /5000/
  ],
  [
    "history that is cut short",
    () => row(historyKey(1), new Uint8Array(19)),
    /history from revision 1 on is malformed/
  ],
  [
    "history that ends early",
    (good) => history(good, (revisions) => revisions.slice(0, -1)),
    /history ends at revision 6, and the store at 7/
  ],
  [
    "history that goes on behind the store",
    (good) => history(good, (revisions) => [...revisions, { ...lastOf(revisions), revision: 8 }]),
    /history has revision 8, and the store ends at 7/
  ],
  [
    "history of another size",
    (good) => history(good, (revisions) => revisions, 7),
    /size of the compacted history is .*, and not/
  ],
  [
    "a revision without changes",
    (good) => history(good, (revisions) => [...revisions.slice(0, -1), { ...lastOf(revisions), changes: [] }]),
    /revision 7 changes nothing/
  ],
  [
    "a block of history with too much in it",
    (good) =>
      history(good, (revisions) => {
        const large = (change: Revision["changes"][number]) => ({ ...change, key: new Uint8Array(4_096) })
        return revisions.map((one, i) => i < 2 ? one : { ...one, changes: one.changes.map(large) })
      }),
    /block of history from revision 1 on has too much in it/
  ],
  [
    "history without its beginning",
    (good) => split(good, 4).withoutFirst,
    /history begins with revisions 4 to 7, and is compacted up to 2/
  ],
  [
    "a block of history that is not full before the next one",
    (good) => split(good, 4).both,
    /revision 4 begins a block of history where the one before it has room/
  ],
  [
    "a gap in the history",
    (good) => split(good, 4, 5).both,
    /revision 5 came where the history has 4/
  ],
  [
    "history out of its time",
    (good) => history(good, (revisions) => revisions.map((one, i) => ({ ...one, logTimeMs: 100 - i }))),
    /the log time/
  ],
  ["a lease that is cut short", (good) => row(leaseKey(lease(good)), new Uint8Array(3)), /lease is malformed/],
  [
    "a lease that never ends",
    (good) =>
      row(leaseKey(lease(good)), encodeLease({ id: 0, ttlMs: 60_000, deadlineMs: largest, keys: 1, caller: "" })),
    /the deadline 9007199254740991/
  ],
  [
    "a lease id beyond the log",
    () => row(leaseKey(largest), encodeLease({ id: 0, ttlMs: 60_000, deadlineMs: 1, keys: 0, caller: "" })),
    /the lease 9007199254740991/
  ],
  [
    "a key attached to no lease",
    () => row(leaseKeyKey(5_000, utf8("a")), new Uint8Array(0)),
    /lease 5000, which is not/
  ],
  ["a session that is cut short", () => row(sessionKey(1), new Uint8Array(5)), /session is malformed/],
  [
    "a session heard of in the future",
    () => row(sessionKey(1), encodeSession({ ...session, heardMs: largest })),
    /last command 9007199254740991/
  ],
  [
    "a session opened after its last command",
    () => row(sessionKey(1), encodeSession({ ...session, openedMs: largest })),
    /time of opening 9007199254740991/
  ],
  ["a reply without a session", () => row(new Writer(17).u8(0x42).u64(77).u64(1).bytes, utf8("x")), /session 77/],
  ["a role that is cut short", () => row(roleKey("shop"), Uint8Array.of(0, 0)), /the role is malformed/],
  ["a role that is built in", () => row(roleKey("admin"), new Uint8Array(5)), /the role is malformed/],
  [
    "a user with a role that is not there",
    () =>
      row(userRowKey("bob"), encodeUser({ name: "bob", roles: ["shop"], maxLeases: 1, maxSessions: 1, tokens: [] })),
    /the role shop, which is not there/
  ],
  [
    "a token that was added in the future",
    () => {
      const token = { id: 1, hash: new Uint8Array(32), createdMs: largest, expiresMs: 0 }
      return row(
        userRowKey("bob"),
        encodeUser({ name: "bob", roles: [], maxLeases: 1, maxSessions: 1, tokens: [token] })
      )
    },
    /the time of the token 9007199254740991/
  ],
  [
    "a row of an unknown kind",
    () => row(Uint8Array.of(0x60, 0x1b), utf8("x")),
    /stored as "`\\x1b": no row of this kind/
  ]
]

const optionsOf = (folder: string, file: string) => ({
  file,
  path: join(folder, "node-1"),
  clusterId: "new",
  nodeId: 1,
  voters: [1],
  keeps: () => true,
  check: checkOfBackup
})

describe("a backup with right checksums is refused, and nothing is written, for", () => {
  it.effect.each(attacks)("%s", ([, change, message]) =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const good = yield* goodState
      assert.strictEqual(good.header.machine, keyValueMachine)
      const file = join(folder, "a")
      const rows = new Map(good.rows)
      const changed = change(good)
      for (const key of changed.without ?? []) rows.delete(hex(key))
      for (const each of changed.rows ?? []) rows.set(hex(each.key), each)
      fileOf(file, { ...good.header, ...changed.header }, rows.values())
      const dry = yield* Effect.flip(readBackup(file, { check: checkOfBackup }))
      const error = yield* Effect.flip(restore(optionsOf(folder, file)))
      assert.deepStrictEqual([dry._tag, error._tag], ["BackupCorrupt", "BackupCorrupt"])
      assert.match(error.message, message)
      assert.match(error.message, /^[\x20-\x7e…]*$/)
      assert.deepStrictEqual(readdirSync(folder), ["a"])
    }))

  it.effect("a pipe in the place of a file", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const file = join(folder, "a")
      execFileSync("mkfifo", [file])
      const error = yield* Effect.flip(restore(optionsOf(folder, file)))
      assert.match(error.message, /it is a named pipe, and a backup is read twice/)
    }))
})

/** A reproducible source of small numbers. */
const numbers = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor(state / 2 ** 32 * below)
  }
}

it.effect(
  "a backup with mutated rows is refused, or the restored node starts and takes a put of every key",
  () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const good = yield* goodState
      const file = join(folder, "a")
      const rows = [...good.rows.values()]
      const below = numbers(7)
      let started = 0
      for (let run = 0; run < 150; run++) {
        const changed = new Map(good.rows)
        const { key, value } = rows[below(rows.length)] ?? assert.fail("no rows")
        const inKey = below(4) === 0
        const damaged = Uint8Array.from(inKey ? key : value)
        const at = below(Math.max(1, damaged.byteLength))
        if (damaged.byteLength > 0) damaged[at] = below(256)
        changed.delete(hex(key))
        const mutated = inKey ? { key: damaged, value } : { key, value: damaged }
        if (mutated.key[0] === 0x00 || mutated.key[0] === 0xff) continue
        changed.set(hex(mutated.key), mutated)
        fileOf(file, good.header, changed.values())
        const disk = new MemoryDisk([1])
        const restored = yield* Effect.exit(
          Effect.provide(
            restoreInto({ file, keeps: () => true, check: checkOfBackup }),
            Layer.fresh(MemoryStore.layer(disk))
          )
        )
        if (restored._tag === "Failure") {
          assert.strictEqual((yield* Effect.flip(restored))._tag, "BackupCorrupt")
          continue
        }
        started += 1
        yield* Effect.scoped(Effect.gen(function*() {
          const cluster = yield* TestCluster.make({ voters: 1, passTime, disks: [disk] })
          const leader = yield* cluster.leader()
          for (const each of changed.values()) {
            if (each.key[0] !== 0x10) continue
            const put = leader.run({ _tag: "Put", key: each.key.subarray(1), value: utf8("after"), lease: 0 })
            assert.strictEqual((yield* cluster.whileTimePasses(put))._tag, "PutReply")
          }
          for (const node of cluster.nodes) yield* node.stop
        }))
      }
      assert.isAbove(started, 10)
    }),
  60_000
)

it.effect("a good backup is restored whatever is in it", () =>
  Effect.gen(function*() {
    const folder = yield* temporaryFolder
    const good = yield* goodState
    const file = join(folder, "a")
    fileOf(file, good.header, good.rows.values())
    const kinds = new Set([...good.rows.values()].map(({ key }) => key[0]))
    assert.includeMembers([...kinds], [0x01, 0x10, 0x20, 0x30, 0x31, 0x40])
    assert.strictEqual((yield* restore(optionsOf(folder, file))).rows, good.rows.size - 1)
  }))
