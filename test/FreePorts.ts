/** Ports for the nodes of a test, which stay its own until its worker ends. That none is left is a defect. */
import { Effect } from "effect"
import { findPorts } from "../src/cli/launch/FreePorts.ts"

export const freePorts = (count: number): Effect.Effect<ReadonlyArray<number>> => Effect.promise(() => findPorts(count))
