/** A process that runs the entities of `test/actors/Counter.ts` beside a cluster, until it is ended. */
import { Effect, Layer, Logger, Option } from "effect"
import { RunnerAddress } from "effect/cluster"
import { Actors } from "../../src/actors/index.ts"
import { parseEndpoints } from "../../src/client/index.ts"
import { CounterLive } from "../actors/Counter.ts"

const [endpoints = "", port = ""] = process.argv.slice(2)

const program = Effect.flatMap(parseEndpoints(endpoints), (parsed) =>
  Layer.launch(
    Layer.effectDiscard(Effect.sync(() => process.stdout.write("RUNNING\n"))).pipe(
      Layer.provideMerge(CounterLive),
      Layer.provide(Actors.layer({
        endpoints: parsed,
        sharding: { runnerAddress: Option.some(RunnerAddress.make("127.0.0.1", Number(port))) }
      })),
      Layer.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)]))
    )
  ))

await Effect.runPromise(program)
