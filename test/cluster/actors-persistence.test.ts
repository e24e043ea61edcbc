/** Effect's persistence services on three real nodes, used by two clients: the suites, and what it costs. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, layer } from "@effect/vitest"
import { Context, Deferred, Duration, Effect, Layer, Schema, Stream } from "effect"
import { PersistedQueue, RateLimiter } from "effect/persistence"
import { ChildProcess } from "effect/process"
import { fileURLToPath } from "node:url"
import {
  layerBackingPersistence,
  layerKeyValueStore,
  layerPersistedQueue,
  layerPersistedQueueStore,
  layerRateLimiter,
  layerRateLimiterStore
} from "../../src/actors/index.ts"
import { maxFreeRows } from "../../src/actors/persistence/queue/Mirror.ts"
import type { ClientServices } from "../../src/client/RemoteClient.ts"
import type { ConformanceCase } from "../../src/testing/index.ts"
import { keyValueStoreCases, persistedQueueCases, persistenceCases, rateLimiterCases } from "../../src/testing/index.ts"
import type { Clients } from "./TwoClients.ts"
import { inTurn, TwoClients } from "./TwoClients.ts"
import { asksForFigures, figure, report } from "./Figures.ts"

const nobody: Clients = []

const suites: ReadonlyArray<
  readonly [string, (clients: Clients) => ReadonlyArray<ConformanceCase>]
> = [
  [
    "a key-value store",
    (clients) => keyValueStoreCases({ store: (name) => inTurn(clients, layerKeyValueStore({ name })) })
  ],
  ["persistence", (clients) => persistenceCases({ layer: inTurn(clients, layerBackingPersistence()) })],
  ["a queue", (clients) => persistedQueueCases({ layer: inTurn(clients, layerPersistedQueueStore()) })],
  ["a rate limiter", (clients) => rateLimiterCases({ layer: inTurn(clients, layerRateLimiterStore()) })]
]

const queueOf = (client: Layer.Layer<ClientServices>, name: string, lockExpiration = 10_000) =>
  Effect.flatMap(
    Layer.build(Layer.fresh(Layer.provide(layerPersistedQueue({ lockExpiration }), client))),
    (context) => Context.get(context, PersistedQueue.PersistedQueueFactory).make({ name, schema: Schema.Number })
  )

/** Prints one line for a rate. */
const rate = (name: string, count: number, sinceMs: number) =>
  Effect.sync(() => {
    const perSecond = count / (performance.now() - sinceMs) * 1_000
    figure(`${name}: n=${count}, ${perSecond.toFixed(0)} a second`)
  })

