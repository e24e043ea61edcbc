/** The command that measures: how many operations a cluster carries out, how long they take, and what they cost. */
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { KeyValue } from "../../client/KeyValue.ts"
import * as NodeConfig from "../../config/index.ts"
import { brokenClaims } from "../bench/Claims.ts"
import type { Result } from "../bench/Measure.ts"
import type { Target } from "../bench/Target.ts"
import { checkCounters, measure } from "../bench/Measure.ts"
import { onOwnCluster, runningCluster } from "../bench/OwnCluster.ts"
import type { BenchOperation, Plan } from "../bench/Plan.ts"
import { operations, usualConnections } from "../bench/Plan.ts"
import { ProgressBar } from "../bench/ProgressBar.ts"
import { legend, machine, resultTable } from "../bench/Report.ts"
import { clientOf, keyOf, removeKeys } from "../bench/RunKeys.ts"
import { withDefault } from "../input/DefaultValue.ts"
import { durationFlag } from "../input/Duration.ts"
import { formatDuration } from "../../DurationText.ts"
import type { Failure } from "../output/Failure.ts"
import { failed, failureOf, wrongUsage } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"
import { isShown, progressFlag } from "../output/Progress.ts"
import { identityFiles, identityFlags } from "../input/IdentityFlags.ts"
import { makeSwitch } from "../input/Switch.ts"

/** A load that runs before the first point: a node that has just started has to compile what it runs. */
const heatUp = { operation: "put", clients: 64, connections: 8, measureMs: 100 } as const

const list = <A>(
  flag: string,
  text: string,
  known: string,
  parse: (part: string) => A | undefined
): Effect.Effect<ReadonlyArray<A>, Failure> => {
  const parts = text.split(",").map((part) => part.trim())
  const parsed = parts.map(parse)
  const wrong = parsed.findIndex((value) => value === undefined)
  return wrong < 0
    ? Effect.succeed(parsed as Array<A>)
    : Effect.fail(
      wrongUsage(`--${flag}: ${JSON.stringify(parts[wrong])} is not ${known}; several are separated by commas`)
    )
}

const positive = (most: number) => (part: string): number | undefined => {
  const value = Number(part)
  return Number.isInteger(value) && value >= 1 && value <= most ? value : undefined
}

const operationOf = (part: string): BenchOperation | undefined => operations.find((known) => known === part)

/** Keys that are written at a time. */
const fillLoops = 1_024

/** Writes every key once, so that reads find them. */
export const fill = (target: Target, keys: number, valueBytes: number) =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const value = new Uint8Array(valueBytes).fill(0x78)
    let next = 0
    // Loops of our own: the interruption of so many fibers of one `forEach` did not come to its end (effect 4.1.0).
    const loop = Effect.gen(function*() {
      while (next < keys) yield* kv.put(keyOf(next++, target.keyPrefix), value)
    })
    yield* Effect.all(Array.from({ length: Math.min(keys, fillLoops) }, () => loop), {
      concurrency: "unbounded",
      discard: true
    })
  }).pipe(Effect.provide(clientOf(target)), Effect.mapError(failureOf))

/** Fails at once when the cluster, or what its nodes say of themselves, cannot be reached. */
const check = (target: Target) =>
  Effect.andThen(
    Effect.provide(KeyValue.use((kv) => kv.get(keyOf(0, target.keyPrefix))), clientOf(target)),
    checkCounters(target)
  )

/** Measures all of `plans` one after the other, the first of them on nodes that were under load for `heatUpMs`. */
export const measureAll = Effect.fnUntraced(function*(
  target: Target,
  plans: ReadonlyArray<Plan>,
  heatUpMs: number,
  progress: ProgressBar
) {
  const results: Array<Result> = []
  let filled = 0
  for (const plan of plans) {
    if (filled !== plan.valueBytes) {
      progress.begin(`writing ${plan.keys} keys of ${plan.valueBytes} B, then warming up`)
      yield* fill(target, plan.keys, plan.valueBytes)
      if (heatUpMs > 0) yield* measure({ ...plan, ...heatUp, warmUpMs: heatUpMs }, target)
      filled = plan.valueBytes
      progress.end()
    }
    progress.begin(`${plan.operation}, ${plan.clients} clients, ${plan.valueBytes} B`)
    results.push(yield* measure(plan, target))
    progress.end()
  }
  return results
})

/** Longest load before what is measured. */
const maxWarmUpMs = 3_600_000

