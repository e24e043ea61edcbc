/**
 * What documents name exists: files of the source tree and of the repository, the targets of links with their headings,
 * npm scripts, flags, variables and metrics.
 */
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

/** What GitHub makes of headings to link to. */
const headingsOf = (markdown: string): ReadonlySet<string> =>
  new Set(
    [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
      heading.toLowerCase().replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").replace(/[^\p{L}\p{N}\s_-]/gu, "").trim()
        .replace(/\s/g, "-")
    )
  )

const headingLinks = /\]\(([^)#\s:]*)#([^)\s]+)\)/g

const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly scripts: Readonly<Record<string, string>>
}

/** Everything that is run or deployed, in one text. */
const programs = [...code, ...filesIn("deploy"), "build.sh"]
  .filter((file) => !/^test\/architecture\/|\.md$/.test(file) && /\.(?:ts|js|sh|json|ya?ml|service|nix)$/.test(file))
  .map((file) => readFileSync(join(root, file), "utf8"))
  .join("\n")

/** All words of the programs: names of flags, variables and settings are some of them. */
const words = new Set(programs.match(/[\w-]+/g))

const camelCase = (text: string): string =>
  text.toLowerCase().replace(/[-_]([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())

/** Flags and variables of settings and limits are made from the names of these. */
const isSetting = (name: string): boolean => words.has(camelCase(name))

/** Flags of Node, and of programs that runbooks call. */
const foreignFlags = new Set(["--cpu-prof", "--cpu-prof-dir", "--trace-deopt", "--verbose", "--silent"])

const isFlag = (flag: string): boolean =>
  foreignFlags.has(flag) || words.has(flag) || words.has(flag.slice(2)) || isSetting(flag.slice(2)) ||
  isSetting(flag.slice(2).replace(/^no-/, ""))

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

  it("links to headings that exist", () => {
    const found = [...text.matchAll(headingLinks)].filter(([, target = ""]) => target === "" || target.endsWith(".md"))
    const missing = found.filter(([, target = "", heading = ""]) => {
      const file = target === "" ? join(root, name) : join(root, dirname(name), target)
      return existsSync(file) && !headingsOf(readFileSync(file, "utf8")).has(heading)
    })
    assert.deepEqual(missing.map(([link]) => link), [])
  })

  it("names npm scripts, flags, variables and metrics that exist", () => {
    const inCode = [...text.matchAll(/`([^`\n]+)`/g)].map(([, inside = ""]) => inside).join("\n")
    const all = (pattern: RegExp, source = inCode) => [...source.matchAll(pattern)].map(([, found = ""]) => found)
    assert.deepEqual(
      all(/npm run ([\w:-]+)/g, text).filter((script) => !(script in scripts) && script !== "--silent"),
      []
    )
    assert.deepEqual(all(/(?<![\w-])(--[a-z][a-z0-9-]*[a-z0-9])(?!-)/g).filter((flag) => !isFlag(flag)), [])
    const variables = all(/\b(FLAREDB_[A-Z0-9_]*[A-Z0-9])\b/g)
    assert.deepEqual(
      variables.filter((variable) => !words.has(variable) && !isSetting(variable.slice("FLAREDB_".length))),
      []
    )
    const metrics = all(/\b(flaredb_[a-z0-9_]*[a-z0-9])\b(?!_?[*…])/g)
    assert.deepEqual(
      metrics.filter((metric) => !words.has(metric) && !words.has(metric.replace(/_(?:bucket|sum|count)$/, ""))),
      []
    )
  })
})
