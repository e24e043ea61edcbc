/**
 * The table of sessions.
 *
 * When the table of sessions is full, a new session evicts an unused or an idle one (`Sessions.evictable`). Each
 * command still takes effect at most once: the evicted session's commands are refused, and ids are log indexes, which
 * are never used twice. What a client may lose is the answer to a write whose first answer was lost. That takes a
 * client which repeats the write and yet reaches the log with no attempt for `minEvictionIdleMs`, because each attempt
 * that is applied counts as heard. Its next attempt gets `SessionExpired`, as after the time to live. A client without
 * such a write opens another session and sends its refused write again.
 */
import type { KeptReplies } from "./KeptReplies.ts"
import { CallerCounts } from "./access/CallerCounts.ts"
import { minEvictionUnusedMs } from "./Limits.ts"
import { OrderedSet } from "./OrderedSet.ts"
import type { SessionRecord } from "./Session.ts"
import { Session } from "./Session.ts"

interface Candidate {
  readonly id: number
  readonly evictableMs: number
}

/** Every session of the store. */
export class Sessions {
  readonly kept: KeptReplies<Session>
  private readonly sessions = new Map<number, Session>()
  private readonly counts = new CallerCounts()
  /** Every session in which no command was sent yet, in the order of opening, and some others. */
  private readonly unused = new OrderedSet<Session>()
  /**
   * The sessions that were evictable at the last scan, the first to go at the end. Only a cache: what `evictable`
   * answers does not depend on when it was called before.
   */
  private candidates: Array<Candidate> = []
  private scannedMs = -1

  constructor(kept: KeptReplies<Session>) {
    this.kept = kept
  }

  get size(): number {
    return this.sessions.size
  }

  /** How many have ended since this memory was filled. */
  ended = 0

  get(id: number): Session | undefined {
    return this.sessions.get(id)
  }

  /** All of them, in the order in which they were opened. */
  get all(): Iterable<Session> {
    return this.sessions.values()
  }

  /** How many sessions a caller has. */
  countOf(caller: string): number {
    return this.counts.of(caller)
  }

  /** Ids grow from one session to the next. */
  open(id: number, record: SessionRecord): Session {
    const session = new Session(id, record, this.kept)
    this.sessions.set(id, session)
    this.counts.add(session.caller)
    if (session.isUnused) this.unused.add(session)
    return session
  }

  delete(session: Session): void {
    session.release()
    this.ended += 1
    this.sessions.delete(session.id)
    this.counts.remove(session.caller)
    this.unused.delete(session)
  }

  /** The session that was opened first of those in which no command was sent yet. */
  private get firstUnused(): Session | undefined {
    for (;;) {
      const { first } = this.unused
      if (first === undefined || first.isUnused) return first
      this.unused.delete(first)
    }
  }

  /**
   * The session that a full table evicts at `logTimeMs`, in this order; `undefined` when there is none:
   *
   * 1. the oldest one in which no command was sent, when it had time enough for its first one;
   * 2. of those that are idle, the one that has been so for longest, and of several the oldest;
   * 3. the oldest one in which no command was sent, however young it is.
   *
   * A client that opens sessions and does nothing with them takes no place of others for long. `logTimeMs` never
   * decreases.
   */
  evictable(logTimeMs: number): Session | undefined {
    const unused = this.firstUnused
    return unused !== undefined && unused.openedMs + minEvictionUnusedMs <= logTimeMs
      ? unused
      : this.firstIdle(logTimeMs) ?? unused
  }

  /**
   * The session that has been idle for longest.
   *
   * It scans the table (`maxSessions` rows of memory) only when the candidates of the last scan are used up and time
   * has passed. A session that was used or heard of since that scan became evictable after it, if at all, so it
   * comes after all candidates.
   */
  private firstIdle(logTimeMs: number): Session | undefined {
    const kept = this.nextCandidate()
    if (kept !== undefined || logTimeMs <= this.scannedMs) return kept
    this.scannedMs = logTimeMs
    for (const { evictableMs, id, isUnused } of this.sessions.values()) {
      if (!isUnused && evictableMs <= logTimeMs) this.candidates.push({ id, evictableMs })
    }
    this.candidates.sort((a, b) => b.evictableMs - a.evictableMs || b.id - a.id)
    return this.nextCandidate()
  }

  /** The first candidate that was not heard of since the scan. It stays one until it is evicted. */
  private nextCandidate(): Session | undefined {
    for (;;) {
      const last = this.candidates[this.candidates.length - 1]
      if (last === undefined) return undefined
      const session = this.sessions.get(last.id)
      if (session?.evictableMs === last.evictableMs) return session
      this.candidates.pop()
    }
  }

  /** Milliseconds until the first session ends unless it is heard of before; infinite when there is none. */
  untilExpiredMs(logTimeMs: number): number {
    let endMs = Infinity
    for (const { heardMs, ttlMs } of this.sessions.values()) endMs = Math.min(endMs, heardMs + ttlMs)
    return endMs - logTimeMs
  }

  /** The ids of at most `limit` sessions that were not heard of for too long. */
  expired(logTimeMs: number, limit: number): ReadonlyArray<number> {
    const ids: Array<number> = []
    for (const { heardMs, id, ttlMs } of this.sessions.values()) {
      if (heardMs + ttlMs <= logTimeMs && ids.push(id) >= limit) break
    }
    return ids
  }
}
