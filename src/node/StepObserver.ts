/**
 * Whoever wants to see every step of a node's core: simulations, which check after each that all promises hold. Nobody
 * does in production, and then it costs one comparison per step.
 */
import { Context } from "effect"
import type { Event } from "../raft/Event.ts"
import type { Output } from "../raft/Output.ts"
import type { Raft } from "../raft/Raft.ts"

/** Called with each step before its outputs are carried out. It must change nothing; what it throws stops the node. */
export type StepObserver = (raft: Raft, event: Event, outputs: ReadonlyArray<Output>) => void

export const StepObserver: Context.Reference<StepObserver | undefined> = Context.Reference<StepObserver | undefined>(
  "flaredb/node/StepObserver",
  { defaultValue: () => undefined }
)
