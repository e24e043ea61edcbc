/** Which faults of a seed that fails it takes: the others are left out, as far as it then fails in the same way. */
import type { World } from "./Engine.ts"
import { RunFailed, simulate } from "./Engine.ts"

export interface Shrunk {
  readonly property: string
  /** Faults before the seed failed. */
  readonly faults: number
  /** Those that it takes: without any one of them it does not fail so. */
  readonly needed: ReadonlyArray<number>
}

const failure = <Probe extends string>(world: World<Probe>, seed: number, only?: ReadonlyArray<number>) => {
  try {
    simulate(world, { seed, only: only === undefined ? undefined : new Set(only) })
    return undefined
  } catch (error) {
    if (error instanceof RunFailed) return error
    throw error
  }
}

/** Leaves out ever smaller parts of the faults. `undefined` when the seed does not fail. */
export const shrink = <Probe extends string>(world: World<Probe>, seed: number): Shrunk | undefined => {
  const first = failure(world, seed)
  if (first === undefined) return undefined
  const { faults, property } = first
  let needed = Array.from({ length: faults }, (_, at) => at + 1)
  let part = Math.ceil(faults / 2)
  while (part >= 1) {
    const before = needed.length
    for (let at = 0; at < needed.length;) {
      const rest = [...needed.slice(0, at), ...needed.slice(at + part)]
      if (failure(world, seed, rest)?.property === property) needed = rest
      else at += part
    }
    // One that is left out may make another one needless.
    if (part > 1 || needed.length === before) part = part === 1 ? 0 : Math.ceil(part / 2)
  }
  return { property, faults, needed }
}
