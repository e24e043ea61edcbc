/** Effect's storage of messages on FlareDB in memory, and the suite on Effect's own memory storage. */
import { describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { MessageStorage } from "effect/cluster"
import { HeldShards, makeEncodedMessageStorage } from "../../../src/actors/index.ts"
import { messageStorageCases } from "../../../src/testing/index.ts"
import { Freshness } from "../../../src/actors/cluster/Freshness.ts"
import { withLostAnswers } from "../LostAnswers.ts"
import type { Services } from "../Stores.ts"
import { onMemory } from "../Stores.ts"

const inFlareDb = (services: Services, shared = true) =>
  messageStorageCases({
    shared,
    // An acknowledgement is seen as soon as the copy of the queue shows it.
    without: shared ? [] : ["chunks"],
    open: (cluster) =>
      makeEncodedMessageStorage({ cluster }, { freshness: new Freshness(!shared), rests: !shared }).pipe(
        Effect.map(({ encoded }) => encoded),
        Effect.provide(Layer.fresh(Layer.merge(services, HeldShards.layer)))
      )
  })

describe("message storage in FlareDB", () => onMemory((services) => inFlareDb(services)))

describe("message storage in FlareDB, which is told of what others save", () =>
  onMemory((services) => inFlareDb(services, false)))

describe("message storage in FlareDB, whose every third answer is lost", () =>
  onMemory((services) => inFlareDb(withLostAnswers(services))))

describe("Effect's memory storage", () => {
  const cases = messageStorageCases({
    open: () =>
      Effect.map(
        Effect.provide(MessageStorage.MemoryDriver, Layer.fresh(MessageStorage.MemoryDriver.layer)),
        ({ encoded }) => encoded
      ),
    shared: false,
    without: ["retries", "chunks", "envelopes", "clearing", "transactions"]
  })
  for (const { effect, name } of cases) it.live(name, () => effect)
})
