/** A closed loop of clients against a cluster, in a process of its own: each client waits for its answer, then asks again. */
import { Clock, Effect } from "effect"
import { KeyValue, layer as layerClient, parseEndpoints } from "../src/client/index.ts"

export type Operation = "put" | "get"

export interface LoadOptions {
  readonly endpoints: string
  readonly operation: Operation
  readonly clients: number
  readonly seconds: number
  readonly valueBytes: number
}

export interface LoadResult extends LoadOptions {
  readonly operations: number
  readonly errors: number
  readonly perSecond: number
  /** Milliseconds. */
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly max: number
}

/** Keys the load spreads over. */
const keys = 10_000

/** Part of the time that is not measured: connections, caches and compilers warm up. */
const warmUp = 0.2

const at = (sorted: Float64Array, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN

export const load = Effect.fnUntraced(function*(options: LoadOptions) {
  const kv = yield* KeyValue
  const clock = yield* Clock.Clock
  const now = () => Number(clock.currentTimeNanosUnsafe()) / 1e6
  const value = new Uint8Array(options.valueBytes).fill(0x78)
  const latencies: Array<number> = []
  let errors = 0
  const begin = now()
  const measureFrom = begin + options.seconds * 1000 * warmUp
  const end = begin + options.seconds * 1000

  const client = Effect.fnUntraced(function*(number: number) {
    for (let i = number;; i += options.clients) {
      const started = now()
      if (started >= end) return
      const key = `bench/${i % keys}`
      const asked: Effect.Effect<unknown, unknown> = options.operation === "put" ? kv.put(key, value) : kv.get(key)
      const outcome = yield* Effect.exit(asked)
      if (started < measureFrom) continue
      if (outcome._tag === "Success") latencies.push(now() - started)
      else errors += 1
    }
  })
  yield* Effect.forEach(Array.from({ length: options.clients }, (_, i) => i), client, {
    concurrency: "unbounded",
    discard: true
  })
  const sorted = Float64Array.from(latencies).sort()
  const seconds = (now() - measureFrom) / 1000
  return {
    ...options,
    operations: sorted.length,
    errors,
    perSecond: sorted.length / seconds,
    p50: at(sorted, 0.5),
    p95: at(sorted, 0.95),
    p99: at(sorted, 0.99),
    max: at(sorted, 1)
  } satisfies LoadResult
})

/** Run as a program, it takes its options as JSON and prints its result as JSON. */
if (import.meta.main) {
  const options = JSON.parse(process.argv[2] ?? "{}") as LoadOptions
  const program = Effect.gen(function*() {
    const endpoints = yield* parseEndpoints(options.endpoints)
    return yield* Effect.provide(load(options), layerClient({ endpoints }))
  })
  process.stdout.write(`${JSON.stringify(await Effect.runPromise(program))}\n`)
}
