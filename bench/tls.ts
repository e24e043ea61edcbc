/**
 * `npm run bench:tls [-- --rounds 5] [--operations put,get] [--clients 1,64] [--seconds 4]`: what TLS costs. Two clusters
 * of real processes on this machine, one with plain connections and one with mutual certificates on all ports, are
 * measured by turns at the same points. Fails where a ratio is below what is demanded of it.
 *
 * Both clusters run all the time, so that they are equally hot and each pair of points meets the same noise. Every round
 * begins with the other one.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect } from "effect"
import { Command, Flag } from "effect/cli"
import { fill } from "../src/cli/commands/Bench.ts"
import { brokenClaims } from "../src/cli/bench/Claims.ts"
import type { Result } from "../src/cli/bench/Measure.ts"
import { measure } from "../src/cli/bench/Measure.ts"
import type { Target } from "../src/cli/bench/Target.ts"
import { onOwnCluster } from "../src/cli/bench/OwnCluster.ts"
import type { BenchOperation, Plan } from "../src/cli/bench/Plan.ts"
import { usualConnections } from "../src/cli/bench/Plan.ts"
import { ProgressBar } from "../src/cli/bench/ProgressBar.ts"
import { machine } from "../src/cli/bench/Report.ts"
import { durationFlag } from "../src/cli/input/Duration.ts"
import { table } from "../src/cli/output/Table.ts"
import { median } from "./Median.ts"
import { failing } from "./Failing.ts"

/** The least ratio of operations per second, TLS to plain, by operation and clients. */
const demanded = new Map([
  ["get 64", 0.85],
  ["put 1", 0.95],
  ["put 64", 0.95]
])

/** One point at both clusters, one after the other. */
interface Pair {
  readonly plain: Result
  readonly tls: Result
}

const nameOf = ({ clients, operation }: Plan): string => `${operation} ${clients}`

/** A ratio's median, and where the rounds lie. */
const spread = (values: ReadonlyArray<number>): string =>
  `${median(values).toFixed(2)} (${Math.min(...values).toFixed(2)}–${Math.max(...values).toFixed(2)})`

const ratios = (pairs: ReadonlyArray<Pair>): ReadonlyArray<number> =>
  pairs.map(({ plain, tls }) => tls.perSecond / plain.perSecond)

const sum = (values: ReadonlyArray<number>): number => values.reduce((total, value) => total + value, 0)

/** Processor time of one operation in microseconds: of all nodes, and of the load, which is one process. */
const processorTime = ({ loadCpu, nodes, perSecond }: Result) => ({
  nodes: sum(nodes.map(({ cpu }) => cpu ?? Number.NaN)) / perSecond * 1e6,
  load: loadCpu / perSecond * 1e6
})

const bothSides = (results: ReadonlyArray<Result>, side: "load" | "nodes"): string =>
  median(results.map((result) => processorTime(result)[side])).toFixed(0)

const row = (plan: Plan, pairs: ReadonlyArray<Pair>): ReadonlyArray<string> => {
  const [plain, tls] = [pairs.map((pair) => pair.plain), pairs.map((pair) => pair.tls)]
  const of = (results: ReadonlyArray<Result>, field: "p50" | "p99" | "perSecond", digits: number) =>
    median(results.map((result) => result[field])).toFixed(digits)
  return [
    plan.operation,
    String(plan.clients),
    of(plain, "perSecond", 0),
    of(tls, "perSecond", 0),
    spread(ratios(pairs)),
    `${of(plain, "p50", 2)} / ${of(tls, "p50", 2)}`,
    `${of(plain, "p99", 1)} / ${of(tls, "p99", 1)}`,
    `${bothSides(plain, "nodes")} / ${bothSides(tls, "nodes")}`,
    `${bothSides(plain, "load")} / ${bothSides(tls, "load")}`
  ]
}

const head = [
  "OPERATION",
  "CLIENTS",
  "PLAIN/S",
  "TLS/S",
  "RATIO",
  "P50 MS",
  "P99 MS",
  "NODES' CPU µS/OP",
  "LOAD'S CPU µS/OP"
]

const legend = "Ratios are TLS divided by plain of the same round: median (lowest–highest). " +
  "Two figures are plain / TLS, medians of the rounds."

