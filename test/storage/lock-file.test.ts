/** The lock of a directory guards a file, not its name: who removes it lets a second process into the database. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { rmSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DiskWork } from "../../src/storage/DiskWork.ts"
import { FirstFailure } from "../../src/storage/FirstFailure.ts"
import { lockHolder, LockWatch, removedLock } from "../../src/storage/LockFile.ts"
import { openDatabase } from "../../src/storage/rocksdb/Database.ts"
import { requireUnused } from "../../src/storage/rocksdb/OpenFailure.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

const lockIn = (path: string): string => join(path, "LOCK")

const workOn = (path: string) => new DiskWork(path, new FirstFailure(path))

it.live.runIf(process.platform === "linux")(
  "a directory whose lock was removed under a process is refused, until that process lets it go",
  () =>
    Effect.gen(function*() {
      const path = yield* temporaryFolder
      yield* Effect.scoped(Effect.gen(function*() {
        yield* openDatabase({ path, create: true }, workOn(path))
        rmSync(lockIn(path))
        // As whoever removed it may do, to be rid of an error.
        for (const make of [() => undefined, () => writeFileSync(lockIn(path), "")]) {
          make()
          for (const opening of [openDatabase({ path, create: false }, workOn(path)), requireUnused(path)]) {
            const refused = yield* Effect.flip(Effect.scoped(Effect.asVoid(opening)))
            assert.deepInclude(refused, { _tag: "DataDirRefused", reason: "locked" })
            assert.include(refused.message, `process ${process.pid}, under which LOCK was removed`)
          }
        }
      }))
      yield* Effect.scoped(openDatabase({ path, create: false }, workOn(path)))
    }).pipe(Effect.scoped)
)

it.live("other processes are looked for only where a lock is missing or new", () =>
  Effect.gen(function*() {
    const path = yield* temporaryFolder
    const now = Date.now()
    assert.isUndefined(removedLock(path, now))
    writeFileSync(join(path, "CURRENT"), "")
    assert.isUndefined(removedLock(path, now))
    writeFileSync(lockIn(path), "")
    const watch = new LockWatch(path)
    utimesSync(lockIn(path), new Date(now - 3_600_000), new Date(now - 3_600_000))
    assert.isUndefined(watch.problem(), "its age does not matter to who holds it")
    writeFileSync(join(path, "other"), "")
    rmSync(lockIn(path))
    assert.match(watch.problem() ?? "", /LOCK was removed or replaced/)
  }).pipe(Effect.scoped))

it.live.runIf(process.platform === "linux")(
  "the process that has a directory open is named while it has",
  () =>
    Effect.gen(function*() {
      const path = yield* temporaryFolder
      assert.isUndefined(lockHolder(path))
      yield* Effect.scoped(Effect.gen(function*() {
        yield* openDatabase({ path, create: true }, workOn(path))
        assert.strictEqual(lockHolder(path), process.pid)
      }))
      assert.isUndefined(lockHolder(path), "the file alone is no lock")
    }).pipe(Effect.scoped)
)
