/** Messages that no row has room for: their senders are told what is too large, and nothing waits for ever. */
import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Logger, Option, Schema, Stream } from "effect"
import { ClusterSchema, Entity } from "effect/cluster"
import { Rpc } from "effect/rpc"
import { Activity, Workflow } from "effect/workflow"
import { ClusterWorkflowEngine } from "effect/cluster"
import { Actors, addToTransaction, DurableState } from "../../src/actors/index.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Op } from "../../src/client/Txn.ts"

const mebibyte = 1024 * 1024

const payload = { id: Schema.String, bytes: Schema.Int }
const primaryKey = ({ id }: { readonly id: string }) => id

const Large = Entity.make("Large", [
  Rpc.make("Answer", { payload, primaryKey, success: Schema.String }),
  Rpc.make("Refuse", { payload, primaryKey, success: Schema.Void, error: Schema.String }),
  Rpc.make("Emit", { payload, primaryKey, success: Schema.String, stream: true }),
  Rpc.make("Take", { payload: { id: Schema.String, text: Schema.String }, primaryKey, success: Schema.Int }),
  DurableState.atomic(Rpc.make("Change", { payload, primaryKey, success: Schema.String })),
  /** Changes so many keys, of which the last one twice with `id` "twice". */
  DurableState.atomic(Rpc.make("Many", { payload, primaryKey, success: Schema.String })),
  /** Sends a large request within its transaction, and says what came of it. */
  DurableState.atomic(Rpc.make("Send", { payload, primaryKey, success: Schema.String }))
]).annotateRpcs(ClusterSchema.Persisted, true)

const Letter = Workflow.make("Letter", { payload, idempotencyKey: primaryKey, success: Schema.String })

/** How often each request was handled. */
const runs = new Map<string, number>()
const counted = (id: string) => Effect.sync(() => runs.set(id, (runs.get(id) ?? 0) + 1))
const text = (bytes: number) => "x".repeat(bytes)

const LargeLive = Large.toLayer(Effect.gen(function*() {
  const balance = yield* DurableState.make({ schema: Schema.Int, initial: 0 })
  const send = yield* Large.client
  return Large.of({
    Answer: ({ payload: { bytes, id } }) => Effect.as(counted(id), text(bytes)),
    Refuse: ({ payload: { bytes, id } }) => Effect.andThen(counted(id), Effect.fail(text(bytes))),
    // Both elements are emitted at once.
    Emit: ({ payload: { bytes } }) => Stream.make(text(bytes / 2), text(bytes / 2)),
    Take: ({ payload }) => Effect.succeed(payload.text.length),
    Change: ({ payload: { bytes, id } }) =>
      Effect.gen(function*() {
        yield* counted(id)
        yield* balance.set(1)
        yield* addToTransaction({ do: [Op.put(`changed/${id}`, "")] })
        return text(bytes)
      }).pipe(Effect.orDie),
    Many: ({ payload: { bytes, id } }) =>
      Effect.gen(function*() {
        yield* counted(id)
        yield* balance.update((value) => value + 1)
        const keys = Array.from({ length: bytes }, (_, i) => `many/${id === "twice" && i === bytes - 1 ? 0 : i}`)
        yield* addToTransaction({ do: keys.map((key) => Op.put(key, "")) })
        return "changed"
      }).pipe(Effect.orDie),
    Send: ({ payload: { bytes } }) =>
      Effect.match(send("other").Take({ id: "sent", text: text(bytes) }, { discard: true }), {
        onSuccess: () => "sent",
        onFailure: ({ cause }) => String(cause)
      })
  })
}))

const LetterLive = Letter.toLayer(Effect.fnUntraced(function*({ bytes }) {
  return yield* Activity.make({ name: "Write", success: Schema.String, execute: Effect.sync(() => text(bytes)) })
}))

const on = Layer.merge(LargeLive, LetterLive).pipe(
  Layer.provideMerge(ClusterWorkflowEngine.layer),
  Layer.provideMerge(Actors.layerMemory()),
  Layer.provide(Logger.layer([]))
)

/** The defect that a call ends with. */
const defectOf = <A, E, R>(call: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.exit(call), (exit) => {
    const reasons = Exit.isFailure(exit) ? exit.cause.reasons.filter(Cause.isDieReason) : []
    return reasons.map(({ defect }) => `${(defect as Error).name}: ${(defect as Error).message}`).join()
  })

const atMost = "at most 1048576 are allowed"

