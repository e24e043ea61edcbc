/**
 * `npm run soak [-- --minutes 10] [--clients 64]`: full load for a while, and what each node takes of memory and disk
 * as it goes. What grows without end shows here. Ends by itself and leaves nothing behind.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Clock, Console, Effect, Fiber } from "effect"
import { Command, Flag } from "effect/cli"
import { ClusterAdmin, KeyValue } from "../src/client/index.ts"
import * as Cluster from "../test/cluster/Cluster.ts"
import { resourcesOf } from "./Resources.ts"

/** Keys the load spreads over: the state stops growing once all of them were written. */
const keys = 50_000

const valueBytes = 256

const row = (cells: ReadonlyArray<string>): string => cells.map((cell) => cell.padStart(12)).join("")

const soak = Command.make(
  "soak",
  {
    minutes: Flag.Finite("minutes").pipe(Flag.withDescription("how long"), Flag.withDefault(10)),
    clients: Flag.Int("clients").pipe(Flag.withDescription("closed loops at a time"), Flag.withDefault(64)),
    everySeconds: Flag.Int("every").pipe(Flag.withDescription("seconds between two lines"), Flag.withDefault(30))
  },
  Effect.fnUntraced(function*({ clients, everySeconds, minutes }) {
    const cluster = yield* Cluster.make(3)
    yield* Cluster.start(cluster)
    const value = new Uint8Array(valueBytes).fill(0x78)
    const counts = { puts: 0, deletes: 0, gets: 0, errors: 0 }

    const clientLoop = Effect.fnUntraced(function*(number: number) {
      const kv = yield* KeyValue
      for (let i = number;; i += clients) {
        const key = `soak/${(i * 7_919) % keys}`
        const kind = i % 10
        const asked: Effect.Effect<unknown, unknown> = kind < 7
          ? kv.put(key, value)
          : kind === 7
          ? kv.delete(key)
          : kv.get(key)
        const outcome = yield* Effect.exit(asked)
        if (outcome._tag === "Failure") counts.errors += 1
        else if (kind < 7) counts.puts += 1
        else if (kind === 7) counts.deletes += 1
        else counts.gets += 1
      }
    })

    const sample = Effect.fnUntraced(function*(startMs: number) {
      const seconds = ((yield* Clock.currentTimeMillis) - startMs) / 1000
      const nodes = yield* Effect.forEach(cluster.nodes, (node) => resourcesOf(node.pid, node.dataDir))
      const reports = yield* (yield* ClusterAdmin).status
      yield* Console.log(row([
        seconds.toFixed(0),
        String(counts.puts),
        String(counts.deletes),
        String(counts.gets),
        String(counts.errors),
        nodes.map(({ rssMiB }) => rssMiB.toFixed(0)).join("/"),
        nodes.map(({ diskMiB }) => diskMiB.toFixed(0)).join("/"),
        reports.map(({ report }) => report === undefined ? "?" : String(report.lastIndex - report.firstIndex + 1)).join(
          "/"
        )
      ]))
    })

    yield* Effect.gen(function*() {
      yield* cluster.leader
      yield* Console.log(
        row(["seconds", "puts", "deletes", "gets", "errors", "RSS MiB", "disk MiB", "log entries"])
      )
      const startMs = yield* Clock.currentTimeMillis
      const load = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: clients }, (_, i) => i), clientLoop, {
          concurrency: "unbounded",
          discard: true
        })
      )
      yield* sample(startMs)
      for (let left = minutes * 60; left > 0; left -= everySeconds) {
        yield* Effect.sleep(Math.min(left, everySeconds) * 1000)
        yield* sample(startMs)
      }
      yield* Fiber.interrupt(load)
    }).pipe(Effect.provide(Cluster.client(cluster)))
  }, Effect.scoped)
)

soak.pipe(Command.run({ version: "1" }), Effect.provide(NodeServices.layer), NodeRuntime.runMain)
