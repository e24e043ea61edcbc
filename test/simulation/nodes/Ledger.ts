/**
 * What the cluster should be: the plain model of the key-value store, fed with the committed entries in their order,
 * and everything that was ever true of it. Answers of nodes, reads, watches and states are held against it.
 */
import { decodeIdentityEntry } from "../../../src/protocol/ClusterIdentity.ts"
import { baselineLevel, decodeLevelEntry } from "../../../src/protocol/FeatureLevel.ts"
import { decodeCommand } from "../../../src/kv/model/Command.ts"
import type { Command, DecodedCommand } from "../../../src/kv/model/Command.ts"
import type { KeyRange } from "../../../src/bytes/KeyRange.ts"
import { contains } from "../../../src/bytes/KeyRange.ts"
import type { KeyRecord } from "../../../src/kv/model/KeyRecord.ts"
import type { Problem } from "../../../src/kv/model/Limits.ts"
import { maxWholeReplyBytes } from "../../../src/kv/model/Limits.ts"
import type { Reply } from "../../../src/kv/model/Reply.ts"
import { decodeReply } from "../../../src/kv/model/ReplyCodec.ts"
import type { Entry } from "../../../src/raft/Types.ts"
import { Model } from "../../kv/Model.ts"
import { words } from "../../kv/ReplyWords.ts"
import { demand } from "../engine/Oracle.ts"
import { AccessModel } from "./AccessModel.ts"
import { levelOfCommand } from "./Releases.ts"

export const latin = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1")

const isOwn = (payload: Uint8Array): boolean =>
  decodeIdentityEntry(payload) !== undefined || decodeLevelEntry(payload) !== undefined

/** A key's record from one revision on. */
interface Version {
  readonly revision: number
  readonly record: KeyRecord | undefined
}

interface Settled {
  /** The bytes that the first node answered it with. */
  reply: string | undefined
  /** What the model answers, in words. */
  readonly expected: string
  /** The entry that carried the command out before, of which the session keeps the reply. */
  readonly first: number | undefined
  /** The revision of the store after the entry. */
  readonly revision: number
}

/** What happened by an entry, for those who keep books besides. */
export interface Consequence {
  readonly index: number
  readonly entry: Entry
  readonly decoded: DecodedCommand | undefined
  readonly payload: string
  /** Leases that time ended. */
  readonly expiredLeases: ReadonlyArray<{ readonly lease: number; readonly ttlMs: number }>
  readonly endedSessions: number
}

export class Ledger {
  readonly model = new Model()
  /** Who may do what. */
  readonly access = new AccessModel()
  /** By index. */
  private readonly settled: Array<Settled | undefined> = [undefined]
  private readonly versions = new Map<string, Array<Version>>()
  /** By revision: `key=value` or `key gone`. */
  readonly changes: Array<ReadonlyArray<string>> = [[]]
  /** The entry that made a revision. */
  private readonly revisionIndex: Array<number> = [0]
  /** The entry that carried a command of a session out, by its number. */
  private readonly firsts = new Map<string, number>()
  private readonly digests = new Map<number, number>()

  /** The feature level of the cluster, from which entry on. */
  private readonly levels: Array<readonly [index: number, level: number]> = [[0, baselineLevel]]

  get lastIndex(): number {
    return this.settled.length - 1
  }

  get revision(): number {
    return this.changes.length - 1
  }

  at(index: number): Settled | undefined {
    return this.settled[index]
  }

  indexOf(revision: number): number {
    return this.revisionIndex[revision] ?? 0
  }

  /** The feature level of the cluster behind an entry. */
  levelAt(index: number): number {
    return this.levels.findLast(([from]) => from <= index)?.[1] ?? baselineLevel
  }

  /** An entry raises the level, or is a command, which has had to wait for its own. */
  private levelled({ index, payload }: Entry, command: Command | undefined): void {
    const level = this.levelAt(index)
    const raised = decodeLevelEntry(payload)?.level ?? level
    if (raised > level) this.levels.push([index, raised])
    const needed = command === undefined ? level : levelOfCommand(command)
    demand(
      needed <= level,
      "a command waits for its level",
      () => `entry ${index} needs feature level ${needed}, and the cluster has level ${level}`
    )
  }

  /** A node is about to apply an entry. The first one to do so moves the model on. */
  commits(node: number, entry: Entry): Consequence | undefined {
    const { index } = entry
    if (this.settled[index] !== undefined) return undefined
    demand(index === this.settled.length, "state machine safety", () => `n${node} applies ${index} out of turn`)
    const payload = latin(entry.payload)
    // The identity of the cluster and its level concern no state machine.
    const decoded = entry.kind === "noop" || isOwn(entry.payload)
      ? undefined
      : decodeCommand(entry.payload)
    if (decoded?._tag === "Problem") throw new Error(`entry ${index}: ${decoded.field} ${decoded.problem}`)
    this.levelled(entry, decoded?.command)
    const { model } = this
    let expected = ""
    let expiredLeases: Consequence["expiredLeases"] = []
    let endedSessions = 0
    let first: number | undefined
    if (decoded !== undefined) {
      const { command, commandId } = decoded
      const number = `${commandId.session}/${commandId.sequence}`
      if (model.sessions.get(commandId.session)?.replies.has(commandId.sequence) === true) {
        first = this.firsts.get(number)
      }
      const leases = command._tag === "Expire" ? [...model.leases] : []
      const sessions = model.sessions.size
      model.timeMs = Math.max(model.timeMs, entry.timestampMs)
      const ruled = this.access.apply(index, command)
      expected = JSON.stringify(
        ruled ?? model.apply(index, entry.timestampMs, command, commandId.session === 0 ? undefined : commandId)
      )
      if (first === undefined) this.firsts.set(number, index)
      expiredLeases = leases.filter(([id]) => !model.leases.has(id)).map(([lease, { ttlMs }]) => ({ lease, ttlMs }))
      if (command._tag === "Expire") endedSessions = sessions - model.sessions.size
    }
    if (model.revision > this.revision) this.remember(index)
    this.settled.push({ reply: undefined, expected, first, revision: this.revision })
    return { index, entry, decoded, payload, expiredLeases, endedSessions }
  }

