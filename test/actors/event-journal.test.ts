/** Effect's event journal on FlareDB in memory, and the suite on Effect's own journal in memory. */
import { describe, it } from "@effect/vitest"
import { Layer } from "effect"
import { EventJournal } from "effect/eventlog"
import { layerEventJournal } from "../../src/actors/index.ts"
import { eventJournalCases } from "../../src/testing/index.ts"
import { withLostAnswers } from "./LostAnswers.ts"
import { onMemory } from "./Stores.ts"

describe("an event journal in FlareDB that loses answers", () => {
  onMemory((services) =>
    eventJournalCases({ journal: (name) => Layer.provide(layerEventJournal({ name }), withLostAnswers(services)) })
  )
})

describe("Effect's memory journal", () => {
  const cases = eventJournalCases({ journal: () => EventJournal.layerMemory, shared: false, tellsOthers: false })
  for (const { effect, name } of cases) it.live(name, () => effect)
})
