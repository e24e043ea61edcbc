/**
 * The descriptors that this process may have open: files and connections share them. A store that gets none any more
 * cannot begin a log file, and the node ends. So connections together get what the store and the process leave,
 * whatever their limits say.
 */
import { Duration, Effect, Layer, Metric, Option, Schedule } from "effect"
import { readdir, readFile } from "node:fs/promises"
import { warnShare } from "../BoundedTables.ts"
import type { Limits } from "../config/Limits.ts"
import type { FlareDbConfig } from "../config/FlareDbConfig.ts"
import { clientPortConnections, httpProbeConnections } from "../config/Limits.ts"
import { InvalidConfig } from "../config/ConfigProblem.ts"

/**
 * For the runtime, the ports, links to peers, logs and backups. A node that does nothing has 34 open, the store's with
 * them.
 */
const processDescriptors = 64

/** For the store: enough for its logs and the tables that a compaction reads. */
const minStoreDescriptors = 64

/** Beyond this many the store has no use for more, at the sizes that FlareDB is for. */
const maxStoreDescriptors = 1_024

/** Of the store, for what is no table or blob file: write-ahead logs, manifest, lock, info log, durable floor. */
const otherStoreDescriptors = 32

/** Tables and blob files that the store keeps open where there are descriptors enough. */
const mostOpenTables = maxStoreDescriptors - otherStoreDescriptors

/** The least that each port needs to work with three nodes and a few clients. */
const minPeerConnections = 16
const minHttpConnections = 8
const minClientConnections = 16

/** Descriptors below which a node does not start. */
export const minDescriptors = processDescriptors + minStoreDescriptors + minPeerConnections + minHttpConnections +
  httpProbeConnections + clientPortConnections(minClientConnections)

/** How often open descriptors are counted, in milliseconds. */
const countMs = 5_000

/** What connections and the store may have. */
export interface Shares {
  readonly limits: Limits
  /** Tables and blob files that the store keeps open. */
  readonly maxOpenTables: number
}

type ConnectionLimits = Pick<Limits, "maxClientConnections" | "maxHttpConnections" | "maxPeerConnections">

const connections = ({ maxClientConnections, maxHttpConnections, maxPeerConnections }: ConnectionLimits): number =>
  clientPortConnections(maxClientConnections) + maxHttpConnections + httpProbeConnections + maxPeerConnections

/** Descriptors from which on no limit is lowered and the store opens all the tables that it has a use for. */
export const wantedDescriptors = (limits: ConnectionLimits): number =>
  processDescriptors + connections(limits) + maxStoreDescriptors

/** The largest limit on clients whose port takes no more than `count` connections. */
const clientsWithin = (count: number): number => {
  let clients = count
  while (clientPortConnections(clients) > count) clients--
  return clients
}

/**
 * Divides `available` descriptors, at least {@link minDescriptors}: the limits are as configured, or less where they do
 * not fit.
 */
export const share = (limits: Limits, available: number): Shares => {
  const forAll = available - processDescriptors
  if (available >= wantedDescriptors(limits)) return { limits, maxOpenTables: mostOpenTables }
  const store = Math.min(maxStoreDescriptors, Math.max(minStoreDescriptors, Math.floor(forAll / 4)))
  const maxOpenTables = store - otherStoreDescriptors
  const left = forAll - store
  if (connections(limits) <= left) return { limits, maxOpenTables }
  const eighth = Math.floor(left / 8)
  const maxPeerConnections = Math.min(limits.maxPeerConnections, Math.max(minPeerConnections, eighth))
  const maxHttpConnections = Math.min(limits.maxHttpConnections, Math.max(minHttpConnections, eighth))
  const maxClientConnections = Math.min(
    limits.maxClientConnections,
    clientsWithin(left - maxPeerConnections - maxHttpConnections - httpProbeConnections)
  )
  return { limits: { ...limits, maxPeerConnections, maxHttpConnections, maxClientConnections }, maxOpenTables }
}

