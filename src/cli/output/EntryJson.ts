/** A key with its value as `--json` prints it, and as `put --rows` reads it. */
import type { KeyValueEntry } from "../../client/KeyValue.ts"
import type { Encodings } from "../input/Encoding.ts"
import { jsonField } from "../input/Encoding.ts"

/** What `--json` says of an entry beside its key. */
export const entryFields = (
  { createRevision, lease, modRevision, value, version }: KeyValueEntry,
  encodings: Encodings,
  keysOnly = false
) => ({
  ...(keysOnly ? {} : jsonField("value", value, encodings.value)),
  createRevision,
  modRevision,
  version,
  ...(lease === 0 ? {} : { lease })
})

export const entryJson = (entry: KeyValueEntry, encodings: Encodings, keysOnly = false) => ({
  ...jsonField("key", entry.key, encodings.key),
  ...entryFields(entry, encodings, keysOnly)
})
