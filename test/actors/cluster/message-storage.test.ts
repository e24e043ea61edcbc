/** Effect's storage of messages on FlareDB in memory, and the suite on Effect's own memory storage. */
import { describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { MessageStorage } from "effect/cluster"
import { HeldShards, makeEncodedMessageStorage } from "../../../src/actors/index.ts"
import { messageStorageCases } from "../../../src/testing/index.ts"
import { withLostAnswers } from "../LostAnswers.ts"
import type { Services } from "../Stores.ts"
import { onMemory } from "../Stores.ts"

const inFlareDb = (services: Services) =>
  messageStorageCases({
    open: (cluster) =>
      makeEncodedMessageStorage({ cluster }).pipe(
        Effect.map(({ encoded }) => encoded),
        Effect.provide(Layer.fresh(Layer.merge(services, HeldShards.layer)))
      )
  })

describe("message storage in FlareDB", () => onMemory(inFlareDb))

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
