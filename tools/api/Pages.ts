/** The pages of `docs/api/`: one for each entry point of the package. */
import { join } from "node:path"
import type { Declaration, Exported, Namespace } from "./Modules.ts"
import { Modules } from "./Modules.ts"
import type { Kind, Member } from "./Signature.ts"
import { kindOf, membersOf, signatureOf } from "./Signature.ts"

export interface Page {
  /** The file's name in `docs/api/`. */
  readonly file: string
  readonly text: string
}

export interface Entry {
  /** What a program imports. */
  readonly name: string
  /** The module of the sources. */
  readonly source: string
  readonly file: string
}

/** The entry points, as `exports` of package.json has them. */
export const entriesOf = (exports: Readonly<Record<string, unknown>>): ReadonlyArray<Entry> =>
  Object.keys(exports).filter((key) => key !== "./package.json").map((key) => {
    const part = key.slice(2)
    return {
      name: part === "" ? "flaredb" : `flaredb/${part}`,
      source: join("src", part, "index.ts"),
      file: `${part === "" ? "flaredb" : part}.md`
    }
  })

const kinds: ReadonlyArray<Kind> = ["Services", "Layers", "Classes", "Functions and values", "Errors", "Types"]

const notice = "<!-- Made by `npm run docs` from the comments in the sources. Change those, and run it again. -->"

/** Links between comments are names here. */
const prose = (doc: string): string => doc.replace(/\{@link ([^}]+)\}/g, "`$1`")

const codeBlock = (code: string): ReadonlyArray<string> => code === "" ? [] : ["```ts", code, "```", ""]

const paragraph = (doc: string): ReadonlyArray<string> => doc === "" ? [] : [prose(doc), ""]

const memberLines = ({ doc, name, signature }: Member, owner: string): ReadonlyArray<string> => [
  `#### \`${owner}.${name}\``,
  "",
  ...codeBlock(signature),
  ...paragraph(doc)
]

const declarationLines = (declaration: Declaration, prefix: string): ReadonlyArray<string> => [
  `### \`${prefix}${declaration.name}\``,
  "",
  ...paragraph(declaration.doc),
  ...codeBlock(signatureOf(declaration)),
  ...membersOf(declaration).flatMap((member) => memberLines(member, declaration.name))
]

/** The declarations of one kind. */
const kindLines = (kind: Kind, declarations: ReadonlyArray<Declaration>, prefix: string): ReadonlyArray<string> => {
  const own = declarations.filter((declaration) => kindOf(declaration) === kind)
  if (own.length === 0) return []
  const title = prefix === "" ? kind : `${prefix.slice(0, -1)}: ${kind.toLowerCase()}`
  return [`## ${title}`, "", ...own.flatMap((declaration) => declarationLines(declaration, prefix))]
}

const grouped = (declarations: ReadonlyArray<Declaration>, prefix: string): ReadonlyArray<string> =>
  kinds.flatMap((kind) => kindLines(kind, declarations, prefix))

const declarationsOf = (exports: ReadonlyArray<Exported>): ReadonlyArray<Declaration> =>
  exports.flatMap((one) => one._tag === "Declaration" ? [one.of] : [])

const namespaceLines = ({ doc, exports, name }: Namespace): ReadonlyArray<string> => [
  `## ${name}`,
  "",
  ...paragraph(doc),
  ...grouped(declarationsOf(exports), `${name}.`)
]

/** Names that another page has, by page. */
const elsewhereLines = (exports: ReadonlyArray<Exported>, entries: ReadonlyArray<Entry>): ReadonlyArray<string> =>
  entries.flatMap(({ file, name }) => {
    const names = exports.flatMap((one) => one._tag === "Elsewhere" && one.of.entry === name ? [one.of.name] : [])
    return names.length === 0 ? [] : [
      `## Also exported by [${name}](${file})`,
      "",
      names.map((one) => `\`${one}\``).join(" · "),
      ""
    ]
  })

const pageOf = (entry: Entry, modules: Modules, entries: ReadonlyArray<Entry>): Page => {
  const exports = modules.exports(entry.source)
  const lines = [
    `# \`${entry.name}\``,
    "",
    notice,
    "",
    ...paragraph(modules.doc(entry.source)),
    ...exports.flatMap((one) => one._tag === "Namespace" ? namespaceLines(one.of) : []),
    ...grouped(declarationsOf(exports), ""),
    ...elsewhereLines(exports, entries)
  ]
  return { file: entry.file, text: `${lines.join("\n").trimEnd()}\n` }
}

const indexOf = (entries: ReadonlyArray<Entry>, modules: Modules): Page => ({
  file: "README.md",
  text: [
    "# API reference",
    "",
    notice,
    "",
    "| import | what it has |",
    "| --- | --- |",
    ...entries.map(({ file, name, source }) => {
      const doc = prose(modules.doc(source)).split(/\n\n/)[0] ?? ""
      return `| [\`${name}\`](${file}) | ${doc.replace(/\s+/g, " ").replace(/^`[^`]*`: /, "")} |`
    }),
    ""
  ].join("\n")
})

/** All pages, and the modules that they were made from. */
export const pagesOf = (root: string, exports: Readonly<Record<string, unknown>>): ReadonlyArray<Page> => {
  const entries = entriesOf(exports)
  const modules = new Modules(root, new Map(entries.map(({ name, source }) => [source, name])))
  return [indexOf(entries, modules), ...entries.map((entry) => pageOf(entry, modules, entries))]
}

/** Everything public, for tests: with the name that a program uses for it. */
export const declarationsOfAll = (
  root: string,
  exports: Readonly<Record<string, unknown>>
): ReadonlyArray<readonly [entry: string, name: string, declaration: Declaration]> => {
  const entries = entriesOf(exports)
  const modules = new Modules(root, new Map(entries.map(({ name, source }) => [source, name])))
  return entries.flatMap(({ name, source }) =>
    modules.exports(source).flatMap((one) =>
      one._tag === "Namespace"
        ? declarationsOf(one.of.exports).map((each) => [name, `${one.of.name}.${each.name}`, each] as const)
        : one._tag === "Declaration"
        ? [[name, one.of.name, one.of] as const]
        : []
    )
  )
}
