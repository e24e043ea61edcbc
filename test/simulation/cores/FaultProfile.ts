/** How rough a run of the cores is; each seed draws its own. */
import type { Random } from "../Random.ts"
import type { NetworkFaults } from "./SimNetwork.ts"

/**
 * In most runs things happen independently of each other. Some histories need several of them in a row, and would
 * take many thousands of seeds to come about by chance:
 *
 * - `short terms`: the leader is soon cut off or crashes, with entries that are not committed, as in Figure 8 of the
 *   paper.
 * - `stranded leaders`: a leader is cut off with a long tail that no other node has, while the others commit little,
 *   compact it and have to send it a snapshot that ends within that tail. Or a follower is cut off with a window full
 *   of entries in flight, while the others compact what it lacks.
 * - `stale leader`: a leader is suspended with an entry that only it has, the others elect another one and commit, one
 *   of them loses its disk, the new leader is cut off, suspended or down, and the old one wakes up (`StaleLeader.ts`).
 */
export type ProfileName = "plain" | "short terms" | "stranded leaders" | "stale leader"

export interface FaultProfile {
  readonly name: ProfileName
  readonly network: NetworkFaults
  readonly crash: number
  readonly partition: number
  readonly pause: number
  readonly sync: number
  readonly ticks: number
  readonly load: number
  readonly wipe: number
  readonly compact: number
  /** How often a process is suspended, and for how many events at most: several election timeouts. */
  readonly suspend: number
  readonly suspendEvents: number
  /** How often the directory of a node is put back to an older state. */
  readonly putBack: number
  /** How often a leader goes, or is stranded; see {@link ProfileName}. */
  readonly fall: number
}

export const drawFaultProfile = (random: Random): FaultProfile => {
  const name = random.weighted([["plain", 6], ["short terms", 1], ["stranded leaders", 1], ["stale leader", 1]])
  const profile: FaultProfile = {
    name,
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
    suspend: random.pick([0, 0, 0.05, 0.2]),
    suspendEvents: random.pick([300, 700, 1_500]),
    putBack: random.pick([0, 0, 0.1, 0.4]),
    fall: name === "plain" ? 0 : random.pick([0.5, 2])
  }
  if (name !== "stale leader") return profile
  // Its parts take leaders that last, which hardly any do when everything else goes wrong as well.
  return {
    ...profile,
    network: { ...profile.network, drop: Math.min(profile.network.drop, 0.02) },
    crash: Math.min(profile.crash, 0.1),
    partition: Math.min(profile.partition, 0.1),
    pause: Math.min(profile.pause, 0.2),
    sync: 40,
    ticks: 10,
    suspend: Math.min(profile.suspend, 0.05),
    wipe: Math.min(profile.wipe, 0.02)
  }
}
