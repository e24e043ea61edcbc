/**
 * What a process says of itself whatever runs in it: time, memory, garbage collection, and how late its event loop is.
 * All but the collections are read every few seconds, and none of them in the path of a write.
 */
import { Effect, Layer, Metric } from "effect"
import { monitorEventLoopDelay, performance, PerformanceObserver } from "node:perf_hooks"
import type { PerformanceEntry } from "node:perf_hooks"
import { lookEvery } from "../CoalescedSleep.ts"
import { secondsBuckets } from "../MetricBuckets.ts"
import { seriesOf } from "../MetricSeries.ts"
import { memory } from "../server/ProcessFacts.ts"
import { version } from "../Version.ts"

/** How often values are read, in milliseconds. */
const sampleMs = 5_000

/**
 * Milliseconds between two looks of the delay's timer, outside of JavaScript. At 50 they cost 0.9 ms of processor time
 * a second, at 10 they cost 3.6, and each wakes a node at rest. Of each stall up to so many milliseconds are not seen.
 */
const resolutionMs = 100

/** Samples that the longest delay is of: a scraper that comes every half minute misses none. */
const windowSamples = 6

/** Which program answers: nodes of two versions show during an upgrade. */
const build = Metric.gauge("flaredb_build_info", {
  description: "1, with the versions of FlareDB and of Node",
  attributes: { version, node: process.versions.node }
})

/** `time()` minus this is the uptime. One that moves is a restart. */
const started = Metric.gauge("flaredb_process_start_time_seconds", {
  description: "unix time at which the process started"
})

/** One thread does the work of a node, so its own share cannot pass 1; threads of the disk come on top. */
const cpu = seriesOf((mode: "user" | "system") =>
  Metric.counter("flaredb_process_cpu_seconds_total", {
    description: "processor seconds of all threads of the process, by mode",
    incremental: true,
    attributes: { mode }
  })
)

/** What the system has to spare for it. The heap is a part of it, RocksDB's memory another. */
const resident = Metric.gauge("flaredb_process_resident_memory_bytes", { description: "resident memory" })

/** Near the limit the process collects garbage all the time, and then ends. */
const heap = Metric.gauge("flaredb_process_heap_bytes", { description: "used bytes of the JavaScript heap" })
const heapLimit = Metric.gauge("flaredb_process_heap_limit_bytes", {
  description: "bytes that the JavaScript heap may have"
})
const external = Metric.gauge("flaredb_process_external_memory_bytes", {
  description: "bytes outside of the heap that JavaScript objects hold, buffers with them"
})

/** Its rate is the share of time in which the event loop was busy: near 1 everything waits. */
const active = Metric.counter("flaredb_event_loop_active_seconds_total", {
  description: "seconds that the event loop was not waiting for something to do",
  incremental: true
})

/** What every answer and heartbeat may have waited beside its own work. */
const delayMean = Metric.gauge("flaredb_event_loop_delay_mean_seconds", {
  description: "mean seconds that the event loop was late, of the last five seconds"
})
const delayP99 = Metric.gauge("flaredb_event_loop_delay_p99_seconds", {
  description: "99th percentile of the seconds that the event loop was late, of the last five seconds"
})

/** Near the election timeout it deposes leaders. */
const delayMax = Metric.gauge("flaredb_event_loop_delay_max_seconds", {
  description: "most seconds that the event loop was late, of the last thirty seconds"
})

/** A collection is a pause of everything, except for what an incremental or concurrent one does beside. */
const collections = seriesOf((kind) =>
  Metric.histogram("flaredb_gc_seconds", {
    description: "seconds that a garbage collection took, by kind",
    boundaries: secondsBuckets,
    attributes: { kind }
  })
)

/** `NODE_PERFORMANCE_GC_…` of Node. */
const kinds: ReadonlyMap<number, string> = new Map([
  [1, "minor"],
  [4, "major"],
  [8, "incremental"],
  [16, "weak-callbacks"]
])

/** What Node adds to entries of collections; its types leave it out. */
interface GcEntry extends PerformanceEntry {
  readonly detail: { readonly kind: number }
}

/** The largest of the last {@link windowSamples} values. */
export class RecentMaximum {
  private readonly values: Array<number> = []

  add(value: number): number {
    this.values.push(value)
    if (this.values.length > windowSamples) this.values.shift()
    return Math.max(...this.values)
  }
}

/** Adds what a value that only grows has grown by since the last call. */
export const growing = (add: (by: number) => void) => {
  let known = 0
  return (value: number): void => {
    if (value > known) add(value - known)
    known = value
  }
}

const watchDelay = Effect.map(Effect.context<never>(), (context) => {
  const delays = monitorEventLoopDelay({ resolution: resolutionMs })
  delays.enable()
  const longest = new RecentMaximum()
  // It measures the time between two looks, so the time that it meant to wait is in each.
  const late = (nanoseconds: number) =>
    Number.isFinite(nanoseconds) ? Math.max(0, nanoseconds / 1e9 - resolutionMs / 1_000) : 0
  const sample = (): void => {
    delayMean.updateUnsafe(late(delays.mean), context)
    delayP99.updateUnsafe(late(delays.percentile(99)), context)
    delayMax.updateUnsafe(longest.add(late(delays.max)), context)
    delays.reset()
  }
  return { sample, stop: () => delays.disable() }
})

const watchCollections = Effect.map(Effect.context<never>(), (context) => {
  const byKind = new Map([...kinds].map(([kind, name]) => [kind, collections(name)]))
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries() as unknown as ReadonlyArray<GcEntry>) {
      byKind.get(entry.detail.kind)?.updateUnsafe(entry.duration / 1_000, context)
    }
  })
  observer.observe({ entryTypes: ["gc"] })
  return () => observer.disconnect()
})

const processSample = Effect.map(Effect.context<never>(), (context) => {
  const cpuOf = (mode: "user" | "system") => {
    const counter = cpu(mode)
    return growing((by) => counter.updateUnsafe(by, context))
  }
  const user = cpuOf("user")
  const system = cpuOf("system")
  const loop = growing((by) => active.updateUnsafe(by, context))
  return (): void => {
    const used = process.cpuUsage()
    user(used.user / 1e6)
    system(used.system / 1e6)
    loop(performance.eventLoopUtilization().active / 1_000)
    const { externalBytes, heapBytes, residentBytes } = memory()
    resident.updateUnsafe(residentBytes, context)
    heap.updateUnsafe(heapBytes, context)
    external.updateUnsafe(externalBytes, context)
  }
})

/** Measures the process while the scope lives. */
export const layer: Layer.Layer<never> = Layer.effectDiscard(
  Effect.gen(function*() {
    yield* Metric.update(build, 1)
    yield* Metric.update(started, performance.timeOrigin / 1_000)
    yield* Metric.update(heapLimit, memory().heapLimitBytes)
    const sample = yield* processSample
    const delays = yield* Effect.acquireRelease(watchDelay, ({ stop }) => Effect.sync(stop))
    yield* Effect.acquireRelease(watchCollections, (stop) => Effect.sync(stop))
    sample()
    yield* lookEvery(sampleMs, () => {
      sample()
      delays.sample()
    })
  })
)
