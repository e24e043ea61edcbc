/**
 * `npm run bench:scale [-- --rounds 3] [--factor 10] [--tls]`: what becomes of throughput with ten times the keys, ten times the watchers and
 * ten times the log. Two conditions of one pair are measured by turns on one cluster, as often as `--rounds` says; only the log cannot
 * be made short again, so its rounds are before and after. Ends by itself and leaves nothing behind.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Context, Effect, Layer, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import { fill } from "../src/cli/commands/Bench.ts"
import { keyOf } from "../src/cli/bench/RunKeys.ts"
import type { Target } from "../src/cli/bench/Target.ts"
import { measure } from "../src/cli/bench/Measure.ts"
import { onOwnCluster } from "../src/cli/bench/OwnCluster.ts"
import type { BenchOperation, Plan } from "../src/cli/bench/Plan.ts"
import { identityOptions } from "../src/cli/input/IdentityFlags.ts"
import { machine } from "../src/cli/bench/Report.ts"
import { table } from "../src/cli/output/Table.ts"
import { parseEndpoints } from "../src/client/connection/Endpoint.ts"
import { Watch } from "../src/client/index.ts"
import * as RemoteClient from "../src/client/RemoteClient.ts"
import { median } from "./Median.ts"

const operations = ["put", "get"] as const satisfies ReadonlyArray<BenchOperation>

const plan: Plan = {
  operation: "put",
  clients: 64,
  connections: 8,
  processes: 1,
  valueBytes: 128,
  keys: 10_000,
  warmUpMs: 1_500,
  measureMs: 3_000
}

/** Watchers to begin with. Each watches a hundred keys of its own, a hundredth of all that there are to begin with. */
const watchers = 10

/** Entries of the log to begin with, about: what fills the keys and warms the nodes up. */
const entries = 100_000

/** Operations per second, by operation. */
type Rates = Record<typeof operations[number], Array<number>>

/** Watches that take what they are told and do nothing with it, for the length of a scope. */
const watching = (target: Target, count: number) =>
  Effect.gen(function*() {
    const identity = yield* identityOptions(target.identity)
    const client = RemoteClient.layer({ endpoints: yield* parseEndpoints(target.endpoints), ...identity })
    const watch = Context.get(yield* Layer.build(Layer.fresh(client)), Watch)
    for (let i = 0; i < count; i++) {
      const range = { from: keyOf(i * 100), to: keyOf((i + 1) * 100) }
      yield* Effect.forkScoped(Stream.runDrain(watch.changes({ range })))
    }
    // A watch begins when its node has heard of it; the warm-up of what is measured next is longer than that takes.
  })

const bench = Command.make("bench:scale", {
  rounds: Flag.Int("rounds").pipe(Flag.withDefault(3)),
  factor: Flag.Int("factor").pipe(Flag.withDefault(10)),
  tls: Flag.Boolean("tls").pipe(
    Flag.withDescription("FlareDB's nodes and clients have certificates"),
    Flag.withDefault(false)
  )
}, ({ factor, rounds, tls }) =>
  onOwnCluster(tls, (target) =>
    Effect.gen(function*() {
      const rates = (): Rates => ({ put: [], get: [] })
      const into = Effect.fnUntraced(function*(into: Rates, change: Partial<Plan>) {
        for (const operation of operations) {
          const { perSecond } = yield* measure({ ...plan, ...change, operation }, target)
          into[operation].push(perSecond)
        }
      })
      const rows: Array<ReadonlyArray<string>> = []
      const report = (what: string, before: Rates, after: Rates) => {
        for (const operation of operations) {
          const [few, many] = [median(before[operation]), median(after[operation])]
          const all = (values: ReadonlyArray<number>) => values.map((value) => value.toFixed(0)).join(" ")
          rows.push([what, operation, all(before[operation]), all(after[operation]), (many / few).toFixed(2)])
        }
      }

      yield* fill(target, plan.keys, plan.valueBytes)
      yield* measure({ ...plan, warmUpMs: 20_000, measureMs: 100 }, target)

      const [short, long] = [rates(), rates()]
      for (let i = 0; i < rounds; i++) yield* into(short, {})

      const [fewWatchers, manyWatchers] = [rates(), rates()]
      for (let i = 0; i < rounds; i++) {
        for (const [count, taken] of [[watchers, fewWatchers], [factor * watchers, manyWatchers]] as const) {
          yield* Effect.scoped(Effect.andThen(watching(target, count), into(taken, {})))
        }
      }
      report(`watchers ${watchers} -> ${factor * watchers}`, fewWatchers, manyWatchers)

      const [fewKeys, manyKeys] = [rates(), rates()]
      yield* fill(target, factor * plan.keys, plan.valueBytes)
      for (let i = 0; i < rounds; i++) {
        yield* into(fewKeys, {})
        yield* into(manyKeys, { keys: factor * plan.keys })
      }
      report(`keys ${plan.keys} -> ${factor * plan.keys}`, fewKeys, manyKeys)

      // Over the keys that are there, so that only the log grows.
      for (let grown = entries; grown < factor * entries; grown += 100_000) {
        yield* fill(target, 100_000, plan.valueBytes)
      }
      for (let i = 0; i < rounds; i++) yield* into(long, {})
      report(`log entries ${entries} -> ${factor * entries}`, short, long)

      yield* Console.log(`${machine()}; ${plan.clients} clients on ${plan.connections} connections, ${rounds} rounds`)
      yield* Console.log(table([["WHAT", "OPERATION", "PER SECOND BEFORE", "AFTER", "RATIO"], ...rows]))
    })).pipe(Effect.scoped)).pipe(
    Command.withDescription("How throughput changes with ten times the keys, the watchers and the log.")
  )

bench.pipe(Command.run({ version: "1" }), Effect.provide(NodeServices.layer), NodeRuntime.runMain)