/** What is below its demand, one line each. */
const missed = (plans: ReadonlyArray<Plan>, rounds: ReadonlyArray<ReadonlyArray<Pair>>): ReadonlyArray<string> =>
  plans.flatMap((plan, i) => {
    const least = demanded.get(nameOf(plan))
    const ratio = median(ratios(rounds.map((pairs) => pairs[i] as Pair)))
    return least === undefined || ratio >= least
      ? []
      : [`${plan.operation} with ${plan.clients} clients is ${ratio.toFixed(3)} of plain, less than ${least}`]
  })

const flags = {
  rounds: Flag.Int("rounds").pipe(Flag.withDefault(5)),
  operations: Flag.String("operations").pipe(Flag.withDefault("put,get")),
  clients: Flag.String("clients").pipe(Flag.withDefault("1,64")),
  seconds: Flag.Int("seconds").pipe(Flag.withDefault(4)),
  warmUp: durationFlag("warm-up").pipe(Flag.withDefault(4_000)),
  heatUp: durationFlag("heat-up").pipe(
    Flag.withDescription("load on either cluster before the first point"),
    Flag.withDefault(30_000)
  ),
  valueBytes: Flag.Int("value-bytes").pipe(Flag.withDefault(128)),
  json: Flag.Boolean("json").pipe(Flag.withDefault(false))
}

const bench = Command.make(
  "bench:tls",
  flags,
  ({ heatUp, json, rounds, seconds, warmUp, ...options }) =>
    Effect.gen(function*() {
      const plans = options.operations.split(",").flatMap((operation) =>
        options.clients.split(",").map(Number).map((clients): Plan => ({
          operation: operation as BenchOperation,
          clients,
          connections: usualConnections(clients),
          processes: 1,
          valueBytes: options.valueBytes,
          keys: 10_000,
          warmUpMs: warmUp,
          measureMs: seconds * 1_000
        }))
      )
      const [first] = plans
      if (first === undefined || rounds < 1) return yield* Effect.fail(new Error("there is nothing to measure"))
      const progress = new ProgressBar(2 * rounds * plans.length, (seconds + 1) * 1_000 + warmUp)
      const measured = Effect.fnUntraced(function*(clusters: Readonly<Record<"plain" | "tls", Target>>) {
        for (const target of [clusters.plain, clusters.tls]) {
          yield* fill(target, first.keys, first.valueBytes)
          const heat = { ...first, operation: "put", clients: 64, connections: 8, measureMs: 100 } as const
          if (heatUp > 0) yield* measure({ ...heat, warmUpMs: heatUp }, target)
        }
        const point = (plan: Plan, kind: "plain" | "tls") => {
          progress.begin(`${kind}: ${plan.operation}, ${plan.clients} clients`)
          return Effect.tap(measure(plan, clusters[kind]), () => Effect.sync(() => progress.end()))
        }
        const pair = Effect.fnUntraced(function*(plan: Plan, plainFirst: boolean) {
          if (plainFirst) return { plain: yield* point(plan, "plain"), tls: yield* point(plan, "tls") }
          const tls = yield* point(plan, "tls")
          return { plain: yield* point(plan, "plain"), tls }
        })
        const all: Array<ReadonlyArray<Pair>> = []
        for (let i = 0; i < rounds; i++) all.push(yield* Effect.forEach(plans, (plan) => pair(plan, i % 2 === 0)))
        return all
      })
      const all = yield* onOwnCluster(false, (plain) => onOwnCluster(true, (tls) => measured({ plain, tls })))
      progress.close()

      if (json) yield* Console.log(JSON.stringify({ machine: machine(), plans, rounds: all }))
      else {
        yield* Console.log(
          `${machine()}; ${rounds} rounds, ${options.valueBytes}-byte values, ${seconds} s per point after ${
            warmUp / 1_000
          } s of warm-up, ${heatUp / 1_000} s of load before the first`
        )
        yield* Console.log(table([head, ...plans.map((plan, i) => row(plan, all.map((pairs) => pairs[i] as Pair)))]))
        yield* Console.log(legend)
      }
      const broken = all.flat().flatMap(({ plain, tls }) => [plain, tls]).flatMap(brokenClaims)
      if (broken.length > 0) return yield* Effect.fail(new Error(`the measurement is void: ${broken.join("; ")}`))
      const problems = missed(plans, all)
      if (problems.length > 0) return yield* Effect.fail(new Error(`FAILED: ${problems.join("; ")}`))
    }).pipe(
      Effect.scoped,
      failing
    )
)

bench.pipe(Command.run({ version: "1" }), Effect.provide(NodeServices.layer), NodeRuntime.runMain)
