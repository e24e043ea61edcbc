/** A cluster with certificates, a client that writes, and strangers at every port meanwhile; and the verdict. */
import { Effect, Fiber } from "effect"
import { readdirSync } from "node:fs"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import * as FlareDb from "../../../src/FlareDb.ts"
import { linesPerWindow, windowMs } from "../../../src/LogLimiter.ts"
import type { NodeProcess } from "../NodeProcess.ts"
import type { Site } from "./Site.ts"
import { open } from "./Site.ts"
import type { PerKind, StrangersPlan, StrangersReport } from "./Strangers.ts"
import { portKinds, visit } from "./Strangers.ts"

export interface RunOptions extends Omit<StrangersPlan, "ports"> {
  /** Variables of the nodes. */
  readonly settings: Readonly<Record<string, string>>
  /**
   * Talking and silent connections before anything is measured. Nodes that have just started grow: what they run is
   * compiled, and their heap becomes as large as the work needs. What is asked is whether they grow for ever.
   */
  readonly rehearsal: Pick<StrangersPlan, "silent" | "talking"> | undefined
  /** Writes as fast as they go, before that: RocksDB's memory tables and V8's heap fill with any load, and stay so. */
  readonly heatWrites: number
  /** Milliseconds of writing before the strangers come, and after the rest. */
  readonly calmMs: number
  /** Milliseconds from the last stranger's end until memory is looked at again. */
  readonly restMs: number
  readonly note: (line: string) => void
}

export interface Outcome {
  readonly options: RunOptions
  readonly strangers: StrangersReport
  /** Durations of writes that were acknowledged, in milliseconds. */
  readonly latencies: Readonly<Record<"after" | "before" | "during", ReadonlyArray<number>>>
  readonly failedWrites: ReadonlyArray<string>
  /** Of each node, in MiB: when it has just started, before the strangers that count, and afterwards. */
  readonly rssFresh: ReadonlyArray<number>
  readonly rssBefore: ReadonlyArray<number>
  readonly rssAfter: ReadonlyArray<number>
  readonly rssPeak: ReadonlyArray<number>
  /** By port and reason, of all nodes together. */
  readonly refused: ReadonlyMap<string, number>
  /** Most descriptors that any node had open: before, while strangers were there, and afterwards. */
  readonly descriptors: Readonly<Record<"after" | "before" | "during", number>>
  /** Lines that each node's log grew by. */
  readonly logLines: ReadonlyArray<ReadonlyArray<string>>
  /** How long strangers were there, in milliseconds. */
  readonly visitMs: number
  /** Terms before and after. */
  readonly terms: readonly [number, number]
  /** What is to be said of nodes that ended. */
  readonly ended: ReadonlyArray<string>
}

/** One client, some loops, a pause after each write: it is to notice the strangers, not to fill the machine. */
const writerLoops = 4
const writerPauseMs = 2
const writerKeys = 1_000

const heatLoops = 64
const heatValueBytes = 1_024

class Writer {
  readonly latencies = { before: [] as Array<number>, during: [] as Array<number>, after: [] as Array<number> }
  readonly failed: Array<string> = []
  phase: "after" | "before" | "during" | "unmeasured" = "unmeasured"

  /** Writes that are not measured, many at a time. */
  readonly heat = (count: number) =>
    Effect.flatMap(KeyValue, (kv) => {
      const value = new Uint8Array(heatValueBytes).fill(0x78)
      return Effect.forEach(
        Array.from({ length: count }, (_, n) => n),
        (n) => kv.put(`handshakes/${n % writerKeys}`, value),
        { concurrency: heatLoops, discard: true }
      )
    })

  readonly run = Effect.flatMap(KeyValue, (kv) => {
    const value = new Uint8Array(128).fill(0x78)
    const loop = Effect.fnUntraced({ self: this }, function*(this: Writer, number: number) {
      for (let n = number;; n += writerLoops) {
        const { phase } = this
        const beganMs = performance.now()
        const outcome = yield* Effect.result(kv.put(`handshakes/${n % writerKeys}`, value))
        if (outcome._tag === "Failure") this.failed.push(outcome.failure.message)
        // A write counts where it began: one that waited across the border was held up by what was before.
        else if (phase !== "unmeasured") this.latencies[phase].push(performance.now() - beganMs)
        yield* Effect.sleep(writerPauseMs)
      }
    })
    return Effect.forEach(Array.from({ length: writerLoops }, (_, i) => i), loop, {
      concurrency: "unbounded",
      discard: true
    })
  })
}

