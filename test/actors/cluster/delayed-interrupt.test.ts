/** An interrupt of a message that is due later waits for it: before that there is nothing to interrupt. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { HeldShards, makeEncodedMessageStorage } from "../../../src/actors/index.ts"
import { eventually } from "../../Eventually.ts"
import { memory } from "../Stores.ts"

const address = { shardId: { group: "default", id: 1 }, entityType: "T", entityId: "one" }

it.live.each([
  { copy: "a mirror", maxQueueBytes: undefined },
  { copy: "pages", maxQueueBytes: 10 }
])(
  "an interrupt is read with its message, when that is due, in $copy",
  ({ maxQueueBytes }) =>
    Effect.scoped(Effect.gen(function*() {
      const services = yield* memory
      yield* Effect.gen(function*() {
        const { encoded } = yield* makeEncodedMessageStorage({ maxQueueBytes })
        const save = (envelope: Parameters<typeof encoded.saveEnvelope>[0]["envelope"], deliverAt: number | null) =>
          encoded.saveEnvelope({ envelope, primaryKey: null, deliverAt })
        const read = (now: number) =>
          Effect.map(
            Effect.suspend(() => encoded.unprocessedMessages(["default:1"], now)),
            (found) => found.map(({ envelope }) => `${envelope._tag} ${envelope.requestId}`)
          )
        const finish = (id: string) =>
          encoded.saveReply({
            _tag: "WithExit",
            requestId: id,
            id: `${id}00`,
            exit: { _tag: "Success", value: null }
          })
        yield* save({ _tag: "Request", requestId: "1", address, tag: "Do", payload: null, headers: {} }, 5_000)
        yield* save({ _tag: "Interrupt", id: "10", requestId: "1", address }, null)
        // One that waits already is interrupted at once.
        yield* save({ _tag: "Request", requestId: "2", address, tag: "Do", payload: null, headers: {} }, 500)
        yield* save({ _tag: "Interrupt", id: "11", requestId: "2", address }, null)
        assert.deepStrictEqual(yield* read(1_000), ["Request 2", "Interrupt 2"])
        assert.deepStrictEqual(yield* read(4_999), [])
        yield* finish("2")
        const found: Array<string> = []
        const readMore = Effect.map(Effect.suspend(() => read(5_000)), (more) => found.push(...more) >= 2)
        // Pages go on once the watch tells that what was read is finished.
        yield* eventually("the first and its interrupt", readMore)
        assert.deepStrictEqual(found, ["Request 1", "Interrupt 1"])
        yield* finish("1")
        // An interrupt that comes when its message was read is read alone.
        yield* save({ _tag: "Request", requestId: "3", address, tag: "Do", payload: null, headers: {} }, 5_500)
        yield* eventually("the third", Effect.map(read(6_000), (found) => found.includes("Request 3")))
        yield* save({ _tag: "Interrupt", id: "12", requestId: "3", address }, null)
        yield* eventually("its interrupt", Effect.map(read(6_001), (found) => found.includes("Interrupt 3")))
      }).pipe(Effect.provide(Layer.merge(services, HeldShards.layer)))
    }))
)
