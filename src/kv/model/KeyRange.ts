/** What a range of users' keys may be. */
import { compareBytes } from "../../bytes/Bytes.ts"
import type { KeyRange } from "../../bytes/KeyRange.ts"
import type { Problem } from "./Limits.ts"
import { maxKeyBytes, problem } from "./Limits.ts"

/** What a caller calls a range and its bounds, for what is wrong with them. */
export interface RangeNames {
  readonly whole: string
  readonly gte: string
  readonly lt: string
}

export const rangeNames = (field: string): RangeNames => ({ whole: field, gte: `${field}.gte`, lt: `${field}.lt` })

/** What is wrong with a range, if anything. One byte more than a key may have is allowed, for the end behind a key. */
export const rangeProblem = ({ gte, lt }: KeyRange, names = rangeNames("range")): Problem | undefined =>
  gte.byteLength > maxKeyBytes + 1
    ? problem(names.gte, `has ${gte.byteLength} bytes; at most ${maxKeyBytes} are allowed`)
    : lt.byteLength > maxKeyBytes + 1
    ? problem(names.lt, `has ${lt.byteLength} bytes; at most ${maxKeyBytes} are allowed`)
    : lt.byteLength > 0 && compareBytes(gte, lt) >= 0
    ? problem(names.whole, "ends at or before it begins")
    : undefined
