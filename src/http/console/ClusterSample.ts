/**
 * What a console shows of the cluster in one sample, from what each node answered. Rates and times are of what happened
 * since the sample before.
 */
import { healthThresholds } from "../../config/HealthThresholds.ts"
import { quantileIn, secondsBuckets } from "../../MetricBuckets.ts"
import type { NodeAnswer, VitalsAnswer } from "../../client/ClusterAdmin.ts"
import type { NodeReport } from "../../protocol/NodeReport.ts"
import { lagOf } from "../../protocol/NodeReport.ts"
import type { Durations, NodeVitals } from "../../protocol/NodeVitals.ts"
import type { Warning } from "./Warning.ts"

/** How long the operations of an interval took, in milliseconds; `null` when there was none. */
export interface Latency {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly count: number
}

/** What a sample has of a node as the node said it; `null` where it did not. */
type Reported = {
  readonly [
    Field in
      | "role"
      | "membership"
      | "term"
      | "leader"
      | "commit"
      | "applied"
      | "firstIndex"
      | "lastIndex"
      | "version"
      | "waiting"
  ]: NodeReport[Field] | null
}

/** One node. What it did not say is `null`. */
export interface NodeSample extends Reported {
  readonly endpoint: string
  readonly nodeId: number | null
  /** Why it is not reached, and since when, by the clock of the node that asks. */
  readonly problem: string | null
  readonly unreachableSinceMs: number | null
  /** Entries that it has yet to apply of what the leader has committed. */
  readonly lag: number | null
  /** Where a whole state is being sent to it: how far that is, from 0 to 1. */
  readonly snapshot: number | null
  readonly commitLatency: Latency | null
  readonly syncLatency: Latency | null
  /** Samples in a row, this one too, in which its syncs took long. */
  readonly slowSyncs: number
  /** How far its machine's clock is ahead of this one's, in milliseconds: 0 within the time that the question took. */
  readonly clockAheadMs: number | null
  readonly vitals: Omit<NodeVitals, "commits" | "syncs" | "roleChanges" | "nowMs"> | null
}

/** A term with its leader, as the first node saw it. */
export interface LeaderChange {
  readonly term: number
  readonly leader: number
  readonly atMs: number
}

export interface ClusterSample {
  readonly atMs: number
  readonly clusterId: string | null
  readonly identity: string | null
  readonly voters: ReadonlyArray<number>
  readonly leader: number | null
  readonly term: number
  /** Commands that were committed in a second; `null` for the first sample. */
  readonly writesPerSecond: number | null
  readonly nodes: ReadonlyArray<NodeSample>
  /** The latest ones, the oldest first. */
  readonly leaderChanges: ReadonlyArray<LeaderChange>
  readonly warnings: ReadonlyArray<Warning>
}

/** What a sample is made from. */
export interface Answers {
  readonly atMs: number
  /** How long the question for the figures took. */
  readonly tookMs: number
  readonly status: ReadonlyArray<NodeAnswer>
  readonly figures: ReadonlyArray<VitalsAnswer>
}

/** What is remembered from one sample to the next. */
export interface Before {
  readonly answers: Answers
  readonly unreachable: ReadonlyMap<string, number>
  /** Ids of nodes by their endpoints. */
  readonly ids: ReadonlyMap<string, number>
  readonly leaderChanges: ReadonlyArray<LeaderChange>
  readonly slowSyncs: ReadonlyMap<string, number>
}

/** Changes of leaders in a sample. */
const maxLeaderChanges = 64

/** A difference of clocks that is shorter than the question took says nothing. */
const clockDifference = (vitals: NodeVitals, { atMs, tookMs }: Answers): number | null => {
  const middle = atMs - tookMs / 2
  const ahead = vitals.nowMs - middle
  return Math.abs(ahead) <= tookMs / 2 + 1 ? 0 : Math.round(ahead)
}

/** How long what happened between two answers took. A process that began again has counted from 0. */
export const latencyBetween = (before: Durations | undefined, now: Durations): Latency | null => {
  if (before === undefined || now.count < before.count) return null
  const buckets = now.buckets.map((count, at) => Math.max(0, count - (before.buckets[at] ?? 0)))
  const [p50, p99] = [0.5, 0.99].map((share) => quantileIn(secondsBuckets, buckets, share))
  if (p50 === undefined || p99 === undefined) return null
  return { count: buckets.reduce((sum, own) => sum + own, 0), p50Ms: p50 * 1_000, p99Ms: p99 * 1_000 }
}

const shareOf = (bytes: number, estimated: number): number => estimated <= 0 ? 0 : Math.min(1, bytes / estimated)

const snapshotOf = (report: NodeReport, leader: NodeReport | undefined): number | null => {
  if (report.receiving !== null) return shareOf(report.receiving.bytes, report.receiving.estimatedBytes)
  const sending = leader?.sending.find(({ peer }) => peer === report.nodeId)
  return sending === undefined ? null : shareOf(sending.bytes, sending.estimatedBytes)
}

/** The report of the leader of the latest term. */
const leaderAmong = (status: ReadonlyArray<NodeAnswer>): NodeReport | undefined => {
  let leader: NodeReport | undefined
  for (const { report } of status) {
    if (report?.role === "leader" && report.term > (leader?.term ?? -1)) leader = report
  }
  return leader
}

