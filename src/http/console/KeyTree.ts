/**
 * One level of the keys as a tree: what comes behind a prefix, up to the next `/`. A folder is passed over in one read
 * however many keys it has, so that a level costs about as many reads as it has names.
 */
import { Effect } from "effect"
import type { ReadFailure } from "../../client/KeyValue.ts"
import { KeyValue } from "../../client/KeyValue.ts"
import { maxKeyBytes } from "../../kv/model/Limits.ts"
import { base64 } from "./KeyBytes.ts"

/** A name of a level. */
export interface TreeName {
  /** Base64 of the key, or of the prefix of a folder, whose last byte is a `/`. */
  readonly key: string
  readonly folder: boolean
}

export interface TreeLevel {
  readonly names: ReadonlyArray<TreeName>
  /** Give it to get what comes behind; `null` when this is all. */
  readonly cursor: string | null
  readonly revision: number
}

/** Names of a page, and reads for it: a level of folders takes one for each. */
export const pageNames = 100
const pageReads = 120

/** Keys of one read: some of them are of one folder. */
const readKeys = 64

const slash = 0x2f

/** A cursor behind every key that begins with `folder`. */
const behind = (folder: Uint8Array): Uint8Array => {
  const cursor = new Uint8Array(maxKeyBytes).fill(0xff)
  cursor.set(folder)
  return cursor
}

/** The folder that a key is in below a prefix; `undefined` for a key of the level itself. */
export const folderOf = (prefixBytes: number, key: Uint8Array): Uint8Array | undefined => {
  const end = key.indexOf(slash, prefixBytes)
  return end < 0 ? undefined : key.subarray(0, end + 1)
}

export const treeLevel = Effect.fnUntraced(function*(
  prefix: Uint8Array,
  from: Uint8Array | undefined
): Effect.fn.Return<TreeLevel, ReadFailure, KeyValue> {
  const kv = yield* KeyValue
  const names: Array<TreeName> = []
  let cursor = from
  let revision = 0
  for (let reads = 0; reads < pageReads; reads++) {
    const page = yield* kv.scan(prefix, { cursor, keysOnly: true, limit: readKeys })
    revision = page.revision
    let passed: Uint8Array | undefined
    for (const { key } of page.entries) {
      if (passed !== undefined && Buffer.compare(key.subarray(0, passed.byteLength), passed) === 0) continue
      if (names.length >= pageNames) return { names, cursor: cursor === undefined ? null : base64(cursor), revision }
      passed = folderOf(prefix.byteLength, key)
      names.push({ key: base64(passed ?? key), folder: passed !== undefined })
      cursor = passed === undefined ? key : behind(passed)
    }
    if (page.cursor === undefined) return { names, cursor: null, revision }
    // The rest of a folder is not read.
    cursor = passed === undefined ? page.cursor : behind(passed)
  }
  return { names, cursor: cursor === undefined ? null : base64(cursor), revision }
})
