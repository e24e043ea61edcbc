/** States of entities: stored with the reply or not at all, once, and never over a change that was not seen. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Layer, Option } from "effect"
import { Actors, DurableState } from "../../../src/actors/index.ts"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import { Op } from "../../../src/client/Txn.ts"
import { Change, Meanwhile, Plain, PlainLive, Wallet, WalletLive } from "./Wallet.ts"

const key = (entity: string, type = "Wallet") => `fx/c/default/S/${type}/=${entity}/state`

const nothing = () => Effect.void

/** A cluster in memory with the entity, on the real clock. */
const on = (
  meanwhile: Meanwhile["Service"] = nothing,
  { concurrency, sharding }: {
    readonly concurrency?: "unbounded"
    readonly sharding?: Actors.StorageOptions["sharding"]
  } = {}
) =>
  Layer.mergeAll(WalletLive(concurrency), PlainLive).pipe(
    Layer.provideMerge(Actors.layerMemory({ sharding })),
    Layer.provide(Layer.succeed(Meanwhile, meanwhile))
  )

/** What is stored of a wallet. */
const stored = (entity: string) =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    return Option.map(
      yield* kv.get(key(entity)),
      ({ modRevision, text }) => ({ modRevision, value: JSON.parse(text).state })
    )
  })

it.live("the state, the reply and three messages are one entry of the log, and take effect once", () =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const wallet = (yield* Wallet.client)("one")
    assert.strictEqual(yield* wallet.Share(new Change({ id: "s", amount: 7 })), 7)
    assert.strictEqual(yield* wallet.Share(new Change({ id: "s", amount: 7 })), 7, "sent again")
    const { modRevision, value } = Option.getOrThrow(yield* stored("one"))
    assert.deepStrictEqual(value, { amount: 7 })
    const { entries } = yield* kv.scan("fx/c/default/")
    const at = (part: string) => entries.filter(({ keyText }) => keyText.startsWith(`fx/c/default/${part}/`))
    const rows = {
      state: at("S").filter(({ createRevision }) => createRevision === modRevision).length,
      exits: at("M").filter((row) => row.createRevision < modRevision && row.modRevision === modRevision).length,
      requests: at("M").filter(({ createRevision }) => createRevision === modRevision).length
    }
    assert.deepStrictEqual(rows, { state: 1, exits: 1, requests: 3 })
    for (const other of ["a", "b", "c"]) {
      const client = (yield* Wallet.client)(other)
      assert.strictEqual(yield* client.Add(new Change({ id: "look", amount: 0 })), 7, other)
    }
  }).pipe(Effect.provide(on())))

it.live("a handler that fails, or dies the first time, leaves no change of its own behind", () => {
  let runs = 0
  const dies = (id: string) => Effect.suspend(() => id === "dies" && ++runs === 1 ? Effect.die("once") : Effect.void)
  return Effect.gen(function*() {
    const wallet = (yield* Wallet.client)("one")
    assert.strictEqual(yield* wallet.Add(new Change({ id: "a", amount: 1 })), 1)
    const refused = yield* Effect.exit(wallet.Refuse(new Change({ id: "r", amount: 10 })))
    assert.deepStrictEqual(Exit.findErrorOption(refused), Option.some("refused"))
    assert.deepStrictEqual(Option.getOrThrow(yield* stored("one")).value, { amount: 1 })
    assert.strictEqual(yield* wallet.Add(new Change({ id: "dies", amount: 2 })), 3)
    assert.strictEqual(runs, 2)
    assert.strictEqual(yield* wallet.TakeBack(new Change({ id: "t", amount: 4 })), 7)
    assert.deepStrictEqual(Option.getOrThrow(yield* stored("one")).value, { amount: 7 })
    assert.strictEqual(yield* wallet.Empty(new Change({ id: "e", amount: 0 })), 0)
    assert.isTrue(Option.isNone(yield* stored("one")))
    assert.strictEqual(yield* wallet.Add(new Change({ id: "after", amount: 2 })), 2)
  }).pipe(Effect.provide(on(dies)))
})

it.live("a change that somebody else made meanwhile is not lost: the handler runs again on it", () => {
  let runs = 0
  let between: Effect.Effect<void> = Effect.void
  const meanwhile = (id: string) => Effect.suspend(() => id === "late" && ++runs === 1 ? between : Effect.void)
  return Effect.gen(function*() {
    const kv = yield* KeyValue
    between = Effect.orDie(Effect.asVoid(kv.put(key("one"), `{"format":1,"state":{"amount":100}}`)))
    const wallet = (yield* Wallet.client)("one")
    assert.strictEqual(yield* wallet.Add(new Change({ id: "a", amount: 1 })), 1)
    assert.strictEqual(yield* wallet.Add(new Change({ id: "late", amount: 2 })), 102)
    assert.strictEqual(runs, 2)
    assert.deepStrictEqual(Option.getOrThrow(yield* stored("one")).value, { amount: 102 })
  }).pipe(Effect.provide(on(meanwhile)))
})

