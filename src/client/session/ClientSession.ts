/**
 * The client's side of exactly once: numbers its writes, so that one that is sent again takes effect once, whatever was
 * lost, and whichever node leads by then. (Raft §8, thesis §6.3)
 *
 * - A session is opened with the first write, and again with the first write after it has ended. An idle one is not
 * kept alive:
 *   it has nothing left to lose, because each of its writes has its answer.
 * - A write keeps its number for as long as its session lives. With each call the nodes learn up to which number the
 * client
 *   needs no answer any more, because the caller has it, or has given up; they forget those.
 * - A write that is refused because its session has ended goes into a new session only if no node may have carried it
 *   out: all it met so far was refused or not sent. Otherwise there is no way left to know, and the caller gets
 *   `SessionExpired`.
 */
import { Deferred, Effect } from "effect"
import type { Scope } from "effect"
import { SessionExpired } from "../../FlareDbError.ts"
import type { CommandId } from "../../kv/model/Command.ts"
import { noSession, writeCommandId } from "../../kv/model/Command.ts"
import type { PipelineError } from "./OperationFailure.ts"
import type { Operation } from "./Operation.ts"
import type { OpenedSession } from "./OpenedSession.ts"

type Op = Operation<PipelineError>

/**
 * Writes without an answer after which no new ones are sent, counted from the oldest. A node keeps up to
 * `maxSessionReplies` (16,384) answers for a session; with all its calls in flight a client stays below half of that.
 */
const maxUnanswered = 4_096

/** Places before the oldest unanswered write that may be empty. */
const maxEmpty = 1_024

export interface ClientSessionOptions {
  /** Opens a session at the cluster. */
  readonly open: Effect.Effect<OpenedSession, PipelineError>
  readonly maxCallsInFlight: number
}

export class ClientSession {
  /** Most operations of one call. */
  readonly maxCallOperations: number
  private readonly openAtCluster: Effect.Effect<OpenedSession, PipelineError>
  private readonly scope: Scope.Scope
  /** The session; 0 for none. */
  private id = 0
  private secret = noSession.secret
  private lastSequence = 0
  /** The session's writes in the order of their numbers, from `oldest` on; the ones before have their answers. */
  private writes: Array<Op | undefined> = []
  private oldest = 0
  private opening: Deferred.Deferred<void, PipelineError> | undefined
  /** Told when there is room again, after {@link hasRoom} said that there was none. */
  onRoom: () => void = () => undefined
  private waiting = false

  constructor(options: ClientSessionOptions, scope: Scope.Scope) {
    this.openAtCluster = options.open
    this.maxCallOperations = Math.max(1, Math.floor(maxUnanswered / options.maxCallsInFlight))
    this.scope = scope
  }

  get isOpen(): boolean {
    return this.id !== 0
  }

  /** The session, when there is one and all its writes have answers. */
  get idle(): CommandId | undefined {
    const answered = this.answered
    return this.id !== 0 && answered === this.lastSequence
      ? { session: this.id, sequence: answered + 1, answered, secret: this.secret }
      : undefined
  }

  /** Opens a session unless there is one. Those who ask at the same time share one attempt. */
  readonly open: Effect.Effect<void, PipelineError> = Effect.suspend(() => {
    if (this.id !== 0) return Effect.void
    if (this.opening !== undefined) return Deferred.await(this.opening)
    const opening = Deferred.makeUnsafe<void, PipelineError>()
    this.opening = opening
    const opened = Effect.map(this.openAtCluster, ({ id, secret }) => {
      this.id = id
      this.secret = secret
      this.lastSequence = 0
      this.writes = []
      this.oldest = 0
    })
    // In the client's scope, because the one who asked first may be interrupted while others wait.
    const shared = Effect.onExit(opened, (exit) => {
      this.opening = undefined
      Deferred.doneUnsafe(opening, exit)
      return Effect.void
    })
    return Effect.andThen(Effect.forkIn(shared, this.scope), Deferred.await(opening))
  })

  /** Whether an operation is numbered in the session. */
  has(operation: Op): boolean {
    return this.id !== 0 && operation.place?.session === this.id
  }

  /** Whether so few writes wait for their answers that more may be sent. */
  hasRoom(): boolean {
    this.waiting = this.isFull
    return !this.waiting
  }

  /** An operation has its answer, or its caller does not wait for it any more. */
  settled(): void {
    if (!this.waiting || this.isFull) return
    this.waiting = false
    this.onRoom()
  }

  /**
   * Numbers operations that are about to be sent, and answers those that cannot be sent any more. Gives the ones to
   * send. Only while the session is open.
   */
  assignIds(batch: ReadonlyArray<Op>): ReadonlyArray<Op> {
    const sent: Array<Op> = []
    for (const operation of batch) {
      if (operation.settled) continue
      const earlier = operation.place
      const isOurs = earlier?.session === this.id
      if (isOurs && !operation.stale) {
        sent.push(operation)
        continue
      }
      if (earlier !== undefined && !isOurs && operation.isAmbiguous) {
        operation.settle(new SessionExpired({ session: earlier.session }))
        continue
      }
      // Bytes that were handed over may stand in a log, and must not change.
      if (earlier !== undefined) operation.bytes = new Uint8Array(operation.bytes)
      const { id: session, secret } = this
      const place = isOurs ? earlier : { session, sequence: ++this.lastSequence }
      if (!isOurs) this.writes.push(operation)
      operation.place = place
      operation.stale = false
      writeCommandId(operation.bytes, { ...place, answered: this.answered, secret })
      sent.push(operation)
    }
    return sent
  }

  /** The cluster knows no such session any more. */
  ended(session: number): void {
    if (session !== this.id) return
    this.id = 0
    this.lastSequence = 0
    this.writes = []
    this.oldest = 0
    this.settled()
  }

  private get isFull(): boolean {
    return this.lastSequence - this.answered >= maxUnanswered
  }

  /** Every write up to this number has its answer. */
  private get answered(): number {
    while (this.writes[this.oldest]?.settled === true) this.writes[this.oldest++] = undefined
    if (this.oldest > maxEmpty && this.oldest * 2 > this.writes.length) {
      this.writes = this.writes.slice(this.oldest)
      this.oldest = 0
    }
    return (this.writes[this.oldest]?.place?.sequence ?? this.lastSequence + 1) - 1
  }
}
