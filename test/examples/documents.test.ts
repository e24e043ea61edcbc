/** Programs in documents that say they are examples are those examples, to the letter: what a reader copies was run. */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"

const root = join(import.meta.dirname, "../..")
const documents = ["docs/embedding.md", "docs/typed-values.md"]

/** The files of the repository that a document links to and that are programs. */
const programsOf = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/\]\(\.\.\/((?:examples|test)\/[\w/.-]+\.ts)\)/g)].map(([, path]) => join(root, path ?? ""))
    .filter(existsSync).map((path) => readFileSync(path, "utf8"))

describe.each(documents)("%s", (document) => {
  const text = readFileSync(join(root, document), "utf8")
  const blocks = [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, block = ""]) => block.trimEnd())

  it("has programs", () => assert.isAtLeast(blocks.length, 2))

  it.each(blocks)("shows an example that runs: %#", (block) => {
    assert.isTrue(programsOf(text).some((program) => program.includes(block)), block)
  })
})
