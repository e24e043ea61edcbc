/** Fibers of a handler that go on when its transaction has ended, as background work of an entity does. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Deferred, Effect, Exit, Fiber, Layer, Logger, Schema } from "effect"
import { Entity, MessageStorage } from "effect/cluster"
import { EventJournal, EventLogServerUnencrypted } from "effect/eventlog"
import type { EventLogMessage } from "effect/eventlog"
import { Rpc } from "effect/rpc"
import {
  Actors,
  addToTransaction,
  DurableState,
  DurableStateError,
  layerEventLogStorageUnencrypted,
  NoTransaction
} from "../../../src/actors/index.ts"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import { Op } from "../../../src/client/Txn.ts"
import { memory } from "../Stores.ts"

const payload = { id: Schema.String }
const primaryKey = ({ id }: { readonly id: string }) => id

const Sum = Entity.make("Sum", [
  DurableState.atomic(Rpc.make("Add", { payload, primaryKey, success: Schema.Int })),
  /** Leaves a fiber behind that goes on when the handler has ended. */
  DurableState.atomic(Rpc.make("Leave", { payload, primaryKey }))
])

type Left = (parts: {
  readonly sum: DurableState.DurableState<number>
  readonly sums: Effect.Success<typeof Sum.client>
  readonly storage: MessageStorage.MessageStorage["Service"]
}) => Effect.Effect<unknown, unknown>

/** What a handler leaves behind, and a call that lets it go on and gives how it ended. */
const leaving = Effect.fnUntraced(function*(left: Left) {
  const over = yield* Deferred.make<void>()
  const leftOf = yield* Deferred.make<Fiber.Fiber<unknown, unknown>>()
  const layer = Sum.toLayer(Effect.gen(function*() {
    const sum = yield* DurableState.make({ schema: Schema.Int, initial: 0 })
    const parts = { sum, sums: yield* Sum.client, storage: yield* MessageStorage.MessageStorage }
    return Sum.of({
      Add: () => Effect.orDie(sum.updateAndGet((value) => value + 1)),
      Leave: () =>
        Effect.andThen(Deferred.await(over), left(parts)).pipe(
          Effect.forkDetach,
          Effect.flatMap((fiber) => Deferred.succeed(leftOf, fiber)),
          Effect.asVoid
        )
    })
  })).pipe(Layer.provideMerge(Actors.layerMemory()), Layer.provide(Logger.layer([])))
  const ended = Effect.gen(function*() {
    yield* (yield* Sum.client)("one").Leave({ id: "leave" })
    yield* Deferred.succeed(over, undefined)
    return yield* Fiber.await(yield* Deferred.await(leftOf))
  })
  return { ended, layer }
})

const failureOf = (exit: Exit.Exit<unknown, unknown>): unknown =>
  Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined

describe("a fiber that outlives the transaction of its handler", () => {
  it.live("is told that its change of a state has none, and the entity goes on", () =>
    Effect.gen(function*() {
      const { ended, layer } = yield* leaving(({ sum }) => sum.update((value) => value + 100))
      yield* Effect.gen(function*() {
        const failure = failureOf(yield* ended)
        assert.instanceOf(failure, DurableStateError)
        assert.instanceOf(failure.reason, NoTransaction)
        const one = (yield* Sum.client)("one")
        assert.strictEqual(yield* one.Add({ id: "a" }), 1)
        assert.strictEqual(yield* one.Add({ id: "b" }), 2)
      }).pipe(Effect.provide(layer))
    }))

  it.live("is told that operations of its own have none", () =>
    Effect.gen(function*() {
      const { ended, layer } = yield* leaving(() => addToTransaction({ do: [Op.put("mine", "")] }))
      yield* Effect.gen(function*() {
        assert.instanceOf(failureOf(yield* ended), NoTransaction)
      }).pipe(Effect.provide(layer))
    }))

  const afterwards: Record<string, Left> = {
    "reads what is stored": ({ sum }) => Effect.andThen(sum.get, sum.get),
    "sends messages": ({ sums }) => sums("other").Add({ id: "x" }, { discard: true }),
    "sends messages and waits for their answers": ({ sums }) => sums("other").Add({ id: "x" }),
    "has a transaction of its own": ({ storage }) =>
      storage.withTransaction(addToTransaction({ do: [Op.put("mine", "")] }))
  }
  for (const [what, left] of Object.entries(afterwards)) {
    it.live(what, () =>
      Effect.gen(function*() {
        const { ended, layer } = yield* leaving(left)
        yield* Effect.gen(function*() {
          assert.isTrue(Exit.isSuccess(yield* ended))
          assert.strictEqual(yield* (yield* Sum.client)("one").Add({ id: "goes on" }), 1)
          const kv = yield* KeyValue
          if (what.startsWith("sends")) assert.strictEqual(yield* (yield* Sum.client)("other").Add({ id: "y" }), 2)
          if (what.startsWith("has")) assert.strictEqual((yield* kv.get("mine"))._tag, "Some")
        }).pipe(Effect.provide(layer))
      }))
  }

  it.live("stores events of its own", () =>
    Effect.scoped(Effect.gen(function*() {
      const storage = Context.get(
        yield* Layer.build(Layer.provide(layerEventLogStorageUnencrypted(), yield* memory)),
        EventLogServerUnencrypted.Storage
      )
      const store = "store" as EventLogMessage.StoreId
      const entry = () =>
        new EventJournal.Entry({
          id: EventJournal.makeEntryIdUnsafe(),
          event: "event",
          primaryKey: "",
          payload: new Uint8Array(1)
        }, { disableChecks: true })
      const over = yield* Deferred.make<void>()
      const late = Effect.andThen(Deferred.await(over), storage.write(store, [entry()]))
      const fiber = yield* storage.withTransaction(
        Effect.andThen(storage.write(store, [entry()]), Effect.forkDetach(late))
      )
      yield* Deferred.succeed(over, undefined)
      assert.deepStrictEqual((yield* Fiber.join(fiber)).map(({ remoteSequence }) => remoteSequence), [2])
      assert.lengthOf(yield* storage.entriesAfter(store, entry(), [entry()]), 0)
    })))
})
