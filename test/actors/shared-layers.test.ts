/** FlareDB's services beside Effect's own of the same kind, in one program. */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import { PersistedQueue } from "effect/persistence"
import { layerPersistedQueue } from "../../src/actors/index.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { memory } from "./Stores.ts"

class InMemory extends Context.Service<InMemory, PersistedQueue.PersistedQueueFactory["Service"]>()("test/InMemory") {}

class InFlareDb
  extends Context.Service<InFlareDb, PersistedQueue.PersistedQueueFactory["Service"]>()("test/InFlareDb")
{}

const inMemory = Layer.effect(InMemory, PersistedQueue.PersistedQueueFactory).pipe(
  Layer.provide(Layer.provide(PersistedQueue.layer, PersistedQueue.layerStoreMemory))
)

it.live("a queue in FlareDB is not the one in memory that was built before it", () =>
  Effect.scoped(Effect.gen(function*() {
    const services = yield* memory
    const inFlareDb = Layer.effect(InFlareDb, PersistedQueue.PersistedQueueFactory).pipe(
      Layer.provide(Layer.provide(layerPersistedQueue(), services))
    )
    const context = yield* Layer.build(Layer.provideMerge(Layer.provideMerge(inFlareDb, inMemory), services))
    const kv = Context.get(context, KeyValue)
    const before = yield* kv.count("fx/")
    const queue = yield* Context.get(context, InFlareDb).make({ name: "jobs", schema: Schema.Number })
    yield* queue.offer(1)
    assert.isAbove(yield* kv.count("fx/"), before)
  })))
