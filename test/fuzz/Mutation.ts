/** Calls with something wrong in them. */
import type { Random } from "../simulation/Random.ts"

/** Numbers at the edges of what fields hold. */
const edges: ReadonlyArray<number> = [0, 1, 0x7f, 0x80, 0xff]

/** The longest piece that is repeated or made up, in bytes. */
const maxPiece = 64

const flip = (random: Random, bytes: Uint8Array): Uint8Array => {
  const flipped = Uint8Array.from(bytes)
  for (let i = 1 + random.below(3); i > 0; i--) {
    const at = random.below(flipped.length)
    flipped[at] = (flipped[at] as number) ^ (1 << random.below(8))
  }
  return flipped
}

const overwrite = (random: Random, bytes: Uint8Array): Uint8Array => {
  const changed = Uint8Array.from(bytes)
  const at = random.below(changed.length)
  changed.fill(random.pick(edges), at, at + 1 + random.below(8))
  return changed
}

const piece = (random: Random, bytes: Uint8Array): Uint8Array => {
  const at = random.below(bytes.length)
  return bytes.subarray(at, at + 1 + random.below(maxPiece))
}

const insert = (random: Random, bytes: Uint8Array, inserted: Uint8Array): Uint8Array => {
  const at = random.below(bytes.length + 1)
  return Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at)])
}

/** `bytes` with one to three changes; `other` is a call from which pieces are taken. */
export const mutate = (random: Random, bytes: Uint8Array, other: Uint8Array): Uint8Array => {
  let mutated = bytes
  for (let i = 1 + random.below(3); i > 0 && mutated.length > 0; i--) {
    switch (random.weighted([["flip", 5], ["overwrite", 3], ["cut", 1], ["repeat", 1], ["splice", 1], ["invent", 1]])) {
      case "flip":
        mutated = flip(random, mutated)
        break
      case "overwrite":
        mutated = overwrite(random, mutated)
        break
      case "cut":
        mutated = mutated.subarray(0, random.below(mutated.length))
        break
      case "repeat":
        mutated = insert(random, mutated, piece(random, mutated))
        break
      case "splice":
        mutated = insert(random, mutated, piece(random, other))
        break
      case "invent":
        mutated = insert(random, mutated, Uint8Array.from({ length: random.below(maxPiece) }, () => random.below(256)))
        break
    }
  }
  return mutated
}
