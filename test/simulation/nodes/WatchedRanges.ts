/** What a watcher of a simulated cluster asks for beside a prefix: keys, ranges that are no prefix, several of them. */
import type { KeyRange } from "../../../src/bytes/KeyRange.ts"
import { prefixRange, singleKey } from "../../../src/bytes/KeyRange.ts"
import { KeyRanges } from "../../../src/kv/model/KeyRanges.ts"
import type { Random } from "../Random.ts"
import { bytes } from "./Draws.ts"

/** One range of the keys that clients write: `k0` to `k7`, `l0` to `l3`, and `t`. */
const drawRange = (random: Random): KeyRange => {
  switch (random.below(3)) {
    case 0:
      return singleKey(bytes(random.pick(["k0", "k1", "k5", "l1", "t"])))
    case 1:
      return prefixRange(bytes(random.pick(["k", "k3", "l"])))
    default:
      return { gte: bytes(`k${random.below(4)}`), lt: bytes(random.pick(["k5", "k6\0", "l2", "u"])) }
  }
}

export const drawRanges = (random: Random): KeyRanges => {
  const ranges = KeyRanges.make(Array.from({ length: 1 + random.below(3) }, () => drawRange(random)))
  if (!(ranges instanceof KeyRanges)) throw new Error(`${ranges.field} ${ranges.problem}`)
  return ranges
}
