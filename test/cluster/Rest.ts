/**
 * What a writer of a steady load does between two writes. A write takes a millisecond of processor time of all nodes
 * together, so writers that do not rest take all that the machine has, for as long as a node needs to start again, and the
 * files beside wait for it. A few hundred writes in a second are enough to have some under way whenever a node dies.
 */
import { Effect } from "effect"

export const rest: Effect.Effect<void> = Effect.sleep(20)
