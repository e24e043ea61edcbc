/** The API reference is what the sources say, and the sources say something about everything public. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { Modules } from "../../tools/api/Modules.ts"
import { declarationsOfAll, entriesOf, pagesOf } from "../../tools/api/Pages.ts"
import { kindOf } from "../../tools/api/Signature.ts"

const root = join(import.meta.dirname, "../..")
const { exports, files } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

describe("docs/api", () => {
  it("is what npm run docs makes", () => {
    const pages = pagesOf(root, exports)
    assert.sameMembers(readdirSync(join(root, "docs/api")), pages.map(({ file }) => file))
    for (const { file, text } of pages) {
      const kept = readFileSync(join(root, "docs/api", file), "utf8")
      assert.isTrue(kept === text, `docs/api/${file} is not up to date: npm run docs`)
    }
  })

  it("has a page for each entry point, with what it exports", () => {
    const names = entriesOf(exports).map(({ name }) => name)
    assert.sameMembers(names, ["flaredb", "flaredb/actors", "flaredb/client", "flaredb/machine", "flaredb/testing"])
    const page = readFileSync(join(root, "docs/api/client.md"), "utf8")
    assert.include(page, "### `KeyValue`\n")
    assert.match(page, /#### `KeyValue\.get`\n\n```ts\nget: \(key: Data, options\?: ReadOptions\) => /)
    // A name for a value and for a type.
    assert.match(page, /### `Op`\n[^]*### `Op`\n/)
    assert.match(page, /### `layerCommands`\n/)
  })
})

describe("everything public", () => {
  const declarations = declarationsOfAll(root, exports)

  it("has a comment", () => {
    assert.isAbove(declarations.length, 200)
    const silent = declarations.filter(([, , { doc }]) => doc === "").map(([entry, name]) => `${entry} ${name}`)
    assert.deepEqual(silent, [])
  })

  it("says of each service and each layer when to use it", () => {
    const thin = declarations.filter(([, , one]) => ["Layers", "Services"].includes(kindOf(one)))
      .filter(([, , { doc }]) => !doc.includes("**When to use**"))
    assert.deepEqual(thin.map(([entry, name]) => `${entry} ${name}`), [])
  })
})

it("flaredb exports all that flaredb/client does, but its layers", () => {
  const namesOf = (file: string) =>
    new Modules(root, new Map()).exports(file).map(({ of }) => of.name).filter((name) => !name.startsWith("layer"))
  const own = new Set(namesOf("src/index.ts"))
  assert.deepEqual(namesOf("src/client/index.ts").filter((name) => !own.has(name) && name !== "ClientRequests"), [])
})

it("README links only to what is packed", () => {
  const readme = readFileSync(join(root, "README.md"), "utf8")
  const packed = [...files, "README.md", "LICENSE", "package.json"]
  const links = [...readme.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, link = ""]) => link)
  const outside = links.filter((link) => !/^[a-z]+:/.test(link))
    .filter((link) =>
      !packed.some((part) => link === part || link.startsWith(`${part}/`)) || !existsSync(join(root, link))
    )
  assert.deepEqual(outside, [])
})
