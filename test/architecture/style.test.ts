/** The style that the sources are held to, and the checker that holds them. `Style.ts` has the limits and the words. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import type { SourceFile } from "./Imports.ts"
import { bannedInSources, bannedNamesOf, bannedWords, longFile, longFunctions, proseOf, wideLines } from "./Style.ts"

const root = join(import.meta.dirname, "../..")

const filesOf = (folder: string): ReadonlyArray<SourceFile> =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => ({ path, text: readFileSync(join(root, folder, path), "utf8") }))

const sources = filesOf("src")

/** The simulator is read as the sources are. */
const simulator = filesOf("test/simulation").map(({ path, text }) => ({ path: `test/simulation/${path}`, text }))

const tree = [...sources, ...simulator]

/** What takes a source's syntax tree, of one source after the other, so that each is parsed once. */
const inTrees = tree.map(({ path, text }) => ({
  path,
  functions: longFunctions(text),
  names: bannedNamesOf({ path, text }),
  prose: proseOf(text)
}))

/** Lists of cases of one kind: one function, and as long as there are cases. */
const isConformanceList = (path: string): boolean => /^testing\/\w+Suite\.ts$/.test(path)

describe("the sources", { timeout: 60_000 }, () => {
  it("are there", () => {
    assert.isAbove(sources.length, 300)
    assert.isAbove(simulator.length, 40)
  })

  it("keep to the length of lines", () => {
    const found = tree.flatMap(wideLines)
    assert.deepEqual(found, [])
  })

  it("keep to the length of files", () => {
    const found = tree.filter(({ path }) => !isConformanceList(path)).flatMap(longFile)
    assert.deepEqual(found, [])
  })

  it("keep to the length of functions", () => {
    const found = inTrees.filter(({ path }) => !isConformanceList(path)).flatMap(({ functions, path }) =>
      functions.map(({ lines, name }) => `${path}: ${name} has ${lines} lines`)
    )
    assert.deepEqual(found, [])
  })

  it("use the field's words", () => {
    const found = inTrees.flatMap(({ path, prose }) =>
      bannedWords(prose, bannedInSources).map((problem) => `${path}:${problem}`)
    )
    assert.deepEqual(found, [])
  })

  it("say an error's text, look for its code, sync a folder's names and label metrics in one place each", () => {
    const once: ReadonlyArray<readonly [what: RegExp, where: string]> = [
      [/(\w+) instanceof Error \? \1\.message : String\(\1\)/, "ErrorText.ts"],
      [/instanceof Error && "code" in /, "ErrorCode.ts"],
      [/0o077\) [!=]== 0 &&/, "SecretFile.ts"],
      [/\bfolder\.sync\(\)|fsyncSync\(folder\)/, "storage/Folder.ts"],
      [/Metric\.withAttributes\(/, "MetricSeries.ts"]
    ]
    const found = once.flatMap(([what, where]) =>
      sources.filter(({ path, text }) => path !== where && what.test(text)).map(({ path }) => `${path}: see ${where}`)
    )
    assert.deepEqual(found, [])
  })

  it("use the field's names", () => {
    assert.deepEqual(inTrees.flatMap(({ names }) => names), [])
  })
})

it("documents use the field's words", () => {
  const documents = [
    "README.md",
    ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" }).map((name) => `docs/${name}`)
  ]
    .filter((path) => path.endsWith(".md"))
  assert.isAbove(documents.length, 10)
  for (const path of documents) {
    const text = readFileSync(join(root, path), "utf8")
    // The code in the reference is the sources', where names are held to other rules than words.
    const prose = path.startsWith("docs/api/") ? text.replace(/^```ts\n[^]*?^```$/gm, "") : text
    const found = bannedWords(prose.replace(/`[^`\n]*`/g, ""))
    assert.isEmpty(found, path)
  }
})

describe("the checker", () => {
  it("measures every kind of function, by the name that it is bound to", () => {
    const body = "\n".repeat(5)
    const text = [
      `function plain() {${body}}`,
      `const arrow = () => {${body}}`,
      `const wrapped = Effect.fn(function*() {${body}})`,
      `class A { method() {${body}} field = () => {${body}} }`,
      `const short = () => 1`
    ].join("\n")
    const names = ["plain", "arrow", "wrapped", "method", "field"]
    assert.deepEqual(longFunctions(text, 5), names.map((name) => ({ name, lines: 6 })))
    assert.deepEqual(longFunctions(text, 6), [])
  })

  it("measures lines and files", () => {
    assert.deepEqual(wideLines({ path: "a.ts", text: `\n${"x".repeat(121)}\n` }), ["a.ts:2 has 121 columns"])
    assert.deepEqual(wideLines({ path: "a.ts", text: `${"x".repeat(120)}\n` }), [])
    assert.deepEqual(longFile({ path: "a.ts", text: "x\n".repeat(401) }), ["a.ts has 401 lines"])
    assert.deepEqual(longFile({ path: "a.ts", text: "x\n".repeat(400) }), [])
  })

  it("finds names in code, but for where they are the field's", () => {
    const text = [`// standing`, `interface A { readonly standing: string }`, `const b = (a: A) => a.fence()`].join(
      "\n"
    )
    const names = (path: string) => bannedNamesOf({ path, text }).map((problem) => /^\S+ "\w+"/.exec(problem)?.[0])
    assert.deepEqual(names("raft/A.ts"), [`raft/A.ts:2: "standing"`, `raft/A.ts:3: "fence"`])
    assert.deepEqual(names("actors/A.ts"), [`actors/A.ts:2: "standing"`])
  })

  it("finds words in comments and texts, and not in code", () => {
    const text = [
      `import { anew } from "./anew.ts"`,
      `/** Made`,
      ` * anew. */`,
      `const nobody = "sent to whoever asks" // nobody waits`,
      "const housekeeping = `the ${nobody} is told of it`",
      "// the parameter `nobody` and {@link whoever} are code, and texts are told apart"
    ].join("\n")
    assert.deepEqual(bannedWords(proseOf(text)).map((problem) => /^\d+: "[^"]*"/.exec(problem)?.[0]), [
      `3: "anew"`,
      `4: "whoever"`,
      `4: "nobody"`,
      `5: "is told"`
    ])
  })

  it("finds more words in sources than in documents", () => {
    const text = "// at this moment"
    assert.deepEqual(bannedWords(text), [])
    assert.lengthOf(bannedWords(text, bannedInSources), 1)
  })
})
