/**
 * Sessions: what makes a command that is sent twice take effect once. (Raft §8, thesis §6.3)
 *
 * ```
 * a session      ttl u64 · last heard u64 · answered u64 · opened u64 · secret 16 bytes · owner
 *                [· 00 · caller], to the end
 * its replies    answered u64 · { place u8 · reply u16+ } …        those to one block of sequence numbers
 * a large reply  place of its command in the log u64 · reply, to the end
 * ```
 *
 * A client numbers its commands. The reply to each is kept, on every node and in snapshots, until the client says that
 * it has it; the same number again gets the same reply, whichever node leads by then. A session that was not heard of
 * for its time to live, in log time, ends, and its commands are refused from then on: there would be no way to tell
 * whether they were carried out.
 *
 * A command of a session costs one row, as if it was alone, and many of one batch share it: small replies lie together
 * in blocks, and `answered` lies with the reply that it came with. A session has answered up to the highest number
 * that any of its rows says. What a row holds hangs on the commands alone, not on how they are grouped into batches.
 *
 * Ids and sequence numbers can be guessed, so each command carries the secret that the client made when it opened the
 * session. A command with another secret is refused before anything else is looked at. The secret is kept as it is:
 * every command in the log has it as well, and a hash for each command would cost more than all else it does.
 *
 * The owner is what a client calls itself, for operators. The caller is whose certificate or token was shown when the
 * session was opened: no other caller may use it, with the secret neither. A session without one is from a port that
 * asks for no names. Its secret alone says whose it is, so a client keeps it while a cluster is taught names.
 *
 * The replies of all sessions have a bound on their sum (`KeptReplies.ts`). At the bound large replies become digests,
 * which say what a transaction did and not what it read; above `maxWholeReplyBytes` they are so at once. A client
 * that repeats such a command learns that it took effect.
 */
import { Reader, Writer } from "../../bytes/Binary.ts"
import type { KeptReplies, LargeReply } from "./KeptReplies.ts"
import {
  callerProblem,
  maxSmallReplyBytes,
  minEvictionIdleMs,
  ownerProblem,
  replyOverheadBytes,
  secretBytes
} from "./Limits.ts"
import { digestOf, isDigestible } from "./ReplyCodec.ts"

export interface SessionRecord {
  readonly ttlMs: number
  /** The log time of its last command, to within {@link heardGranularityMs}. */
  readonly heardMs: number
  /** The client has the replies up to this number, or a higher one that stands with a reply. */
  readonly answered: number
  /** The log time at which it was opened. */
  readonly openedMs: number
  readonly secret: Uint8Array
  /** What the client calls itself, for operators; empty when it gave nothing. */
  readonly owner: string
  /** Who opened it; empty when no name was asked for. */
  readonly caller: string
}

/** Stands between owner and caller; neither may have it. */
const separator = "\0"

/** A session's row is not written again for less news than this. */
export const heardGranularityMs = 1_000

/** Sequence numbers whose replies share a row. At most 256. */
const blockNumbers = 64

/** A reply longer than this has a row of its own: a block is written again with each of its replies. */
const maxBlockReplyBytes = 256

/** Whether a reply gets a row of its own. All others are below `maxSmallReplyBytes`. */
export const isLarge = (reply: Uint8Array): boolean => reply.byteLength > maxBlockReplyBytes && isDigestible(reply)

/** What a reply takes of the room for kept replies. */
export const keptBytesOf = (reply: Uint8Array): number => reply.byteLength + replyOverheadBytes

/** The room that a command needs before it is carried out: its reply, or the digest of it. */
export const reservedReplyBytes = maxSmallReplyBytes + replyOverheadBytes

/** The block of a sequence number. */
const blockOf = (sequence: number): number => Math.floor(sequence / blockNumbers)

export const encodeSession = (record: SessionRecord): Uint8Array => {
  const { caller } = record
  const owner = new TextEncoder().encode(caller === "" ? record.owner : `${record.owner}${separator}${caller}`)
  return new Writer(32 + secretBytes + owner.byteLength)
    .u64(record.ttlMs).u64(record.heardMs).u64(record.answered).u64(record.openedMs)
    .raw(record.secret).raw(owner).bytes
}

