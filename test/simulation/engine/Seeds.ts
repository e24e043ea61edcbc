/** Runs seeds of one world, one after the other. */
import type { World } from "./Engine.ts"
import { simulate } from "./Engine.ts"
import type { ProbeCount } from "./Probes.ts"
import { Probes } from "./Probes.ts"

export interface Task {
  readonly seed: number
  readonly count: number
}

/** What became of some seeds. */
export interface Outcome<Probe extends string> {
  readonly seeds: number
  readonly events: number
  readonly failures: ReadonlyArray<string>
  readonly probes: ReadonlyArray<ProbeCount<Probe>>
}

export const runSeeds = <Probe extends string>(world: World<Probe>, { count, seed }: Task): Outcome<Probe> => {
  const probes = new Probes(world.probes)
  const failures: Array<string> = []
  let events = 0
  for (let at = seed; at < seed + count; at++) {
    const own = new Probes(world.probes)
    try {
      events += simulate(world, { seed: at, probes: own }).events
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error))
    }
    probes.add(own.ofOneSeed)
  }
  return { seeds: count, events, failures, probes: probes.all }
}
