/** What an import does about a key, from what both sides have under it. */
import { compareBytes } from "../../bytes/Bytes.ts"
import type { KeyValueEntry } from "../../client/KeyValue.ts"
import { keyProblem, maxValueBytes, valueProblem } from "../../kv/model/Limits.ts"
import { written } from "../input/Encoding.ts"
import { maxAnswerBytes } from "./EtcdCalls.ts"
import type { SourceEntry } from "./EtcdPages.ts"
import type { ImportedLeases } from "./ImportedLeases.ts"
import { noLease } from "./ImportedLeases.ts"
import type { Pair } from "./Pairs.ts"
import type { Rules } from "./Rules.ts"
import { statePrefix } from "./Rules.ts"
import { isState } from "./StorePages.ts"

/** Characters of a key that a message repeats. */
const shownLength = 80

/** A key as messages name it. */
export const keyText = (key: Uint8Array): string => {
  const { encoding, text } = written(key, "text")
  const short = text.length > shownLength ? `${text.slice(0, shownLength)}…` : text
  return encoding === "text" ? JSON.stringify(short) : `(base64) ${short}`
}

/** Why FlareDB does not take an entry, if so. `key` is its key in FlareDB. */
export const refusalOf = (key: Uint8Array, { value }: SourceEntry): string | undefined => {
  const ofKey = keyProblem(key.byteLength)
  if (ofKey !== undefined) return `the key ${ofKey.problem}`
  if (isState(key)) return `it lies under ${statePrefix}, where imports keep their state`
  if (value === undefined) {
    return `its value is too large for an answer of ${maxAnswerBytes} bytes; at most ${maxValueBytes} are allowed`
  }
  const ofValue = valueProblem(value.byteLength)
  return ofValue === undefined ? undefined : `the value ${ofValue.problem}`
}

export const hasLease = ({ lease }: SourceEntry): boolean => lease !== noLease

/** How a stored entry differs from that of etcd, if it does. */
export const differenceOf = (
  source: SourceEntry,
  stored: KeyValueEntry,
  leases: ImportedLeases
): "value" | "lease" | undefined => {
  if (source.value === undefined || compareBytes(source.value, stored.value) !== 0) return "value"
  const lease = leases.get(source.lease)
  return hasLease(source) === (stored.lease !== 0) && (lease === undefined || lease === 0 || lease === stored.lease)
    ? undefined
    : "lease"
}

export type Decision = "put" | "replace" | "delete" | "equal" | "keep" | "conflict" | "refuse" | "other"

export const decide = ({ key, source, stored }: Pair, leases: ImportedLeases, rules: Rules): Decision => {
  if (source === undefined) return rules.exact ? "delete" : "other"
  if (refusalOf(key, source) !== undefined) return "refuse"
  if (stored === undefined) return "put"
  if (differenceOf(source, stored, leases) === undefined) return "equal"
  switch (rules.ifExists) {
    case "fail":
      return "conflict"
    case "skip":
      return "keep"
    case "replace":
      return "replace"
  }
}
