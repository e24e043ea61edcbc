/** A key-value store that loses every third answer of a transaction: it took effect, and nobody is told. */
import { Effect, Layer } from "effect"
import { KeyValue } from "../../src/client/KeyValue.ts"
import type { Op } from "../../src/client/Txn.ts"
import { Indeterminate } from "../../src/FlareDbError.ts"
import type { Services } from "./Stores.ts"

const isRead = ({ operation: { _tag } }: Op<unknown>): boolean => _tag === "Get" || _tag === "Range"

export const withLostAnswers = (services: Services): Services => {
  let calls = 0
  /** What was written, and nobody was told. */
  const lost = new WeakSet<Op<unknown>>()
  const lossy = Layer.effect(
    KeyValue,
    Effect.map(KeyValue, (kv) =>
      KeyValue.of({
        ...kv,
        transact: (txn, options) =>
          Effect.flatMap(kv.transact(txn, options), (result) => {
            const writes = (txn.do ?? []).filter((op) => !isRead(op))
            // One that only reads is read again by the client itself.
            if (writes.length === 0 || ++calls % 3 !== 0) return Effect.succeed(result)
            // Repeated, it is answered: what is lost again and again is a store that is away.
            if (writes.some((op) => lost.has(op))) return Effect.succeed(result)
            for (const op of writes) lost.add(op)
            return Effect.fail(new Indeterminate({ reason: "the answer was lost" }))
          })
      }))
  )
  return Layer.provideMerge(lossy, services)
}
