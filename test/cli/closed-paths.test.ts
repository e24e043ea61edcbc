/**
 * Paths that the system does not even say anything about: in a folder that is closed to this user, or in a circle of
 * links, which the user of the tests cannot look through either. They are errors that name the path.
 */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { symlinkSync } from "node:fs"
import { join } from "node:path"
import { machineFacts } from "../../src/cli/doctor/MachineFacts.ts"
import { checkOutputFile, writeOutputFile } from "../../src/cli/output/OutputFile.ts"
import { inspect } from "../../src/storage/Inspect.ts"
import { reclaim } from "../../src/storage/Reclaim.ts"
import { temporaryFolder } from "../storage/TemporaryFolder.ts"

const circle = Effect.map(temporaryFolder, (folder) => {
  const path = join(folder, "circle")
  symlinkSync("circle", path)
  return path
})

it.live("a data directory", () =>
  Effect.gen(function*() {
    const path = yield* circle
    for (const looked of [reclaim(path), inspect(path, () => Effect.void)]) {
      const error = yield* Effect.flip(looked)
      assert.strictEqual(error._tag, "DataDirRefused")
      assert.match(
        error.message,
        /circle \(foreign\): expected a FlareDB data directory, found .*ELOOP.* as the user of/
      )
    }
    assert.match(String((yield* Effect.promise(() => machineFacts(path))).instead), /^unknown to this user: .*ELOOP/)
  }).pipe(Effect.scoped))

it.live("a file to be written", () =>
  Effect.gen(function*() {
    const path = yield* circle
    for (const written of [checkOutputFile(path, false), writeOutputFile(path, new Uint8Array(1), true)]) {
      assert.match((yield* Effect.flip(written)).line, /circle cannot be written: .*ELOOP/)
    }
  }).pipe(Effect.scoped))
