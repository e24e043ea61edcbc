/**
 * A service with a node of the cluster in its own process, configured by `FLAREDB_…` variables:
 *
 *   FLAREDB_NODE_ID=1 npx node examples/embedding/main.ts   # and 2 and 3, in other terminals
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer, Option } from "effect"
import { FlareDb, RaftNode } from "flaredb"
import { Seats } from "./Seats.ts"

const program = Effect.gen(function*() {
  const node = yield* RaftNode
  const seats = yield* Seats
  const work = Effect.gen(function*() {
    // It waits for the cluster: a new one begins when all its nodes have answered each other.
    yield* seats.hold("12", "ada").pipe(Effect.retry({ while: (error) => error._tag === "Unavailable" }))
    const owner = yield* seats.ownerOf("12")
    yield* Console.log(`seat 12 is held for ${Option.getOrElse(owner, () => "nobody")}`)
    return yield* Effect.never
  })
  // A node that cannot go on, because its disk failed, ends the service with it.
  return yield* Effect.raceFirst(work, node.fatal)
})

const Services = Seats.layer.pipe(Layer.provideMerge(FlareDb.layerFromEnv))

NodeRuntime.runMain(Effect.provide(program, Services))
