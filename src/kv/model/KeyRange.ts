/** What a range of users' keys may be. */
import { compareBytes } from "../../bytes/Bytes.ts"
import type { KeyRange } from "../../bytes/KeyRange.ts"
import type { Problem } from "./Limits.ts"
import { maxKeyBytes, problem } from "./Limits.ts"

/** What is wrong with a range, if anything. One byte more than a key may have is allowed, for the end behind a key. */
export const rangeProblem = ({ gte, lt }: KeyRange, field = "range"): Problem | undefined =>
  gte.byteLength > maxKeyBytes + 1
    ? problem(`${field}.gte`, `has ${gte.byteLength} bytes; at most ${maxKeyBytes} are allowed`)
    : lt.byteLength > maxKeyBytes + 1
    ? problem(`${field}.lt`, `has ${lt.byteLength} bytes; at most ${maxKeyBytes} are allowed`)
    : lt.byteLength > 0 && compareBytes(gte, lt) >= 0
    ? problem(field, "ends at or before it begins")
    : undefined
