/** The examples with state and queues in a FlareDB in memory. Their runners and messages are still Effect's own. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, References } from "effect"
import { RateLimiter } from "effect/persistence"
import { FlareDb } from "flaredb"
import { layerKeyValueStore, layerPersistedQueue } from "flaredb/actors"
import { KeyValue } from "flaredb/client"
import * as Mails from "../../../examples/actors/Mails.ts"
import { runners } from "../../../examples/actors/Memory.ts"
import { suite } from "./Suite.ts"

const stores = Layer.provideMerge(Layer.merge(layerKeyValueStore(), layerPersistedQueue()), FlareDb.layerMemory)

const backEnd = Layer.mergeAll(
  runners,
  stores,
  RateLimiter.layer.pipe(Layer.provide(RateLimiter.layerStoreMemory))
)

suite("FlareDB in memory", backEnd)

// Layers are shared by reference: with a second PersistedQueue.layer beside it, ours would be Effect's in memory.
it.live("mails are in FlareDB", () =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const before = yield* kv.count("fx/")
    yield* Mails.enqueue("one", { to: "ada@example.org", text: "hello" })
    assert.isAbove(yield* kv.count("fx/"), before)
  }).pipe(Effect.provide(Layer.fresh(backEnd)), Effect.provideService(References.MinimumLogLevel, "Warn")))
