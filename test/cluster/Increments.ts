/** Clients that count up in one key, each with a connection of its own, and what they know of how often they did. */
import { Effect, Layer, Option } from "effect"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Compare, Op } from "../../src/client/Txn.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import type { Cluster } from "./Cluster.ts"

export class Increments {
  readonly key: string
  readonly sessions: boolean
  acknowledged = 0
  uncertain = 0
  private stopping = false

  constructor(key: string, sessions: boolean) {
    this.key = key
    this.sessions = sessions
  }

  /** Lets each client finish what it is at, and begin nothing new. */
  stop(): void {
    this.stopping = true
  }

  /** One increment by a transaction: once, or not at all, or nobody knows. */
  private readonly increment = Effect.gen({ self: this }, function*() {
    const kv = yield* KeyValue
    const current = yield* kv.get(this.key)
    const [revision, value] = Option.match(current, {
      onNone: () => [0, 0],
      onSome: (entry) => [entry.modRevision, Number(entry.text)]
    })
    const { succeeded } = yield* kv.transact({
      if: [Compare.modRevision(this.key).equals(revision)],
      do: [Op.put(this.key, String(value + 1))]
    })
    if (succeeded) this.acknowledged += 1
  })

  /** Counts up until it is stopped. With a session nothing may fail; without one a write may be left in doubt. */
  private readonly client = Effect.suspend(() =>
    Effect.gen({ self: this }, function*() {
      while (!this.stopping) {
        yield* this.sessions ? this.increment : this.increment.pipe(
          Effect.catchTags({
            Indeterminate: () =>
              Effect.sync(() => {
                this.uncertain += 1
              })
          })
        )
      }
    })
  )

  /** Runs `count` clients until they are stopped. */
  run(cluster: Cluster, count: number) {
    const options = { endpoints: cluster.endpoints, requestTimeoutMs: 30_000, sessions: this.sessions }
    return Effect.forEach(
      Array.from({ length: count }),
      () => Effect.provide(this.client, Layer.fresh(FlareDb.layerClient(options))),
      { concurrency: "unbounded", discard: true }
    )
  }
}
