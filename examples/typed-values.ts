/**
 * Values with a type: each is an `Order` by its Schema, written as JSON. What is read is checked, and an older form of
 * it is still understood.
 *
 *   npm start                        # a cluster, in another terminal
 *   npx node examples/typed-values.ts
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, DateTime, Effect, Layer, Option, Schema, Stream } from "effect"
import { identityFromEnv, KeyValue, layer as layerClient, localEndpoints } from "flaredb/client"

/** A collection of values of one type below a prefix. */
export const collection = <S extends Schema.Codec<unknown, unknown>>(prefix: string, schema: S) => {
  const json = Schema.fromJsonString(Schema.toCodecJson(schema))
  const decode = Schema.decodeUnknownEffect(json)
  const encode = Schema.encodeUnknownEffect(json)
  const key = (id: string) => `${prefix}${id}`
  return {
    get: Effect.fnUntraced(function*(id: string) {
      const kv = yield* KeyValue
      const entry = yield* kv.get(key(id))
      return Option.isNone(entry) ? Option.none<S["Type"]>() : Option.some<S["Type"]>(yield* decode(entry.value.text))
    }),
    put: Effect.fnUntraced(function*(id: string, value: S["Type"]) {
      const kv = yield* KeyValue
      return yield* kv.put(key(id), yield* encode(value))
    }),
    /** Changes a value that exists, also while others do: `change` may be called several times. */
    update: Effect.fnUntraced(function*(id: string, change: (value: S["Type"]) => S["Type"]) {
      const kv = yield* KeyValue
      return yield* kv.modify(key(id), (current) =>
        Option.isNone(current)
          ? undefined
          : Effect.flatMap(decode(current.value.text), (value) => encode(change(value))))
    }),
    /** All of them, read page by page. */
    all: Stream.unwrap(
      Effect.map(
        KeyValue,
        (kv) =>
          Stream.mapEffect(
            kv.scanAll(prefix),
            (entry) => Effect.map(decode(entry.text), (value) => [entry.keyText.slice(prefix.length), value] as const)
          )
      )
    )
  }
}

export class Order extends Schema.Class<Order>("Order")({
  customer: Schema.NonEmptyString,
  cents: Schema.Natural,
  placed: Schema.DateTimeUtc,
  // Came later: orders that were written before have none, and are read as open.
  state: Schema.Literals(["open", "paid"]).pipe(Schema.withDecodingDefaultKey(Effect.succeed("open" as const)))
}) {}

export const orders = collection("orders/", Order)

const program = Effect.gen(function*() {
  yield* orders.put("17", Order.make({ customer: "ada", cents: 1_250, placed: yield* DateTime.now, state: "open" }))
  yield* orders.update("17", (order) => Order.make({ ...order, state: "paid" }))
  yield* Stream.runForEach(orders.all, ([id, order]) => Console.log(id, order.customer, order.cents, order.state))
})

const FlareDbLive = Layer.unwrap(
  Effect.map(identityFromEnv, (identity) => layerClient({ endpoints: localEndpoints, ...identity }))
)

if (import.meta.main) NodeRuntime.runMain(Effect.provide(program, FlareDbLive))