export const bench = Command.make("bench", {
  nodes: Flag.String("nodes").pipe(
    Flag.withMetavar("ID=HOST:CLIENT:PEER:HTTP,…"),
    Flag.withDescription("measure this running cluster; default three nodes, started here and removed again"),
    Flag.optional
  ),
  operations: Flag.String("operations").pipe(
    withDefault(`what to measure, with commas: ${operations.join(", ")}`, operations.join(","))
  ),
  clients: Flag.String("clients").pipe(
    withDefault("numbers of clients, with commas; each waits for its answer, then asks again", "1,16,64,256,1000")
  ),
  valueBytes: Flag.String("value-bytes").pipe(
    withDefault("sizes of a value, with commas", "128,4096")
  ),
  seconds: Flag.Int("seconds").pipe(withDefault("measured seconds per point", 5)),
  warmUp: durationFlag("warm-up").pipe(
    withDefault("load per point before that, at most 1h", 2_000, "2s")
  ),
  heatUp: durationFlag("heat-up").pipe(
    withDefault(
      "load before the first point, at most 1h; nodes that have just started get faster for half a minute",
      4_000,
      "4s"
    )
  ),
  connections: Flag.Int("connections").pipe(
    Flag.withDescription("connections of the load; default 1 for one client, otherwise 8"),
    Flag.optional
  ),
  processes: Flag.Int("processes").pipe(withDefault("processes of the load", 1)),
  keys: Flag.Int("keys").pipe(withDefault("keys the load spreads over", 10_000)),
  json: makeSwitch("json").pipe(Flag.withDescription("print one JSON object per point"), Flag.withDefault(false)),
  progress: progressFlag,
  tls: makeSwitch("tls").pipe(
    Flag.withDescription("the three nodes that are started have certificates; default plain connections"),
    Flag.withDefault(false)
  ),
  ...identityFlags
}, (flags) =>
  Effect.gen(function*() {
    const wanted = yield* list("operations", flags.operations, `one of ${operations.join(", ")}`, operationOf)
    const clients = yield* list("clients", flags.clients, "an integer from 1 to 100000", positive(100_000))
    const sizes = yield* list("value-bytes", flags.valueBytes, "an integer from 1 to 1048576", positive(1024 * 1024))
    const connections = Option.getOrUndefined(flags.connections)
    for (
      const [name, value, least, most] of [
        ["seconds", flags.seconds, 1, 86_400],
        ["processes", flags.processes, 1, 64],
        ["keys", flags.keys, 1, 10_000_000],
        ["connections", connections ?? 1, 1, 1_000]
      ] as const
    ) {
      if (value < least || value > most) return yield* wrongUsage(`--${name} ${value} is not from ${least} to ${most}`)
    }
    for (const [name, ms] of [["warm-up", flags.warmUp], ["heat-up", flags.heatUp]] as const) {
      if (ms < 0 || ms > maxWarmUpMs) {
        return yield* wrongUsage(`--${name} ${formatDuration(ms)} is not from 0ms to ${formatDuration(maxWarmUpMs)}`)
      }
    }
    const plans = sizes.flatMap((valueBytes) =>
      wanted.flatMap((operation) =>
        clients.map((count): Plan => ({
          operation,
          clients: count,
          connections: Math.min(count, connections ?? usualConnections(count)),
          processes: flags.processes,
          valueBytes,
          keys: flags.keys,
          warmUpMs: flags.warmUp,
          measureMs: flags.seconds * 1_000
        }))
      )
    )
    const shown = isShown({ json: flags.json, progress: flags.progress })
    const measured = Effect.fnUntraced(function*(target: Target) {
      if (!flags.json) {
        yield* Output.lines(
          `${machine()}; ${target.nodes.length} nodes${
            Option.isSome(flags.nodes) ? "" : " and the load on it"
          }, every write synced on a majority; ` +
            `${flags.processes} load process(es), ${flags.keys} keys, ${flags.seconds} s per point after ${
              formatDuration(flags.warmUp)
            } of warm-up`
        )
      }
      const progress = new ProgressBar(plans.length + sizes.length, flags.warmUp + (flags.seconds + 1) * 1_000, shown)
      return yield* Effect.ensuring(
        measureAll(target, plans, flags.heatUp, progress),
        Effect.sync(() => progress.close())
      )
    })
    const running = Effect.fnUntraced(function*(nodes: string) {
      const target = runningCluster(yield* NodeConfig.parseNodes(nodes), yield* identityFiles(flags))
      yield* check(target)
      yield* Effect.addFinalizer(() => removeKeys(target, flags.keys, Math.max(...sizes)))
      return yield* measured(target)
    })
    const results = Option.isSome(flags.nodes)
      ? yield* running(flags.nodes.value)
      : yield* onOwnCluster(flags.tls, measured)
    if (flags.json) { for (const result of results) yield* Output.json(result) }
    else {
      yield* Output.lines(resultTable(results))
      yield* Output.lines(legend)
    }
    const broken = results.flatMap(brokenClaims)
    if (broken.length > 0) return yield* failed(`the measurement is void: ${broken.join("; ")}`)
  }).pipe(Effect.scoped, Effect.mapError(failureOf))).pipe(
    Command.withDescription("Measure a cluster: throughput, latency, syncs, processor time, bytes on the wire."),
    Command.withExamples([
      { command: "flaredb bench --clients 1,64", description: "Three nodes started for the purpose" },
      { command: "flaredb bench --operations put --json", description: "For other programs" }
    ])
  )
