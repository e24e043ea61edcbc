/** Folders are created in one place: `mkdir` with `recursive` of Node never ends on some paths. */
import { assert, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

const creates = /\bmkdir(?:Sync)?\(|\bmakeDirectory\(/

it("only storage/Folder.ts creates folders", () => {
  const files = readdirSync("src", { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"))
  const found = files.filter((name) => creates.test(readFileSync(join("src", name), "utf8")))
  assert.deepStrictEqual(found, ["storage/Folder.ts"])
})
