/**
 * An observer of every step of a node's core: of simulations, which check after each step that all promises hold, and
 * of traces. A node in production has none, and pays one comparison per step.
 */
import { Context } from "effect"
import type { Config } from "../raft/Config.ts"
import type { Event } from "../raft/Event.ts"
import type { Output } from "../raft/Output.ts"
import type { Raft } from "../raft/Raft.ts"
import type { Recovered } from "../raft/Recovered.ts"
import type { TracedSnapshotRequest } from "./trace/TraceLine.ts"

/** Told of all that reaches the core. It must change nothing; what it throws stops the node. */
export interface StepObserver {
  readonly started: (config: Config, recovered: Recovered) => void
  /** Called with each step before its outputs are carried out. */
  readonly stepped: (raft: Raft, event: Event, outputs: ReadonlyArray<Output>) => void
  /** A peer asks to send a snapshot, and the core is about to be asked about it. */
  readonly snapshotRequested: (request: TracedSnapshotRequest) => void
}

export const StepObserver: Context.Reference<StepObserver | undefined> = Context.Reference<StepObserver | undefined>(
  "flaredb/node/StepObserver",
  { defaultValue: () => undefined }
)
