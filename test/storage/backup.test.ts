/** Backup files and what is restored from them, in memory and on RocksDB. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import type { BackupHeader } from "../../src/protocol/BackupFile.ts"
import { encodeBackupHeader } from "../../src/protocol/BackupFile.ts"
import { SnapshotEncoder } from "../../src/protocol/SnapshotChunk.ts"
import { encodeQuery } from "../../src/kv/model/Query.ts"
import type { StateRow } from "../../src/protocol/StateRows.ts"
import type { Command } from "../../src/kv/model/Command.ts"
import { isSessionRow } from "../../src/kv/model/Keyspace.ts"
import { checkOfBackup } from "../../src/machine/StateCheck.ts"
import { factsOf, keyValueMachine } from "../../src/machine/StateFacts.ts"
import { readBackup } from "../../src/storage/backup/BackupReader.ts"
import { writeBackup } from "../../src/storage/backup/BackupWriter.ts"
import { staleMs } from "../../src/storage/backup/FolderLock.ts"
import { removeLeftovers } from "../../src/storage/backup/Leftovers.ts"
import { inspect } from "../../src/storage/Inspect.ts"
import { MemoryDisk } from "../../src/storage/memory/MemoryStore.ts"
import * as MemoryStore from "../../src/storage/memory/MemoryStore.ts"
import { restore, restoreInto } from "../../src/storage/backup/Restore.ts"
import { CheckIntervalMs } from "../../src/storage/rocksdb/DirectoryCheck.ts"
import * as RocksStorage from "../../src/storage/rocksdb/RocksStorage.ts"
import { anyRows } from "../../src/storage/RowsCheck.ts"
import { StateStore } from "../../src/storage/StateStore.ts"
import { TestCluster } from "../../src/testing/TestCluster.ts"
import { holdBatchesBack } from "./HeldBatches.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"
import { someCluster } from "../client/Identities.ts"

const header: BackupHeader = {
  clusterId: "old",
  identity: someCluster,
  nodeId: 1,
  version: "0",
  machine: keyValueMachine,
  index: 70,
  term: 4,
  revision: 9,
  logTimeMs: 5_000,
  createdMs: 6_000,
  estimatedBytes: 100
}

const rows: ReadonlyArray<StateRow> = [0x10, 0x20, 0x30, 0x40, 0x42].flatMap((first) =>
  Array.from({ length: 200 }, (_, i) => ({ key: Uint8Array.of(first, i), value: new Uint8Array(3_000).fill(i) }))
)

const pieces = (of: ReadonlyArray<StateRow> = rows, about = header): ReadonlyArray<Uint8Array> => {
  const encoder = new SnapshotEncoder()
  const chunks = of.flatMap((row) => [...encoder.add(row)])
  return [encodeBackupHeader(about), ...chunks, ...encoder.end().chunks]
}

const keeps = ({ machine }: BackupHeader, { key }: StateRow) => machine !== keyValueMachine || !isSessionRow(key)

const options = (folder: string, file: string) => ({
  file,
  path: join(folder, "node-1"),
  clusterId: "new",
  nodeId: 1,
  voters: [1, 2, 3],
  keeps,
  // The rows of this file are no store's; `hostile-backup.test.ts` looks into rows.
  check: () => anyRows
})

describe("a backup file", () => {
  it.effect("appears when it is whole, is not replaced by chance, and is when that is wanted", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const path = join(folder, "a")
      const written = yield* writeBackup(path, Stream.fromIterable(pieces()), { force: false })
      assert.strictEqual(written.totals.rows, rows.length)
      assert.deepStrictEqual(yield* readBackup(path), written)
      const refused = yield* Effect.flip(writeBackup(path, Stream.fromIterable(pieces([])), { force: false }))
      assert.strictEqual(refused._tag, "BackupExists")
      yield* writeBackup(path, Stream.fromIterable(pieces([])), { force: true })
      assert.strictEqual((yield* readBackup(path)).totals.rows, 0)
      assert.deepStrictEqual(readdirSync(folder), ["a"])
    }))

  it.effect("is not there when what it is made of fails, ends early or is damaged", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const path = join(folder, "a")
      const all = pieces()
      const failing = Stream.concat(Stream.fromIterable(all.slice(0, 3)), Stream.fail("gone" as const))
      assert.strictEqual(yield* Effect.flip(writeBackup(path, failing, { force: false })), "gone")
      const cut = yield* Effect.flip(writeBackup(path, Stream.fromIterable(all.slice(0, -1)), { force: true }))
      assert.strictEqual(cut._tag, "BackupCorrupt")
      const damaged = all.map((piece) => Uint8Array.from(piece))
      const middle = damaged[2] as Uint8Array
      middle[1_000] = (middle[1_000] as number) ^ 1
      const flipped = yield* Effect.flip(writeBackup(path, Stream.fromIterable(damaged), { force: false }))
      assert.match(flipped._tag === "BackupCorrupt" ? flipped.message : "", /checksum of chunk 1/)
      assert.deepStrictEqual(readdirSync(folder), [])
    }))
})

describe("restore into a directory", () => {
  it.live("that has no room for a write that RocksDB holds back fails, and leaves nothing", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const file = join(folder, "a")
      yield* writeBackup(file, Stream.fromIterable(pieces()), { force: false })
      yield* holdBatchesBack
      const error = yield* Effect.flip(Effect.provideService(restore(options(folder, file)), CheckIntervalMs, 20))
      assert.match(error.message, /check failed in .*: a flush or compaction failed/)
      assert.deepStrictEqual(readdirSync(folder), ["a"])
    }))

  it.effect("makes a voter of a new cluster whose log begins behind the backup, without sessions", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const file = join(folder, "a")
      yield* writeBackup(file, Stream.fromIterable(pieces()), { force: false })
      const restored = yield* restore(options(folder, file))
      assert.strictEqual(restored.rows, 600)
      yield* inspect(join(folder, "node-1"), ({ applied, log, marker }) =>
        Effect.sync(() => {
          assert.deepInclude(marker, { clusterId: "new", nodeId: 1, voters: [1, 2, 3] })
          assert.deepStrictEqual<unknown>(applied, { index: 70, term: 4 })
          assert.deepStrictEqual<unknown>(log.compacted, { index: 70, term: 4 })
          assert.strictEqual<number>(log.lastIndex, 70)
          assert.deepInclude<unknown>(log.hardState, { term: 4, votedFor: undefined, commit: 70 })
          assert.isUndefined(log.hardState.membership)
        }))
      const found = yield* StateStore.use((state) =>
        state.scan({ gte: Uint8Array.of(1), lt: Uint8Array.of(0xff), limit: 2_000 })
      ).pipe(
        Effect.provide(
          Layer.fresh(
            RocksStorage.layer({ path: join(folder, "node-1"), clusterId: "new", nodeId: 1, voters: [1, 2, 3] })
          )
        )
      )
      assert.deepStrictEqual(
        found.map(({ key, value }) => [Buffer.from(key).toString("hex"), value.byteLength, value[0]]),
        rows.filter((row) => keeps(header, row)).map((
          { key, value }
        ) => [Buffer.from(key).toString("hex"), value.byteLength, value[0]])
      )
      assert.deepStrictEqual(readdirSync(folder).sort(), ["a", "node-1"])
    }))

  it.effect("keeps every row of another state machine", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const file = join(folder, "a")
      const about = { ...header, machine: "jobs/1" }
      yield* writeBackup(file, Stream.fromIterable(pieces(rows, about)), { force: false })
      assert.strictEqual((yield* restore(options(folder, file))).rows, rows.length)
    }))

  it.effect("is refused with a bit flipped in any byte, and cut anywhere", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const file = join(folder, "a")
      const few: ReadonlyArray<StateRow> = [1, 2, 3].map((i) => ({
        key: Uint8Array.of(0x10, i),
        value: Uint8Array.of(i)
      }))
      yield* writeBackup(file, Stream.fromIterable(pieces(few)), { force: false })
      const good = readFileSync(file)
      const refused = Effect.fnUntraced(function*(bad: Uint8Array, what: string) {
        writeFileSync(file, bad)
        const error = yield* Effect.flip(restore(options(folder, file)))
        assert.strictEqual(error._tag, "BackupCorrupt", what)
        assert.include(error.message, file, what)
      })
      for (let at = 0; at < good.byteLength; at++) {
        const bad = Uint8Array.from(good)
        bad[at] = (bad[at] as number) ^ (1 << at % 8)
        yield* refused(bad, `flipped at ${at} of ${good.byteLength}`)
        yield* refused(good.subarray(0, at), `cut at ${at} of ${good.byteLength}`)
      }
      yield* refused(Buffer.concat([good, Buffer.from([0])]), "with a byte more")
      assert.isFalse(existsSync(join(folder, "node-1")))
    }))

  it.effect("touches nothing when the file is damaged or the directory is in use", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const file = join(folder, "a")
      yield* writeBackup(file, Stream.fromIterable(pieces()), { force: false })
      const good = readFileSync(file)
      for (const at of [0, 9, 13, 40, 2_000, 300_000, good.byteLength - 10]) {
        const bad = Uint8Array.from(good)
        bad[at] = (bad[at] as number) ^ 4
        writeFileSync(file, bad)
        const error = yield* Effect.flip(restore(options(folder, file)))
        assert.strictEqual(error._tag, "BackupCorrupt", `flipped at ${at}`)
      }
      writeFileSync(file, good.subarray(0, 400_000))
      assert.strictEqual((yield* Effect.flip(restore(options(folder, file))))._tag, "BackupCorrupt")
      assert.isFalse(existsSync(join(folder, "node-1")))
      writeFileSync(file, good)
      mkdirSync(join(folder, "node-1"))
      writeFileSync(join(folder, "node-1", "precious"), "data")
      const refused = yield* Effect.flip(restore(options(folder, file)))
      assert.deepInclude(refused, { _tag: "DataDirRefused", reason: "not-empty" })
      assert.deepStrictEqual(readdirSync(folder).sort(), ["a", "node-1"])
      const missing = yield* Effect.flip(restore({ ...options(folder, join(folder, "none")), path: join(folder, "x") }))
      assert.strictEqual(missing._tag, "BackupIoError")
    }))

  it.effect("is refused at a link before anything is read: the directory would take the link's place", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      mkdirSync(join(folder, "empty"))
      for (const target of ["nothing", "empty"]) {
        symlinkSync(target, join(folder, "node-1"))
        const refused = yield* Effect.flip(restore(options(folder, join(folder, "none"))))
        assert.deepInclude(refused, { _tag: "DataDirRefused", reason: "not-a-directory", found: "a link" })
        rmSync(join(folder, "node-1"))
      }
    }))

  it.effect.runIf(process.platform === "linux")(
    "is refused at a mount point before anything is read",
    () =>
      Effect.gen(function*() {
        const file = join(yield* temporaryFolder, "none")
        const refused = yield* Effect.flip(restore({ ...options("/", file), path: "/proc" }))
        assert.deepInclude(refused, { _tag: "DataDirRefused", found: "the root of a file system" })
      })
  )

  it.effect("takes over nothing of one that was killed under the same process id", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const file = join(folder, "a")
      yield* writeBackup(file, Stream.fromIterable(pieces()), { force: false })
      yield* restore({ ...options(folder, file), clusterId: "other" })
      renameSync(join(folder, "node-1"), join(folder, `node-1.restoring-${process.pid}`))
      assert.strictEqual((yield* restore(options(folder, file))).rows, 600)
      yield* inspect(
        join(folder, "node-1"),
        ({ marker }) => Effect.sync(() => assert.strictEqual(marker.clusterId, "new"))
      )
      assert.deepStrictEqual(readdirSync(folder).sort(), ["a", "node-1"])
    }))
})

describe("what a command that was killed has left", () => {
  /** No process has it: Linux counts to 4,194,304. */
  const gone = 99_999_999

  const left = (folder: string) => {
    for (const name of ["a.partial-", "b.partial-", "node-1.restoring-"]) {
      for (const pid of [gone, process.ppid]) writeFileSync(join(folder, `${name}${pid}`), "")
    }
    mkdirSync(join(folder, `flaredb-drill-${gone}-AbCdEf`, "node-1"), { recursive: true })
    writeFileSync(join(folder, "a.partial-of-my-own"), "")
    return readdirSync(folder).length
  }

  it.effect("goes with the next one of its kind, once it rests and its process is not there", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const file = join(folder, "a")
      const count = left(folder)
      yield* TestClock.setTime(Date.now() + staleMs / 2)
      yield* writeBackup(file, Stream.fromIterable(pieces()), { force: true })
      yield* restore(options(folder, file))
      assert.strictEqual(readdirSync(folder).length, count + 2)
      rmSync(join(folder, "node-1"), { recursive: true })
      yield* TestClock.setTime(Date.now() + 2 * staleMs)
      yield* writeBackup(file, Stream.fromIterable(pieces()), { force: true })
      assert.isFalse(existsSync(join(folder, `a.partial-${gone}`)))
      assert.isTrue(existsSync(join(folder, `node-1.restoring-${gone}`)))
      yield* restore(options(folder, file))
      removeLeftovers(folder, "flaredb-drill-", Date.now() + 2 * staleMs)
      assert.deepStrictEqual(
        readdirSync(folder).sort(),
        [
          "a",
          `a.partial-${process.ppid}`,
          "a.partial-of-my-own",
          // Of another file: its next backup removes it.
          `b.partial-${gone}`,
          `b.partial-${process.ppid}`,
          "node-1",
          `node-1.restoring-${process.ppid}`
        ].sort()
      )
    }))
})

