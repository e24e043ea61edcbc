/** A process that runs the report of `examples/actors/Nightly.ts` every second, and says for which time it has one. */
import { Effect, Layer, Logger } from "effect"
import { KeyValueStore } from "effect/persistence"
import * as FlareDbBackEnd from "../../examples/actors/FlareDb.ts"
import * as Nightly from "../../examples/actors/Nightly.ts"
import { parseEndpoints } from "../../src/client/index.ts"

const [endpoints = "", port = ""] = process.argv.slice(2)

const telling = Layer.effect(
  KeyValueStore.KeyValueStore,
  Effect.map(KeyValueStore.KeyValueStore, (store) => ({
    ...store,
    set: (key: string, value: string | Uint8Array) =>
      Effect.tap(store.set(key, value), () => Effect.sync(() => process.stdout.write(`${key}\n`)))
  }))
)

const program = Effect.flatMap(parseEndpoints(endpoints), (parsed) =>
  Layer.launch(
    Layer.effectDiscard(Effect.sync(() => process.stdout.write("RUNNING\n"))).pipe(
      Layer.provideMerge(Layer.provide(Nightly.reports("* * * * * *"), telling)),
      Layer.provide(FlareDbBackEnd.layer({ endpoints: parsed, runner: { host: "127.0.0.1", port: Number(port) } })),
      Layer.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)]))
    )
  ))

await Effect.runPromise(program)
