/** What each of the actors' examples promises, on whatever back end it is given. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, References } from "effect"
import { HttpRouter } from "effect/http"
import { KeyValueStore, RateLimiter } from "effect/persistence"
import { Api, limit } from "../../../examples/actors/Api.ts"
import type { ActorServices } from "../../../examples/actors/BackEnd.ts"
import * as Bank from "../../../examples/actors/Bank.ts"
import * as Mails from "../../../examples/actors/Mails.ts"
import * as Nightly from "../../../examples/actors/Nightly.ts"
import * as Orders from "../../../examples/actors/Orders.ts"
import { eventually } from "../../Eventually.ts"

/** A shop that writes down each call once for an order, and what it takes until it is given back. */
const shopOf = (goods: Map<string, number>, ledger: Array<string>) => {
  const done = new Set<string>()
  const once = (order: string, step: string, act: () => void) =>
    Effect.sync(() => {
      if (done.has(`${order} ${step}`)) return
      done.add(`${order} ${step}`)
      ledger.push(`${order} ${step}`)
      act()
    })
  const add = (item: string, count: number) => goods.set(item, (goods.get(item) ?? 0) + count)
  return Orders.Shop.of({
    reserve: (order, item) =>
      (goods.get(item) ?? 0) > 0
        ? once(order, "reserve", () => add(item, -1))
        : Effect.fail(new Orders.OutOfStock({ item })),
    release: (order, item) => once(order, "release", () => add(item, 1)),
    charge: (order, cents) =>
      cents > 1_000 ? Effect.fail(new Orders.CardDeclined({ cents })) : once(order, "charge", () => {}),
    refund: (order) => once(order, "refund", () => {}),
    ship: (order, to) =>
      to === "the moon"
        ? Effect.fail(new Orders.NoCourier({ to }))
        : Effect.as(once(order, "ship", () => {}), `parcel of ${order}`)
  })
}

/** The store that is given, but the given writes change it and then end the run that made them, counted from 1. */
const dyingAfterWrites = (...deadly: ReadonlyArray<number>) =>
  Layer.effect(
    KeyValueStore.KeyValueStore,
    Effect.gen(function*() {
      const store = yield* KeyValueStore.KeyValueStore
      let writes = 0
      return {
        ...store,
        set: (key, value) =>
          Effect.gen(function*() {
            yield* store.set(key, value)
            if (deadly.includes(++writes)) return yield* Effect.die("the process died here")
          })
      } satisfies KeyValueStore.KeyValueStore
    })
  )

