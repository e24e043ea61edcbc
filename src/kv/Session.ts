/**
 * Sessions: what makes a command that is sent twice take effect once. (Raft §8, thesis §6.3)
 *
 * ```
 * a session      ttl u64 · last heard u64 · answered u64
 * its replies    answered u64 · { place u8 · reply u16+ } …        those to one block of sequence numbers
 * a large reply  the reply
 * ```
 *
 * A client numbers its commands. The reply to each is kept, on every node and in snapshots, until the client says that
 * it has it; the same number again gets the same reply, whichever node leads by then. A session that was not heard of
 * for its time to live, in log time, ends, and its commands are refused from then on: nobody could tell any more
 * whether they were carried out.
 *
 * A command of a session costs one row, as if it was alone, and many of one batch share it: small replies lie together
 * in blocks, and `answered` lies with the reply that it came with. A session has answered up to the highest number
 * that any of its rows says. What a row holds hangs on the commands alone, not on how they are grouped into batches.
 *
 * When the table of sessions is full, a new session evicts an idle one (`Session.evictableMs`). Each command still
 * takes effect at most once: the evicted session's commands are refused, and ids are log indexes, which are never used
 * twice. What a client may lose is the answer to a write whose first answer was lost. That takes a client which
 * repeats the write and yet reaches the log with no attempt for `minEvictionUnacknowledgedMs`, because each attempt
 * that is applied counts as heard. Its next attempt gets `SessionExpired`, as after the time to live. A client without
 * such a write opens another session and sends its refused write again.
 */
import { Reader, Writer } from "./Binary.ts"
import { minEvictionIdleMs, minEvictionUnacknowledgedMs } from "./Limits.ts"

export interface SessionRecord {
  readonly ttlMs: number
  /** The log time of its last command, to within {@link heardGranularityMs}. */
  readonly heardMs: number
  /** The client has the replies up to this number, or a higher one that stands with a reply. */
  readonly answered: number
}

/** A session's row is not written again for less news than this. */
export const heardGranularityMs = 1_000

/** Sequence numbers whose replies share a row. At most 256. */
const blockNumbers = 64

/** A reply longer than this has a row of its own: a block is written again with each of its replies. */
const maxBlockReplyBytes = 256

/** The block of a sequence number. */
const blockOf = (sequence: number): number => Math.floor(sequence / blockNumbers)

export const encodeSession = ({ answered, heardMs, ttlMs }: SessionRecord): Uint8Array =>
  new Writer(24).u64(ttlMs).u64(heardMs).u64(answered).bytes

/** The session in `bytes`, or `undefined` when they are none. */
export const decodeSession = (bytes: Uint8Array): SessionRecord | undefined => {
  const reader = new Reader(bytes)
  const record: SessionRecord = { ttlMs: reader.u64(), heardMs: reader.u64(), answered: reader.u64() }
  return reader.complete ? record : undefined
}

/** The kept replies to one block of sequence numbers. */
interface Block {
  /** What the client had the replies up to when the last of these was kept. */
  answered: number
  readonly replies: Map<number, Uint8Array>
}

/** What went out of memory with `forget`. */
export interface Forgotten {
  /** Blocks that lost replies. */
  readonly blocks: ReadonlyArray<number>
  /** Replies that had a row of their own. */
  readonly large: ReadonlyArray<number>
}

const nothing: Forgotten = { blocks: [], large: [] }

/** One session with the replies its client may still ask for. */
export class Session {
  readonly id: number
  readonly ttlMs: number
  heardMs: number
  /** The client has the replies up to this number. */
  answered: number
  /** What the session's own row says of that. */
  recordedAnswered: number
  /** The highest number that any row says: below `answered` only within a command. */
  private anywhereAnswered: number
  /** How many replies are kept. */
  size = 0
  replyBytes = 0
  private readonly blocks = new Map<number, Block>()
  private readonly large = new Map<number, Uint8Array>()

  constructor(id: number, { answered, heardMs, ttlMs }: SessionRecord) {
    this.id = id
    this.ttlMs = ttlMs
    this.heardMs = heardMs
    this.answered = answered
    this.recordedAnswered = answered
    this.anywhereAnswered = answered
  }

  /**
   * The log time from which on a full table may evict the session. It follows from what the rows hold, so a node that
   * has just started agrees with one that has run for long.
   *
   * A command at log time `t` leaves it above `t`: `heardMs` is then above `t - heardGranularityMs`, and both the
   * times to live and the idle times are at least `heardGranularityMs`.
   */
  get evictableMs(): number {
    return this.heardMs + Math.min(this.ttlMs, this.size === 0 ? minEvictionIdleMs : minEvictionUnacknowledgedMs)
  }

  /** The blocks that hold replies. */
  get blockNumbers(): Iterable<number> {
    return this.blocks.keys()
  }

  /** The numbers of the replies with rows of their own. */
  get largeReplies(): Iterable<number> {
    return this.large.keys()
  }

