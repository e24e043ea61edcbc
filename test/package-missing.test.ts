/** What a node says when a package that it needs is not installed. */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { installCommand, missingPackage, nodePackages, PackageMissing } from "../src/PackageMissing.ts"

const notFound = (message: string, code = "ERR_MODULE_NOT_FOUND") => Object.assign(new Error(message), { code })

describe("a package that is not installed", () => {
  it("is asked for in the version that package.json names", () => {
    const { peerDependencies, peerDependenciesMeta } = JSON.parse(
      readFileSync(join(import.meta.dirname, "../package.json"), "utf8")
    )
    for (const wanted of nodePackages) {
      const at = wanted.lastIndexOf("@")
      assert.strictEqual(peerDependencies[wanted.slice(0, at)], wanted.slice(at + 1))
      assert.isTrue(peerDependenciesMeta[wanted.slice(0, at)].optional)
    }
  })

  it("is found in the words of Node and Bun, whatever part of it was imported", () => {
    const cases: ReadonlyArray<readonly [error: unknown, name: string | undefined]> = [
      [notFound("Cannot find package 'rocksdb-native' imported from /a/b.js"), "rocksdb-native"],
      [notFound("Cannot find package 'rocksdb-native' from '/a/b.js'"), "rocksdb-native"],
      [notFound("Cannot find module '@effect/platform-node/NodeSocket' imported from /a"), "@effect/platform-node"],
      [notFound("Cannot find module 'ws'\nRequire stack:\n- /a", "MODULE_NOT_FOUND"), "ws"],
      // Its own file is no package: the installation is damaged, which another command mends.
      [notFound("Cannot find module '/a/dist/EmbeddedNode.js' imported from /a/dist/FlareDb.js"), undefined],
      [notFound("Cannot find package 'x'", "EACCES"), undefined],
      ["Cannot find package 'x'", undefined]
    ]
    for (const [error, name] of cases) assert.strictEqual(missingPackage(error), name, String(error))
  })

  it("is an error that says what to type", () => {
    const { message } = new PackageMissing({ package: "@effect/platform-node", cause: undefined })
    assert.include(message, "npm install \"@effect/platform-node@^4.1.0\"")
    assert.strictEqual(installCommand("rocksdb-native"), "npm install rocksdb-native@3.18.1")
  })
})