/** The limit in the text of `/proc/self/limits`, in descriptors. */
export const limitOf = (text: string): number | undefined => {
  const [, soft] = /^Max open files\s+(\d+)/m.exec(text) ?? []
  return soft === undefined ? undefined : Number(soft)
}

/**
 * How many descriptors this process may have open; none where the system does not say. Node has raised the soft limit
 * to the hard one when it started.
 */
const limit: Effect.Effect<Option.Option<number>> = Effect.promise(async () => {
  const text = await readFile("/proc/self/limits", "utf8").catch(() => undefined)
  if (text !== undefined) return Option.fromUndefinedOr(limitOf(text))
  // Without /proc only Node's own report tells; it takes some milliseconds, and seconds with the names of all
  // connections.
  const report = process.report as NodeJS.ProcessReport & { excludeNetwork?: boolean }
  const { excludeNetwork } = report
  report.excludeNetwork = true
  const { userLimits } = report.getReport() as {
    readonly userLimits?: { readonly open_files?: { readonly soft?: number | string } }
  }
  report.excludeNetwork = excludeNetwork === true
  const soft = Number(userLimits?.open_files?.soft)
  return Number.isSafeInteger(soft) ? Option.some(soft) : Option.none()
})

/**
 * The configuration with limits that fit into the descriptors of this process, and what the store gets. A limit that
 * is lowered is logged as a warning with all numbers; it fails when not even the least fits.
 */
export const fit = Effect.fnUntraced(function*(config: FlareDbConfig): Effect.fn.Return<
  { readonly config: FlareDbConfig; readonly maxOpenTables: number | undefined },
  InvalidConfig
> {
  const found = yield* limit
  if (Option.isNone(found)) return { config, maxOpenTables: undefined }
  const available = found.value
  const raise = "raise the limit (ulimit -n, LimitNOFILE)"
  if (available < minDescriptors) {
    const problem =
      `this process may have ${available} files and connections open, and a node needs ${minDescriptors}; ${raise}`
    return yield* new InvalidConfig({ problems: [{ field: "limits", problem }] })
  }
  const { limits, maxOpenTables } = share(config.limits, available)
  if (limits !== config.limits) {
    const { maxClientConnections: clients, maxHttpConnections: http, maxPeerConnections: peers } = config.limits
    yield* Effect.logWarning(
      `this process may have ${available} files and connections open: maxClientConnections is ` +
        `${limits.maxClientConnections} instead of ${clients}, maxPeerConnections ${limits.maxPeerConnections} ` +
        `instead of ${peers}, maxHttpConnections ${limits.maxHttpConnections} instead of ${http}; ${raise}`
    )
  }
  return { config: { ...config, limits }, maxOpenTables }
})

/** Close to the limit, new connections are what has to go: raise it, or find out who holds them. */
const openDescriptors = Metric.gauge("flaredb_process_open_descriptors", {
  description: "files and connections that the process has open, counted every five seconds"
})

/** What the gauge above must not reach. */
const maxDescriptors = Metric.gauge("flaredb_process_max_descriptors", {
  description: "files and connections that the process may have open"
})

/** Counts open descriptors while the scope lives, and warns of it each time they pass four fifths of the limit. */
export const layerMetrics: Layer.Layer<never> = Layer.effectDiscard(
  Effect.gen(function*() {
    const most = Option.getOrUndefined(yield* limit)
    if (most === undefined) return
    yield* Metric.update(maxDescriptors, most)
    let warned = false
    const count = Effect.gen(function*() {
      // The folder of this reading is one of them.
      const open = (yield* Effect.promise(() => readdir("/dev/fd").catch(() => []))).length - 1
      if (open < 0) return
      yield* Metric.update(openDescriptors, open)
      const near = open >= warnShare * most
      if (near && !warned) {
        yield* Effect.logWarning(`${open} of ${most} descriptors are in use; new connections may soon be refused`)
      }
      warned = near
    })
    yield* Effect.forkScoped(Effect.repeat(count, Schedule.spaced(Duration.millis(countMs))))
  })
)
