/** Writers, a watcher and clients that come and go: what has to go on without a failure while a cluster is changed. */
import { Deferred, Effect, Fiber, Stream } from "effect"
import type { Layer } from "effect"
import { KeyValue } from "../../src/client/KeyValue.ts"
import type { ClientServices } from "../../src/client/RemoteClient.ts"
import { Watch } from "../../src/client/Watch.ts"
import { rest } from "./Rest.ts"

type ClientLayer<E> = Layer.Layer<ClientServices, E>

/** What the load knows of itself. */
export class SteadyLoad {
  readonly prefix: string
  readonly acknowledged: Array<string> = []
  readonly failures: Array<string> = []
  /** Keys that a watcher saw, in order. */
  readonly seen: Array<string> = []
  /** Clients that connected, wrote and went. */
  visits = 0
  private nextRevision = 1

  constructor(prefix: string) {
    this.prefix = prefix
  }

  /** Writers with one client, each of which writes one key after the other until it is interrupted. */
  readonly writers = (name: string, count: number) =>
    Effect.forEach(
      Array.from({ length: count }, (_, i) => i),
      (writer) => this.writer(`${name}-${writer}`),
      { concurrency: "unbounded", discard: true }
    )

  private readonly writer = Effect.fnUntraced({ self: this }, function*(this: SteadyLoad, name: string) {
    const kv = yield* KeyValue
    for (let n = 1;; n++) yield* Effect.andThen(this.put(kv, `${this.prefix}${name}/${n}`), rest)
  })

  private readonly put = (kv: KeyValue["Service"], key: string) =>
    // An operation that began has its outcome before the writer goes.
    Effect.uninterruptible(Effect.matchEffect(kv.put(key, ""), {
      onSuccess: () => Effect.sync(() => void this.acknowledged.push(key)),
      onFailure: (error) => Effect.sync(() => void this.failures.push(`${key}: ${error.message}`))
    }))

  /** New clients, one after the other, each with connections of its own. */
  readonly visitors = <E>(name: string, layer: ClientLayer<E>) =>
    Effect.gen({ self: this }, function*(this: SteadyLoad) {
      for (let n = 1;; n++) {
        const key = `${this.prefix}${name}/${n}`
        yield* Effect.flatMap(KeyValue, (kv) => this.put(kv, key)).pipe(
          Effect.provide(layer, { local: true }),
          Effect.catch((error) => Effect.sync(() => void this.failures.push(`${key}: ${String(error)}`)))
        )
        this.visits += 1
        // One costs what dozens of writes do, over TLS above all.
        yield* Effect.sleep(100)
      }
    })

  /** Watches from where the watcher before it ended. */
  readonly watcher = Effect.gen({ self: this }, function*(this: SteadyLoad) {
    const watch = yield* Watch
    yield* watch.changes({ prefix: this.prefix }, { fromRevision: this.nextRevision }).pipe(
      Stream.runForEach(({ events, revision }) =>
        Effect.sync(() => {
          this.nextRevision = revision + 1
          for (const event of events) this.seen.push(event.keyText)
        })
      ),
      Effect.catch((error) => Effect.sync(() => void this.failures.push(`watch: ${error.message}`)))
    )
  })
}

/** Runs a part of the load with a client of its own, until what is returned is run. */
export const during = Effect.fnUntraced(function*<A, E, E2>(
  work: Effect.Effect<A, E, ClientServices>,
  layer: ClientLayer<E2>
) {
  const over = yield* Deferred.make<void>()
  const fiber = yield* Effect.forkScoped(
    Effect.provide(Effect.raceFirst(work, Deferred.await(over)), layer, { local: true })
  )
  return Effect.andThen(Deferred.succeed(over, undefined), Fiber.join(fiber))
})