it.live("who lost the shard stores nothing: the next owner's handler begins with what is stored", () => {
  const seen: Array<Option.Option<unknown>> = []
  let losing: Effect.Effect<void> = Effect.void
  const meanwhile = (id: string) => id === "deposed" ? Effect.suspend(() => losing) : Effect.void
  return Effect.gen(function*() {
    const kv = yield* KeyValue
    losing = Effect.orDie(
      Effect.gen(function*() {
        seen.push(Option.map(yield* stored("one"), ({ value }) => value))
        if (seen.length === 1) yield* kv.transact({ do: [Op.deletePrefix("fx/c/default/L/")] })
      }).pipe(Effect.provideService(KeyValue, kv))
    )
    const wallet = (yield* Wallet.client)("one")
    assert.strictEqual(yield* wallet.Add(new Change({ id: "deposed", amount: 2 })), 2)
    assert.deepStrictEqual(seen, seen.map(() => Option.none()), "what was stored when the handler had run")
    assert.isAtLeast(seen.length, 2)
    assert.deepStrictEqual(Option.getOrThrow(yield* stored("one")).value, { amount: 2 })
  }).pipe(Effect.provide(on(meanwhile, {
    // Effect takes locks up again that it lost, and that nobody else took, when it polls for messages.
    sharding: { shardLockRefreshInterval: 1_000, shardLockExpiration: 10_000, entityMessagePollInterval: 500 }
  })))
})

it.live("handlers that run at the same time change it one after the other, each of them once", () => {
  const runs = new Map<string, number>()
  const first = Deferred.makeUnsafe<void>()
  const meanwhile = (id: string) =>
    Effect.suspend(() => {
      runs.set(id, (runs.get(id) ?? 0) + 1)
      return Deferred.succeed(first, undefined)
    })
  return Effect.gen(function*() {
    const wallet = (yield* Wallet.client)("one")
    const ids = Array.from({ length: 20 }, (_, i) => `id ${i}`)
    const balances = yield* Effect.forEach(ids, (id) => wallet.Add(new Change({ id, amount: 1 })), {
      concurrency: "unbounded"
    })
    assert.sameMembers([...balances], ids.map((_, i) => i + 1))
    assert.deepStrictEqual([...runs.values()], ids.map(() => 1))
  }).pipe(Effect.provide(on(meanwhile, { concurrency: "unbounded" })))
})

it.live("values are copies: who changes one changes no state", () =>
  Effect.gen(function*() {
    const wallet = (yield* Wallet.client)("one")
    assert.strictEqual(yield* wallet.Spoil(new Change({ id: "s", amount: 3 })), 3)
    assert.strictEqual(yield* wallet.Add(new Change({ id: "a", amount: 1 })), 4)
    assert.deepStrictEqual(Option.getOrThrow(yield* stored("one")).value, { amount: 4 })
  }).pipe(Effect.provide(on())))

it.live("an entity that was put to rest goes on with what it stored", () =>
  Effect.gen(function*() {
    const client = yield* Wallet.client
    for (let i = 1; i <= 3; i++) {
      assert.strictEqual(yield* client("one").Add(new Change({ id: `${i}`, amount: 1 })), i)
      yield* Effect.sleep(30)
    }
  }).pipe(Effect.provide(on(nothing, { sharding: { entityMaxIdleTime: 1 } }))))

it.live("errors name the entity, the key and what to do", () =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const wallet = (yield* Wallet.client)("one")
    const room = DurableState.maxStateBytes - `{"format":1,"state":{"amount":1,"note":""}}`.length
    const fits = new Change({ id: "fits", amount: room })
    assert.strictEqual(yield* wallet.Explain(fits), "set")
    const large = yield* wallet.Explain(new Change({ id: "large", amount: room + 1 }))
    assert.match(
      large,
      /^StateTooLarge: the state of Wallet "one" at fx\/c\/default\/S\/Wallet\/=one\/state: it has 1048577/
    )

    yield* kv.put(key("other"), `{"format":1,"state":{"amount":"many"}}`)
    const other = yield* (yield* Wallet.client)("other").Explain(new Change({ id: "o", amount: 1 }))
    assert.match(other, /^StateUndecodable: the state of Wallet "other" at .*"amount".*delete the key to begin with/s)

    const plain = (yield* Plain.client)("one")
    assert.strictEqual(yield* plain.Add(new Change({ id: "p", amount: 1 })), "NoTransaction")
    assert.strictEqual(yield* plain.Get(), 0)
    yield* kv.put(key("one", "Plain"), `{"format":1,"state":{"amount":3}}`)
    assert.strictEqual(yield* plain.Get(), 3, "outside of a transaction it is what is stored")
  }).pipe(Effect.provide(on())))
