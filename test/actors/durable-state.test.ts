/** The state of an entity: changed with the handler's reply, or not at all. */
import { assert, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Option, Schema } from "effect"
import { ClusterSchema, Entity } from "effect/cluster"
import { Rpc } from "effect/rpc"
import { TestClock } from "effect/testing"
import { Actors, DurableState } from "../../src/actors/index.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Add, Counter, CounterLive } from "./Counter.ts"

const State = Schema.Struct({ cents: Schema.Int.check(Schema.isLessThan(1_000_000)), note: Schema.String })

const Change = {
  payload: { id: Schema.String, cents: Schema.Int },
  primaryKey: ({ id }: { readonly id: string }) => id,
  success: Schema.Int,
  error: Schema.String
}

const Account = Entity.make("Account", [
  DurableState.atomic(Rpc.make("Add", Change)),
  /** Sends three messages, and changes its state twice. */
  DurableState.atomic(Rpc.make("Tell", Change)),
  /** Fails after its change. */
  DurableState.atomic(Rpc.make("Refuse", Change)),
  /** Waits for another handler of the entity in the midst of its change, the first time. */
  DurableState.atomic(Rpc.make("Slow", Change)),
  DurableState.atomic(Rpc.make("Note", { ...Change, payload: { id: Schema.String, length: Schema.Int } })),
  DurableState.atomic(Rpc.make("Remove", Change)),
  Rpc.make("Read", { success: State, error: Schema.String }),
  Rpc.make("Outside", { success: Schema.Void, error: Schema.String })
])

const initial = { cents: 0, note: "" }

/** How often handlers ran, and what the slow one waits for. */
interface World {
  readonly runs: Map<string, number>
  slow: Effect.Effect<unknown>
}

/** What a handler's error says: its kind, and its message. */
const told = <A, E extends { readonly _tag: string; readonly message: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.mapError(effect, ({ _tag, message }) => `${_tag}: ${message}`)

const accounts = (world: World) =>
  Account.toLayer(
    Effect.gen(function*() {
      const state = yield* DurableState.make({ schema: State, initial })
      const ran = (id: string) =>
        Effect.sync(() => {
          const times = (world.runs.get(id) ?? 0) + 1
          world.runs.set(id, times)
          return times
        })
      const add = (cents: number) =>
        told(state.modify((now) => [now.cents + cents, { ...now, cents: now.cents + cents }]))
      return Account.of({
        Add: ({ payload }) => Effect.andThen(ran(payload.id), add(payload.cents)),
        Tell: ({ payload }) =>
          Effect.gen(function*() {
            const other = yield* Counter.client
            yield* add(payload.cents)
            for (const to of ["a", "b", "c"]) {
              yield* Effect.orDie(other(to).Add(new Add({ id: payload.id }), { discard: true }))
            }
            return yield* add(payload.cents)
          }),
        Refuse: ({ payload }) => Effect.andThen(add(payload.cents), Effect.fail("refused")),
        Slow: ({ payload }) =>
          Effect.gen(function*() {
            const times = yield* ran(payload.id)
            const after = yield* add(payload.cents)
            if (times === 1) yield* world.slow
            return after
          }),
        Note: ({ payload }) =>
          Effect.as(told(state.update((now) => ({ ...now, note: "n".repeat(payload.length) }))), payload.length),
        Remove: () => Effect.as(told(state.delete), 0),
        Read: () =>
          Effect.gen(function*() {
            const value = yield* told(state.get)
            // Of no effect on the state: every value is a copy.
            Object.assign(value, { note: `${value.note}!` })
            return { ...yield* told(state.get) }
          }),
        Outside: () => told(state.set(initial))
      })
    }),
    { concurrency: 2, maxIdleTime: "1 minute" }
  )

const actors = (world: World = { runs: new Map(), slow: Effect.void }) =>
  accounts(world).pipe(Layer.provideMerge(CounterLive), Layer.provideMerge(Actors.layerMemory()))

/** Lets the test's time pass until an effect is done. */
const whileTimePasses = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>, stepMs = 1_000) {
  const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
  while (fiber.pollUnsafe() === undefined) {
    yield* TestClock.adjust(stepMs)
    yield* TestClock.withLive(Effect.sleep(1))
  }
  return yield* Fiber.join(fiber)
})

const stateKey = "fx/c/default/S/Account/=one/=state"

it.effect("state, reply and the messages that a handler sends are one entry of the log", () =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const account = (yield* Account.client)("one")
    assert.strictEqual(yield* whileTimePasses(account.Tell({ id: "t", cents: 5 })), 10)
    const { entries } = yield* kv.scan("fx/c/default/")
    const state = entries.find(({ keyText }) => keyText === stateKey)
    assert.strictEqual(state?.text, `{"format":1,"state":{"cents":10,"note":""}}`)
    const together = entries.filter(({ createRevision }) => createRevision === state?.createRevision)
      .map(({ keyText }) => keyText.split("/")[3])
    assert.strictEqual(together.filter((kind) => kind === "X").length, 1, "its reply")
    assert.strictEqual(together.filter((kind) => kind === "M").length, 3, "three messages")
  }).pipe(Effect.provide(actors())))