const vitalsOf = (figures: ReadonlyArray<VitalsAnswer>, endpoint: string): NodeVitals | undefined =>
  figures.find((one) => one.endpoint === endpoint)?.vitals

/** A node that does not answer says nothing of itself. */
const silent = {
  role: null,
  membership: null,
  term: null,
  leader: null,
  commit: null,
  applied: null,
  lag: null,
  firstIndex: null,
  lastIndex: null,
  version: null,
  waiting: null,
  snapshot: null,
  commitLatency: null,
  syncLatency: null,
  slowSyncs: 0,
  clockAheadMs: null,
  vitals: null
} as const

/** A sample without syncs says nothing of the disk. */
const slowSyncsOf = (latency: Latency | null, before: number): number =>
  latency === null ? before : latency.p99Ms >= healthThresholds.slowSyncMs ? before + 1 : 0

const nodeSample = (
  { endpoint, problem, report }: NodeAnswer,
  answers: Answers,
  before: Before | undefined,
  { ids, leader, sinceMs }: {
    readonly ids: ReadonlyMap<string, number>
    readonly sinceMs: number | undefined
    readonly leader: NodeReport | undefined
  }
): NodeSample => {
  const nodeId = report?.nodeId ?? ids.get(endpoint) ?? null
  const found = { endpoint, nodeId, problem: problem ?? null, unreachableSinceMs: sinceMs ?? null }
  if (report === undefined) return { ...silent, ...found }
  const vitals = vitalsOf(answers.figures, endpoint)
  const earlier = before === undefined ? undefined : vitalsOf(before.answers.figures, endpoint)
  const { commits, nowMs: _, roleChanges: __, syncs, ...shown } = vitals ?? {}
  const syncLatency = syncs === undefined ? null : latencyBetween(earlier?.syncs, syncs)
  const { applied, commit, firstIndex, lastIndex, role, membership, term, version, waiting } = report
  return {
    ...found,
    role,
    membership,
    term,
    leader: report.leader,
    commit,
    applied,
    lag: leader === undefined ? null : lagOf(leader.commit, report),
    firstIndex,
    lastIndex,
    version,
    waiting,
    snapshot: snapshotOf(report, leader),
    commitLatency: commits === undefined ? null : latencyBetween(earlier?.commits, commits),
    syncLatency,
    slowSyncs: slowSyncsOf(syncLatency, before?.slowSyncs.get(endpoint) ?? 0),
    clockAheadMs: vitals === undefined ? null : clockDifference(vitals, answers),
    vitals: vitals === undefined ? null : shown as NodeSample["vitals"]
  }
}

/** Each term once, with the time at which the first node knew its leader. */
const leaderChangesOf = (
  known: ReadonlyArray<LeaderChange>,
  figures: ReadonlyArray<VitalsAnswer>
): ReadonlyArray<LeaderChange> => {
  const terms = new Map(known.map((change) => [change.term, change]))
  for (const { vitals } of figures) {
    for (const { atMs, leader, term } of vitals?.roleChanges ?? []) {
      if (leader === null) continue
      const first = terms.get(term)
      if (first === undefined || atMs < first.atMs) terms.set(term, { term, leader, atMs })
    }
  }
  return [...terms.values()].sort((a, b) => a.term - b.term).slice(-maxLeaderChanges)
}

/** Commands that the cluster committed in a second. */
const writesPerSecond = (answers: Answers, before: Before | undefined): number | null => {
  if (before === undefined) return null
  const highest = ({ status }: Answers) => status.reduce((most, { report }) => Math.max(most, report?.commit ?? 0), 0)
  const seconds = (answers.atMs - before.answers.atMs) / 1_000
  const [now, earlier] = [highest(answers), highest(before.answers)]
  return seconds <= 0 || earlier === 0 ? null : Math.max(0, now - earlier) / seconds
}

/** The sample, all but its warnings, and what the next one is made with. */
export const sampleOf = (
  answers: Answers,
  before: Before | undefined,
  configured: ReadonlyMap<string, number> = new Map()
): { readonly sample: Omit<ClusterSample, "warnings">; readonly next: Before } => {
  const { atMs, figures, status } = answers
  const unreachable = new Map<string, number>()
  const ids = new Map(before?.ids ?? configured)
  for (const { endpoint, report } of status) {
    if (report === undefined) unreachable.set(endpoint, before?.unreachable.get(endpoint) ?? atMs)
    else ids.set(endpoint, report.nodeId)
  }
  const leader = leaderAmong(status)
  const leaderChanges = leaderChangesOf(before?.leaderChanges ?? [], figures)
  const reporter = leader ?? status.find(({ report }) => report !== undefined)?.report
  const nodes = status.map((answer) =>
    nodeSample(answer, answers, before, { ids, sinceMs: unreachable.get(answer.endpoint), leader })
  )
  const slowSyncs = new Map(nodes.map((node) => [node.endpoint, node.slowSyncs]))
  return {
    sample: {
      atMs,
      clusterId: reporter?.clusterId ?? null,
      identity: reporter?.identity ?? null,
      voters: reporter?.voters ?? [],
      leader: leader?.nodeId ?? null,
      term: status.reduce((most, { report }) => Math.max(most, report?.term ?? 0), 0),
      writesPerSecond: writesPerSecond(answers, before),
      nodes,
      leaderChanges
    },
    next: { answers, unreachable, ids, leaderChanges, slowSyncs }
  }
}
