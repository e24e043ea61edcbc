/** A process that takes an element of a queue, says which, and never finishes it. */
import { Effect, Layer, Schema } from "effect"
import { PersistedQueue } from "effect/persistence"
import { layerPersistedQueue } from "../../src/actors/index.ts"
import { layer, parseEndpoints } from "../../src/client/index.ts"

const [endpoints = "", name = "", lockExpirationMs = ""] = process.argv.slice(2)

const program = Effect.gen(function*() {
  const queue = yield* PersistedQueue.make({ name, schema: Schema.Number })
  yield* queue.take((n, { attempts }) =>
    Effect.andThen(Effect.sync(() => process.stdout.write(`TAKEN ${n} ${attempts}\n`)), Effect.never)
  )
})

await Effect.runPromise(Effect.flatMap(parseEndpoints(endpoints), (parsed) =>
  Effect.provide(
    program,
    Layer.provide(layerPersistedQueue({ lockExpiration: Number(lockExpirationMs) }), layer({ endpoints: parsed }))
  )))
