/** Backups on a schedule: their names, which of them stay, that one process takes them, and what a failure leaves. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs"
import { hostname } from "node:os"
import { join } from "node:path"
import { keyValueMachine } from "../../src/machine/StateFacts.ts"
import type { BackupHeader } from "../../src/protocol/BackupFile.ts"
import { encodeBackupHeader } from "../../src/protocol/BackupFile.ts"
import { SnapshotEncoder } from "../../src/protocol/SnapshotChunk.ts"
import type { ScheduledBackup } from "../../src/storage/backup/BackupNames.ts"
import { backupName, backupsIn, parseBackupName } from "../../src/storage/backup/BackupNames.ts"
import { lockFolder, lockName, staleMs } from "../../src/storage/backup/FolderLock.ts"
import type { Keep } from "../../src/storage/backup/Retention.ts"
import { expired } from "../../src/storage/backup/Retention.ts"
import { takeScheduled } from "../../src/storage/backup/ScheduledBackup.ts"
import { anyRows } from "../../src/storage/RowsCheck.ts"
import { otherCluster, someCluster } from "../client/Identities.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

const nothing: Keep = { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0 }

describe("names", () => {
  it("say cluster, second and revision, and come back", () => {
    const name = backupName("my-cluster", Date.UTC(2026, 10, 29, 10, 53, 47, 900), 12_345)
    assert.strictEqual(name, "my-cluster-20261129T105347Z-r12345.flaredb")
    assert.deepStrictEqual(parseBackupName(name), {
      name,
      clusterId: "my-cluster",
      createdMs: Date.UTC(2026, 10, 29, 10, 53, 47),
      revision: 12_345
    })
  })

  it.each(["nightly.flaredb", "c-20261329T105347Z-r1.flaredb", "c-20261129T105347Z-r1.flaredb.partial-3", "x"])(
    "that a schedule did not give, as %s, are none of its backups",
    (name) => assert.isUndefined(parseBackupName(name))
  )
})

describe("retention", () => {
  /** One each six hours for a hundred days, the newest first. */
  const backups: ReadonlyArray<ScheduledBackup> = Array.from({ length: 400 }, (_, i) => ({
    name: String(i),
    clusterId: "c",
    createdMs: Date.UTC(2026, 5, 1, 12) - i * 6 * 3_600_000,
    revision: 1_000 - i
  }))
  const kept = (keep: Partial<Keep>): ReadonlyArray<string> => {
    const gone = new Set(expired(backups, { ...nothing, ...keep }))
    return backups.filter((backup) => !gone.has(backup)).map(({ createdMs }) => new Date(createdMs).toISOString())
  }

  it("keeps the newest one whatever it is told", () => {
    assert.deepStrictEqual(kept({}), ["2026-06-01T12:00:00.000Z"])
    assert.deepStrictEqual(expired([], nothing), [])
    assert.deepStrictEqual(expired(backups.slice(0, 1), nothing), [])
  })

  it("keeps the newest of each period", () => {
    assert.deepStrictEqual(kept({ daily: 3 }), [
      "2026-06-01T12:00:00.000Z",
      "2026-05-31T18:00:00.000Z",
      "2026-05-30T18:00:00.000Z"
    ])
    // The first of June 2026 is a Monday.
    assert.deepStrictEqual(kept({ weekly: 3 }), [
      "2026-06-01T12:00:00.000Z",
      "2026-05-31T18:00:00.000Z",
      "2026-05-24T18:00:00.000Z"
    ])
    assert.deepStrictEqual(kept({ monthly: 2 }), ["2026-06-01T12:00:00.000Z", "2026-05-31T18:00:00.000Z"])
    assert.lengthOf(kept({ hourly: 5 }), 5)
  })

  it("keeps what any rule keeps", () => {
    const all = kept({ last: 3, daily: 7, weekly: 4, monthly: 12 })
    for (const keep of [{ last: 3 }, { daily: 7 }, { weekly: 4 }, { monthly: 12 }]) {
      assert.includeMembers([...all], [...kept(keep)])
    }
    assert.isBelow(all.length, 3 + 7 + 4 + 12)
  })
})

describe("the lock of a folder", () => {
  const held = (folder: string) => Effect.result(Effect.scoped(lockFolder(folder)))

  it.live("lets one in at a time, and the next when that has ended", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const scope = yield* Scope.make()
      yield* Scope.provide(lockFolder(folder), scope)
      const refused = yield* Effect.flip(Effect.scoped(lockFolder(folder)))
      assert.strictEqual(refused._tag, "FolderInUse")
      assert.include(refused.message, `process ${process.pid} of ${hostname()}`)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* held(folder))._tag, "Success")
      assert.isEmpty(readdirSync(folder))
    }).pipe(Effect.scoped))

  it.live("that a killed process left is taken over, and one of another machine is not", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const path = join(folder, lockName)
      // Process ids end below this on every system, and this process began at another time.
      for (const text of [`999999999 ${hostname()} 5\n`, `${process.pid} ${hostname()} 5\n`, "", "garbage"]) {
        writeFileSync(path, text)
        assert.strictEqual((yield* held(folder))._tag, "Success", text)
      }
      writeFileSync(path, "1 elsewhere 5\n")
      assert.strictEqual((yield* held(folder))._tag, "Failure")
      assert.strictEqual(readFileSync(path, "utf8"), "1 elsewhere 5\n")
      // A holder touches its lock every minute: a container that was killed comes back under another name.
      const longAgo = (Date.now() - staleMs - 60_000) / 1_000
      utimesSync(path, longAgo, longAgo)
      assert.strictEqual((yield* held(folder))._tag, "Success")
    }).pipe(Effect.scoped))
})