/** Values of a counter or gauge in the text of `/metrics`, by its labels. */
const metricValues = (page: string, name: string): ReadonlyMap<string, number> =>
  new Map(
    [...page.matchAll(new RegExp(`^${name}\\{(.*)\\} (\\S+)$`, "gm"))].map(([, labels = "", value]) => [
      labels,
      Number(value)
    ])
  )

const label = (labels: string, name: string): string => new RegExp(`${name}="([^"]*)"`).exec(labels)?.[1] ?? "?"

const refusedAt = Effect.fnUntraced(function*(site: Site) {
  const refused = new Map<string, number>()
  for (const node of site.nodes) {
    for (const [labels, value] of metricValues(yield* site.page(node, "/metrics"), "flaredb_tls_refused_total")) {
      const key = `${label(labels, "port")} ${label(labels, "reason")}`
      refused.set(key, (refused.get(key) ?? 0) + value)
    }
  }
  return refused
})

const middle = (values: ReadonlyArray<number>): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

/** The median of some looks at each node's memory, spread over two seconds: collections make it jump. */
const settledMemory = Effect.fnUntraced(function*(site: Site) {
  const looks: Array<ReadonlyArray<number>> = []
  for (let i = 0; i < 10; i++) {
    looks.push(site.rssMiB())
    yield* Effect.sleep(200)
  }
  return site.nodes.map((_, i) => middle(looks.map((look) => look[i] ?? Number.NaN)))
})

const termOf = (site: Site) =>
  Effect.map(
    Effect.forEach(site.nodes, (node) => site.page(node, "/status")),
    (pages) => Math.max(...pages.map((page) => (JSON.parse(page) as { readonly term: number }).term))
  )

/** Descriptors that a node has open. */
const descriptorsOf = (node: NodeProcess): number => readdirSync(`/proc/${node.pid()}/fd`).length

const mostDescriptors = (site: Site): number => Math.max(...site.nodes.map(descriptorsOf))

/** What is looked at while strangers are there. */
class Observer {
  peaks: ReadonlyArray<number> = []
  descriptors = 0

  readonly run = (site: Site) =>
    Effect.forever(
      Effect.gen({ self: this }, function*(this: Observer) {
        this.peaks = site.rssMiB().map((now, i) => Math.max(now, this.peaks[i] ?? 0))
        this.descriptors = Math.max(this.descriptors, mostDescriptors(site))
        yield* Effect.sleep(500)
      })
    )
}

/** Runs it to its end; the verdict is {@link judge}'s. */
export const run = (options: RunOptions) =>
  Effect.scoped(Effect.gen(function*() {
    const { calmMs, heatWrites, note, restMs, settings } = options
    const site = yield* open(settings)
    const endpoints = site.nodes.map(({ address }) => ({ host: address.host, port: address.clientPort }))
    const writer = new Writer()
    const client = FlareDb.layerClient({ endpoints, tls: site.tls, requestTimeoutMs: 60_000 })
    const rssFresh = site.rssMiB()
    yield* Effect.provide(writer.heat(heatWrites), client)
    note(`${heatWrites} writes are behind`)
    const writing = yield* Effect.forkScoped(Effect.provide(writer.run, client))
    const strangersOf = (plan: Pick<StrangersPlan, "silent" | "talking">) =>
      Effect.tryPromise({
        try: (signal) => visit({ ...options, ...plan, ports: site.ports }, signal),
        catch: (error) => error instanceof Error ? error : new Error(String(error))
      })
    if (options.rehearsal !== undefined) yield* strangersOf(options.rehearsal)
    writer.phase = "before"
    yield* Effect.sleep(calmMs)
    const rssBefore = yield* settledMemory(site)
    const termBefore = yield* termOf(site)
    const refusedBefore = yield* refusedAt(site)
    const descriptorsBefore = mostDescriptors(site)
    const logBefore = site.nodes.map(({ kept }) => kept.end)
    note("strangers come")
    writer.phase = "during"
    const observer = new Observer()
    const observing = yield* Effect.forkScoped(observer.run(site))
    const beganMs = performance.now()
    const strangers = yield* strangersOf(options)
    const visitMs = performance.now() - beganMs
    yield* Fiber.interrupt(observing)
    writer.phase = "unmeasured"
    note(`they are gone after ${(visitMs / 1_000).toFixed(1)} s`)
    yield* Effect.sleep(restMs)
    const rssAfter = yield* settledMemory(site)
    const descriptorsAfter = mostDescriptors(site)
    writer.phase = "after"
    yield* Effect.sleep(calmMs)
    const refused = yield* refusedAt(site)
    const termAfter = yield* termOf(site)
    yield* Fiber.interrupt(writing)
    return {
      options,
      strangers,
      latencies: writer.latencies,
      failedWrites: writer.failed,
      rssFresh,
      rssBefore,
      rssAfter,
      rssPeak: observer.peaks,
      refused: new Map([...refused].map(([key, count]) => [key, count - (refusedBefore.get(key) ?? 0)])),
      descriptors: { before: descriptorsBefore, during: observer.descriptors, after: descriptorsAfter },
      logLines: site.nodes.map(({ kept }, i) => kept.since(logBefore[i] ?? 0)),
      visitMs,
      terms: [termBefore, termAfter],
      ended: site.nodes.flatMap(({ id, surprises }) =>
        surprises.map(({ code, signal }) => `node ${id} ended by itself (${code ?? signal})`)
      )
    } satisfies Outcome
  }))

