/**
 * `npm run bench:peers [-- --rounds 3] [--clients 1,16,64,256] [--seconds 4] [--heat-up 30s] [--tls]`: etcd and FlareDB by turns, on fresh data, at
 * the same points: same clients, connections, keys, sizes, warm-up and duration. Prints the medians, and the median of the
 * rounds' ratios with their spread.
 *
 * Machines differ and are noisy; the two systems of one round have met the same noise, which is why only ratios count.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect } from "effect"
import { Command, Flag } from "effect/cli"
import { measureAll } from "../../src/cli/commands/Bench.ts"
import { brokenClaims } from "../../src/cli/bench/Claims.ts"
import type { Result } from "../../src/cli/bench/Measure.ts"
import { onOwnCluster } from "../../src/cli/bench/OwnCluster.ts"
import type { BenchOperation, Plan } from "../../src/cli/bench/Plan.ts"
import { usualConnections } from "../../src/cli/bench/Plan.ts"
import { ProgressBar } from "../../src/cli/bench/ProgressBar.ts"
import { machine } from "../../src/cli/bench/Report.ts"
import { durationFlag } from "../../src/cli/input/Duration.ts"
import { table } from "../../src/cli/output/Table.ts"
import { median } from "../Median.ts"
import type { PeerResult } from "./Etcd.ts"
import * as Etcd from "./Etcd.ts"
import { failing } from "../Failing.ts"

/** A ratio's median, and where the rounds lie. */
const spread = (values: ReadonlyArray<number>): string =>
  `${median(values).toFixed(2)} (${Math.min(...values).toFixed(2)}–${Math.max(...values).toFixed(2)})`

interface Round {
  readonly etcd: ReadonlyArray<PeerResult>
  readonly flaredb: ReadonlyArray<Result>
}

const bench = Command.make("bench:peers", {
  rounds: Flag.Int("rounds").pipe(Flag.withDefault(3)),
  operations: Flag.String("operations").pipe(Flag.withDefault("put,get")),
  clients: Flag.String("clients").pipe(Flag.withDefault("1,16,64,256")),
  seconds: Flag.Int("seconds").pipe(Flag.withDefault(4)),
  warmUp: durationFlag("warm-up").pipe(Flag.withDefault(4_000)),
  heatUp: durationFlag("heat-up").pipe(
    Flag.withDescription("load on either system before its first point"),
    Flag.withDefault(30_000)
  ),
  valueBytes: Flag.Int("value-bytes").pipe(Flag.withDefault(128)),
  connections: Flag.Int("connections").pipe(
    Flag.withDescription("for FlareDB and etcd alike; 0: 1 for one client, otherwise 8"),
    Flag.withDefault(0)
  ),
  tls: Flag.Boolean("tls").pipe(
    Flag.withDescription("FlareDB's nodes and clients have certificates, and etcd's do not"),
    Flag.withDefault(false)
  ),
  json: Flag.Boolean("json").pipe(Flag.withDefault(false))
}, (flags) =>
  Effect.gen(function*() {
    if (!Etcd.isInstalled()) return yield* Effect.fail(new Error(Etcd.howToInstall))
    const program = Etcd.buildLoad()
    const plans = flags.operations.split(",").flatMap((operation) =>
      flags.clients.split(",").map(Number).map((clients): Plan => ({
        operation: operation as BenchOperation,
        clients,
        connections: Math.min(clients, flags.connections || usualConnections(clients)),
        processes: 1,
        valueBytes: flags.valueBytes,
        keys: 10_000,
        warmUpMs: flags.warmUp,
        measureMs: flags.seconds * 1_000
      }))
    )
    const [first] = plans
    if (first === undefined) return yield* Effect.fail(new Error("there is nothing to measure"))
    const progress = new ProgressBar(2 * flags.rounds * plans.length, (flags.seconds + 1) * 1_000 + flags.warmUp)
    const etcdRound = Effect.gen(function*() {
      const etcd = yield* Etcd.start()
      // FlareDB's nodes get as much, see `measureAll`: they get faster while they are compiled, for about that long.
      yield* Etcd.load(program, etcd, {
        ...first,
        operation: "put",
        clients: 64,
        connections: 8,
        warmUpMs: flags.heatUp,
        measureMs: 100
      })
      return yield* Effect.forEach(plans, (plan) => {
        progress.begin(`etcd: ${plan.operation}, ${plan.clients} clients`)
        return Effect.tap(Etcd.load(program, etcd, plan), () => Effect.sync(() => progress.end()))
      })
    }).pipe(Effect.scoped)
    const flaredbRound = Effect.scoped(
      onOwnCluster(flags.tls, (target) => measureAll(target, plans, flags.heatUp, progress))
    )

    const rounds: Array<Round> = []
    for (let i = 0; i < flags.rounds; i++) rounds.push({ etcd: yield* etcdRound, flaredb: yield* flaredbRound })
    progress.close()
    if (flags.json) return yield* Console.log(JSON.stringify({ machine: machine(), plans, rounds }))

    const rows = plans.map((plan, i) => {
      const [etcd, own] = [rounds.map((round) => round.etcd[i]), rounds.map((round) => round.flaredb[i])] as [
        ReadonlyArray<PeerResult>,
        ReadonlyArray<Result>
      ]
      return [
        plan.operation,
        String(plan.clients),
        String(plan.connections),
        median(etcd.map(({ perSecond }) => perSecond)).toFixed(0),
        median(own.map(({ perSecond }) => perSecond)).toFixed(0),
        spread(own.map(({ perSecond }, r) => perSecond / (etcd[r] as PeerResult).perSecond)),
        median(etcd.map(({ p50 }) => p50)).toFixed(2),
        median(own.map(({ p50 }) => p50)).toFixed(2),
        spread(own.map(({ p50 }, r) => p50 / (etcd[r] as PeerResult).p50)),
        `${median(etcd.map(({ p99 }) => p99)).toFixed(1)} / ${median(own.map(({ p99 }) => p99)).toFixed(1)}`,
        Math.max(...own.flatMap(({ nodes }) => nodes.map(({ rssMiB }) => rssMiB ?? Number.NaN))).toFixed(0)
      ]
    })
    yield* Console.log(
      `${machine()}; ${flags.rounds} rounds, ${flags.valueBytes}-byte values, ${flags.seconds} s per point after ${
        flags.warmUp / 1_000
      } s of warm-up, ${flags.heatUp / 1_000} s of load before the first`
    )
    yield* Console.log(
      table([
        [
          "OPERATION",
          "CLIENTS",
          "CONNS",
          "ETCD/S",
          "FLAREDB/S",
          "RATIO",
          "ETCD P50",
          "FLAREDB P50",
          "RATIO",
          "P99 MS",
          "RSS MIB"
        ],
        ...rows
      ])
    )
    yield* Console.log("Ratios are FlareDB's figure divided by etcd's of the same round: median (lowest–highest).")
    const broken = rounds.flatMap((round) => round.flaredb.flatMap(brokenClaims))
    if (broken.length > 0) return yield* Effect.fail(new Error(`the measurement is void: ${broken.join("; ")}`))
  }).pipe(
    failing
  ))

bench.pipe(Command.run({ version: "1" }), Effect.provide(NodeServices.layer), NodeRuntime.runMain)
