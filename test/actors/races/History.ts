/**
 * What the store's history says of locks, replies and requests, revision by revision, and whether that is as it must be:
 *
 * - A lock is taken by one process at a time, and never put over another.
 * - A reply is committed by the process that has the lock of the request's shard at that revision.
 * - A request has one exit, until that exit is cleared; and only the exit that was meant is cleared.
 * - The state that is committed with an exit is committed once for each exit.
 */
import { ClusterKeys } from "../../../src/actors/cluster/ClusterKeys.ts"
import type { WatchEvent } from "../../../src/client/WatchNotice.ts"
import type { Trace } from "../../simulation/engine/Engine.ts"
import type { Hits, ProbeTable } from "../../simulation/engine/Probes.ts"
import type { Way } from "./Way.ts"

export const cluster = "races"
export const statePrefix = "state/"

/** Of a thousand seeds, in how many each happens at least. */
export const probes = {
  "a lock was taken": 500,
  "an exit was committed": 500,
  "a chunk was committed": 500,
  "an exit was cleared": 500,
  "a state was committed with its exit": 500
} as const satisfies ProbeTable<string>

export type Probe = keyof typeof probes

const idDigits = 20
const beginning = (key: string): string => key.slice(0, -idDigits)

export class History {
  readonly problems: Array<string> = []
  /** Requests that have, or had, a reply. */
  readonly replied = new Set<string>()
  /** Where requests were put, by id. */
  readonly places = new Map<string, number>()
  private readonly authors: ReadonlyMap<number, Way>
  private readonly shards: ReadonlyMap<string, string>
  private readonly keys = new ClusterKeys({ cluster })
  private readonly owners = new Map<string, string>()
  private readonly exits = new Map<string, string>()
  /** Whether any exit was cleared. */
  private cleared = false
  private readonly probes: Hits<Probe>
  /** Takes a line for each revision. */
  private readonly trace: Trace

  constructor(
    authors: ReadonlyMap<number, Way>,
    shards: ReadonlyMap<string, string>,
    probes: Hits<Probe>,
    trace: Trace
  ) {
    this.authors = authors
    this.shards = shards
    this.probes = probes
    this.trace = trace
  }

  exitOf(id: string): string | undefined {
    return this.exits.get(id)
  }

  saw(revision: number, events: ReadonlyArray<WatchEvent>): void {
    const author = this.authors.get(revision)
    const by = author?.name ?? "the store"
    this.trace?.(`${revision} ${by}: ${events.map(({ _tag, keyText }) => `${_tag} ${keyText}`).join(", ")}`)
    const states = events.filter(({ _tag, keyText }) => _tag === "Put" && keyText.startsWith(statePrefix)).length
    let exits = 0
    for (const event of events) {
      const { keyText } = event
      const [lock, chunk, { requests }] = [this.keys.lock(""), beginning(this.keys.hasChunks("0")), this.keys]
      if (keyText.startsWith(lock)) this.lock(revision, by, event)
      else if (keyText.startsWith(requests)) {
        const id = this.keys.requestOf(keyText)
        if (event._tag === "Put" && event.entry.version === 1) this.places.set(id, revision)
        const hasExit = event._tag === "Put" && "reply" in (JSON.parse(event.entry.text) as object)
        if (hasExit) exits += 1
        if (hasExit || this.exits.has(id)) this.exit(revision, by, author, id, hasExit)
      } else if (keyText.startsWith(chunk) && keyText.length > chunk.length + idDigits) {
        this.probes.hit("a chunk was committed")
        const id = this.keys.requestOf(requests + keyText.slice(chunk.length, chunk.length + idDigits))
        this.reply(revision, by, id, "a chunk")
      }
    }
    if (states > 0) this.probes.hit("a state was committed with its exit")
    if (states > exits) this.problem(revision, `${by} committed a state without its exit`)
    for (const event of events) {
      if (event._tag === "Put" && event.keyText.startsWith(statePrefix) && event.entry.version > 1) {
        // Only a request whose exit was cleared runs again.
        if (!this.cleared) this.problem(revision, `${by} committed ${event.keyText} again`)
      }
    }
  }

  private lock(revision: number, by: string, event: WatchEvent): void {
    const { keyText } = event
    if (event._tag === "Delete") {
      this.owners.delete(keyText)
      return
    }
    this.probes.hit("a lock was taken")
    const before = this.owners.get(keyText)
    if (before !== undefined) this.problem(revision, `${by} took ${keyText}, which ${before} held`)
    this.owners.set(keyText, by)
  }

  private reply(revision: number, by: string, id: string, what: string): void {
    this.replied.add(id)
    const shard = this.shards.get(id)
    const owner = shard === undefined ? undefined : this.owners.get(this.keys.lock(shard))
    if (owner !== by) {
      this.problem(revision, `${by} committed ${what} of request ${id}, and ${owner ?? "nobody"} held ${shard}`)
    }
  }

  private exit(revision: number, by: string, author: Way | undefined, id: string, hasExit: boolean): void {
    const before = this.exits.get(id)
    if (!hasExit) {
      this.probes.hit("an exit was cleared")
      this.cleared = true
      this.exits.delete(id)
      const meant = author?.clearing.get(id)
      if (meant !== before) this.problem(revision, `${by} cleared exit ${before} of request ${id}, and meant ${meant}`)
      return
    }
    this.probes.hit("an exit was committed")
    this.reply(revision, by, id, "the exit")
    const reply = author?.replying.get(id) ?? ""
    if (before !== undefined) this.problem(revision, `${by} put exit ${reply} of request ${id} over ${before}`)
    this.exits.set(id, reply)
  }

  private problem(revision: number, line: string): void {
    this.problems.push(`revision ${revision}: ${line}`)
  }
}