/** Lines of violations that one kind at one port may have in the log of one node in that time. */
export const mostLines = (ms: number): number => (Math.ceil(ms / windowMs) + 2) * (linesPerWindow + 1)

/** Descriptors that a node may have more afterwards: files of its storage come and go. */
const otherDescriptors = 16

/** Lines that a node may log meanwhile that are no violations. */
const otherLines = 20

/** Lines of the log by the kind of violation that they are about. */
const byKind = (lines: ReadonlyArray<string>): ReadonlyMap<string, number> => {
  const kinds = new Map<string, number>()
  for (const line of lines) {
    const port = /"port":"(\w+)"/.exec(line)?.[1]
    const violation = /"violation":"([\w-]+)"/.exec(line)?.[1]
    const kind = port === undefined || violation === undefined ? "other lines" : `${violation} at the ${port} port`
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
  }
  return kinds
}

const all = (counts: PerKind): number => portKinds.reduce((sum, kind) => sum + counts[kind], 0)

/** What has to hold however fast the machine is, one line for each thing that does not. */
export const judge = (outcome: Outcome): ReadonlyArray<string> => {
  const { ended, failedWrites, logLines, options, refused, strangers, terms, visitMs } = outcome
  const problems: Array<string> = [...ended]
  if (failedWrites.length > 0) problems.push(`${failedWrites.length} writes failed: ${failedWrites[0]}`)
  if (outcome.latencies.during.length === 0) problems.push("nothing was written while strangers were there")
  if (terms[0] !== terms[1]) problems.push(`the term went from ${terms[0]} to ${terms[1]}`)
  if (strangers.unmade > 0) problems.push(`${strangers.unmade} connections could not be made`)
  const wanted = all(options.talking) + all(options.silent)
  const over = all(strangers.talkingEnded) + all(strangers.silentEnded) + strangers.unmade
  if (over !== wanted) problems.push(`of ${wanted} connections ${over} have ended`)
  for (const kind of portKinds) {
    const counted = [...refused].filter(([key]) => key.startsWith(`${kind} `)).reduce((sum, [, n]) => sum + n, 0)
    if (options.talking[kind] > 0 && counted === 0) problems.push(`the ${kind} ports counted no refusal`)
  }
  const { after, before } = outcome.descriptors
  if (after > before + otherDescriptors) problems.push(`a node had ${before} descriptors open, and has ${after} now`)
  const most = mostLines(visitMs + options.restMs + options.calmMs)
  logLines.forEach((lines, i) => {
    for (const [kind, count] of byKind(lines)) {
      const limit = kind === "other lines" ? otherLines : most
      if (count > limit) problems.push(`node ${i + 1} logged ${count} lines of ${kind}, more than ${limit}`)
    }
  })
  return problems
}
