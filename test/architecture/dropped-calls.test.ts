/**
 * A function of the language that is called for nothing but its error: a bundler takes it for one without effects, and
 * leaves the call out of the command line and the console, while tests of the sources see it.
 */
import { assert, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"
import { parseSync } from "rolldown/utils"

/** What the platform adds to the language has effects. */
const withEffects = new Set(["process", "setTimeout", "setInterval", "setImmediate", "queueMicrotask", "console"])
const endsTimer = /^clear[A-Z]/

interface Node {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [field: string]: unknown
}

const isNode = (value: unknown): value is Node =>
  typeof value === "object" && value !== null && "type" in value && typeof value.type === "string"

const walk = (value: unknown, visit: (node: Node) => void): void => {
  if (Array.isArray(value)) { for (const one of value) walk(one, visit) }
  else if (isNode(value)) {
    visit(value)
    for (const field of Object.values(value)) if (typeof field === "object") walk(field, visit)
  }
}

/** The global that a call begins with: `JSON` for `JSON.parse(…)`. */
const globalOf = (callee: unknown): string | undefined => {
  if (!isNode(callee)) return undefined
  if (callee.type === "MemberExpression") return globalOf(callee["object"])
  const { name } = callee as { readonly name?: unknown }
  return callee.type === "Identifier" && typeof name === "string" && name in globalThis ? name : undefined
}

/** What may be such a statement: reading whole files takes seconds. */
const mayBegin = new RegExp(`(?:^|[{;])\\s*(?:new )?(?:${Object.getOwnPropertyNames(globalThis).join("|")})[.(]`, "m")

/** The statements of a text that a bundler may leave out. */
const dropped = (file: string, text: string): ReadonlyArray<string> => {
  const found: Array<string> = []
  if (!mayBegin.test(text)) return found
  walk(parseSync(file, text).program, (node) => {
    const expression = node.type === "ExpressionStatement" ? node["expression"] : undefined
    if (!isNode(expression) || !/^(?:Call|New)Expression$/.test(expression.type)) return
    const name = globalOf(expression["callee"])
    if (name === undefined || withEffects.has(name) || endsTimer.test(name)) return
    found.push(`${file}: ${text.slice(node.start, node.end)}`)
  })
  return found
}

it("finds such calls", () => {
  for (const call of ["decodeURIComponent(text)", "new URL(text)", "JSON.parse(text)", "new Intl.Locale(text)"]) {
    assert.lengthOf(dropped("a.ts", `const is = (text: string) => { try { ${call}; return true } catch {} }`), 1, call)
  }
  assert.lengthOf(dropped("a.ts", "clearTimeout(timer); process.exit(); const value = JSON.parse(text)"), 0)
})

it("no source has one", () => {
  const files = globSync(["src/**/*.ts", "console/**/*.{ts,tsx}"])
  assert.isAbove(files.length, 500)
  assert.deepStrictEqual(files.flatMap((file) => dropped(file, readFileSync(file, "utf8"))), [])
})
