/**
 * Sessions: what makes a command that is sent twice take effect once. (Raft §8, thesis §6.3)
 *
 * ```
 * ttl u64 · last heard u64 · answered u64
 * ```
 *
 * A client numbers its commands. The reply to each is kept, on every node and in snapshots, until the client says that it
 * has it; the same number again gets the same reply, whichever node leads by then. A session that was not heard of for
 * its time to live, in log time, ends, and its commands are refused from then on: nobody could tell any more whether they
 * were carried out.
 */
import { Reader, Writer } from "./Binary.ts"

export interface SessionRecord {
  readonly ttlMs: number
  /** The log time of its last command, to within {@link heardGranularityMs}. */
  readonly heardMs: number
  /** The client has the replies up to this number. */
  readonly answered: number
}

/** A session's row is not written again for less news than this. */
export const heardGranularityMs = 1_000

export const encodeSession = ({ answered, heardMs, ttlMs }: SessionRecord): Uint8Array =>
  new Writer(24).u64(ttlMs).u64(heardMs).u64(answered).bytes

/** The session in `bytes`, or `undefined` when they are none. */
export const decodeSession = (bytes: Uint8Array): SessionRecord | undefined => {
  const reader = new Reader(bytes)
  const record: SessionRecord = { ttlMs: reader.u64(), heardMs: reader.u64(), answered: reader.u64() }
  return reader.complete ? record : undefined
}

/** One session with the replies its client may still ask for. */
export class Session {
  readonly id: number
  readonly ttlMs: number
  heardMs: number
  answered: number
  replyBytes = 0
  private readonly replies = new Map<number, Uint8Array>()

  constructor(id: number, { answered, heardMs, ttlMs }: SessionRecord) {
    this.id = id
    this.ttlMs = ttlMs
    this.heardMs = heardMs
    this.answered = answered
  }

  /** How many replies are kept. */
  get size(): number {
    return this.replies.size
  }

  /** The numbers of the replies kept. */
  get sequences(): Iterable<number> {
    return this.replies.keys()
  }

  reply(sequence: number): Uint8Array | undefined {
    return this.replies.get(sequence)
  }

  keep(sequence: number, reply: Uint8Array): void {
    this.replies.set(sequence, reply)
    this.replyBytes += reply.byteLength
  }

  /** Forgets the replies up to `answered`, and says which those were. */
  forget(answered: number): ReadonlyArray<number> {
    if (answered <= this.answered) return []
    this.answered = answered
    const forgotten: Array<number> = []
    for (const [sequence, reply] of this.replies) {
      if (sequence > answered) continue
      this.replies.delete(sequence)
      this.replyBytes -= reply.byteLength
      forgotten.push(sequence)
    }
    return forgotten
  }
}

/** Every session of the store. */
export class Sessions {
  private readonly sessions = new Map<number, Session>()

  get size(): number {
    return this.sessions.size
  }

  get(id: number): Session | undefined {
    return this.sessions.get(id)
  }

  set(session: Session): void {
    this.sessions.set(session.id, session)
  }

  delete(id: number): void {
    this.sessions.delete(id)
  }

  /** The ids of at most `limit` sessions that were not heard of for too long. */
  ended(logTimeMs: number, limit: number): ReadonlyArray<number> {
    const ids: Array<number> = []
    for (const { heardMs, id, ttlMs } of this.sessions.values()) {
      if (heardMs + ttlMs <= logTimeMs && ids.push(id) >= limit) break
    }
    return ids
  }
}