  reply(sequence: number): Uint8Array | undefined {
    return this.blocks.get(blockOf(sequence))?.replies.get(sequence) ?? this.large.get(sequence)
  }

  /** Keeps a reply, and says which block has it; `undefined` when it has a row of its own. */
  keep(sequence: number, reply: Uint8Array): number | undefined {
    this.size += 1
    this.replyBytes += reply.byteLength
    if (reply.byteLength > maxBlockReplyBytes) {
      this.large.set(sequence, reply)
      return undefined
    }
    const number = blockOf(sequence)
    const block = this.blocks.get(number) ?? { answered: 0, replies: new Map() }
    this.blocks.set(number, block)
    block.answered = this.answered
    block.replies.set(sequence, reply)
    this.anywhereAnswered = this.answered
    return number
  }

  /** Whether no row says yet how far the client has answers. */
  get unrecorded(): boolean {
    return this.answered > this.anywhereAnswered
  }

  /** The session's own row is to be written. */
  record(): void {
    this.recordedAnswered = this.answered
    this.anywhereAnswered = this.answered
  }

  /** Forgets the replies up to `answered`. */
  forget(answered: number): Forgotten {
    if (answered <= this.answered) return nothing
    this.answered = answered
    const blocks: Array<number> = []
    for (const [number, { replies }] of this.blocks) {
      if (number * blockNumbers > answered) continue
      const before = replies.size
      for (const [sequence, reply] of replies) {
        if (sequence <= answered) {
          replies.delete(sequence)
          this.replyBytes -= reply.byteLength
        }
      }
      if (replies.size === before) continue
      this.size -= before - replies.size
      if (replies.size === 0) this.blocks.delete(number)
      blocks.push(number)
    }
    const large: Array<number> = []
    for (const [sequence, reply] of this.large) {
      if (sequence > answered) continue
      this.large.delete(sequence)
      this.size -= 1
      this.replyBytes -= reply.byteLength
      large.push(sequence)
    }
    return { blocks, large }
  }

  /** The row of a block; `undefined` when it holds nothing any more. */
  encodeBlock(number: number): Uint8Array | undefined {
    const block = this.blocks.get(number)
    if (block === undefined) return undefined
    const writer = new Writer(8 + 48 * block.replies.size).u64(block.answered)
    // In the order of their numbers, which is not always the one they came in.
    for (let place = 0; place < blockNumbers; place++) {
      const reply = block.replies.get(number * blockNumbers + place)
      if (reply !== undefined) writer.u8(place).short(reply)
    }
    return writer.bytes
  }

  /** Takes the row of a block into memory. `false` when it is malformed. */
  loadBlock(number: number, bytes: Uint8Array): boolean {
    const reader = new Reader(bytes)
    const answered = reader.u64()
    const replies = new Map<number, Uint8Array>()
    while (!reader.complete && !reader.failed) {
      const place = reader.u8()
      // A copy, because what was read may be a view of something larger.
      const reply = new Uint8Array(reader.short())
      replies.set(number * blockNumbers + place, reply)
      this.size += 1
      this.replyBytes += reply.byteLength
    }
    if (reader.failed || replies.size === 0) return false
    this.blocks.set(number, { answered, replies })
    this.answered = Math.max(this.answered, answered)
    this.anywhereAnswered = this.answered
    return true
  }
}

interface Candidate {
  readonly id: number
  readonly evictableMs: number
}

/** Every session of the store. */
export class Sessions {
  private readonly sessions = new Map<number, Session>()
  /**
   * The sessions that were evictable at the last scan, the first to go at the end. Only a cache: what `evictable`
   * answers does not depend on when it was called before.
   */
  private candidates: Array<Candidate> = []
  private scannedMs = -1

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

  /**
   * The session that a full table evicts at `logTimeMs`: of those that are evictable, the one that has been so for
   * longest, and of several the oldest. `undefined` when there is none. `logTimeMs` never decreases.
   *
   * It scans the table (`maxSessions` rows of memory) only when the candidates of the last scan are used up and time
   * has passed. A session that was opened or heard of since that scan became evictable after it, if at all, so it
   * comes after all candidates.
   */
  evictable(logTimeMs: number): Session | undefined {
    const kept = this.nextCandidate()
    if (kept !== undefined || logTimeMs <= this.scannedMs) return kept
    this.scannedMs = logTimeMs
    for (const { evictableMs, id } of this.sessions.values()) {
      if (evictableMs <= logTimeMs) this.candidates.push({ id, evictableMs })
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

  /** The ids of at most `limit` sessions that were not heard of for too long. */
  ended(logTimeMs: number, limit: number): ReadonlyArray<number> {
    const ids: Array<number> = []
    for (const { heardMs, id, ttlMs } of this.sessions.values()) {
      if (heardMs + ttlMs <= logTimeMs && ids.push(id) >= limit) break
    }
    return ids
  }
}
