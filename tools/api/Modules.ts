/** What a module exports, with the documentation of each, read from its source without compiling it. */
import { readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { parseAst } from "rolldown/parseAst"

/** A node of the syntax tree: what is looked at here of ESTree and its nodes for TypeScript. */
export interface Syntax {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [field: string]: unknown
}

/** A declaration that a module exports under `name`. */
export interface Declaration {
  readonly name: string
  readonly file: string
  readonly text: string
  readonly node: Syntax
  readonly doc: string
  /** The statements of its module. */
  readonly body: ReadonlyArray<Syntax>
}

/** All that a module of its own exports, under one name: `export * as FlareDb from …`. */
export interface Namespace {
  readonly name: string
  readonly file: string
  readonly doc: string
  readonly exports: ReadonlyArray<Exported>
}

/** What another entry point documents, and this one exports as well. */
export interface Elsewhere {
  readonly name: string
  readonly entry: string
}

export type Exported =
  | { readonly _tag: "Declaration"; readonly of: Declaration }
  | { readonly _tag: "Namespace"; readonly of: Namespace }
  | { readonly _tag: "Elsewhere"; readonly of: Elsewhere }

interface Module {
  readonly text: string
  readonly body: ReadonlyArray<Syntax>
}

const field = (node: Syntax, name: string): Syntax | undefined => (node[name] as Syntax | null | undefined) ?? undefined
const fields = (node: Syntax, name: string): ReadonlyArray<Syntax> => (node[name] as ReadonlyArray<Syntax>) ?? []
const nameOf = (node: Syntax | undefined): string => String(node?.["name"] ?? node?.["value"] ?? "")

/** The text of a documentation comment without its marks. */
const withoutMarks = (comment: string): string =>
  comment.slice(3, -2).split("\n").map((line) => line.replace(/^\s*\* ?/, "").trimEnd()).join("\n").trim()

/** The documentation comment right before a place in a text; empty when there is none. */
export const docBefore = (text: string, at: number): string => {
  const before = text.slice(0, at).trimEnd()
  if (!before.endsWith("*/")) return ""
  const begin = before.lastIndexOf("/**")
  return begin < 0 || before.indexOf("*/", begin) !== before.length - 2 ? "" : withoutMarks(before.slice(begin))
}

/** The comment that a module begins with. */
const docOf = ({ text }: Module): string => {
  const end = text.startsWith("/**") ? text.indexOf("*/") : -1
  return end < 0 ? "" : withoutMarks(text.slice(0, end + 2))
}

/** The names that a declaration binds. */
const bound = (node: Syntax): ReadonlyArray<string> =>
  node.type === "VariableDeclaration"
    ? fields(node, "declarations").map((one) => nameOf(field(one, "id")))
    : [nameOf(field(node, "id"))]

/** What was found, under the name that it is exported by. */
const renamed = (
  found: ReadonlyArray<Exported>,
  file: string,
  local: string,
  name: string
): ReadonlyArray<Exported> => {
  if (found.length === 0) throw new Error(`${file} has no ${local}`)
  return found.map((one) => one._tag === "Declaration" ? { _tag: "Declaration", of: { ...one.of, name } } : one)
}

/** Reads modules, each once. `entries` are the files that have a page of their own. */
export class Modules {
  private readonly root: string
  private readonly entries: ReadonlyMap<string, string>
  private readonly read = new Map<string, Module>()

  constructor(root: string, entries: ReadonlyMap<string, string>) {
    this.root = root
    this.entries = entries
  }

  private module(file: string): Module {
    const known = this.read.get(file)
    if (known !== undefined) return known
    const text = readFileSync(join(this.root, file), "utf8")
    const { body } = parseAst(text, { lang: "ts" }, file) as unknown as { readonly body: ReadonlyArray<Syntax> }
    const module = { text, body }
    this.read.set(file, module)
    return module
  }

  doc(file: string): string {
    return docOf(this.module(file))
  }

  /** Everything that a module exports, in its order. */
  exports(file: string): ReadonlyArray<Exported> {
    const module = this.module(file)
    return module.body.flatMap((node): ReadonlyArray<Exported> => {
      if (node.type === "ExportAllDeclaration") return this.all(file, node)
      if (node.type !== "ExportNamedDeclaration") return []
      const declared = field(node, "declaration")
      if (declared !== undefined) {
        return bound(declared).map((name) => ({
          _tag: "Declaration",
          of: {
            name,
            file,
            text: module.text,
            node: declared,
            doc: docBefore(module.text, node.start),
            body: module.body
          }
        }))
      }
      return fields(node, "specifiers").flatMap((one) => this.named(file, field(node, "source"), one))
    })
  }

  /** `export * from` and `export * as … from`. */
  private all(file: string, node: Syntax): ReadonlyArray<Exported> {
    const target = this.target(file, field(node, "source"))
    const name = nameOf(field(node, "exported"))
    const exports = this.exports(target)
    return name === "" ? exports : [{
      _tag: "Namespace",
      of: { name, file: target, doc: docBefore(this.module(file).text, node.start) || this.doc(target), exports }
    }]
  }

  /** `export { … }`, of this module or of another one. */
  private named(file: string, source: Syntax | undefined, one: Syntax): ReadonlyArray<Exported> {
    const local = nameOf(field(one, "local"))
    const name = nameOf(field(one, "exported"))
    if (source === undefined) return renamed(this.listed(file, local), file, local, name)
    const target = this.target(file, source)
    const entry = this.entries.get(target)
    return entry === undefined ? this.found(target, local, name) : [{ _tag: "Elsewhere", of: { name, entry } }]
  }

  /** What a module exports under a name: one thing, or a value and a type. */
  private found(file: string, local: string, name: string): ReadonlyArray<Exported> {
    return renamed(this.exports(file).filter(({ of }) => of.name === local), file, local, name)
  }

  /** What a module declares, or imports, and exports in a list at another place. */
  private listed(file: string, local: string): ReadonlyArray<Exported> {
    const { body, text } = this.module(file)
    return body.flatMap((node): ReadonlyArray<Exported> => {
      if (node.type === "ImportDeclaration" && nameOf(field(node, "source")).startsWith(".")) {
        const one = fields(node, "specifiers").find((specifier) => nameOf(field(specifier, "local")) === local)
        if (one !== undefined) {
          return this.found(this.target(file, field(node, "source")), nameOf(field(one, "imported")), local)
        }
      } else if (/^(?:VariableDeclaration|(?:Class|Function|TS\w+)Declaration)$/.test(node.type)) {
        if (bound(node).includes(local)) {
          return [{
            _tag: "Declaration",
            of: { name: local, file, text, node, doc: docBefore(text, node.start), body }
          }]
        }
      }
      return []
    })
  }

  private target(file: string, source: Syntax | undefined): string {
    return join(dirname(file), nameOf(source))
  }
}
