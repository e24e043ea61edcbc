/**
 * Linearizable reads without the log (thesis §6.4): a leader notes its commit index, proves with one round of
 * heartbeats that it still leads, and then serves whatever waited. A read that arrives while a round is out waits for
 * the next one: the round's answers may have been given before the read began.
 */
import type { LogIndex, NodeId } from "./Types.ts"

/** Who asked: a read of this node's own clients (`node` is itself) or one that a follower passed on. */
export interface Reader {
  readonly node: NodeId
  readonly readId: number
  /** It asks how far it has to learn, not to read: `readId` is the id of its request. (`Join.ts`) */
  readonly join?: true
}

interface Round {
  readonly number: number
  /** The commit index when the round began: everything acknowledged before then is at or below it. */
  readonly index: LogIndex
  readonly readers: ReadonlyArray<Reader>
  readonly answered: Set<NodeId>
}

/** A round that a majority confirmed. */
export interface ConfirmedRound {
  readonly index: LogIndex
  readonly readers: ReadonlyArray<Reader>
}

/** The reads at a leader. Lives and dies with one leadership, so a confirmation never crosses terms. */
export class ReadRounds {
  private gathering: Array<Reader> = []
  private round: Round | undefined
  /** The newest round started; heartbeats carry it, so a lost one is repeated by the next. */
  newest = 0

  get waiting(): number {
    return this.gathering.length + (this.round?.readers.length ?? 0)
  }

  add(reader: Reader): void {
    this.gathering.push(reader)
  }

  /** Whether this question waits already. */
  holds(node: NodeId, readId: number): boolean {
    const same = (reader: Reader) => reader.node === node && reader.readId === readId
    return this.gathering.some(same) || this.round?.readers.some(same) === true
  }

  /** Starts the next round if there is something to read and none is out. */
  start(commit: LogIndex): boolean {
    if (this.round !== undefined || this.gathering.length === 0) return false
    this.newest += 1
    this.round = { number: this.newest, index: commit, readers: this.gathering, answered: new Set() }
    this.gathering = []
    return true
  }

  /** Counts an answer to `number` or an earlier round; later rounds answer earlier ones too. */
  answered(node: NodeId, number: number): void {
    if (this.round !== undefined && number >= this.round.number) this.round.answered.add(node)
  }

  /** The round that is out, once this leader and `others` more voters stand behind it. */
  takeConfirmed(others: number): ConfirmedRound | undefined {
    const { round } = this
    if (round === undefined || round.answered.size < others) return undefined
    this.round = undefined
    return round
  }

  /** Gives up everything that waits: the leadership ends. */
  takeAll(): ReadonlyArray<Reader> {
    const readers = [...this.round?.readers ?? [], ...this.gathering]
    this.round = undefined
    this.gathering = []
    return readers
  }
}

/**
 * The reads a follower passed on to its leader. Their numbers on the wire start at a random base, so that an
 * answer meant for this node before a restart is not taken for an answer to a new read.
 */
export class ForwardedReads {
  private readonly base: number
  private readonly waiting = new Map<number, { readonly readId: number; elapsed: number }>()

  constructor(base: number) {
    this.base = base
  }

  get size(): number {
    return this.waiting.size
  }

  /** Notes a read and returns its number on the wire. */
  add(readId: number): number {
    const number = this.base + readId
    this.waiting.set(number, { readId, elapsed: 0 })
    return number
  }

  /** The read behind a number, which is answered now. `undefined` where no read waits for the answer. */
  take(number: number): number | undefined {
    const read = this.waiting.get(number)
    this.waiting.delete(number)
    return read?.readId
  }

  /** Counts a tick and gives up reads older than `limit` ticks. The leader's answer may be lost. */
  expire(limit: number): ReadonlyArray<number> {
    const expired: Array<number> = []
    for (const [number, read] of this.waiting) {
      read.elapsed += 1
      if (read.elapsed < limit) continue
      this.waiting.delete(number)
      expired.push(read.readId)
    }
    return expired
  }

  /** Ticks until {@link expire} gives up the oldest read; infinite without one. */
  ticksUntilExpiry(limit: number): number {
    // The oldest comes first: a map keeps the order in which they came.
    for (const { elapsed } of this.waiting.values()) return limit - elapsed
    return Number.POSITIVE_INFINITY
  }

  takeAll(): ReadonlyArray<number> {
    const readIds = [...this.waiting.values()].map((read) => read.readId)
    this.waiting.clear()
    return readIds
  }
}
