/** Queues that are larger than the memory of a runner's mirror are read in pages. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { HeldShards, makeEncodedMessageStorage } from "../../../src/actors/index.ts"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import { eventually } from "../../Eventually.ts"
import { memory } from "../Stores.ts"

const shards: [string, ...Array<string>] = ["default:1", "default:2", "default:3"]

it.live("a backlog larger than the mirror is worked off, each message once, with few of them in memory", () =>
  Effect.scoped(Effect.gen(function*() {
    const services = yield* memory
    yield* Effect.gen(function*() {
      const kv = yield* KeyValue
      const { encoded, work } = yield* makeEncodedMessageStorage({ maxQueueBytes: 100_000 })
      const send = (id: number, deliverAt: number | null = null) =>
        encoded.saveEnvelope({
          envelope: {
            _tag: "Request",
            requestId: String(id),
            address: { shardId: { group: "default", id: id % 3 + 1 }, entityType: "T", entityId: String(id % 50) },
            tag: "Do",
            payload: null,
            headers: {}
          },
          primaryKey: null,
          deliverAt
        })
      const read = (limit: number, now = 1_000) =>
        Effect.map(
          Effect.suspend(() => encoded.unprocessedMessages(shards, now, { limit })),
          (found) => found.map(({ envelope }) => Number(envelope.requestId))
        )
      const finish = (ids: ReadonlyArray<number>) =>
        Effect.forEach(ids, (id) =>
          encoded.saveReply({
            _tag: "WithExit",
            requestId: String(id),
            id: String(id + 1_000_000),
            exit: { _tag: "Success", value: null }
          }), { concurrency: "unbounded", discard: true })

      // It begins in a mirror that is large enough.
      yield* send(1)
      assert.deepStrictEqual(yield* read(10), [1])
      const ids = Array.from({ length: 1_200 }, (_, i) => i + 2)
      yield* Effect.forEach(ids, (id) => send(id, id % 100 === 0 ? 5_000 : null), {
        concurrency: "unbounded",
        discard: true
      })
      const handled = new Set([1])
      let most = 0
      const workOff = (now: number) =>
        Effect.gen(function*() {
          for (;;) {
            const found: Array<number> = []
            for (;;) {
              const batch = yield* read(128, now)
              found.push(...batch)
              if (batch.length === 0) break
            }
            most = Math.max(most, found.length)
            if (found.length === 0) return handled.size
            for (const id of found) {
              assert.isFalse(handled.has(id), `${id} is handed out once`)
              handled.add(id)
            }
            yield* finish(found)
          }
        })
      yield* eventually("all that is due is read", Effect.map(workOff(1_000), (size) => size === 1_189))
      assert.isBelow(most, 600, "messages of a window")
      yield* eventually("what is due later is read then", Effect.map(workOff(5_000), (size) => size === 1_201))
      yield* finish([1])
      assert.strictEqual((yield* kv.scan("fx/c/default/Q/")).entries.length, 0)

      // What comes now is told of.
      yield* eventually("nothing is left to read", Effect.map(read(10), (found) => found.length === 0))
      yield* send(2_000)
      yield* work.next
      yield* eventually("the new message", Effect.map(read(10), (found) => found.includes(2_000)))
    }).pipe(Effect.provide(Layer.merge(services, HeldShards.layer)))
  })))
