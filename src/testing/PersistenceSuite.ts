/**
 * What users of Effect's `BackingPersistence` rely on, also through `Persistence` and `PersistedCache`. Times to live
 * are the store's, not those of the process that reads.
 */
import type { Scope } from "effect"
import { Clock, Context, Duration, Effect, Exit, Layer, Schema } from "effect"
import { Persistable, PersistedCache, Persistence } from "effect/persistence"
import { ensure, eventually, same } from "./Checks.ts"
import type { ConformanceCase } from "./Conformance.ts"

/** The persistence to hold against the cases, and what it does not promise. */
export interface PersistenceSuiteOptions {
  /** The suite builds it more than once, as several processes do. */
  readonly layer: Layer.Layer<Persistence.BackingPersistence, unknown>
  /** Whether layers built apart hold the same. Default `true`; Effect's memory store does not. */
  readonly shared?: boolean | undefined
  /** Whether times to live are judged by one clock, whatever a process's own says. Default `true`. */
  readonly ownTime?: boolean | undefined
}

/** Short enough to be waited for, and long enough to be read before it is over. */
const shortTtl = Duration.seconds(2)

/** A clock whose wall time is another one. */
const shifted = (byMs: number) =>
  Effect.map(Clock.Clock, (clock): Clock.Clock => ({
    ...clock,
    currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + byMs,
    currentTimeMillis: Effect.map(clock.currentTimeMillis, (ms) => ms + byMs),
    monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
    sleep: (duration) => clock.sleep(duration)
  }))

class Square extends Persistable.Class<{ payload: { readonly side: number } }>()("Square", {
  primaryKey: ({ side }) => `square of ${side}`,
  success: Schema.Struct({ area: Schema.Number }),
  error: Schema.String
}) {}

