import { Effect, Option } from "effect"
import { Compare, KeyValue, layer, Leases, localEndpoints, Locks, Op } from "flaredb/client"

const program = Effect.gen(function*() {
  const kv = yield* KeyValue
  const leases = yield* Leases
  const locks = yield* Locks

  // All of it at one moment, or nothing; each operation's result has its own type.
  const txn = yield* kv.transact({
    if: [Compare.missing("orders/18")],
    do: [Op.put("orders/18", "new"), Op.put("orders/last", "18")],
    else: [Op.get("orders/18")]
  })
  yield* Effect.log(txn.succeeded ? "created" : Option.map(txn.results[0], (entry) => entry.text))

  // A counter that any number of processes count up.
  yield* kv.modify("visits", (current) => String(Option.isSome(current) ? Number(current.value.text) + 1 : 1))

  // The key goes when this scope ends, or 10 seconds after this process was last heard of.
  const lease = yield* leases.scoped(10_000)
  yield* kv.put("workers/me", "here", { lease: lease.id })

  // One process at a time, fenced by a revision: docs/locks.md says what that is for.
  yield* locks.withLock("reports", (lock) => kv.transact({ if: [lock.held], do: [Op.put("reports/last", "now")] }))
  yield* Effect.log(`${yield* kv.count("orders/")} orders`)
})

Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(layer({ endpoints: [{"host":"127.0.0.1","port":29981}] }))))
