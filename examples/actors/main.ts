/**
 * Runs one of the examples, in memory, on FlareDB or on a PostgreSQL:
 *
 *   npx node examples/actors/main.ts bank
 *   npx node examples/actors/main.ts bank --flaredb 127.0.0.1:7001,127.0.0.1:7002,127.0.0.1:7003
 *   npx node examples/actors/main.ts orders --postgres postgres://user:password@127.0.0.1:5432/actors
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, Layer, Option, Redacted } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { HttpRouter } from "effect/http"
import { RateLimiter } from "effect/persistence"
import { parseEndpoints } from "flaredb/client"
import { Api } from "./Api.ts"
import type { ActorServices, BackEnd } from "./BackEnd.ts"
import * as Bank from "./Bank.ts"
import * as FlareDb from "./FlareDb.ts"
import * as Mails from "./Mails.ts"
import * as Memory from "./Memory.ts"
import * as Nightly from "./Nightly.ts"
import * as Orders from "./Orders.ts"
import * as Postgres from "./Postgres.ts"

const bank = Effect.gen(function*() {
  const names = ["ada", "alan", "edsger", "grace"]
  // On a back end that remembers, the next run has accounts and transfers of its own.
  const run = new Date().toISOString()
  const at = (i: number) => `${run} ${names[i % names.length]}`
  const transfers = Array.from({ length: 100 }, (_, i) => ({
    transfer: `${run} ${i}`,
    from: at(i),
    to: at(i * 3 + 1),
    cents: 100 + i
  }))
  const { accepted, balances, declined } = yield* Bank.program(transfers)
  yield* Console.log(`${accepted} transfers made, ${declined} declined`)
  for (const [account, cents] of balances) {
    yield* Console.log(`${account.slice(run.length + 1)} has ${(cents / 100).toFixed(2)}`)
  }
}).pipe(Effect.provide(Bank.Accounts))

const shop = Layer.succeed(Orders.Shop, {
  reserve: (order, item) => Console.log(`${order}: reserve ${item}`),
  release: (order, item) => Console.log(`${order}: release ${item}`),
  charge: (order, cents) => Console.log(`${order}: charge ${cents}`),
  refund: (order, cents) => Console.log(`${order}: refund ${cents}`),
  ship: (order, to) =>
    to === "the moon" ? Effect.fail(new Orders.NoCourier({ to })) : Effect.succeed(`the parcel of ${order} to ${to}`)
})

const orders = Effect.gen(function*() {
  const run = new Date().toISOString()
  for (const to of ["Ghent", "the moon"]) {
    const order = yield* Effect.result(Orders.place({ order: `${run} ${to}`, item: "lamp", cents: 500, to }))
    yield* Console.log(order._tag === "Success" ? order.success.tracking : `no parcel: ${order.failure._tag}`)
  }
}).pipe(Effect.provide(Layer.provide(Orders.Orders, shop)))

const mails = Effect.gen(function*() {
  const run = new Date().toISOString()
  const mailer = Mails.Mailer.of({
    send: (_, { to }) =>
      to.endsWith("invalid")
        ? Effect.fail(new Mails.Undeliverable({ reason: `no such host: ${to}` }))
        : Console.log(`sent to ${to}`)
  })
  for (const to of ["ada@example.org", "ada@example.org", "nobody@invalid"]) {
    yield* Mails.enqueue(`${run} ${to}`, { to, text: "hello" })
  }
  const dead = (yield* Mails.deadLetters).take(({ attempts, reason }) =>
    Console.log(`given up after ${attempts} attempts: ${reason}`)
  )
  yield* Effect.raceFirst(dead, Effect.provideService(Mails.worker, Mails.Mailer, mailer))
})

const nightly = Effect.gen(function*() {
  yield* Console.log("a report every two seconds, three times")
  // On a back end that remembers there are those of the runs before.
  const before = new Set(yield* Nightly.written)
  const fresh = Effect.map(Nightly.written, (found) => found.filter((time) => !before.has(time)))
  const times = yield* Effect.repeat(Effect.delay(fresh, "100 millis"), { until: (found) => found.length >= 3 })
  for (const time of times) yield* Console.log(`report of ${time}`)
}).pipe(Effect.provide(Nightly.reports("*/2 * * * * *")))

const api = Effect.gen(function*() {
  const limiter = Layer.succeed(RateLimiter.RateLimiter, yield* RateLimiter.RateLimiter)
  const { dispose, handler } = HttpRouter.toWebHandler(Layer.provide(Api, limiter), { disableLogger: true })
  yield* Effect.addFinalizer(() => Effect.promise(dispose))
  for (let i = 0; i < 7; i++) {
    const { headers, status } = yield* Effect.promise(() => handler(new Request("http://localhost/quote")))
    yield* Console.log(`GET /quote: ${status}${status === 429 ? `, again in ${headers.get("retry-after")} s` : ""}`)
  }
}).pipe(Effect.scoped)

const examples = { bank, orders, mails, nightly, api } satisfies Record<
  string,
  Effect.Effect<void, unknown, ActorServices>
>

const main = Command.make("actors", {
  example: Argument.Literals("example", ["bank", "orders", "mails", "nightly", "api"]),
  flaredb: Flag.String("flaredb").pipe(Flag.withDescription("endpoints of FlareDB"), Flag.optional),
  postgres: Flag.String("postgres").pipe(Flag.withDescription("URL of a PostgreSQL"), Flag.optional),
  port: Flag.Int("port").pipe(Flag.withDescription("port of this runner"), Flag.withDefault(34_431))
}, ({ example, flaredb, port, postgres }) => {
  const program: Effect.Effect<void, unknown, ActorServices> = examples[example]
  const runner = { host: "127.0.0.1", port }
  const backEnd: BackEnd<unknown> = Option.isSome(flaredb)
    ? Layer.unwrap(Effect.map(parseEndpoints(flaredb.value), (endpoints) => FlareDb.layer({ endpoints, runner })))
    : Option.isSome(postgres)
    ? Postgres.layer({ database: { url: Redacted.make(postgres.value) }, runner })
    : Memory.layer
  return Effect.provide(program, backEnd)
})

main.pipe(Command.run({ version: "1" }), Effect.provide(NodeServices.layer), NodeRuntime.runMain)
