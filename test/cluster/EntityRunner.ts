/**
 * A process that runs wallets, which keep a `DurableState`, and orders, whose shop is kept in the store. With a third
 * argument it stops for ever in that step of an order, after the shop has done it and before its result is stored.
 */
import { Effect, Layer, Logger } from "effect"
import * as FlareDbBackEnd from "../../examples/actors/FlareDb.ts"
import * as Orders from "../../examples/actors/Orders.ts"
import { KeyValue, parseEndpoints } from "../../src/client/index.ts"
import { Meanwhile, WalletLive } from "../actors/state/Wallet.ts"

const [endpoints = "", port = "", stopsIn = ""] = process.argv.slice(2)

/** A shop that counts in the store how often it was asked for each step of an order. */
const shop = Layer.effect(
  Orders.Shop,
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const step = (order: string, name: string) =>
      Effect.gen(function*() {
        yield* kv.modify(`shop/${order}/${name}`, (times) =>
          String(times._tag === "Some" ? Number(times.value.text) + 1 : 1))
        if (name !== stopsIn) {
          return
        }
        process.stdout.write(`STOPS in ${name}\n`)
        yield* Effect.never
      }).pipe(Effect.orDie)
    return Orders.Shop.of({
      reserve: (order) => step(order, "reserve"),
      release: (order) => step(order, "release"),
      charge: (order) => step(order, "charge"),
      refund: (order) => step(order, "refund"),
      ship: (order, to) => Effect.andThen(step(order, "ship"), Effect.fail(new Orders.NoCourier({ to })))
    })
  })
)

const program = Effect.flatMap(parseEndpoints(endpoints), (parsed) =>
  Layer.launch(
    Layer.effectDiscard(Effect.sync(() => process.stdout.write("RUNNING\n"))).pipe(
      Layer.provideMerge(Layer.merge(WalletLive(), Layer.provide(Orders.Orders, shop))),
      Layer.provide(Layer.succeed(Meanwhile, () => Effect.void)),
      Layer.provide(FlareDbBackEnd.layer({ endpoints: parsed, runner: { host: "127.0.0.1", port: Number(port) } })),
      Layer.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)]))
    )
  ))

await Effect.runPromise(program)