/** Runs the examples: each test has the back end for itself, made by the layer afresh. */
export const suite = <E>(name: string, backEnd: Layer.Layer<ActorServices, E>, timeoutMs = 60_000): void => {
  const on = <A, F, R extends ActorServices>(program: Effect.Effect<A, F, R>) =>
    // Runners tell of each start, and of the deaths that a test makes.
    Effect.provide(program, Layer.fresh(backEnd)).pipe(Effect.provideService(References.MinimumLogLevel, "None"))

  describe(`the examples on ${name}`, () => {
    it.live(
      "bank: transfers that are sent twice move their money once, and none is lost or made",
      () =>
        Effect.gen(function*() {
          const accounts = ["ada", "alan", "edsger", "grace", "tony"]
          const at = (i: number) => accounts[i % accounts.length] as string
          const transfers = Array.from({ length: 60 }, (_, i): Bank.Transfer => ({
            transfer: `t${i}`,
            from: at(i),
            // Some pay themselves, and some cannot pay.
            to: i % 7 === 0 ? at(i) : at(i * 3 + 1),
            cents: i % 10 === 9 ? 1_000_000 : 100 + i
          }))
          const audit = yield* Bank.program(transfers)
          assert.deepStrictEqual([audit.accepted, audit.declined], [54, 6])
          assert.strictEqual([...audit.balances.values()].reduce((a, b) => a + b, 0), accounts.length * 10_000)
        }).pipe(Effect.provide(Bank.Accounts), on),
      timeoutMs
    )

    it.live("bank: a handler that dies after its change runs again and changes nothing", () =>
      Effect.gen(function*() {
        const audit = yield* Bank.program([
          { transfer: "a", from: "ada", to: "alan", cents: 300 },
          { transfer: "b", from: "alan", to: "alan", cents: 50 }
        ])
        assert.deepStrictEqual(audit.balances, new Map([["ada", 9_700], ["alan", 10_300]]))
      }).pipe(
        Effect.provide(Layer.provide(
          Bank.Accounts, // The two openings are writes 1 and 2; of each transfer, its sending and its arrival die.
          dyingAfterWrites(3, 4, 5, 6)
        )),
        on
      ), timeoutMs)

    it.live(
      "orders: what is shipped is paid, and what is not is given back, last step first",
      () =>
        Effect.gen(function*() {
          const goods = new Map([["lamp", 2]])
          const ledger: Array<string> = []
          const shop = Layer.succeed(Orders.Shop, shopOf(goods, ledger))
          const order = { item: "lamp", cents: 500, to: "Ghent" }
          yield* Effect.gen(function*() {
            assert.deepStrictEqual(yield* Orders.place({ ...order, order: "1" }), { tracking: "parcel of 1" })
            assert.deepStrictEqual(yield* Orders.place({ ...order, order: "1" }), { tracking: "parcel of 1" })
            const far = yield* Effect.flip(Orders.place({ ...order, order: "2", to: "the moon" }))
            assert.strictEqual(far._tag, "NoCourier")
            const dear = yield* Effect.flip(Orders.place({ ...order, order: "3", cents: 5_000 }))
            assert.strictEqual(dear._tag, "CardDeclined")
            const absent = yield* Effect.flip(Orders.place({ ...order, order: "4", item: "clock" }))
            assert.strictEqual(absent._tag, "OutOfStock")
          }).pipe(Effect.provide(Layer.provide(Orders.Orders, shop)))
          assert.deepStrictEqual(ledger, [
            "1 reserve",
            "1 charge",
            "1 ship",
            "2 reserve",
            "2 charge",
            "2 refund",
            "2 release",
            "3 reserve",
            "3 release"
          ])
          assert.strictEqual(goods.get("lamp"), 1)
        }).pipe(on),
      timeoutMs
    )

    it.live(
      "mails: each is delivered once, and one that cannot be is tried three times and then lies with the dead",
      () =>
        Effect.gen(function*() {
          const sent: Array<string> = []
          let attempts = 0
          const mailer = Mails.Mailer.of({
            send: (id, { to }) =>
              Effect.suspend(() => {
                if (!to.endsWith("invalid")) return Effect.sync(() => void sent.push(id))
                attempts++
                return Effect.fail(new Mails.Undeliverable({ reason: "no such host" }))
              })
          })
          const workers = yield* Effect.forkChild(
            Effect.all([Mails.worker, Mails.worker, Mails.worker], { concurrency: "unbounded" }).pipe(
              Effect.provideService(Mails.Mailer, mailer)
            )
          )
          yield* Mails.enqueue("lost", { to: "nobody@invalid", text: "hello" })
          for (const to of ["ada", "alan", "ada", "grace"]) {
            yield* Mails.enqueue(`welcome ${to}`, { to: `${to}@example.org`, text: "hello" })
          }
          const dead = yield* (yield* Mails.deadLetters).take((letter, { id }) => Effect.succeed({ id, ...letter }))
          assert.deepStrictEqual(dead, {
            id: "lost",
            mail: { to: "nobody@invalid", text: "hello" },
            reason: "no such host",
            attempts: 3
          })
          assert.strictEqual(attempts, 3)
          yield* eventually("three mails are sent", () => sent.length >= 3)
          assert.deepStrictEqual([...sent].sort(), ["welcome ada", "welcome alan", "welcome grace"])
          yield* Fiber.interrupt(workers)
        }).pipe(on),
      timeoutMs
    )

    it.live("nightly: the report is written at each of its times, and none is left out", () =>
      Effect.gen(function*() {
        yield* eventually("three reports", Effect.map(Nightly.written, (times) => times.length >= 3))
        const times = (yield* Nightly.written).map(Date.parse)
        for (const [i, time] of times.entries()) assert.strictEqual(time, (times[0] as number) + i * 1_000)
      }).pipe(Effect.provide(Nightly.reports("* * * * * *")), on), timeoutMs)

    it.live("api: each caller has its requests, and the next is told when to come again", () =>
      Effect.gen(function*() {
        const limiter = Layer.succeed(RateLimiter.RateLimiter, yield* RateLimiter.RateLimiter)
        const { dispose, handler } = HttpRouter.toWebHandler(Layer.provide(Api, limiter), { disableLogger: true })
        yield* Effect.addFinalizer(() => Effect.promise(dispose))
        const ask = (key: string) =>
          Effect.promise(() => handler(new Request("http://localhost/quote", { headers: { "x-api-key": key } })))
        for (let i = 1; i <= limit; i++) {
          const response = yield* ask("ada")
          assert.deepStrictEqual([response.status, response.headers.get("x-ratelimit-remaining")], [
            200,
            String(limit - i)
          ])
        }
        const refused = yield* ask("ada")
        assert.strictEqual(refused.status, 429)
        const seconds = Number(refused.headers.get("retry-after"))
        assert.isTrue(seconds >= 1 && seconds <= 12, `a request more in ${seconds} s`)
        assert.strictEqual((yield* ask("alan")).status, 200, "a limit of one caller is not another's")
      }).pipe(Effect.scoped, on), timeoutMs)
  })
}
