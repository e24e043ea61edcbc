/**
 * What reads the state.
 *
 * ```
 * Get    version u8 (1) · tag u8 (1) · key length u16 · key
 * Scan   version u8 (1) · tag u8 (2) · flags u8 · limit u32 · prefix length u16 · prefix · cursor length u16 · cursor
 * ```
 *
 * Flags: 1 keys only, 2 reverse. A cursor of no bytes starts at the beginning.
 */
import { Reader, Writer } from "./Binary.ts"
import type { Problem } from "./Limits.ts"
import { keyProblem, limitProblem, maxKeyBytes, problem } from "./Limits.ts"

/** The version written, and the only one read. */
export const queryVersion = 1

/** One key. */
export interface Get {
  readonly _tag: "Get"
  readonly key: Uint8Array
}

/** A page of the keys that begin with `prefix`, in byte order. */
export interface Scan {
  readonly _tag: "Scan"
  /** Empty for all keys. */
  readonly prefix: Uint8Array
  /** Most rows of the page. */
  readonly limit: number
  /** The last key of the page before; this page goes on behind it. */
  readonly cursor: Uint8Array | undefined
  /** Leave the values out. */
  readonly keysOnly: boolean
  /** From the last key to the first. */
  readonly reverse: boolean
}

export type Query = Get | Scan

const getTag = 1
const scanTag = 2
const keysOnlyFlag = 1
const reverseFlag = 2

/** What is wrong with a query's arguments, if anything. */
export const queryProblem = (query: Query): Problem | undefined => {
  if (query._tag === "Get") return keyProblem(query.key.byteLength)
  const { cursor, limit, prefix } = query
  if (prefix.byteLength > maxKeyBytes) return keyProblem(prefix.byteLength, "prefix")
  return limitProblem(limit) ?? (cursor === undefined ? undefined : cursorProblem(cursor, prefix))
}

const cursorProblem = (cursor: Uint8Array, prefix: Uint8Array): Problem | undefined => {
  const matches = cursor.byteLength >= prefix.byteLength && prefix.every((byte, i) => cursor[i] === byte)
  return keyProblem(cursor.byteLength, "cursor") ??
    (matches
      ? undefined
      : problem("cursor", "does not begin with the prefix; pass the cursor of the page before, unchanged"))
}

/** The bytes of a query that {@link queryProblem} has nothing against. */
export const encodeQuery = (query: Query): Uint8Array => {
  if (query._tag === "Get") {
    return new Writer(4 + query.key.byteLength)
      .u8(queryVersion).u8(getTag).u16(query.key.byteLength).raw(query.key).bytes
  }
  const { prefix } = query
  const cursor = query.cursor ?? new Uint8Array(0)
  return new Writer(11 + prefix.byteLength + cursor.byteLength)
    .u8(queryVersion)
    .u8(scanTag)
    .u8((query.keysOnly ? keysOnlyFlag : 0) | (query.reverse ? reverseFlag : 0))
    .u32(query.limit)
    .u16(prefix.byteLength)
    .raw(prefix)
    .u16(cursor.byteLength)
    .raw(cursor)
    .bytes
}

/** The query in `bytes`, whose fields are views of them, or what is wrong. */
export const decodeQuery = (bytes: Uint8Array): Query | Problem => {
  const reader = new Reader(bytes)
  const version = reader.u8()
  const tag = reader.u8()
  if (reader.failed) return problem("query", `is cut short at ${bytes.byteLength} bytes`)
  if (version !== queryVersion) {
    return problem("query", `has version ${version}; this node reads version ${queryVersion}`)
  }
  const query = make(tag, reader)
  if (query === undefined) return problem("query", `has the unknown tag ${tag}`)
  if (!reader.complete) return problem("query", "is not as long as it says")
  return queryProblem(query) ?? query
}

const make = (tag: number, reader: Reader): Query | undefined => {
  switch (tag) {
    case getTag:
      return { _tag: "Get", key: reader.raw(reader.u16()) }
    case scanTag: {
      const flags = reader.u8()
      const limit = reader.u32()
      const prefix = reader.raw(reader.u16())
      const cursor = reader.raw(reader.u16())
      return {
        _tag: "Scan",
        prefix,
        limit,
        cursor: cursor.byteLength === 0 ? undefined : cursor,
        keysOnly: (flags & keysOnlyFlag) !== 0,
        reverse: (flags & reverseFlag) !== 0
      }
    }
    default:
      return undefined
  }
}