const passTime = TestClock.adjust(10)

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

it.effect("three nodes restored from one file elect a leader and go on where the backup was taken", () =>
  Effect.gen(function*() {
    const folder = yield* temporaryFolder
    const file = join(folder, "a")
    const old = yield* TestCluster.make({ voters: 3, passTime })
    const leader = yield* old.leader()
    for (let i = 0; i < 20; i++) yield* old.whileTimePasses(leader.put(`key ${i}`, `value ${i}`))
    const run = (command: Command) => old.whileTimePasses(leader.run(command))
    const hash = new Uint8Array(32).fill(7)
    yield* run({ _tag: "PutRole", role: { name: "reader", read: [bytesOf("key")], write: [], admin: false } })
    yield* run({ _tag: "PutUser", name: "bob", roles: ["reader"], maxLeases: 1, maxSessions: 1 })
    yield* run({ _tag: "AddToken", user: "bob", hash, expiresMs: 0 })
    const granted = yield* run({ _tag: "GrantLease", ttlMs: 60_000, caller: "bob" })
    const open = { _tag: "OpenSession", ttlMs: 60_000, secret: new Uint8Array(16), owner: "" } as const
    yield* old.whileTimePasses(leader.run(open))
    assert(granted._tag === "LeaseReply")
    yield* TestClock.adjust(20_000)
    yield* old.whileTimePasses(leader.put("leased", "1", granted.lease))
    yield* old.whileTimePasses(
      Effect.scoped(
        Effect.gen(function*() {
          const state = yield* leader.node.exportState
          const all = yield* state.next(10_000_000)
          const { identity = "", logTimeMs, machine, revision } = factsOf(all)
          const { index, term } = state.point
          const about = { ...header, identity, machine, revision, logTimeMs, index, term }
          yield* writeBackup(file, Stream.fromIterable(pieces(all, about)), { force: false })
        })
      )
    )
    for (const node of old.nodes) yield* node.stop

    const disks = [1, 2, 3].map(() => new MemoryDisk([1, 2, 3]))
    for (const disk of disks) {
      yield* Effect.provide(restoreInto({ file, keeps, check: checkOfBackup }), Layer.fresh(MemoryStore.layer(disk)))
    }
    const restored = yield* TestCluster.make({ voters: 3, passTime, disks })
    const next = yield* restored.leader()
    const reply = yield* restored.whileTimePasses(next.put("after", "1"))
    assert.deepInclude(reply, { _tag: "PutReply", revision: 22 })
    assert.strictEqual(yield* restored.whileTimePasses(next.get("key 7")), "value 7")
    const listed = yield* restored.whileTimePasses(next.ask({ _tag: "Leases" }))
    assert(listed._tag === "LeasesReply")
    const [lease] = listed.leases
    assert.deepInclude(lease, { lease: granted.lease, ttlMs: 60_000, keys: 1, caller: "bob" })
    assert.isAtMost(lease?.remainingMs ?? 0, 41_000, "a lease keeps what is left of its time")
    assert.isAtLeast(lease?.remainingMs ?? 0, 30_000)
    const bob = next.node.access?.authenticate("bob", hash) ?? assert.fail("the token does not hold any more")
    const get = (key: string) => encodeQuery({ _tag: "Get", key: bytesOf(key) })
    assert.isUndefined(next.node.access?.query(bob, get("key 7")))
    assert.isDefined(next.node.access?.query(bob, get("after")))
    const another = next.run({ _tag: "GrantLease", ttlMs: 60_000, caller: "bob" })
    assert.deepInclude(yield* restored.whileTimePasses(another), { field: "maxLeases of bob", current: 1, maximum: 1 })
    yield* restored.converged
    const images = disks.map(({ state }) =>
      [...state.rows].map(({ key, value }) =>
        `${Buffer.from(key).toString("hex")} ${Buffer.from(value).toString("hex")}`
      )
    )
    assert.deepStrictEqual(images[1], images[0])
    assert.deepStrictEqual(images[2], images[0])
    assert.isFalse([...disks[0]?.state.rows ?? []].some(({ key }) => isSessionRow(key)), "no session is carried over")
    assert.isTrue(Option.isSome(Option.fromUndefinedOr(lease)))
  }))
