/** Keys with their values, as JSON of the API. */
import { Schema } from "effect"
import type { KeyRecord } from "../../kv/model/KeyRecord.ts"
import { jsonField, readBytes } from "../../client/Encoding.ts"
import { InvalidArgument } from "../../FlareDbError.ts"

/** How keys and values are written in JSON: `text` is UTF-8, `base64` is of either alphabet, padded or not. */
export const Encoding = Schema.Literals(["text", "base64"])
export type Encoding = typeof Encoding.Type

/** Beside a key or a value that is not written as it was asked for: text that is not UTF-8 comes as base64. */
const OtherEncoding = Schema.optionalKey(Schema.Literals(["text", "base64", "hex"]))

const figures = {
  /** The revision that created the key. */
  createRevision: Schema.Number,
  /** The revision of its last put: its `ETag`. */
  modRevision: Schema.Number,
  /** Puts since it was created, from 1. */
  version: Schema.Number,
  /** The lease that the key lives as long as; absent for none. */
  lease: Schema.optionalKey(Schema.Number)
}

/** A key; `value` is absent when only keys were asked for. */
export const Entry = Schema.Struct({
  key: Schema.String,
  keyEncoding: OtherEncoding,
  value: Schema.optionalKey(Schema.String),
  valueEncoding: OtherEncoding,
  ...figures
}).annotate({ identifier: "Entry" })

export type Entry = typeof Entry.Type

/** A key alone. */
export const Key = Schema.Struct({ key: Schema.String, keyEncoding: OtherEncoding }).annotate({ identifier: "Key" })

export const keyJson = (key: Uint8Array, encoding: Encoding): typeof Key.Type => jsonField("key", key, encoding)

export const entryJson = (
  key: Uint8Array,
  { createRevision, lease, modRevision, value, version }: KeyRecord,
  encoding: Encoding,
  keysOnly = false
): Entry => ({
  ...jsonField("key", key, encoding),
  ...(keysOnly ? {} : jsonField("value", value, encoding)),
  createRevision,
  modRevision,
  version,
  ...(lease === 0 ? {} : { lease })
})

/** The bytes of a key, a prefix or a value that a caller wrote. */
export const bytesIn = (field: string, text: string, encoding: Encoding): Uint8Array | InvalidArgument => {
  const bytes = readBytes(text, encoding)
  return typeof bytes === "string" ? new InvalidArgument({ field, problem: bytes }) : bytes
}
