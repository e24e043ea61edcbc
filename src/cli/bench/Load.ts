/**
 * The load of one process: a closed loop of clients. It is a process of its own, so that its work is not counted as the
 * nodes', and it says how busy it was: a load without time left measures itself.
 *
 * It says `READY` when its connections are there, begins when it reads a line, prints its report, and keeps its
 * connections until its standard input ends, so that the process that started it may look at them. It ends with its
 * input.
 */
import { Console, Context, Deferred, Effect, Exit, Fiber, Layer, Stdio, Stream } from "effect"
import { Argument, Command } from "effect/cli"
import { parseEndpoints } from "../../client/connection/Endpoint.ts"
import type { KeyValue as KeyValueService } from "../../client/KeyValue.ts"
import { KeyValue } from "../../client/KeyValue.ts"
import * as RemoteClient from "../../client/RemoteClient.ts"
import { Compare, Op } from "../../client/Txn.ts"
import { identityOptions } from "../input/IdentityFlags.ts"
import { refusedTimeoutMs } from "../input/ClientFlags.ts"
import { failureOf } from "../output/Failure.ts"
import type { HistogramJson } from "./Histogram.ts"
import { Histogram } from "./Histogram.ts"
import type { LoadShare } from "./Plan.ts"
import { keyOf } from "./RunKeys.ts"

/** What one process did. */
export interface LoadReport {
  readonly errors: number
  /** Milliseconds that were measured. */
  readonly elapsedMs: number
  readonly latencies: HistogramJson
  /** Processor time of the process meanwhile, in milliseconds. */
  readonly cpuMs: number
}

type Kv = KeyValueService["Service"]

const ask = (kv: Kv, share: LoadShare, value: Uint8Array, number: number): Effect.Effect<unknown, unknown> => {
  const key = keyOf(number % share.keys, share.keyPrefix)
  switch (share.operation) {
    case "put":
      return kv.put(key, value)
    case "get":
      return kv.get(key)
    case "stale-get":
      return kv.get(key, { consistency: "stale" })
    case "txn":
      return kv.transact({ if: [Compare.exists(key)], do: [Op.put(key, value)], else: [Op.put(key, value)] })
  }
}

/** One client of the library for each connection, each with its connection made. */
const connect = Effect.fnUntraced(function*(share: LoadShare) {
  const endpoints = yield* parseEndpoints(share.endpoints)
  const identity = yield* identityOptions(share.identity)
  const options = { endpoints, requestTimeoutMs: 30_000, refusedTimeoutMs, ...identity }
  const open = Effect.gen(function*() {
    const kv = Context.get(yield* Layer.build(Layer.fresh(RemoteClient.layer(options))), KeyValue)
    yield* kv.get(keyOf(0, share.keyPrefix))
    return kv
  })
  return yield* Effect.all(Array.from({ length: share.sockets }, () => open), { concurrency: "unbounded" })
})

const run = Effect.fnUntraced(function*(share: LoadShare, clients: ReadonlyArray<Kv>) {
  const value = new Uint8Array(share.valueBytes).fill(0x78)
  const histogram = new Histogram()
  let errors = 0
  const begin = performance.now()
  const measureFrom = begin + share.warmUpMs
  const end = measureFrom + share.measureMs

  const loop = Effect.fnUntraced(function*(number: number) {
    const kv = clients[number % clients.length] as Kv
    for (let i = share.first + number;; i += share.clients) {
      const started = performance.now()
      if (started >= end) return
      const outcome = yield* Effect.exit(ask(kv, share, value, i))
      if (started < measureFrom) continue
      if (Exit.isSuccess(outcome)) histogram.add(performance.now() - started)
      else errors += 1
    }
  })
  const busy = Effect.gen(function*() {
    yield* Effect.sleep(share.warmUpMs)
    const before = process.cpuUsage()
    yield* Effect.sleep(share.measureMs)
    const { system, user } = process.cpuUsage(before)
    return (user + system) / 1000
  })
  const [cpuMs] = yield* Effect.all(
    [
      busy,
      Effect.forEach(Array.from({ length: share.count }, (_, i) => i), loop, {
        concurrency: "unbounded",
        discard: true
      })
    ],
    { concurrency: "unbounded" }
  )
  const elapsedMs = performance.now() - measureFrom
  return { errors, elapsedMs, latencies: histogram.toJSON(), cpuMs } satisfies LoadReport
})

export const benchLoad = Command.make(
  "bench-load",
  { share: Argument.String("share") },
  ({ share: json }) =>
    Effect.gen(function*() {
      const share = JSON.parse(json) as LoadShare
      const clients = yield* connect(share)
      const { stdin } = yield* Stdio.Stdio
      const told = yield* Deferred.make<void>()
      const ended = yield* Effect.forkScoped(
        Effect.ignore(Stream.runForEach(stdin, () => Deferred.succeed(told, undefined)))
      )
      const work = Effect.gen(function*() {
        yield* Console.log("READY")
        yield* Deferred.await(told)
        yield* Console.log(JSON.stringify(yield* run(share, clients)))
        return yield* Effect.never
      })
      // However the process that started this one ended, its end of the pipe is closed.
      yield* Effect.raceFirst(work, Fiber.await(ended))
    }).pipe(Effect.scoped, Effect.mapError(failureOf))
).pipe(
  Command.withDescription("A part of the load of `flaredb bench`, in a process of its own."),
  Command.unlisted
)
