/** What documents name exists: files of the source tree and of the repository, and the targets of links. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { assert, describe, it } from "vitest"

const root = join(import.meta.dirname, "../..")

const filesIn = (folder: string): ReadonlyArray<string> =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8", withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))

const code = [...["src", "test", "bench", "bin", "examples", "tools"].flatMap(filesIn), "vitest.config.ts"]
const documents = [...filesIn("docs"), ...filesIn("deploy"), "README.md", "findings/README.md"]
  .filter((name) => name.endsWith(".md"))

/** A file by the end of its path: `Lane.ts`, `session/Lane.ts`, `src/client/session/Lane.ts`. */
const isKnown = (name: string): boolean => code.some((file) => file === name || file.endsWith(`/${name}`))

const mentions = /(?<![\w/.@-])(?:[\w@-]+\/)*[A-Za-z][\w.-]*\.(?:ts|js)(?![\w/])/g
const links = /\]\(([^)#\s]+)(?:#[^)]*)?\)/g

/** Files of others. */
const foreign = new Set(["Node.js", "app.ts", "main.ts"])

describe.each(documents)("%s", (name) => {
  const text = readFileSync(join(root, name), "utf8")

  it("names files that exist", () => {
    const found = [...text.matchAll(mentions)].map(([mention]) => mention)
    assert.deepEqual(found.filter((file) => !foreign.has(file) && !isKnown(file)), [])
  })

  it("links to what exists", () => {
    const targets = [...text.matchAll(links)].map((match) => match[1] ?? "").filter((link) => !/^[a-z]+:/.test(link))
    assert.deepEqual(targets.filter((link) => !existsSync(join(root, dirname(name), link))), [])
  })
})
