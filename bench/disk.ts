/**
 * `npm run bench:disk [-- --seconds 150 --rate 2000]`: what a steady rate of puts has each node write to its disk, with
 * compactions of the log on the way. Ends by itself and leaves nothing behind. Linux only: it reads `/proc`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect } from "effect"
import { Command, Flag } from "effect/cli"
import { machine } from "../src/cli/bench/Report.ts"
import { table } from "../src/cli/output/Table.ts"
import { KeyValue } from "../src/client/index.ts"
import * as Cluster from "../test/cluster/Cluster.ts"
import { resourcesOf, writtenBytes } from "./Resources.ts"

const valueBytes = 128

/** Milliseconds between two bundles of puts: at 2,000 puts a second a bundle has twenty. */
const bundleMs = 10

/** Puts under way at most, so that a cluster that falls behind is found out and not overrun. */
const maxUnderway = 4_096

/** Puts at a fixed rate, whatever the answers take, and returns how many. Keys repeat. */
const steady = Effect.fnUntraced(function*(rate: number, seconds: number, keys: number) {
  const kv = yield* KeyValue
  const value = new Uint8Array(valueBytes).fill(7)
  const begin = performance.now()
  const puts = { begun: 0, answered: 0 }
  while (performance.now() - begin < seconds * 1_000) {
    const due = Math.floor((performance.now() - begin) * rate / 1_000)
    while (puts.begun < due && puts.begun - puts.answered < maxUnderway) {
      const key = `key/${String((Math.imul(puts.begun++, 2_654_435_761) >>> 0) % keys).padStart(9, "0")}`
      yield* Effect.forkChild(Effect.tap(kv.put(key, value), () => Effect.sync(() => puts.answered++)))
    }
    yield* Effect.sleep(bundleMs)
  }
  while (puts.answered < puts.begun) yield* Effect.sleep(bundleMs)
  return puts.answered
})

const disk = Command.make("bench:disk", {
  rate: Flag.Int("rate").pipe(Flag.withDescription("puts per second"), Flag.withDefault(2_000)),
  seconds: Flag.Int("seconds").pipe(Flag.withDescription("length of the run"), Flag.withDefault(150)),
  keys: Flag.Int("keys").pipe(Flag.withDescription("keys that are put by turns"), Flag.withDefault(100_000)),
  logEntries: Flag.Int("log-entries").pipe(
    Flag.withDescription("entries past which the log is compacted to half"),
    Flag.withDefault(100_000)
  )
}, ({ keys, logEntries, rate, seconds }) =>
  Effect.scoped(Effect.gen(function*() {
    const cluster = yield* Cluster.make(3, undefined, { FLAREDB_MAX_LOG_ENTRIES: String(logEntries) })
    yield* Cluster.start(cluster)
    yield* Effect.gen(function*() {
      yield* steady(rate, 5, keys)
      const before = yield* Effect.forEach(cluster.nodes, ({ pid }) => writtenBytes(pid))
      const puts = yield* steady(rate, seconds, keys)
      const rows: Array<ReadonlyArray<string>> = []
      for (const [i, node] of cluster.nodes.entries()) {
        const written = (yield* writtenBytes(node.pid)) - (before[i] as number)
        const { diskMiB, rssMiB } = yield* resourcesOf(node.pid, node.dataDir)
        rows.push([String(node.id), (written / puts).toFixed(0), diskMiB.toFixed(0), rssMiB.toFixed(0)])
      }
      yield* Console.log(`${machine()}; ${puts} puts of ${valueBytes} bytes, ${(puts / seconds).toFixed(0)} a second`)
      yield* Console.log(table([["NODE", "BYTES WRITTEN PER PUT", "DISK MiB", "RSS MiB"], ...rows]))
    }).pipe(Effect.provide(Cluster.client(cluster, 60_000)))
  })))

disk.pipe(Command.run({ version: "1" }), Effect.provide(NodeServices.layer), NodeRuntime.runMain)
