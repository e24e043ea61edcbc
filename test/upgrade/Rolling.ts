/** A cluster is given another release, one node after the other, while clients write. */
import { Effect, Option } from "effect"
import type { Layer } from "effect"
import { Backups, layer as backupsLayer } from "../../src/client/Backups.ts"
import { ClusterAdmin } from "../../src/client/ClusterAdmin.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import type { ClientServices } from "../../src/client/RemoteClient.ts"
import { launcher } from "../cluster/Flaredb.ts"
import type { Cluster, ClusterNode } from "../cluster/Cluster.ts"

/** What Node runs for a node of this build, and of the release after it. */
export const thisBuild: ReadonlyArray<string> = [launcher, "start"]
export const nextRelease: ReadonlyArray<string> = [
  "--import",
  "./test/upgrade/next-release.ts",
  "src/cli/flaredb.ts",
  "start"
]

/** Of so many writers one writes values that lie in files of their own: `BlobFiles.ts` says from which size on. */
const writersOfLarge = 4
const largeCharacters = 4_096

/** Writers that go on whatever happens, and know how long each write took. */
export class MeasuredLoad {
  readonly acknowledged: Array<string> = []
  readonly failures: Array<string> = []
  private tookMs: Array<number> = []
  private beganMs = performance.now()
  private lastMs = performance.now()
  private longestMs = 0
  private longestFromMs = 0
  private readonly prefix: string

  constructor(prefix: string) {
    this.prefix = prefix
  }

  /**
   * `count` writers with one client, each of which writes one key after the other until it is interrupted, and does `between`
   * between two of them.
   */
  readonly writers = (
    name: string,
    count: number,
    between: Effect.Effect<void> = Effect.void
  ): Effect.Effect<never, never, KeyValue> =>
    Effect.flatMap(
      KeyValue,
      (kv) =>
        Effect.forEach(
          Array.from({ length: count }, (_, i) => i),
          (i) => this.writer(kv, `${this.prefix}${name}-${i}`, i % writersOfLarge === 0 ? largeCharacters : 0, between),
          {
            concurrency: "unbounded",
            discard: true
          }
        )
    ) as Effect.Effect<never, never, KeyValue>

  private readonly writer = Effect.fnUntraced({ self: this }, function*(
    this: MeasuredLoad,
    kv: KeyValue["Service"],
    name: string,
    characters: number,
    between: Effect.Effect<void>
  ) {
    for (let n = 1;; n++) {
      const key = `${name}/${n}`
      const begin = performance.now()
      // A write that began has its outcome before the writer goes.
      yield* Effect.uninterruptible(Effect.matchEffect(kv.put(key, key.padEnd(characters)), {
        onSuccess: () => Effect.sync(() => this.done(key, begin)),
        onFailure: (error) => Effect.sync(() => void this.failures.push(`${key}: ${error.message}`))
      }))
      yield* between
    }
  })

  private done(key: string, beginMs: number): void {
    const nowMs = performance.now()
    this.acknowledged.push(key)
    this.tookMs.push(nowMs - beginMs)
    this.noticePause(nowMs)
    this.lastMs = nowMs
  }

  private noticePause(nowMs: number): void {
    if (nowMs - this.lastMs <= this.longestMs) return
    this.longestMs = nowMs - this.lastMs
    this.longestFromMs = this.lastMs
  }

  /** Figures since the last call. The pause is the longest time without any acknowledgement. */
  take(): Figures {
    const nowMs = performance.now()
    this.noticePause(nowMs)
    const sorted = this.tookMs.toSorted((a, b) => a - b)
    const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
    const figures = {
      writes: sorted.length,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      slowestMs: at(1),
      pauseMs: this.longestMs,
      pauseFromMs: this.longestFromMs - this.beganMs
    }
    this.tookMs = []
    this.longestMs = 0
    this.longestFromMs = nowMs
    this.beganMs = nowMs
    this.lastMs = nowMs
    return figures
  }
}

export interface Figures {
  readonly writes: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly slowestMs: number
  readonly pauseMs: number
  /** When that began, counted from the last call. */
  readonly pauseFromMs: number
}

/** Waits until every node votes, and has applied what was committed before. */
const caughtUp = Effect.fnUntraced(function*(cluster: Cluster) {
  const reports = yield* cluster.until((all) => all.length === 3 && all.some(({ role }) => role === "leader"))
  const goal = Math.max(...reports.map(({ commit }) => commit))
  yield* cluster.until((all) =>
    all.length === 3 && all.every(({ applied, membership }) => applied >= goal && membership === "voter")
  )
})

/** One node with another program, as docs/upgrades.md says: a leader hands over before it is stopped. */
export const replace = Effect.fnUntraced(function*(
  cluster: Cluster,
  node: ClusterNode,
  program: ReadonlyArray<string>
) {
  if ((yield* cluster.leader) === node) {
    yield* Effect.ignore(Effect.flatMap(ClusterAdmin, (admin) => admin.transferLeader()))
  }
  yield* node.stop("SIGTERM")
  node.program = program
  yield* node.start
  yield* caughtUp(cluster)
})

/** All nodes with another program, the leader last. */
export const roll = Effect.fnUntraced(function*(cluster: Cluster, program: ReadonlyArray<string>) {
  const last = yield* cluster.leader
  for (const node of [...cluster.nodes.filter((one) => one !== last), last]) yield* replace(cluster, node, program)
})

/** Waits until the cluster has a feature level at every node. */
export const untilLevel = (cluster: Cluster, level: number) =>
  cluster.until((all) => all.length === 3 && all.every(({ versions }) => versions?.level === level))

/** Keys that were acknowledged and are not there, or were written more than once. */
export const lost = (load: MeasuredLoad) =>
  Effect.flatMap(KeyValue, (kv) =>
    Effect.map(
      Effect.forEach(
        load.acknowledged,
        (key) => Effect.map(kv.get(key), (entry) => Option.isSome(entry) && entry.value.version === 1 ? [] : [key]),
        {
          concurrency: 256
        }
      ),
      (missing) => missing.flat()
    ))

/** Whether all nodes have the same state at the same moment. */
export const sameHashes = (cluster: Cluster) =>
  Effect.gen(function*() {
    const hashes = yield* (yield* Backups).hashes()
    return hashes.length === 3 && hashes.every(({ hash }) => hash !== undefined) &&
      new Set(hashes.map(({ hash }) => hash?.digest)).size === 1
  }).pipe(Effect.provide(backupsLayer({ endpoints: cluster.endpoints })))

export type Client = Layer.Layer<ClientServices, unknown>
