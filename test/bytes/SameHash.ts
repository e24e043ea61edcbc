/** Keys of five bytes whose hashes (FNV-1a with 32 bits) are all the same, as a client that means harm would send them. */
import { emptyHash, hashOn } from "../../src/bytes/KeyTable.ts"

/** What undoes the multiplication of a step of the hash. */
const inverse = 0x359c449b

const before = (hash: number, byte: number): number => Math.imul(hash, inverse) ^ byte

/** `count` of them. Two last bytes lead from any of 65,536 hashes to one: three first ones have to meet one of these. */
export const sameHash = (count: number): ReadonlyArray<Uint8Array> => {
  const ends = new Map<number, number>()
  for (let last = 0; last < 65_536; last++) ends.set(before(before(0, last & 255), last >> 8), last)
  const keys: Array<Uint8Array> = []
  for (let first = 0; keys.length < count && first < 1 << 24; first++) {
    const start = Uint8Array.of(first >> 16, first >> 8 & 255, first & 255)
    const last = ends.get(hashOn(emptyHash, start, 0, 3))
    if (last !== undefined) keys.push(Uint8Array.of(...start, last >> 8, last & 255))
  }
  return keys
}