/** The session in `bytes`, or `undefined` when they are none. */
export const decodeSession = (bytes: Uint8Array): SessionRecord | undefined => {
  const reader = new Reader(bytes)
  const record = {
    ttlMs: reader.u64(),
    heardMs: reader.u64(),
    answered: reader.u64(),
    openedMs: reader.u64(),
    // Copies, because what was read may be a view of something larger.
    secret: Uint8Array.from(reader.raw(secretBytes))
  }
  const [owner = "", caller = "", ...more] = new TextDecoder().decode(reader.rest()).split(separator)
  return reader.complete && more.length === 0 && (ownerProblem(owner) ?? callerProblem(caller)) === undefined
    ? { ...record, owner, caller }
    : undefined
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
  readonly openedMs: number
  readonly owner: string
  readonly caller: string
  heardMs: number
  /** The client has the replies up to this number. */
  answered: number
  /** The highest number of its commands. */
  lastSequence: number
  /** What the session's own row says of that. */
  recordedAnswered: number
  /** The highest number that any row says: below `answered` only within a command. */
  private anywhereAnswered: number
  /** How many replies are kept. */
  size = 0
  replyBytes = 0
  private readonly secret: Uint8Array
  private readonly kept: KeptReplies<Session>
  private readonly blocks = new Map<number, Block>()
  private readonly large = new Map<number, LargeReply<Session>>()

  constructor(id: number, record: SessionRecord, kept: KeptReplies<Session>) {
    const { answered, caller, heardMs, openedMs, owner, secret, ttlMs } = record
    this.id = id
    this.openedMs = openedMs
    this.owner = owner
    this.caller = caller
    this.secret = secret
    this.kept = kept
    this.lastSequence = answered
    this.ttlMs = ttlMs
    this.heardMs = heardMs
    this.answered = answered
    this.recordedAnswered = answered
    this.anywhereAnswered = answered
  }

  /**
   * The log time from which on a full table may evict a session that was used. It follows from what the rows hold, so a
   * node that has just started agrees with one that has run for long.
   *
   * A command at log time `t` leaves it above `t`: `heardMs` is then above `t - heardGranularityMs`, and the
   * times to live and the idle time are at least `heardGranularityMs`.
   */
  get evictableMs(): number {
    return this.heardMs + Math.min(this.ttlMs, minEvictionIdleMs)
  }

  /** What its row says, when it is to be written. */
  get row(): SessionRecord {
    const { caller, heardMs, openedMs, owner, recordedAnswered: answered, secret, ttlMs } = this
    return { ttlMs, heardMs, answered, openedMs, secret, owner, caller }
  }

  /** Whether no command was sent in it yet. */
  get isUnused(): boolean {
    return this.size === 0 && this.answered === 0
  }

  /** What its replies take of the room for all. */
  get keptBytes(): number {
    return this.replyBytes + replyOverheadBytes * this.size
  }

  /** Whether a command carries the secret of this session. Looks at every byte, whatever the first ones are. */
  hasSecret(secret: Uint8Array): boolean {
    let difference = secret.byteLength ^ secretBytes
    for (let i = 0; i < secretBytes; i++) difference |= (secret[i] as number) ^ (this.secret[i] as number)
    return difference === 0
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
    return this.blocks.get(blockOf(sequence))?.replies.get(sequence) ?? this.large.get(sequence)?.bytes
  }

  /**
   * Keeps the reply to the command at `index` of the log, and says which block has it; `undefined` when it has a row of
   * its own.
   */
  keep(sequence: number, reply: Uint8Array, index: number): number | undefined {
    // A copy, because the memory of a reply is often part of a larger piece, which would be kept as long as this.
    const bytes = new Uint8Array(reply)
    this.resize(1, bytes.byteLength)
    this.lastSequence = Math.max(this.lastSequence, sequence)
    if (!isLarge(bytes)) return this.keepInBlock(sequence, bytes)
    const kept: LargeReply<Session> = { session: this, sequence, bytes, index }
    this.large.set(sequence, kept)
    this.kept.add(kept)
    return undefined
  }

  /** Keeps only the digest of a large reply from now on, and says which block has it. */
  digest(reply: LargeReply<Session>): number {
    const digest = digestOf(reply.bytes)
    this.large.delete(reply.sequence)
    this.kept.remove(reply)
    this.resize(0, digest.byteLength - reply.bytes.byteLength)
    return this.keepInBlock(reply.sequence, digest)
  }

  private keepInBlock(sequence: number, reply: Uint8Array): number {
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
    this.lastSequence = Math.max(this.lastSequence, answered)
    const blocks: Array<number> = []
    for (const [number, { replies }] of this.blocks) {
      if (number * blockNumbers > answered) continue
      const before = replies.size
      let bytes = 0
      for (const [sequence, reply] of replies) {
        if (sequence <= answered) {
          replies.delete(sequence)
          bytes += reply.byteLength
        }
      }
      if (replies.size === before) continue
      this.resize(replies.size - before, -bytes)
      if (replies.size === 0) this.blocks.delete(number)
      blocks.push(number)
    }
    const large: Array<number> = []
    for (const [sequence, reply] of this.large) {
      if (sequence > answered) continue
      this.large.delete(sequence)
      this.kept.remove(reply)
      this.resize(-1, -reply.bytes.byteLength)
      large.push(sequence)
    }
    return { blocks, large }
  }

  /** The session has ended: its replies take no room any more. */
  release(): void {
    for (const reply of this.large.values()) this.kept.remove(reply)
    this.resize(-this.size, -this.replyBytes)
  }

  private resize(replies: number, bytes: number): void {
    const before = this.keptBytes
    this.size += replies
    this.replyBytes += bytes
    this.kept.resize(before, this.keptBytes)
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
      const sequence = number * blockNumbers + place
      replies.set(sequence, reply)
      this.resize(1, reply.byteLength)
      this.lastSequence = Math.max(this.lastSequence, sequence)
    }
    if (reader.failed || replies.size === 0) return false
    this.blocks.set(number, { answered, replies })
    this.answered = Math.max(this.answered, answered)
    this.anywhereAnswered = this.answered
    return true
  }

  /** The row of a large reply. */
  encodeLarge(sequence: number): Uint8Array | undefined {
    const reply = this.large.get(sequence)
    return reply === undefined
      ? undefined
      : new Writer(8 + reply.bytes.byteLength).u64(reply.index).raw(reply.bytes).bytes
  }

  /** The place in the log of the command that has a large reply; 0 when it has none. */
  largeIndex(sequence: number): number {
    return this.large.get(sequence)?.index ?? 0
  }

  /** Takes the row of a large reply into memory. `false` when it is malformed. */
  loadLarge(sequence: number, row: Uint8Array): boolean {
    const reader = new Reader(row)
    const index = reader.u64()
    const bytes = new Uint8Array(reader.rest())
    if (reader.failed || !isLarge(bytes)) return false
    const reply: LargeReply<Session> = { session: this, sequence, bytes, index }
    this.large.set(sequence, reply)
    this.kept.load(reply)
    this.resize(1, bytes.byteLength)
    this.lastSequence = Math.max(this.lastSequence, sequence)
    return true
  }
}