layer(TwoClients.layer, { excludeTestServices: true, timeout: 300_000 })("on three nodes", (it) => {
  for (const [what, cases] of suites) {
    for (const [i, { name }] of cases(nobody).entries()) {
      it.effect(
        `${what}: ${name}`,
        () => Effect.flatMap(TwoClients, ({ clients }) => cases(clients)[i]?.effect ?? Effect.void),
        300_000
      )
    }
  }

  it.effect(
    "the element of a process that is killed goes to another one when its lease has ended",
    () =>
      Effect.scoped(Effect.gen(function*() {
        const { clients, cluster } = yield* TwoClients
        const queue = yield* queueOf(clients[0]!, "killed", 2_000)
        yield* queue.offer(1)
        const consumer = yield* ChildProcess.make(
          process.execPath,
          [fileURLToPath(new URL("./QueueConsumer.ts", import.meta.url)), cluster.endpointList, "killed", "2000"],
          { stdin: "ignore", stderr: "inherit" }
        )
        const taken = yield* Deferred.make<string>()
        yield* Effect.forkScoped(consumer.stdout.pipe(
          Stream.decodeText(),
          Stream.splitLines,
          Stream.runForEach((line) => Deferred.succeed(taken, line)),
          Effect.ignore
        ))
        assert.strictEqual(yield* Deferred.await(taken), "TAKEN 1 1")
        yield* consumer.kill({ killSignal: "SIGKILL" })
        const killedMs = performance.now()
        assert.strictEqual(yield* queue.take((_, { attempts }) => Effect.succeed(attempts)), 2)
        figure(
          `the element of a consumer that was killed came after ${(performance.now() - killedMs).toFixed(0)} ms`
        )
      })).pipe(Effect.provide(NodeServices.layer)),
    300_000
  )

  it.effect(
    "every element is handled once while the leader is killed, and every token given once",
    () =>
      Effect.scoped(Effect.gen(function*() {
        const { clients, cluster } = yield* TwoClients
        const count = 180
        // No lock ends meanwhile, however long a busy machine takes to elect a leader.
        const queues = yield* Effect.forEach(clients, (client) => queueOf(client, "leader loss", 60_000))
        const limiter = Context.get(
          yield* Layer.build(Layer.fresh(Layer.provide(layerRateLimiterStore(), clients[1]!))),
          RateLimiter.RateLimiterStore
        )
        const handled = new Map<number, number>()
        const counts: Array<number> = []
        const done = yield* Deferred.make<void>()
        const half = yield* Deferred.make<void>()
        let completed = 0
        const work = (queue: PersistedQueue.PersistedQueue<number>) =>
          queue.take((n) =>
            Effect.gen(function*() {
              handled.set(n, (handled.get(n) ?? 0) + 1)
              const [tokens] = yield* limiter.fixedWindow({
                key: "leader loss",
                tokens: 1,
                refillRate: Duration.hours(1),
                limit: undefined
              })
              counts.push(tokens)
            })
          ).pipe(
            Effect.andThen(Effect.suspend(() => {
              completed++
              return Deferred.succeed(completed === count ? done : half, undefined).pipe(
                Effect.when(Effect.sync(() => completed === count || completed === count / 3))
              )
            })),
            Effect.forever
          )
        yield* Effect.forkScoped(
          Effect.forEach(
            Array.from({ length: count }, (_, n) => n),
            (n) => queues[n % 2]!.offer(n, { id: String(n) }),
            {
              concurrency: 10,
              discard: true
            }
          )
        )
        for (const queue of queues) {
          yield* Effect.forEach(Array.from({ length: 6 }), () => Effect.forkScoped(work(queue)))
        }
        yield* Deferred.await(half)
        const leader = yield* Effect.provide(cluster.leader, clients[0]!)
        yield* leader.stop("SIGKILL")
        yield* Deferred.await(done)
        assert.deepStrictEqual([handled.size, Math.max(...handled.values())], [count, 1])
        assert.deepStrictEqual(
          counts.sort((a, b) => a - b),
          Array.from({ length: count }, (_, i) => i + 1)
        )
        yield* Effect.provide(leader.start, NodeServices.layer)
      })),
    300_000
  )

  it.effect(
    "elements that a consumer does not hold at first are handled too, each once",
    () =>
      Effect.scoped(Effect.gen(function*() {
        const { clients } = yield* TwoClients
        const [workers, count] = [50, maxFreeRows / 2 + 76]
        const queue = yield* queueOf(clients[0]!, `of ${workers}`)
        let since = performance.now()
        yield* Effect.forEach(Array.from({ length: count }, (_, n) => n), (n) => queue.offer(n), {
          concurrency: workers,
          discard: true
        })
        yield* rate(`queue, offers of ${workers} at a time`, count, since)
        const handled: Array<number> = []
        since = performance.now()
        yield* Effect.forEach(
          Array.from({ length: count }),
          () => queue.take((n) => Effect.sync(() => handled.push(n))),
          { concurrency: workers, discard: true }
        )
        yield* rate(`queue, takes of ${workers} workers`, count, since)
        assert.deepStrictEqual(handled.sort((a, b) => a - b), Array.from({ length: count }, (_, n) => n))
      })),
    300_000
  )

  // Nothing is held by them.
  if (asksForFigures) {
    it.effect("what it costs", () =>
      Effect.scoped(Effect.gen(function*() {
        const { clients } = yield* TwoClients
        const lateMs: Array<number> = []
        const due = yield* queueOf(clients[1]!, "due")
        const dueAt = new Map<number, number>()
        for (let n = 0; n < 20; n++) {
          dueAt.set(n, performance.now() + 1_000 + n * 50)
          yield* due.offer(n, { delay: (dueAt.get(n) as number) - performance.now() })
        }
        const late = (n: number) => Effect.sync(() => lateMs.push(performance.now() - (dueAt.get(n) as number)))
        yield* Effect.all(Array.from({ length: 20 }, () => due.take(late)), { concurrency: "unbounded", discard: true })
        report("queue, lateness of a delayed element", lateMs)

        const { consume } = Context.get(
          yield* Layer.build(Layer.provide(layerRateLimiter(), clients[0]!)),
          RateLimiter.RateLimiter
        )
        const options = { key: "cost", limit: 1_000_000, window: Duration.hours(1), algorithm: "token-bucket" } as const
        yield* consume(options)
        for (const [callers, count] of [[1, 100], [64, 500]] as const) {
          const since = performance.now()
          yield* Effect.forEach(Array.from({ length: count }), () => consume(options), {
            concurrency: callers,
            discard: true
          })
          yield* rate(`rate limiter, one key, ${callers} callers`, count, since)
        }
      })), 300_000)
  }
})
