/** What is watched, as the audit log has it. */
import type { KeyRanges } from "../kv/model/KeyRanges.ts"
import { rangeText } from "../kv/OperationText.ts"

/** Most ranges that are named; the others are counted. */
const maxNamed = 8

export const formatRanges = ({ all }: KeyRanges): ReadonlyArray<string> => {
  const named = all.slice(0, maxNamed).map((range) => `read ${rangeText(range)}`)
  return all.length <= maxNamed ? named : [...named, `and ${all.length - maxNamed} more`]
}
