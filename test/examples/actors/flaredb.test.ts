/** The examples on FlareDB in memory. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, References } from "effect"
import { KeyValue } from "flaredb/client"
import { layerMemory } from "../../../examples/actors/FlareDb.ts"
import * as Mails from "../../../examples/actors/Mails.ts"
import { suite } from "./Suite.ts"

suite("FlareDB in memory", layerMemory)

// Effect shares layers by reference: with a second PersistedQueue.layer beside it, this one could be in memory only.
it.live("mails are in FlareDB", () =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const before = yield* kv.count("fx/")
    yield* Mails.enqueue("one", { to: "ada@example.org", text: "hello" })
    assert.isAbove(yield* kv.count("fx/"), before)
  }).pipe(Effect.provide(Layer.fresh(layerMemory)), Effect.provideService(References.MinimumLogLevel, "Warn")))
