import { Effect, Option } from "effect"
import { KeyValue, layer, localEndpoints } from "flaredb/client"

const program = Effect.gen(function*() {
  const kv = yield* KeyValue
  const { revision } = yield* kv.put("orders/17", "paid")
  const order = yield* kv.get("orders/17")
  yield* Effect.log(revision, Option.map(order, (entry) => entry.text))
})

Effect.runPromise(program.pipe(Effect.provide(layer({ endpoints: [{"host":"127.0.0.1","port":20343}] }))))
