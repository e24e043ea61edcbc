/** Actors read the latest state, whatever a program's client reads by default. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Option, Stream } from "effect"
import { globSync, readFileSync } from "node:fs"
import { LatestReads } from "../../src/actors/LatestReads.ts"
import type { ReadOptions } from "../../src/client/KeyValue.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"

it.effect("a read that names no consistency is linearizable, and one that does is as it says", () =>
  Effect.gen(function*() {
    const asked: Array<ReadOptions["consistency"]> = []
    const note = <A>(options: ReadOptions | undefined, answer: A) =>
      Effect.sync(() => {
        asked.push(options?.consistency)
        return answer
      })
    const kv = yield* LatestReads.pipe(Effect.provide(Layer.mock(KeyValue, {
      get: (_key, options) => note(options, Option.none()),
      count: (_prefix, options) => note(options, 0),
      scan: (_prefix, options) => note(options, { entries: [], cursor: undefined, revision: 0 }),
      scanAll: (_prefix, options) => Stream.drain(Stream.fromEffect(note(options, undefined))),
      transact: (_txn, options) => note(options, { succeeded: false, revision: 0, results: [] as never })
    })))
    const ask = (options: ReadOptions | undefined) =>
      Effect.all([
        kv.get("", options),
        kv.count("", options),
        kv.scan("", options),
        Stream.runDrain(kv.scanAll("", options)),
        kv.transact({}, options)
      ])
    for (const options of [undefined, {}, { consistency: undefined }]) yield* ask(options)
    assert.deepStrictEqual(asked.splice(0), new Array(15).fill("linearizable"))
    yield* ask({ consistency: "stale" })
    assert.deepStrictEqual(asked, new Array(5).fill("stale"))
  }))

/** They show what they read, or read nothing. */
const others = ["src/actors/Actors.ts", "src/actors/LogTime.ts", "src/actors/overview/index.ts"]

it("actors have the store that way", () => {
  const found = globSync("src/actors/**/*.ts").filter((file) => /yield\* KeyValue\b/.test(readFileSync(file, "utf8")))
  assert.deepStrictEqual(found.sort(), others)
})
