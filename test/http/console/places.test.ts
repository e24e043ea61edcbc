import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { Places } from "../../../src/http/console/Places.ts"

it.effect("one too many is refused, and a place is free again when its scope has ended", () =>
  Effect.gen(function*() {
    const places = new Places("maxConsoleCalls", 2)
    yield* places.take
    yield* Effect.scoped(Effect.gen(function*() {
      yield* places.take
      assert.deepInclude(yield* Effect.flip(places.take), { limit: "maxConsoleCalls", current: 2, maximum: 2 })
    }))
    yield* places.take
  }).pipe(Effect.scoped))
