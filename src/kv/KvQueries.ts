/** Answers the queries of the key-value store from its applied state. */
import type { Semaphore } from "effect"
import { Effect } from "effect"
import { InvalidArgument, Overloaded } from "../FlareDbError.ts"
import type { Problem } from "./model/Limits.ts"
import type { Get, Query } from "./model/Query.ts"
import { decodeQuery } from "./model/Query.ts"
import { encodeGetReply } from "./model/ReplyCodec.ts"
import type { State } from "./model/State.ts"
import type { StateStore } from "../storage/StateStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import type { AnswerRoom } from "../machine/AnswerRoom.ts"
import type { QueryReply } from "../machine/StateMachine.ts"
import type { FoundGets } from "./FoundGets.ts"
import { getSome, maxAnswerBytes } from "./FoundGets.ts"
import type { FoundLately } from "./FoundLately.ts"
import { atOnce, noteAnswer, reservedFor } from "./FoundLately.ts"
import { answerOne } from "./QueryPages.ts"
import { readMetadata } from "./StoredMetadata.ts"

/** Bytes and queries answered in one go; then heartbeats have their turn. */
const stretchBytes = 1024 * 1024
const stretchQueries = 512

export const invalid = ({ field, problem }: Problem): InvalidArgument => new InvalidArgument({ field, problem })

const noRefusal: Effect.Effect<Overloaded | undefined> = Effect.succeed(undefined)

/** The answers of one call so far, and the bytes that they take of the room for answers. */
class Answers {
  readonly replies: Array<QueryReply> = []
  private readonly found: ReadonlyArray<Uint8Array | undefined>
  private readonly revision: number
  private readonly lately: FoundLately
  private readonly room: AnswerRoom | undefined
  /** The gets answered so far. */
  private gets = 0
  /** Bytes that were read for gets and are not answered yet. */
  private unanswered: number
  private bytes = 0
  /** Bytes since other work had its turn. */
  private stretch = 0
  /** Why there is no room for more. */
  private refusal: Overloaded | undefined
  /** What the queries get that are not answered: one for all, because there may be thousands. */
  private refused: Overloaded | undefined

  constructor({ bytes, found, refusal }: FoundGets, revision: number, lately: FoundLately, room?: AnswerRoom) {
    this.found = found
    this.revision = revision
    this.lately = lately
    this.room = room
    this.unanswered = bytes
    this.refusal = refusal
  }

  /** Lets other work have its turn when it was a while ago. */
  get pause(): Effect.Effect<void> | undefined {
    if (this.stretch < stretchBytes && this.replies.length % stretchQueries !== stretchQueries - 1) return undefined
    this.stretch = 0
    return Effect.yieldNow
  }

  /** Whether queries that are no gets are answered no more. */
  get isFull(): boolean {
    return this.bytes >= maxAnswerBytes || this.refusal !== undefined
  }

  addGet(): void {
    this.gets += 1
    const record = this.found[this.gets]
    this.unanswered -= record?.byteLength ?? 0
    if (this.gets >= this.found.length || this.bytes >= maxAnswerBytes) this.addFull()
    else this.add(encodeGetReply(this.revision, record))
  }

  addFull(): void {
    this.refused ??= this.refusal ??
      new Overloaded({ limit: "maxAnswerBytes", current: this.bytes, maximum: maxAnswerBytes })
    this.add(this.refused)
  }

  /** Reserves room for the answer to a query. Refused when there is none, and then nothing more is answered. */
  reserve(query: Exclude<Query, Get>, leases: number): Effect.Effect<Overloaded | undefined> {
    if (this.room === undefined) return noRefusal
    const wanted = this.bytes + this.unanswered + reservedFor(query, leases, this.lately)
    return Effect.map(this.room.reserve(wanted), (refusal) => this.refusal = refusal)
  }

  addAnswer(query: Exclude<Query, Get>, reply: QueryReply): void {
    const bytes = this.add(reply)
    if (bytes === 0) return
    noteAnswer(this.lately, query, bytes)
    // The answers so far, and the gets to come: less than was reserved.
    this.room?.trim(this.bytes + this.unanswered)
  }

  /** Gives the bytes of the reply, 0 when it is none with an answer. */
  add(reply: QueryReply): number {
    const bytes = reply instanceof Uint8Array ? reply.byteLength : 0
    this.bytes += bytes
    this.stretch += bytes
    this.replies.push(reply)
    return bytes
  }
}

/**
 * Answers gets with one read, everything else one after the other, each from one view and with one of `permits`:
 * what is read for it is in memory until it is answered. `state` is asked for leases, of which it has all.
 */
export const answer = Effect.fnUntraced(function*(
  store: StateStore["Service"],
  state: () => State,
  queries: ReadonlyArray<Uint8Array>,
  permits: Semaphore.Semaphore,
  lately: FoundLately,
  room?: AnswerRoom
): Effect.fn.Return<ReadonlyArray<QueryReply>, StorageError> {
  const decoded: Array<Query | Problem> = []
  for (const query of queries) {
    decoded.push(decodeQuery(query))
    if (decoded.length % stretchQueries === 0) yield* Effect.yieldNow
  }
  const gets = decoded.filter((query): query is Get => query._tag === "Get")
  // Several reads see the same rows only in a view.
  const read = yield* gets.length <= atOnce(lately)
    ? getSome(store, gets, lately, room)
    : store.withView((view) => getSome(view, gets, lately, room))
  const revision = read.found.length === 0 ? 0 : (yield* readMetadata(read.found[0])).revision
  const answers = new Answers(read, revision, lately, room)
  for (const query of decoded) {
    const { pause } = answers
    if (pause !== undefined) yield* pause
    if (query._tag === "Get") answers.addGet()
    else if (query._tag === "Problem") answers.add(invalid(query))
    else if (answers.isFull) answers.addFull()
    else {
      const refusal = yield* answers.reserve(query, state().leases.size)
      answers.addAnswer(query, refusal ?? (yield* answerOne(store, state, query, permits)))
    }
  }
  return answers.replies
})
