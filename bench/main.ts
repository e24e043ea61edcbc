/**
 * `npm run bench [-- --seconds 5] [--clients 1,64,256] [--json]`: puts and linearizable gets in closed loops through the real client
 * against three real processes with RocksDB and every sync on. Ends by itself and leaves nothing behind.
 *
 * Machines differ and are noisy: compare figures of one run, and ratios between runs on one machine.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import { ChildProcess } from "effect/process"
import { availableParallelism, totalmem } from "node:os"
import { fileURLToPath } from "node:url"
import * as Cluster from "../test/cluster/Cluster.ts"
import type { LoadOptions, LoadResult } from "./Load.ts"

const loadProgram = fileURLToPath(new URL("./Load.ts", import.meta.url))

/** The load runs in a process of its own, so that its work is not measured as the cluster's. */
const runLoad = Effect.fnUntraced(function*(options: LoadOptions) {
  const handle = yield* ChildProcess.make(process.execPath, [loadProgram, JSON.stringify(options)], {
    stdin: "ignore",
    stderr: "inherit"
  })
  const out = yield* Stream.mkString(Stream.decodeText(handle.stdout))
  return JSON.parse(out) as LoadResult
}, Effect.scoped)

const row = (cells: ReadonlyArray<string>): string => cells.map((cell) => cell.padStart(11)).join("")

const bench = Command.make(
  "bench",
  {
    seconds: Flag.Int("seconds").pipe(
      Flag.withDescription("seconds per point, a fifth of them to warm up"),
      Flag.withDefault(5)
    ),
    clients: Flag.String("clients").pipe(
      Flag.withDescription("numbers of clients, with commas"),
      Flag.withDefault("1,64,256")
    ),
    valueBytes: Flag.Int("value-bytes").pipe(Flag.withDescription("size of a value"), Flag.withDefault(128)),
    json: Flag.Boolean("json").pipe(Flag.withDescription("one JSON object per point"), Flag.withDefault(false))
  },
  Effect.fnUntraced(function*({ clients, json, seconds, valueBytes }) {
    const cluster = yield* Cluster.make(3)
    yield* Cluster.start(cluster)
    yield* Effect.provide(cluster.leader, Cluster.client(cluster))
    if (!json) {
      yield* Console.log(
        `three nodes and one load process on ${availableParallelism()} cores, ${
          Math.round(totalmem() / 2 ** 30)
        } GiB, ` +
          `Node ${process.versions.node}; every write synced on a majority; ${valueBytes}-byte values; ${seconds} s per point`
      )
      yield* Console.log(row(["operation", "clients", "per second", "p50 ms", "p95 ms", "p99 ms", "max ms", "errors"]))
    }
    for (const operation of ["put", "get"] as const) {
      for (const count of clients.split(",").map(Number)) {
        const result = yield* runLoad({
          endpoints: cluster.endpointList,
          operation,
          clients: count,
          seconds,
          valueBytes
        })
        yield* Console.log(
          json ? JSON.stringify(result) : row([
            operation,
            String(count),
            result.perSecond.toFixed(0),
            ...[result.p50, result.p95, result.p99, result.max].map((ms) => ms.toFixed(2)),
            String(result.errors)
          ])
        )
      }
    }
  }, Effect.scoped)
)

bench.pipe(Command.run({ version: "1" }), Effect.provide(NodeServices.layer), NodeRuntime.runMain)
