/** Bodies in JSON, decoded by their schema whatever their content type says: `curl -d` calls everything a form. */
import { Effect, Schema, SchemaIssue } from "effect"
import { textOf } from "../../client/Encoding.ts"
import { InvalidArgument } from "../../FlareDbError.ts"
import { repeatedName } from "../../RepeatedName.ts"

const issuesOf = SchemaIssue.makeFormatterStandardSchemaV1()

const segment = (key: unknown): PropertyKey =>
  (typeof key === "object" && key !== null && "key" in key ? key.key : key) as PropertyKey

/** `do[1].key` */
const pathText = (path: ReadonlyArray<unknown>): string =>
  path.map(segment).reduce<string>(
    (text, key) => typeof key === "number" ? `${text}[${key}]` : text === "" ? String(key) : `${text}.${String(key)}`,
    ""
  )

const excess = "Expected no excess property"

/** What the library says in its own words. */
const plain: Readonly<Record<string, string>> = {
  "Missing key": "is missing",
  [excess]: "is not known here; GET /v1/docs lists what is"
}

/**
 * What a schema has against something: the first of it, at its place. Where there are several forms, names that one of
 * them does not know are most often those of another, in which something else is wrong.
 */
export const malformed = (error: Schema.SchemaError, whole: string): InvalidArgument => {
  const { issues } = issuesOf(error.issue)
  const first = issues.find(({ message }) => message !== excess) ?? issues[0]
  const field = pathText(first?.path ?? [])
  const text = (first?.message ?? error.message).replace(/\s+/g, " ").slice(0, 300)
  return new InvalidArgument({ field: field === "" ? whole : field, problem: plain[text] ?? text })
}

/** Most values in a body, lists and members included: a transaction of 512 operations has 6,000. */
const maxValues = 20_000

/** Whether something has more values than that: a schema would look at a million of them for seconds. */
const isTooMuch = (whole: unknown): boolean => {
  const left: Array<unknown> = [whole]
  for (let seen = 1; left.length > 0; seen++) {
    const next = left.pop()
    if (typeof next === "object" && next !== null) {
      const inner: ReadonlyArray<unknown> = Array.isArray(next) ? next : Object.values(next)
      if (seen + left.length + inner.length > maxValues) return true
      for (const each of inner) left.push(each)
    }
  }
  return false
}

/** What a body holds. Its text is UTF-8 and nothing else: what is not would come out changed. */
export const decodeBody = <S extends Schema.Top & { readonly DecodingServices: never }>(
  schema: S,
  body: Uint8Array
): Effect.Effect<S["Type"], InvalidArgument> => {
  const text = textOf(body)
  if (text === undefined) return Effect.fail(new InvalidArgument({ field: "body", problem: "is not UTF-8" }))
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    return Effect.fail(
      new InvalidArgument({ field: "body", problem: `is not JSON: ${(error as Error).message.slice(0, 200)}` })
    )
  }
  if (isTooMuch(value)) {
    return Effect.fail(new InvalidArgument({ field: "body", problem: `has more than ${maxValues} values` }))
  }
  // Operations that were meant would not be carried out, and the answer would not say so.
  const repeated = repeatedName(text)
  if (repeated !== undefined) {
    const name = JSON.stringify(repeated.slice(0, 100))
    return Effect.fail(new InvalidArgument({ field: "body", problem: `has ${name} twice in one object` }))
  }
  return Effect.mapError(
    Schema.decodeUnknownEffect(schema, { onExcessProperty: "error" })(value),
    (error) => malformed(error, "body")
  )
}