it.live("a reply that is too large is a defect for its caller, also when it is sent again", () =>
  Effect.gen(function*() {
    const client = (yield* Large.client)("one")
    for (const call of [client.Answer, client.Refuse]) {
      const request = { id: call === client.Answer ? "answer" : "refuse", bytes: 2 * mebibyte }
      for (const what of ["sent", "sent again"]) {
        const defect = yield* defectOf(call(request))
        assert.match(defect, /^MessageTooLarge: the reply to request \d+ of Large "one" has 20\d+ bytes as JSON/, what)
        assert.include(defect, atMost, what)
      }
      assert.strictEqual(runs.get(request.id), 1, request.id)
    }
    // The longest that fits.
    const most = yield* client.Answer({ id: "most", bytes: mebibyte - 1_024 })
    assert.strictEqual(most.length, mebibyte - 1_024)
  }).pipe(Effect.provide(on)))

it.live("what a stream emits at once and is too large ends it with a defect", () =>
  Effect.gen(function*() {
    const client = (yield* Large.client)("one")
    const defect = yield* defectOf(Stream.runDrain(client.Emit({ id: "emit", bytes: 2 * mebibyte })))
    assert.match(defect, /^MessageTooLarge: a part of the stream of request \d+ of Large "one" has 20\d+ bytes/)
    assert.include(defect, "Stream.rechunk")
    const small = yield* Stream.runCollect(client.Emit({ id: "small", bytes: mebibyte / 2 }))
    assert.strictEqual(small.length, 2)
  }).pipe(Effect.provide(on)))

it.live("of a transaction whose reply is too large nothing is stored but the defect", () =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const client = (yield* Large.client)("one")
    const defect = yield* defectOf(client.Change({ id: "change", bytes: 2 * mebibyte }))
    assert.match(defect, /^MessageTooLarge: the reply to request \d+ of Large "one"/)
    assert.strictEqual(runs.get("change"), 1)
    assert.isTrue(Option.isNone(yield* kv.get("changed/change")))
    assert.isTrue(Option.isNone(yield* kv.get("fx/c/default/S/Large/=one/state")))
    assert.strictEqual(yield* client.Change({ id: "after", bytes: 1 }), "x")
    assert.isTrue(Option.isSome(yield* kv.get("changed/after")))
  }).pipe(Effect.provide(on)))

it.live.each([
  { id: "many", keys: 600, problem: "has 60\\d elements; at most 512 are allowed" },
  { id: "twice", keys: 3, problem: "is already written by this list" }
])("a transaction that can never be stored ends with a defect: $id", ({ id, keys, problem }) =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const client = (yield* Large.client)("one")
    for (const what of ["sent", "sent again"]) {
      const defect = yield* defectOf(client.Many({ id, bytes: keys }))
      assert.match(defect, /^TransactionRefused: the transaction of request \d+, its state, reply and messages/, what)
      assert.match(defect, new RegExp(problem), what)
    }
    assert.strictEqual(runs.get(id), 1)
    assert.strictEqual(yield* kv.count("many/"), 0)
    assert.strictEqual(yield* client.Many({ id: `after ${id}`, bytes: 3 }), "changed")
    assert.strictEqual(
      Option.getOrThrow(yield* kv.get("fx/c/default/S/Large/=one/state")).text,
      `{"format":1,"state":1}`
    )
    assert.strictEqual(yield* kv.count("many/"), 3)
  }).pipe(Effect.provide(on)))

it.live("a request that is too large is refused where it is sent, also within a transaction", () =>
  Effect.gen(function*() {
    const client = (yield* Large.client)("one")
    const refused = yield* Effect.flip(client.Take({ id: "take", text: text(2 * mebibyte) }))
    assert.match(String(refused.cause), /MessageTooLarge: the request \d+ of Large "one" has 20\d+ bytes/)
    const answer = yield* client.Send({ id: "send", bytes: 2 * mebibyte })
    assert.match(answer, /MessageTooLarge: the request \d+ of Large "other" has 20\d+ bytes/)
    assert.include(answer, atMost)
  }).pipe(Effect.provide(on)))

it.live("a workflow whose activity has too large a result fails with it", () =>
  Effect.gen(function*() {
    const defect = yield* defectOf(Letter.execute({ id: "letter", bytes: 2 * mebibyte }))
    assert.match(defect, /MessageTooLarge: the reply to request \d+ of Workflow\/Letter/)
  }).pipe(Effect.provide(on)))