it.effect("a state is changed once by a request, not by a handler that fails, and outlasts its entity", () => {
  const world: World = { runs: new Map(), slow: Effect.void }
  return Effect.gen(function*() {
    const kv = yield* KeyValue
    const account = (yield* Account.client)("one")
    assert.deepStrictEqual(yield* whileTimePasses(account.Read()), initial)
    assert.strictEqual(yield* whileTimePasses(account.Add({ id: "a", cents: 5 })), 5)
    assert.strictEqual(yield* whileTimePasses(account.Add({ id: "a", cents: 5 })), 5)
    assert.strictEqual(world.runs.get("a"), 1)
    const refused = yield* whileTimePasses(Effect.exit(account.Refuse({ id: "r", cents: 7 })))
    assert.deepStrictEqual(Exit.findErrorOption(refused), Option.some("refused"))
    assert.deepStrictEqual(yield* whileTimePasses(account.Read()), { cents: 5, note: "" })
    // Passivated: what it has in memory is gone, and what somebody else writes is read.
    yield* TestClock.adjust("10 minutes")
    yield* kv.put(stateKey, `{"format":1,"state":{"cents":40,"note":"x"}}`)
    assert.strictEqual(yield* whileTimePasses(account.Add({ id: "b", cents: 2 })), 42)
    assert.deepStrictEqual(yield* whileTimePasses(account.Read()), { cents: 42, note: "x" })
    yield* whileTimePasses(account.Remove({ id: "d", cents: 0 }))
    assert.isTrue(Option.isNone(yield* kv.get(stateKey)))
    assert.strictEqual(yield* whileTimePasses(account.Add({ id: "c", cents: 1 })), 1)
  }).pipe(Effect.provide(actors(world)))
})

it.effect("a handler whose state was changed meanwhile stores nothing and runs again", () => {
  const world: World = { runs: new Map(), slow: Effect.void }
  return Effect.gen(function*() {
    const kv = yield* KeyValue
    const account = (yield* Account.client)("one")
    assert.strictEqual(yield* whileTimePasses(account.Add({ id: "a", cents: 1 })), 1)
    // By another handler of the entity, and by whoever else writes.
    const reached = yield* Deferred.make<void>()
    const changed = yield* Deferred.make<void>()
    world.slow = Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(changed))
    const slow = yield* Effect.forkChild(account.Slow({ id: "s", cents: 100 }), { startImmediately: true })
    yield* whileTimePasses(Deferred.await(reached))
    assert.strictEqual(yield* whileTimePasses(account.Add({ id: "b", cents: 10 })), 11)
    yield* Deferred.succeed(changed, undefined)
    assert.strictEqual(yield* whileTimePasses(Fiber.join(slow)), 111)
    assert.isAtLeast(world.runs.get("s") ?? 0, 2)
    world.slow = Effect.orDie(kv.put(stateKey, `{"format":1,"state":{"cents":500,"note":""}}`))
    assert.strictEqual(yield* whileTimePasses(account.Slow({ id: "u", cents: 5 })), 505)
    assert.isAtLeast(world.runs.get("u") ?? 0, 2)
    assert.strictEqual((yield* whileTimePasses(account.Read())).cents, 505)
  }).pipe(Effect.provide(actors(world)))
})

it.effect("what cannot be read or kept is an error that says what to do", () =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const account = (yield* Account.client)("one")
    const errorOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.map(whileTimePasses(Effect.exit(effect)), (exit) =>
        Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "no error")
    assert.include(yield* errorOf(account.Outside()), "NoTransaction")
    assert.include(yield* errorOf(account.Add({ id: "a", cents: 2_000_000 })), "StateNotEncodable")
    assert.include(yield* errorOf(account.Note({ id: "n", length: DurableState.maxStateBytes })), "StateTooLarge")
    assert.isTrue(Option.isNone(yield* kv.get(stateKey)))
    assert.strictEqual(yield* whileTimePasses(account.Note({ id: "m", length: 900_000 })), 900_000)
    const stored = `{"format":1,"state":{"dollars":1}}`
    yield* kv.put(stateKey, stored)
    // The one in memory is older: its commit is refused, and the handler reads anew.
    const undecodable = yield* errorOf(account.Add({ id: "b", cents: 1 }))
    for (const part of ["StateNotDecodable", "Account/one", stateKey, "older versions"]) {
      assert.include(undecodable, part)
    }
    assert.strictEqual(Option.getOrThrow(yield* kv.get(stateKey)).text, stored)
  }).pipe(Effect.provide(actors())))

it("an atomic RPC is persisted and a transaction", () => {
  const { annotations } = DurableState.atomic(Rpc.make("Add", Change))
  assert.isTrue(annotations.mapUnsafe.get(ClusterSchema.Persisted.key))
  assert.isTrue(annotations.mapUnsafe.get(ClusterSchema.WithTransaction.key))
})
