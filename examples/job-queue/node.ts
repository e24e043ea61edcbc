/**
 * One node of a cluster that runs the job queue, configured by `FLAREDB_…` variables:
 *
 *   FLAREDB_NODE_ID=1 npx node examples/job-queue/node.ts   # and 2 and 3, in other terminals
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Context, Effect, Layer } from "effect"
import { FlareDb, RaftNode } from "flaredb"
import { layer as jobMachine } from "./JobMachine.ts"

const node = Effect.gen(function*() {
  const services = yield* Layer.build(FlareDb.layerFromEnvWith(jobMachine))
  yield* Console.log("READY")
  yield* Context.get(services, RaftNode).fatal
})

NodeRuntime.runMain(Effect.scoped(node))
