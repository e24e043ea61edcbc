/** The storages of Effect's event log servers on FlareDB in memory, and the suites on Effect's own in memory. */
import { describe, it } from "@effect/vitest"
import { Layer } from "effect"
import { EventLogServerEncrypted, EventLogServerUnencrypted } from "effect/eventlog"
import { layerEventLogStorageEncrypted, layerEventLogStorageUnencrypted } from "../../src/actors/index.ts"
import { eventLogEncryptedCases, eventLogUnencryptedCases } from "../../src/testing/index.ts"
import { withLostAnswers } from "./LostAnswers.ts"
import { onMemory } from "./Stores.ts"

describe("an encrypted event log in FlareDB that loses answers", () => {
  onMemory((services) =>
    eventLogEncryptedCases({
      storage: (name) => Layer.provide(layerEventLogStorageEncrypted({ name }), withLostAnswers(services))
    })
  )
})

describe("an unencrypted event log in FlareDB that loses answers", () => {
  onMemory((services) =>
    eventLogUnencryptedCases({
      storage: (name) => Layer.provide(layerEventLogStorageUnencrypted({ name }), withLostAnswers(services))
    })
  )
})

describe("Effect's encrypted event log in memory", () => {
  const cases = eventLogEncryptedCases({
    storage: () => EventLogServerEncrypted.layerStorageMemory,
    shared: false,
    tellsOthers: false,
    apart: false
  })
  for (const { effect, name } of cases) it.live(name, () => effect)
})

describe("Effect's unencrypted event log in memory", () => {
  const cases = eventLogUnencryptedCases({
    storage: () => EventLogServerUnencrypted.layerStorageMemory,
    shared: false,
    tellsOthers: false
  })
  for (const { effect, name } of cases) it.live(name, () => effect)
})
