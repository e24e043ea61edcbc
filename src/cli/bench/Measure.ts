/** Measures one point: starts the load, looks at the nodes when its warm-up ends and when it is over. */
import type { Target } from "./Target.ts"
import { leaderFirst } from "./Target.ts"
import { Effect } from "effect"
import type { Failure } from "../output/Failure.ts"
import { formatDuration } from "../../DurationText.ts"
import { failed } from "../output/Failure.ts"
import { Histogram } from "./Histogram.ts"
import type { LoadReport } from "./Load.ts"
import { LoadProcess } from "./LoadProcess.ts"
import type { NodeCounters } from "./NodeCounters.ts"
import { countersOf } from "./NodeCounters.ts"
import type { Plan } from "./Plan.ts"
import { shares } from "./Plan.ts"
import type { Usage } from "./Resources.ts"
import { bytesOnWire, usageOf } from "./Resources.ts"
import { errorText } from "../../ErrorText.ts"

/** One measured point. Times are milliseconds. */
export interface Result extends Plan {
  readonly count: number
  readonly errors: number
  readonly perSecond: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly max: number
  /** Of all nodes together. */
  readonly syncsPerSecond: number
  /** Commands that shared a sync of the leader. */
  readonly commitsPerSync: number
  /** Rounds that linearizable reads waited for, of all nodes. */
  readonly readRounds: number
  /** Of each node: share of one processor, and memory. The leader is first. */
  readonly nodes: ReadonlyArray<
    { readonly leads: boolean; readonly cpu: number | undefined; readonly rssMiB: number | undefined }
  >
  /** Processor time of all nodes and the load for one operation, in microseconds. */
  readonly cpuMicrosPerOperation: number | undefined
  readonly bytesPerOperation: number | undefined
  /** The busiest process of the load: share of one processor. */
  readonly loadCpu: number
}

interface Look {
  readonly atMs: number
  readonly counters: ReadonlyArray<NodeCounters>
  readonly usage: ReadonlyArray<Usage | undefined>
  readonly bytes: number | undefined
}

const allCounters = (target: Target) =>
  Effect.forEach(target.nodes, ({ http }) => countersOf(http, target.identity), { concurrency: "unbounded" })

/** Fails when a node does not say what it does: without that there is nothing to report. */
export const checkCounters = (target: Target) => Effect.asVoid(allCounters(target))

const look = Effect.fnUntraced(function*(target: Target) {
  const counters = yield* allCounters(target)
  const usage = target.nodes.map(({ pid }, i) => pid === undefined ? counters[i]?.usage : usageOf(pid))
  const bytes = yield* Effect.promise(() => bytesOnWire(new Set(target.nodes.flatMap(({ ports }) => ports))))
  return { atMs: performance.now(), counters, usage, bytes } satisfies Look
})

/** The load's processes, ready to begin; they end with the scope. */
const startLoads = (plan: Plan, target: Target) =>
  Effect.forEach(
    shares(plan, target),
    (share) =>
      Effect.tap(
        Effect.acquireRelease(Effect.sync(() => new LoadProcess(share)), (load) => Effect.promise(() => load.end())),
        (load) => told(load, 0)
      ),
    { concurrency: "unbounded" }
  )

/** How long a process of the load may take beside its work. An operation is given up after half of it. */
const loadSpareMs = 60_000

/** The next line of a process, which has work for `workMs` before it. */
export const told = (load: Pick<LoadProcess, "line" | "pid">, workMs: number): Effect.Effect<string, Failure> => {
  const withinMs = workMs + loadSpareMs
  const line = Effect.tryPromise({
    try: () => load.line(),
    catch: (error) => failed(errorText(error))
  })
  return Effect.timeoutOrElse(line, {
    duration: withinMs,
    orElse: () => Effect.fail(failed(`process ${load.pid} of the load said nothing for ${formatDuration(withinMs)}`))
  })
}

/** Measures `plan` against `target`. */
export const measure = Effect.fnUntraced(function*(plan: Plan, target: Target) {
  const leads = (yield* allCounters(target)).map(({ leads }) => leads)
  const loads = yield* startLoads(plan, leaderFirst(target, leads))
  for (const load of loads) load.begin()
  // The reports are waited for from the beginning on: a load that ends early is noticed then.
  const [before, lines] = yield* Effect.all(
    [
      Effect.andThen(Effect.sleep(plan.warmUpMs), look(target)),
      Effect.forEach(loads, (load) => told(load, plan.warmUpMs + plan.measureMs), { concurrency: "unbounded" })
    ],
    { concurrency: "unbounded" }
  )
  const reports = lines.map((line) => JSON.parse(line) as LoadReport)
  const after = yield* look(target)
  return resultOf(plan, before, after, reports)
}, Effect.scoped)

const sum = (values: ReadonlyArray<number>): number => values.reduce((total, value) => total + value, 0)

/** Absent when any of them is. */
const sumOfAll = (values: ReadonlyArray<number | undefined>): number | undefined =>
  values.every((value) => value !== undefined) ? sum(values) : undefined

const resultOf = (plan: Plan, before: Look, after: Look, reports: ReadonlyArray<LoadReport>): Result => {
  const latencies = new Histogram()
  for (const report of reports) latencies.merge(report.latencies)
  const errors = sum(reports.map((report) => report.errors))
  const elapsedMs = Math.max(...reports.map((report) => report.elapsedMs))
  const perSecond = latencies.count / elapsedMs * 1000
  const windowMs = after.atMs - before.atMs
  // What the nodes did is counted over a window that is a little longer than the load's own.
  const inWindow = perSecond * windowMs / 1000
  const delta = (of: (counters: NodeCounters) => number) =>
    after.counters.map((counters, i) => of(counters) - of(before.counters[i] as NodeCounters))
  const syncs = delta(({ syncs }) => syncs)
  const leader = Math.max(0, after.counters.findIndex(({ leads }) => leads))
  const cpuMs = after.usage.map((usage, i) => {
    const earlier = before.usage[i]
    return usage === undefined || earlier === undefined ? undefined : usage.cpuMs - earlier.cpuMs
  })
  const loadMs = sum(reports.map((report) => report.cpuMs / report.elapsedMs)) * windowMs
  const cpu = sumOfAll(cpuMs)
  const nodes = after.counters.map(({ leads }, i) => ({
    leads,
    cpu: cpuMs[i] === undefined ? undefined : (cpuMs[i] as number) / windowMs,
    rssMiB: after.usage[i]?.rssMiB
  }))
  return {
    ...plan,
    count: latencies.count,
    errors,
    perSecond,
    p50: latencies.quantile(0.5),
    p95: latencies.quantile(0.95),
    p99: latencies.quantile(0.99),
    max: latencies.maxMs,
    syncsPerSecond: sum(syncs) / windowMs * 1000,
    commitsPerSync: (delta(({ applied }) => applied)[leader] ?? 0) / Math.max(1, syncs[leader] ?? 0),
    readRounds: sum(delta(({ readRounds }) => readRounds)),
    nodes: [...nodes].sort((a, b) => Number(b.leads) - Number(a.leads)),
    cpuMicrosPerOperation: cpu === undefined || inWindow === 0 ? undefined : (cpu + loadMs) * 1000 / inWindow,
    bytesPerOperation: after.bytes === undefined || before.bytes === undefined || inWindow === 0
      ? undefined
      : (after.bytes - before.bytes) / inWindow,
    loadCpu: Math.max(...reports.map((report) => report.cpuMs / report.elapsedMs))
  }
}