/** What Effect's backing persistence has to do, between two processes. */
export const persistenceCases = (options: PersistenceSuiteOptions): ReadonlyArray<ConformanceCase> => {
  const open = Effect.map(
    Layer.build(Layer.fresh(options.layer)),
    (context) => Context.get(context, Persistence.BackingPersistence)
  )

  const make = (
    name: string,
    run: (
      store: Persistence.BackingPersistenceStore,
      other: Persistence.BackingPersistenceStore,
      all: Persistence.BackingPersistence["Service"]
    ) => Effect.Effect<void, unknown, Scope.Scope>
  ): ConformanceCase => ({
    name,
    effect: Effect.scoped(Effect.gen(function*() {
      const all = yield* open
      const others = options.shared === false ? all : yield* open
      yield* run(yield* all.make(name), yield* others.make(name), all)
    }))
  })

  return [
    make("a value is there until it is removed", (store, other) =>
      Effect.gen(function*() {
        yield* same(yield* store.get("key"), undefined, "a key that was never set")
        yield* store.set("key", { a: [1, null, "ä"] }, undefined)
        yield* same(yield* other.get("key"), { a: [1, null, "ä"] }, "the value")
        yield* store.set("key", {}, undefined)
        yield* same(yield* other.get("key"), {}, "the value that took its place")
        yield* other.remove("key")
        yield* same(yield* store.get("key"), undefined, "a key that was removed")
        yield* store.remove("key")
      })),
    make("keys of any length and characters are told apart", (store) =>
      Effect.gen(function*() {
        const long = "x".repeat(5_000)
        const keys = ["", "a", "a/", "A", "=a", "#", "\ud800", "\ud801", `${long}1`, `${long}2`, "😀", "a\u0000"]
        for (const key of keys) {
          yield* store.set(key, { key: encodeURI(key.toWellFormed()), at: keys.indexOf(key) }, undefined)
        }
        for (const key of keys) {
          yield* same((yield* store.get(key)) as object, {
            key: encodeURI(key.toWellFormed()),
            at: keys.indexOf(key)
          }, `the key ${key.slice(0, 20)}`)
        }
      })),
    make(
      "getMany gives values in the order of the keys, setMany writes them all",
      (store, other) =>
        Effect.gen(function*() {
          const count = 600
          const entries = Array.from({ length: count }, (_, i) => [`key ${i}`, { i }, undefined] as const)
          const [first, ...rest] = entries
          if (first === undefined) return
          yield* store.setMany([first, ...rest])
          const found = yield* other.getMany(["key 7", "none", "key 0", "key 7", "key 599"])
          yield* same(found, [{ i: 7 }, undefined, { i: 0 }, { i: 7 }, { i: 599 }], "what getMany gives")
          yield* store.setMany([["key 0", { i: "first" }, undefined], ["key 0", { i: "last" }, undefined]])
          yield* same(yield* other.get("key 0"), { i: "last" }, "a key that was given twice")
          yield* store.clear
          yield* same(yield* other.getMany(["key 1", "key 599"]), [undefined, undefined], "what clear left")
        })
    ),
    make("a store's keys are its own, and clear leaves the others'", (store, _, all) =>
      Effect.gen(function*() {
        const names = ["stores", "stores/", "stores/x", "stores%2Fx", ""]
        const others = yield* Effect.forEach(names, (name) => all.make(name))
        yield* store.set("key", { of: "this" }, undefined)
        for (const [i, other] of others.entries()) yield* other.set("key", { of: i }, undefined)
        for (const [i, other] of others.entries()) yield* same(yield* other.get("key"), { of: i }, `store ${i}`)
        for (const other of others) yield* other.clear
        yield* same(yield* store.get("key"), { of: "this" }, "the value of the store that was not cleared")
      })),
    make("a value with a time to live is there, and is gone after it", (store, other) =>
      Effect.gen(function*() {
        yield* store.set("short", { a: 1 }, shortTtl)
        yield* store.setMany([
          ["one", { a: 2 }, shortTtl],
          ["stays", { a: 3 }, undefined],
          ["long", { a: 4 }, Duration.days(60)],
          ["days", { a: 5 }, Duration.days(5)]
        ])
        const keys = ["short", "one", "stays", "long", "days"] as const
        yield* same(yield* other.getMany([...keys]), [{ a: 1 }, { a: 2 }, { a: 3 }, { a: 4 }, { a: 5 }], "at once")
        yield* eventually(
          "the values with a short time to live are gone",
          Effect.map(other.getMany(["short", "one"]), (found) => found.every((value) => value === undefined))
        )
        yield* same(yield* other.getMany([...keys]), [undefined, undefined, { a: 3 }, { a: 4 }, { a: 5 }], "afterwards")
        yield* store.set("stays", { a: 5 }, shortTtl)
        yield* store.set("stays", { a: 6 }, undefined)
        yield* store.set("later", { a: 7 }, shortTtl)
        yield* eventually(
          "the last value with a time to live is gone",
          Effect.map(other.get("later"), (value) => value === undefined)
        )
        yield* same(yield* other.get("stays"), { a: 6 }, "a value whose time to live was taken back")
      })),
    make("a process whose clock is wrong sees what the others see", (store) =>
      Effect.gen(function*() {
        if (options.ownTime === false) return
        yield* store.set("key", { a: 1 }, Duration.minutes(1))
        for (const byMs of [3_600_000, -3_600_000]) {
          const clock = yield* shifted(byMs)
          yield* Effect.provideService(
            Effect.gen(function*() {
              const late = yield* (yield* open).make("a process whose clock is wrong sees what the others see")
              yield* same(yield* late.get("key"), { a: 1 }, `the value, for a clock that is ${byMs} ms off`)
              yield* late.set(`of ${byMs}`, { a: 2 }, Duration.minutes(1))
            }),
            Clock.Clock,
            clock
          )
          yield* same(yield* store.get(`of ${byMs}`), { a: 2 }, "what it wrote, for a clock that is right")
        }
      })),
    make("Persistence keeps exits, and PersistedCache looks up once", (_, __, all) =>
      Effect.gen(function*() {
        const backing = Layer.succeed(Persistence.BackingPersistence, all)
        const persistence = Context.get(
          yield* Layer.build(Layer.fresh(Layer.provide(Persistence.layer, backing))),
          Persistence.Persistence
        )
        const store = yield* persistence.make({ storeId: "exits" })
        yield* store.set(new Square({ side: 3 }), Exit.succeed({ area: 9 }))
        yield* store.set(new Square({ side: -1 }), Exit.fail("no square"))
        yield* same(yield* store.get(new Square({ side: 3 })), Exit.succeed({ area: 9 }), "a success")
        yield* same(yield* store.get(new Square({ side: -1 })), Exit.fail("no square"), "a failure")
        yield* same(yield* store.get(new Square({ side: 4 })), undefined, "a key that was never set")

        let calls = 0
        const cache = PersistedCache.make(
          ({ side }: Square) =>
            Effect.suspend(() => {
              calls++
              return side < 0 ? Effect.fail("no square") : Effect.succeed({ area: side * side })
            }),
          { storeId: "cache", timeToLive: () => Duration.minutes(5) }
        ).pipe(Effect.provideService(Persistence.Persistence, persistence))
        const first = yield* cache
        yield* same(yield* first.get(new Square({ side: 5 })), { area: 25 }, "the first look-up")
        // Another process: nothing of it is in memory.
        const second = yield* cache
        yield* same(yield* second.get(new Square({ side: 5 })), { area: 25 }, "what another process gets")
        yield* ensure(calls === 1, `${calls} look-ups`)
        yield* same(yield* Effect.flip(second.get(new Square({ side: -2 }))), "no square", "a failure is kept too")
        yield* Effect.flip(first.get(new Square({ side: -2 })))
        yield* ensure(calls === 2, `${calls} look-ups, one of which failed`)
        yield* second.invalidate(new Square({ side: 5 }))
        yield* (yield* cache).get(new Square({ side: 5 }))
        yield* ensure(calls === 3, `${calls} look-ups after the value was invalidated`)
      }))
  ]
}
