/** How rough a run of the cores is; each seed draws its own. */
import type { Random } from "./Random.ts"
import type { NetworkFaults } from "./SimNetwork.ts"

/**
 * Most lives have plain weather, in which things happen independently of each other. Some histories need several of them in a
 * row, and would take many thousands of seeds to come about by chance:
 *
 * - `short reigns`: whoever leads is soon cut off or crashes, with entries that are not committed, as in Figure 8 of the paper.
 * - `stranded leaders`: a leader is cut off with a long tail that nobody else has, while the others commit little, compact it
 *   and have to send it a snapshot that ends within that tail. Or a follower is cut off with a window full of entries on their
 *   way, while the others compact what it lacks.
 */
export type Profile = "plain" | "short reigns" | "stranded leaders"

export interface Weather {
  readonly profile: Profile
  readonly network: NetworkFaults
  readonly crash: number
  readonly partition: number
  readonly pause: number
  readonly sync: number
  readonly ticks: number
  readonly load: number
  readonly wipe: number
  readonly compact: number
  /** How often a leader loses its office, or is stranded; see {@link Profile}. */
  readonly fall: number
}

export const drawWeather = (random: Random): Weather => {
  const profile = random.weighted([["plain", 6], ["short reigns", 1], ["stranded leaders", 1]])
  return {
    profile,
    network: {
      drop: random.pick([0, 0.02, 0.2]),
      duplicate: random.pick([0, 0.05, 0.2]),
      reorder: random.pick([0, 0.2, 1])
    },
    crash: random.pick([0, 0.1, 0.5, 1.5]),
    partition: random.pick([0, 0.1, 0.5, 2]),
    pause: random.pick([0, 0.2, 1]),
    sync: random.pick([4, 15, 40]),
    ticks: random.pick([10, 20, 60]),
    load: random.pick([1, 6]),
    wipe: random.pick([0, 0, 0.05, 0.2]),
    compact: random.pick([1, 1, 12]),
    fall: profile === "plain" ? 0 : random.pick([0.5, 2])
  }
}
