/**
 * The worlds that the engine runs. Each is loaded when it is asked for, so that a mutant can change its sources before.
 */
import type { World } from "./engine/Engine.ts"
import { loadSmall } from "./SmallParts.ts"

interface Entry {
  readonly text: string
  readonly load: () => Promise<World<string>>
}

/** What runs a world hands it the table of its own probes, and no other. */
const any = <Probe extends string>(world: World<Probe>): World<string> => world as unknown as World<string>

export const worlds = {
  nodes: {
    text: "Three whole nodes on a simulated network, disk and clock.",
    load: async () => any((await import("./nodes/Nodes.ts")).nodes)
  },
  small: {
    text: "The same nodes, with all work in parts so small that there are several.",
    load: async () => any({ ...(await loadSmall(() => import("./nodes/Nodes.ts"))).nodes, script: "simulate:small" })
  },
  cores: {
    text: "Three Raft cores on a simulated network and simulated disks.",
    load: async () => any((await import("./cores/Cores.ts")).cores)
  },
  actors: {
    text: "Storages of runners over one store in memory.",
    load: async () => any((await import("../actors/races/Races.ts")).races)
  }
} as const satisfies Record<string, Entry>

export type WorldName = keyof typeof worlds
