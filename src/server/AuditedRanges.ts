/** What is watched, as the audit log has it. */
import type { KeyRange } from "../bytes/KeyRange.ts"
import { prefixRange, singleKey } from "../bytes/KeyRange.ts"
import { compareBytes } from "../bytes/Bytes.ts"
import type { KeyRanges } from "../kv/model/KeyRanges.ts"
import { printable } from "../Printable.ts"

/** Ranges in one line; the rest is a count. */
const maxRanges = 8

/** Characters of one key in a line. */
const maxCharacters = 200

const keyText = (key: Uint8Array): string =>
  JSON.stringify(printable(new TextDecoder().decode(key)).slice(0, maxCharacters))

const rangeText = ({ gte, lt }: KeyRange): string => {
  if (compareBytes(singleKey(gte).lt, lt) === 0) return keyText(gte)
  if (compareBytes(prefixRange(gte).lt, lt) === 0) return `${keyText(gte)}*`
  return `${keyText(gte)}…${lt.byteLength === 0 ? "" : keyText(lt)}`
}

export const formatRanges = ({ all }: KeyRanges): ReadonlyArray<string> =>
  all.length <= maxRanges
    ? all.map(rangeText)
    : [...all.slice(0, maxRanges).map(rangeText), `and ${all.length - maxRanges} more`]
