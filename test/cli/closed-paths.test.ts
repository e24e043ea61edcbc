/**
 * Paths that the system does not even say anything about: in a folder that is closed to this user, or in a circle of
 * links, which the user of the tests cannot look through either. They are errors that name the path.
 */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { machineFacts } from "../../src/cli/doctor/MachineFacts.ts"
import { checkOutputFile, writeOutputFile } from "../../src/cli/output/OutputFile.ts"
import { holdersIn } from "../../src/cli/certificates/CertificateFolder.ts"
import { checkFolder } from "../../src/cli/certificates/FolderCheck.ts"
import { NodeId } from "../../src/raft/Types.ts"
import { restore } from "../../src/storage/backup/Restore.ts"
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

it.live("a data directory that a start refuses is not one that is yet to be made", () =>
  Effect.gen(function*() {
    const folder = yield* temporaryFolder
    symlinkSync("gone", join(folder, "link"))
    writeFileSync(join(folder, "file"), "")
    for (const [name, instead] of [["link", "a link to nothing"], ["file/node-1", "below a file, where"]] as const) {
      assert.include((yield* Effect.promise(() => machineFacts(join(folder, name)))).instead, instead)
    }
    assert.isUndefined((yield* Effect.promise(() => machineFacts(join(folder, "node-1")))).instead)
  }).pipe(Effect.scoped))

it.live("where a backup is to be restored", () =>
  Effect.gen(function*() {
    const path = join(yield* circle, "node-1")
    const error = yield* Effect.flip(restore({
      file: "none",
      path,
      clusterId: "local",
      nodeId: NodeId(1),
      voters: [NodeId(1)],
      keeps: () => true,
      check: () => assert.fail("it is looked at before the backup is")
    }))
    assert.strictEqual(error.message, `cannot read ${path}: its links lead in a circle (ELOOP)`)
  }).pipe(Effect.scoped))

it.live("a folder of certificates, whose holders are not left out", () =>
  Effect.gen(function*() {
    const folder = yield* temporaryFolder
    symlinkSync("node-1", join(folder, "node-1"))
    const nodes = yield* holdersIn(folder)
    assert.deepStrictEqual(nodes.map((files) => files.folder), [join(folder, "node-1")])
    const { problems } = yield* checkFolder(folder, {
      nodes: undefined,
      node: undefined,
      cluster: undefined,
      expiresWithinMs: 0,
      nowMs: 0
    })
    assert.include(problems.map(({ problem }) => problem).join("\n"), "its links lead in a circle (ELOOP)")
  }).pipe(Effect.scoped))

it.live("a file to be written", () =>
  Effect.gen(function*() {
    const path = yield* circle
    for (const written of [checkOutputFile(path, false), writeOutputFile(path, new Uint8Array(1), true)]) {
      assert.match((yield* Effect.flip(written)).line, /circle cannot be written: .*ELOOP/)
    }
  }).pipe(Effect.scoped))
