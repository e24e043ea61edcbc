/** A level that was raised is in the directory and in backups, and a release that does not know it refuses both. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { join } from "node:path"
import { offlineBackup } from "../../src/cli/commands/OfflineBackup.ts"
import { checkDirectory } from "../../src/cli/upgrade/LocalChecks.ts"
import { checkOfBackup } from "../../src/machine/StateCheck.ts"
import { RaftNode } from "../../src/node/RaftNode.ts"
import { readBackup } from "../../src/storage/backup/BackupReader.ts"
import { NewFormat } from "../../src/storage/DirectoryMarker.ts"
import { inspect } from "../../src/storage/Inspect.ts"
import { LogStore } from "../../src/storage/LogStore.ts"
import * as RocksStorage from "../../src/storage/rocksdb/RocksStorage.ts"
import { eventually } from "../Eventually.ts"
import { temporaryFolder } from "../storage/TemporaryFolder.ts"
import { run, text, withNode } from "./KeptContent.ts"
import { asNextRelease } from "./NextRelease.ts"

const write = run({ _tag: "Put", key: text("a"), value: text("1"), lease: 0 })

const levelOf = Effect.flatMap(RaftNode, (node) => Effect.map(node.status, ({ levels }) => levels.current))

for (const [made, levelled] of [[4, 5], [6, 6]] as const) {
  it.live(`a node alone raises its level at once; then this release refuses its directory of format ${made}, and backups`, () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const [path, file] = [join(folder, "node-1"), join(folder, "backup")]
      // This release has used the directory before.
      yield* withNode(path, Effect.andThen(write, Effect.map(levelOf, (level) => assert.strictEqual(level, 1))))
      yield* inspect(path, ({ marker }) => Effect.sync(() => assert.strictEqual(marker.formatVersion, made)))

      const raised = eventually("level 2", Effect.map(levelOf, (level) => level === 2))
      yield* asNextRelease(withNode(path, Effect.andThen(raised, write)))
      yield* asNextRelease(
        inspect(path, ({ marker }) =>
          Effect.sync(() => {
            assert.deepInclude(marker, { formatVersion: levelled, required: { level: 2, release: "99.0.0" } })
          }))
      )
      const refused = yield* Effect.flip(withNode(path, write))
      assert.match(String(refused), /\(feature-level\).*found feature level 2, which flaredb 99\.0\.0 and later know/)
      assert.deepInclude(yield* checkDirectory(path), { status: "failure", name: "data directory" })

      const written = yield* asNextRelease(offlineBackup({ from: path, file, force: false, replaced: false }))
      assert.match(written.problem ?? "", /the state needs feature level 2, which flaredb 99\.0\.0 and later know/)
      const unreadable = yield* Effect.flip(readBackup(file, { check: checkOfBackup }))
      assert.match(unreadable.message, /needs feature level 2, which flaredb 99\.0\.0 and later know/)

      // The refusals changed nothing.
      yield* asNextRelease(withNode(path, Effect.andThen(raised, write)))
    }).pipe(Effect.provide(Logger.layer([])), Effect.provideService(NewFormat, made)))
}

it.live("the directory of a node that has applied nothing yet is as good as any for an upgrade", () =>
  Effect.gen(function*() {
    const path = join(yield* temporaryFolder, "node-1")
    const voters = [1, 2, 3]
    yield* Effect.provide(
      LogStore.use((log) => Effect.sync(() => assert.strictEqual(log.recovered.lastIndex, 0))),
      Layer.fresh(RocksStorage.layer({ path, clusterId: "orders", nodeId: 1, voters }))
    )
    const check = yield* checkDirectory(path)
    assert.deepInclude(check, { status: "ok", name: "data directory" })
    assert.match(check.measured, /reads .*: format 6, log to 0, applied 0/)
  }))
