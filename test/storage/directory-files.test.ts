import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { unusableFile } from "../../src/storage/DirectoryFiles.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

it.live("a file that a running process removes between two looks is no link to nothing", () =>
  Effect.gen(function*() {
    const path = yield* temporaryFolder
    writeFileSync(join(path, "CURRENT"), "")
    assert.isUndefined(unusableFile(path, ["CURRENT", "000012.sst"]))
    symlinkSync("gone", join(path, "000012.sst"))
    const refused = unusableFile(path, ["CURRENT", "000012.sst"])
    assert.deepInclude(refused, { reason: "unusable-file", found: "a link to nothing" })
  }))
