/** Messages that a version with other rows stored are refused, and not lost without a word. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { HeldShards, makeEncodedMessageStorage } from "../../../src/actors/index.ts"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import { memory } from "../Stores.ts"

const setUp = Effect.gen(function*() {
  const context = yield* Layer.build(Layer.merge(yield* memory, HeldShards.layer))
  const open = Effect.provide(makeEncodedMessageStorage({ cluster: "old" }), context)
  return { kv: yield* Effect.provide(KeyValue, context), open }
})

const read = Effect.flatMap(({ encoded }: Effect.Success<ReturnType<typeof makeEncodedMessageStorage>>) =>
  encoded.unprocessedMessages(["default:1"], 0)
)

it.live("the first storage writes the version, and others find it", () =>
  Effect.scoped(Effect.gen(function*() {
    const { kv, open } = yield* setUp
    assert.deepStrictEqual(yield* Effect.all([read(open), read(open), read(open)], { concurrency: 3 }), [[], [], []])
    const { entries } = yield* kv.scan("fx/c/old/")
    assert.deepStrictEqual(entries.map(({ keyText, text, version }) => [keyText, text, version]), [
      ["fx/c/old/V", "2", 1]
    ])
  })))

it.live("messages of the former layout, and of a later one, are refused and left as they are", () =>
  Effect.scoped(Effect.gen(function*() {
    const { kv, open } = yield* setUp
    const former = `fx/c/old/M/${"1".padStart(20, "0")}`
    yield* kv.put(former, "{}")
    const refused = yield* Effect.flip(read(open))
    assert.strictEqual(refused._tag, "PersistenceError")
    assert.deepInclude(refused.cause, { _tag: "OtherLayout", version: "1" })
    assert.match(String((refused.cause as Error).message), /layout 1, which this version neither reads nor changes/)
    assert.deepStrictEqual((yield* kv.scan("fx/c/old/")).entries.map(({ keyText }) => keyText), [former])
    yield* kv.delete(former)
    yield* kv.put("fx/c/old/V", "3")
    assert.deepInclude((yield* Effect.flip(read(open))).cause, { _tag: "OtherLayout", version: "3" })
    yield* kv.delete("fx/c/old/V")
    assert.deepStrictEqual(yield* read(open), [], "the same storage, once nothing is in its way")
  })))

it.live("all that begin at the same time look at the version once", () =>
  Effect.scoped(Effect.gen(function*() {
    const services = yield* memory
    const kv = yield* Effect.provide(KeyValue, services)
    let scans = 0
    const scan: typeof kv.scan = (...args) => {
      scans++
      return kv.scan(...args)
    }
    const storage = yield* Effect.provide(
      makeEncodedMessageStorage({ cluster: "old" }),
      yield* Layer.build(
        Layer.mergeAll(services, Layer.succeed(KeyValue, KeyValue.of({ ...kv, scan })), HeldShards.layer)
      )
    )
    yield* Effect.forEach(Array.from({ length: 200 }), () => storage.encoded.repliesFor(["1"]), {
      concurrency: "unbounded",
      discard: true
    })
    assert.isAtMost(scans, 2)
  })))
