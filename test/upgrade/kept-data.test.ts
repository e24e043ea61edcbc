/** What earlier releases wrote is read by this one: all of it, and it goes on from there. Nothing in the folders is changed. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger } from "effect"
import { cpSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { offlineBackup } from "../../src/cli/commands/OfflineBackup.ts"
import { checkDirectory } from "../../src/cli/upgrade/LocalChecks.ts"
import { checkOfBackup } from "../../src/machine/StateCheck.ts"
import { inspect } from "../../src/storage/Inspect.ts"
import { moveLog } from "../../src/storage/LogMove.ts"
import { readBackup } from "../../src/storage/backup/BackupReader.ts"
import { restore } from "../../src/storage/backup/Restore.ts"
import { createDirectory } from "../../src/storage/Folder.ts"
import { temporaryFolder } from "../storage/TemporaryFolder.ts"
import type { Kept } from "./KeptContent.ts"
import { clusterId, content, lastCommand, replyText, restoredId, run, session, text, withNode } from "./KeptContent.ts"

const root = "test/data"

const keptBy = (release: string): Kept => JSON.parse(readFileSync(join(root, release, "kept.json"), "utf8")) as Kept

const copyOf = Effect.fnUntraced(function*(...names: ReadonlyArray<string>) {
  const copy = join(yield* temporaryFolder, "copy")
  cpSync(join(root, ...names), copy, { recursive: true })
  return copy
})

/** The session's last command once more: it must not be carried out again. */
const repeat = ({ lastSequence, session: id }: Kept) =>
  run(lastCommand, { session: id, sequence: lastSequence, answered: 0, secret: session.secret })

/** Everything is there, the command that was answered is not done again, and the store goes on. */
const goesOn = (kept: Kept) =>
  Effect.gen(function*() {
    assert.deepStrictEqual(yield* content, kept.content)
    assert.deepStrictEqual(replyText(yield* repeat(kept)), kept.lastReply)
    assert.deepStrictEqual(yield* content, kept.content)
    const next = yield* run({ _tag: "Put", key: text("next"), value: text("1"), lease: 0 })
    assert.strictEqual(next.revision, (kept.content as { readonly revision: number }).revision + 1)
  })

for (const release of readdirSync(root)) {
  const kept = keptBy(release)
  describe(`flaredb ${release}`, () => {
    for (const [name, cluster] of [["stopped", clusterId], ["killed", clusterId], ["restored", restoredId]] as const) {
      const inSegments = readdirSync(join(root, release, name)).some((file) => file.startsWith("flaredb-log-"))
      for (const moved of inSegments ? [false] : [false, true]) {
        it.live(`the directory of a node that was ${name} is read${moved ? " after its log was moved" : ""}, and goes on`, () =>
          Effect.gen(function*() {
            const path = yield* copyOf(release, name)
            if (moved) yield* moveLog(path)
            const ready = yield* checkDirectory(path)
            assert.strictEqual(ready.status, "ok", ready.measured)
            const file = join(yield* temporaryFolder, "backup")
            const { totals } = yield* offlineBackup({ from: path, file, force: false, replaced: false })
            assert.strictEqual(totals.digest, kept.digests[name])
            if (name !== "restored") {
              yield* inspect(path, ({ identity, log }) =>
                Effect.sync(() => {
                  assert.strictEqual(identity, kept.identity)
                  assert.isAbove(log.compacted.index, 0, "a part of the log is compacted")
                  assert.isAbove(log.lastIndex, log.compacted.index, "and the log has entries")
                }))
            }
            yield* withNode(path, goesOn(kept), cluster)
          }).pipe(Effect.provide(Logger.layer([]))))
      }
    }

    it.live("a backup is whole, and restored with all that it has", () =>
      Effect.gen(function*() {
        const file = join(root, release, "backup")
        const { header, totals } = yield* readBackup(file, { check: checkOfBackup })
        assert.deepStrictEqual([header.version, totals.digest], [kept.release, kept.digests["backup"]])
        const path = join(yield* temporaryFolder, "restored")
        createDirectory(path)
        yield* restore({
          file,
          path,
          clusterId: "restored-now",
          nodeId: 1,
          voters: [1],
          keeps: () => true,
          check: checkOfBackup
        })
        yield* withNode(path, goesOn(kept), "restored-now")
      }).pipe(Effect.provide(Logger.layer([]))))
  })
}