it.effect("the lock of a folder is touched while it is held, and is only taken away by its holder", () =>
  Effect.gen(function*() {
    const folder = yield* temporaryFolder
    const path = join(folder, lockName)
    const scope = yield* Scope.make()
    yield* Scope.provide(lockFolder(folder), scope)
    utimesSync(path, 5, 5)
    yield* TestClock.adjust(60_000)
    assert.isAbove(statSync(path).mtimeMs, 5_000)
    writeFileSync(path, "1 elsewhere 5\n")
    utimesSync(path, 5, 5)
    yield* TestClock.adjust(60_000)
    assert.strictEqual(statSync(path).mtimeMs, 5_000)
    yield* Scope.close(scope, Exit.void)
    assert.strictEqual(readFileSync(path, "utf8"), "1 elsewhere 5\n")
  }).pipe(Effect.scoped))

describe("a backup of a schedule", () => {
  const header: BackupHeader = {
    clusterId: "c",
    identity: someCluster,
    nodeId: 1,
    version: "0",
    machine: keyValueMachine,
    index: 70,
    term: 4,
    revision: 9,
    logTimeMs: 5_000,
    createdMs: Date.UTC(2026, 0, 2),
    estimatedBytes: 100
  }

  const bytesOf = (about: Partial<BackupHeader>): ReadonlyArray<Uint8Array> => {
    const encoder = new SnapshotEncoder()
    const chunks = [...encoder.add({ key: Uint8Array.of(0x10, 1), value: new Uint8Array(100) })]
    return [encodeBackupHeader({ ...header, ...about }), ...chunks, ...encoder.end().chunks]
  }

  const take = (folder: string, about: Partial<BackupHeader>, keep: Partial<Keep> = { last: 2 }) =>
    takeScheduled({
      folder,
      download: Stream.fromIterable(bytesOf(about)),
      keep: { ...nothing, ...keep },
      check: () => anyRows
    })

  it.live("replaces older ones of its cluster, and nothing else", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      for (
        const name of [
          "nightly.flaredb",
          "d-20200101T000000Z-r1.flaredb",
          "c-20200101T000000Z-r1.flaredb",
          "taking.flaredb",
          "taking.flaredb.partial-7",
          "x.flaredb.partial-7"
        ]
      ) {
        writeFileSync(join(folder, name), "")
      }
      // A cluster of this name that was lost, and made again.
      const lost = "c-20250101T000000Z-r700.flaredb"
      writeFileSync(join(folder, lost), Buffer.concat(bytesOf({ identity: otherCluster })))
      const days = [1, 2, 3].map((day) => Date.UTC(2026, 0, day))
      for (const createdMs of days) yield* take(folder, { createdMs })
      assert.deepStrictEqual(readdirSync(folder).sort(), [
        // What it is of cannot be told, and so it stays.
        "c-20200101T000000Z-r1.flaredb",
        lost,
        "c-20260102T000000Z-r9.flaredb",
        "c-20260103T000000Z-r9.flaredb",
        "d-20200101T000000Z-r1.flaredb",
        "nightly.flaredb",
        "x.flaredb.partial-7"
      ])
      // A clock that went back: what was just taken stays, however old its name says it is.
      const { name, removed } = yield* take(folder, { createdMs: Date.UTC(2025, 0, 1) }, { last: 1 })
      assert.deepStrictEqual([...removed].sort(), ["c-20260102T000000Z-r9.flaredb"])
      assert.isTrue(readdirSync(folder).includes(name))
    }).pipe(Effect.scoped))

  it.live("that fails, or is not as it was written, removes nothing", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const { name } = yield* take(folder, {}, { last: 1 })
      const whole = bytesOf({ createdMs: Date.UTC(2026, 5, 1) })
      const failing = Stream.concat(Stream.fromIterable(whole.slice(0, 1)), Stream.fail("gone" as const))
      const options = { folder, keep: { ...nothing, last: 1 }, check: () => anyRows }
      assert.strictEqual(yield* Effect.flip(takeScheduled({ ...options, download: failing })), "gone")
      // The disk gives back something else than the schedule wrote: a row that the store could not have written.
      const refusing = { ...options, check: () => ({ row: () => "no such row", end: () => undefined }) }
      const refused = yield* Effect.flip(takeScheduled({ ...refusing, download: Stream.fromIterable(whole) }))
      assert.strictEqual((refused as { _tag: string })._tag, "BackupCorrupt")
      assert.deepStrictEqual(readdirSync(folder), [name])
      assert.lengthOf(backupsIn(folder), 1)
    }).pipe(Effect.scoped))
})
