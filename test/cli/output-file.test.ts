/** What a file that cannot be written says: never the name of the temporary one, of which the user knows nothing. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { checkOutputFile, writeOutputFile } from "../../src/cli/output/OutputFile.ts"
import { readBackup } from "../../src/storage/backup/BackupReader.ts"

const inFolder = <A, E>(use: (folder: string) => Effect.Effect<A, E>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "flaredb-output-"))),
    use,
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )

it.effect("a folder that is missing, or in the place of the file, is named", () =>
  inFolder((folder) =>
    Effect.gen(function*() {
      const refused = (path: string) => Effect.map(Effect.flip(writeOutputFile(path, new Uint8Array(1), false)), String)
      const missing = join(folder, "missing")
      assert.include(
        yield* refused(join(missing, "file")),
        `${missing}/file cannot be written: the folder ${missing} does not exist; make it first`
      )
      assert.include(yield* refused(folder), `${folder} cannot be written: it is a folder; name a file in it`)
      // Before a command gathers what it would write there, for seconds perhaps.
      const checked = (path: string) => Effect.map(Effect.flip(checkOutputFile(path, true)), String)
      assert.strictEqual(yield* checked(join(missing, "file")), yield* refused(join(missing, "file")))
      assert.strictEqual(yield* checked(folder), yield* refused(folder))
      yield* checkOutputFile(join(folder, "file"), false)
      assert.deepStrictEqual(readdirSync(folder), [])
    })
  ))

it.effect("a file is written where one of the same process id was killed, as ids in a container are", () =>
  inFolder((folder) =>
    Effect.gen(function*() {
      const file = join(folder, "ca.crt")
      writeFileSync(`${file}.partial-${process.pid}`, "a half")
      yield* writeOutputFile(file, Buffer.from("whole"), false)
      assert.strictEqual(readFileSync(file, "utf8"), "whole")
      assert.deepStrictEqual(readdirSync(folder), ["ca.crt"])
    })
  ))

it.effect("what a killed process has left of a file, a key perhaps, goes when that file is written once more", () =>
  inFolder((folder) =>
    Effect.gen(function*() {
      const file = join(folder, "node.key")
      // No process has it: Linux counts to 4,194,304.
      const gone = 99_999_999
      const others = [`node.key.partial-${process.ppid}`, "node.key.partial-mine", `node.crt.partial-${gone}`]
      for (const name of [...others, `node.key.partial-${gone}`]) writeFileSync(join(folder, name), "half")
      yield* TestClock.setTime(Date.now())
      yield* writeOutputFile(file, Buffer.from("1"), false)
      assert.strictEqual(readdirSync(folder).length, 5, "it may be at work on another machine")
      yield* TestClock.setTime(Date.now() + 61_000)
      yield* writeOutputFile(file, Buffer.from("2"), true)
      assert.deepStrictEqual(readdirSync(folder).sort(), ["node.key", ...others].sort())
    })
  ))

it.effect("a file is its owner's alone, unless others are to read it", () =>
  inFolder((folder) =>
    Effect.gen(function*() {
      const before = process.umask(0o077)
      try {
        yield* writeOutputFile(join(folder, "secret"), Buffer.from("1"), false)
        yield* writeOutputFile(join(folder, "page"), Buffer.from("1"), true, { mode: 0o644 })
      } finally {
        process.umask(before)
      }
      const modeOf = (name: string) => statSync(join(folder, name)).mode & 0o777
      assert.deepStrictEqual([modeOf("secret"), modeOf("page")], [0o600, 0o644])
    })
  ))

it.effect("a backup that is missing is called that", () =>
  inFolder((folder) =>
    Effect.gen(function*() {
      const file = join(folder, "missing")
      const error = yield* Effect.flip(readBackup(file))
      assert.strictEqual(error.message, `cannot read ${file}: there is no such file`)
    })
  ))