  /** A node has applied an entry and answers it. */
  answered(node: number, { index }: Entry, bytes: Uint8Array): void {
    const settled = this.settled[index]
    if (settled === undefined) throw new Error(`entry ${index} is answered, but no node applied it`)
    const text = latin(bytes)
    if (settled.reply !== undefined) {
      demand(settled.reply === text, "state machine safety", () => `n${node} answers entry ${index} differently`)
      return
    }
    settled.reply = text
    const { first } = settled
    // The first one may have no answer: a node may have been killed between its work and the answer.
    const kept = first === undefined ? undefined : this.settled[first]?.reply
    if (kept !== undefined) {
      const whole = kept.length <= maxWholeReplyBytes
      demand(
        whole ? text === kept : isDigestOf(decodeReply(bytes), decodeReply(Buffer.from(kept, "latin1")), kept.length),
        "a repeated command has its answer",
        () => `n${node} answers entry ${index} otherwise than entry ${first}, whose answer has ${kept.length} bytes`
      )
      if (!whole) return
    }
    if (settled.expected === "") return
    const reply = decodeReply(bytes)
    if (reply._tag === "Problem") throw new Error(`the reply to entry ${index}: ${reply.problem}`)
    const said = JSON.stringify(words(reply))
    demand(
      said === settled.expected && reply.revision <= settled.revision,
      "the answer is the model's",
      () => `n${node} answers entry ${index} with ${said} at ${reply.revision}, the model with ${settled.expected}`
    )
  }

  /** What the entry at `index` changed: one revision, or several when it ended several leases. */
  private remember(index: number): void {
    const { model } = this
    for (let revision = this.revision + 1; revision <= model.revision; revision++) {
      const changes = model.history.get(revision) ?? []
      this.changes.push(changes)
      this.revisionIndex.push(index)
      for (const change of changes) {
        const key = keyOf(change)
        const record = model.keys.get(key)
        const versions = this.versions.get(key) ?? []
        this.versions.set(key, versions)
        const version: Version = {
          revision,
          record: record === undefined ? undefined : { ...record, value: Buffer.from(record.value, "latin1") }
        }
        if (versions[versions.length - 1]?.revision === revision) versions.pop()
        versions.push(version)
      }
    }
  }

  /** The record of a key as of a revision. */
  recordAt(key: string, revision: number): KeyRecord | undefined {
    const versions = this.versions.get(key) ?? []
    for (let at = versions.length - 1; at >= 0; at--) {
      const version = versions[at] as Version
      if (version.revision <= revision) return version.record
    }
    return undefined
  }

  /** Keys and values of a range as of a revision, in order. */
  rowsAt(range: KeyRange, revision: number): ReadonlyArray<readonly [key: string, record: KeyRecord]> {
    const rows: Array<readonly [string, KeyRecord]> = []
    for (const key of this.versions.keys()) {
      if (!contains(range, Buffer.from(key, "latin1"))) continue
      const record = this.recordAt(key, revision)
      if (record !== undefined) rows.push([key, record])
    }
    return rows.sort(([a], [b]) => a < b ? -1 : 1)
  }

  /** All nodes that have applied the same entries have the same rows. */
  completes(node: number, index: number, digest: number): void {
    const known = this.digests.get(index)
    if (known === undefined) this.digests.set(index, digest)
    else demand(known === digest, "state machine safety", () => `n${node} has other rows than others after ${index}`)
  }
}

/** Whether a reply says of a transaction what is left of an answer that was too large to be kept. */
const isDigestOf = (reply: Reply | Problem, whole: Reply | Problem, wholeBytes: number): boolean =>
  reply._tag === "DigestReply" && whole._tag === "TransactionReply" && reply.revision === whole.revision &&
  reply.succeeded === whole.succeeded && reply.results === whole.results.length && reply.bytes === wholeBytes

export const isDelete = (change: string): boolean => change.endsWith(" gone") && !change.includes("=")

export const keyOf = (change: string): string =>
  isDelete(change) ? change.slice(0, -5) : change.slice(0, change.indexOf("="))

export const sameRecord = (a: KeyRecord | undefined, b: KeyRecord | undefined): boolean =>
  a === undefined || b === undefined
    ? a === b
    : a.createRevision === b.createRevision && a.modRevision === b.modRevision && a.version === b.version &&
      a.lease === b.lease && latin(a.value) === latin(b.value)
