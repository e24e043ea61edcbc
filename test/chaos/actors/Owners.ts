/**
 * Who held each shard when an effect was committed, as the store's history has it. One watch tells of locks and effects in
 * the order of their revisions, so nothing that runners believe is asked.
 */
import type { WatchEvent } from "../../../src/client/index.ts"
import type { EffectRow } from "./Tally.ts"
import { effectsPrefix } from "./Tally.ts"

/** Problems kept; more are counted. */
const maxProblems = 20

export class Owners {
  /** What each lock says, by its shard's key. */
  private readonly locks = new Map<string, string>()
  /** The process that committed under a holder's text first. A text is of one process for good. */
  private readonly processOf = new Map<string, string>()
  private readonly lockKey: (shard: string) => string
  readonly problems: Array<string> = []
  /** Commits by a process that did not hold the shard. */
  deposed = 0
  /** Effects seen. */
  effects = 0
  /** Effects that were put more than once. */
  repeated = 0
  /** How often a lock was taken, by what the lock says. */
  private readonly takes = new Map<string, number>()

  constructor(lockKey: (shard: string) => string) {
    this.lockKey = lockKey
  }

  /** One revision's events. */
  saw(revision: number, events: ReadonlyArray<WatchEvent>): void {
    for (const event of events) {
      if (!event.keyText.startsWith(effectsPrefix) || event._tag === "Delete") continue
      this.effect(revision, event.keyText, event.entry.version, JSON.parse(event.entry.text) as EffectRow)
    }
    for (const event of events) {
      if (event.keyText.startsWith(effectsPrefix)) continue
      if (event._tag === "Delete") this.locks.delete(event.keyText)
      else {
        const holder = event.entry.text
        this.locks.set(event.keyText, holder)
        this.takes.set(holder, (this.takes.get(holder) ?? 0) + 1)
      }
    }
  }

  /** How often a lock was taken, by whoever is at an address if one is named. */
  taken(address = ""): number {
    return [...this.takes].reduce((sum, [holder, times]) => holder.includes(address) ? sum + times : sum, 0)
  }

  private effect(revision: number, key: string, version: number, { by, shard }: EffectRow): void {
    this.effects += 1
    if (version > 1) {
      this.repeated += 1
      this.problem(`${key} took effect ${version} times; the last was committed by ${by} at revision ${revision}`)
    }
    const holder = this.locks.get(this.lockKey(shard))
    if (holder === undefined) {
      return this.depose(`${by} committed ${key} at revision ${revision}, and nobody held ${shard}`)
    }
    const process = this.processOf.get(holder) ?? by
    this.processOf.set(holder, process)
    if (process !== by) this.depose(`${by} committed ${key} at revision ${revision}, and ${process} held ${shard}`)
  }

  private depose(line: string): void {
    this.deposed += 1
    this.problem(line)
  }

  private problem(line: string): void {
    if (this.problems.length < maxProblems) this.problems.push(line)
  }
}
