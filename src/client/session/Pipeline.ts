/**
 * Carries operations of one kind to the node that can serve them. Whatever was asked for while the calls in flight
 * were under way travels together in the next one; what is safe to repeat (reads, and writes of a session) is repeated,
 * at the node that leads, until its deadline; what is not says so.
 */
import { Cause, Effect, Exit, Option } from "effect"
import type { Tracer } from "effect"
import type { AccessError, InvalidArgument, WrongCluster } from "../../FlareDbError.ts"
import { Indeterminate, Overloaded, SessionExpired, Unavailable } from "../../FlareDbError.ts"
import { decodeReply, refusalOf } from "../../kv/model/ReplyCodec.ts"
import type { Ended } from "./Attempt.ts"
import { Attempt } from "./Attempt.ts"
import { AttemptTimes } from "./AttemptTimes.ts"
import { spanned, tracesOf } from "./CallTraces.ts"
import { CallSizes } from "./CallSizes.ts"
import { maxBatchOperations } from "../../protocol/ClientRpcs.ts"
import type { ClientSession } from "./ClientSession.ts"
import type { ConnectFailure, Connection, ConnectionLost, Done } from "../connection/Connection.ts"
import { clientClosed } from "../connection/ConnectionPool.ts"
import type { Endpoint } from "../connection/Endpoint.ts"
import { formatEndpoint, parseEndpoint } from "../connection/Endpoint.ts"
import { Lane } from "./Lane.ts"
import type { Submitter } from "./Operation.ts"
import { markedAmbiguous, ofEachRun, Operation } from "./Operation.ts"
import type { PipelineOptions } from "./PipelineOptions.ts"
import type { NodeFailure, PipelineError } from "./OperationFailure.ts"
import { isAccessError, isShort } from "./OperationFailure.ts"
import type { Router } from "./Router.ts"
import { endpointStateOf } from "./Router.ts"
import { timeoutProblem } from "./Timeout.ts"
import { errorText } from "../../ErrorText.ts"

/**
 * Calls in flight with operations of a session that are sent again. They have a way of their own, because new
 * operations wait for them once there are too many without an answer.
 */
const repeatCalls = 2

/** Calls in flight whose answers are expected to be large. Every node carries out what such writes read. */
const heavyCalls = { read: 2, write: 1, "repeatable write": 1 } as const

/** The limits on kept replies. A client refused by them says how far it has its answers, and asks again. */
const replyLimits: ReadonlySet<string> = new Set(["maxSessionReplies", "maxSessionReplyBytes", "maxKeptReplyBytes"])

/** Pause after a node was overloaded, in milliseconds. */
const overloadedPauseMs = 20

type Op = Operation<PipelineError>

export class Pipeline implements Submitter<PipelineError> {
  private readonly options: PipelineOptions
  private readonly router: Router
  private readonly usual: Lane<PipelineError>
  private readonly heavy: Lane<PipelineError>
  /** Operations that are numbered in the session and to be sent again: no more than it lets be unanswered. */
  private readonly repeats: Lane<PipelineError>
  private readonly sizes: CallSizes
  private readonly times: AttemptTimes
  private closed = false

  constructor(options: PipelineOptions) {
    this.options = options
    this.router = options.router
    const { client, kind, session } = options
    this.sizes = new CallSizes(session?.maxCallOperations ?? maxBatchOperations, kind === "read")
    this.times = new AttemptTimes(client.attemptTimeoutMs)
    const lane = (maxCalls: number, maxWaiting: number, hasRoom: () => boolean) =>
      new Lane<PipelineError>({
        maxWaiting,
        maxCalls,
        sizes: this.sizes,
        hasRoom: () => !this.closed && hasRoom(),
        microtask: options.microtask,
        send: (operations, ended) => this.send(operations, ended)
      })
    const hasRoom = () => session === undefined || session.hasRoom()
    this.usual = lane(client.maxCallsInFlight, client.maxPendingOperations, hasRoom)
    this.heavy = lane(heavyCalls[kind], client.maxPendingOperations, hasRoom)
    this.repeats = lane(repeatCalls, Number.POSITIVE_INFINITY, () => true)
    if (session !== undefined) {
      session.onRoom = () => {
        this.usual.wake()
        this.heavy.wake()
      }
    }
  }

  /** Sends nothing more. What waits is to be expired then. */
  close(): void {
    this.closed = true
  }

  /**
   * Has an operation carried out, within `timeoutMs`. `maxAnswerBytes` says how large its answer may be, when it reads
   * values: how many of these share a call depends on what they are answered with (`CallSizes`). `name` is what the
   * operation is called in a span, which ends with what `read` makes of the answer: a refusal is an error.
   */
  submit<A, E>(
    bytes: Uint8Array,
    timeoutMs: number,
    read: (answer: Uint8Array) => Effect.Effect<A, E>,
    maxAnswerBytes = 0,
    name: string = this.options.kind
  ): Effect.Effect<A, E | PipelineError> {
    const problem = timeoutProblem(timeoutMs)
    if (problem !== undefined) return Effect.fail(problem)
    // A session writes its number into the bytes.
    const own = this.options.session === undefined ? () => bytes : ofEachRun(bytes)
    return spanned(name, (span) => Effect.flatMap(this.submitted(own(), timeoutMs, maxAnswerBytes, span), read))
  }

  private submitted(
    bytes: Uint8Array,
    timeoutMs: number,
    maxAnswerBytes: number,
    span: Tracer.Span | undefined
  ): Effect.Effect<Uint8Array, PipelineError> {
    return Effect.callback<Uint8Array, PipelineError>((resume) => {
      const { deadlines, nowMs } = this.options
      const operation: Op = new Operation(bytes, maxAnswerBytes, nowMs() + timeoutMs, this, (result) => {
        resume(result instanceof Uint8Array ? Effect.succeed(result) : Effect.fail(result))
      }, span)
      deadlines.add(operation)
      if (this.closed) operation.expire()
      else if (!this.laneOf(operation).offer(operation)) operation.settle(this.full(operation))
      return Effect.sync(() => operation.forget())
    })
  }

  /** An operation is settled. */
  settled(operation: Op): void {
    this.options.deadlines.remove(operation)
    this.options.session?.settled()
  }

  private laneOf(operation: Op): Lane<PipelineError> {
    return this.sizes.isHeavy(operation) ? this.heavy : this.usual
  }

  /** Sends operations to the node that is to be asked, in a session that is opened first when there is none. */
  private send(taken: ReadonlyArray<Op>, ended: Ended): void {
    const { pool, session } = this.options
    const open = taken.filter((operation) => !operation.settled)
    if (open.length === 0) return ended()
    if (session !== undefined && !session.isOpen) return this.sendInNewSession(session, open, ended)
    const endpoint = this.router.target
    const connection = pool.current(endpoint)
    if (connection !== undefined) return this.call(endpoint, connection, open, ended)
    this.options.fork(Effect.matchCause(pool.get(endpoint), {
      onSuccess: (opened) => this.call(endpoint, opened, open, ended),
      onFailure: (cause) => this.unreachable(endpoint, open, cause, ended)
    }))
  }

  private sendInNewSession(session: ClientSession, open: ReadonlyArray<Op>, ended: Ended): void {
    this.options.fork(Effect.match(session.open, {
      onSuccess: () => this.send(open, ended),
      onFailure: (error) => {
        if (error._tag === "WrongCluster" || isAccessError(error)) return this.hopeless(open, error, ended)
        for (const operation of open) operation.lastFailure = error
        if (this.isRefused) return this.refusedEverywhere(open, ended)
        this.repeat(open, Math.max(this.router.pauseMs, overloadedPauseMs), ended)
      }
    }))
  }

  private call(endpoint: Endpoint, connection: Connection, open: ReadonlyArray<Op>, ended: Ended): void {
    const { call, deadlines, nowMs, session } = this.options
    // It may have ended while the connection was opened.
    if (session?.isOpen === false) return this.repeat(open, 0, ended)
    // Nor is anything sent whose caller has the answer meanwhile that it was not.
    const batch = session === undefined ? open.filter((operation) => !operation.settled) : session.assignIds(open)
    if (batch.length === 0) return ended()
    for (const operation of batch) operation.send()
    const { deadlineMs, limitMs, over } = this.times.sent(batch, nowMs())
    const attempt = new Attempt({ endpoint, connection, batch, limitMs, deadlineMs, ended }, this.late)
    deadlines.add(attempt)
    // An answer that comes late is still an answer, when the call has been given up.
    call(connection, batch.map((operation) => operation.bytes), (exit) => {
      deadlines.remove(attempt)
      over()
      this.answered(attempt, exit)
    }, tracesOf(batch))
  }

  private readonly late = (attempt: Attempt): void => {
    if (this.closed) return attempt.ended()
    const { batch, connection, ended, endpoint } = attempt
    this.router.failed(endpoint, `no answer within ${attempt.limitMs} ms`)
    this.options.fork(this.options.pool.retire(endpoint, connection, this.options.client.requestTimeoutMs))
    if (this.mayRepeat) this.repeat(markedAmbiguous(batch), this.router.pauseMs, ended)
    else ended()
  }

  /** Whether what may have been carried out is sent again. */
  private get mayRepeat(): boolean {
    return this.options.kind !== "write" || this.options.session !== undefined
  }

  private answered(attempt: Attempt, exit: Parameters<Done<NodeFailure>>[0]): void {
    const { batch, connection, endpoint, ended, isLate } = attempt
    if (Exit.isFailure(exit)) return this.unanswered(attempt, exit.cause)
    const again: Array<Op> = []
    let pauseMs = 0
    let settled = false
    for (let index = 0; index < batch.length; index++) {
      const operation = batch[index] as Op
      const result = exit.value[index]
      if (result instanceof Uint8Array) {
        settled = true
        this.sizes.answered(operation, result.byteLength)
        const retry = this.options.session !== undefined &&
          this.refusedBySession(this.options.session, operation, result)
        if (!retry) {
          operation.settle(result)
          continue
        }
        pauseMs = Math.max(pauseMs, operation.lastFailure === undefined ? 0 : overloadedPauseMs)
        again.push(operation)
        continue
      }
      if (result === undefined) continue
      const final = this.refused(endpoint, operation, result)
      if (final !== undefined) {
        operation.settle(final)
        continue
      }
      if (result._tag === "Unauthenticated") this.options.fork(this.options.pool.retire(endpoint, connection, 0))
      pauseMs = Math.max(pauseMs, isShort(result) ? overloadedPauseMs : this.router.pauseMs)
      again.push(operation)
    }
    if (settled) this.router.succeeded(endpoint)
    // What was late is being repeated already.
    if (again.length === 0 || isLate && this.mayRepeat) ended()
    else this.repeat(again, pauseMs, ended)
  }

  /** The connection was lost before the answer. */
  private unanswered(attempt: Attempt, cause: Cause.Cause<ConnectionLost>): void {
    const { batch, connection, ended, endpoint, isLate } = attempt
    const error = Option.getOrUndefined(Cause.findErrorOption(cause))
    const reason = error?.message ?? reasonOf(cause)
    this.options.fork(this.options.pool.retire(endpoint, connection, 0))
    // The connection had ended before; the node may well be there, so it is asked again first.
    if (error?.sent === false) return this.repeat(batch, this.router.pauseMs, ended)
    this.router.failed(endpoint, reason)
    if (!this.mayRepeat) {
      for (const operation of batch) {
        operation.settle(new Indeterminate({ reason: `the connection was lost before the answer came (${reason})` }))
      }
      return ended()
    }
    if (isLate) ended()
    else this.repeat(markedAmbiguous(batch), this.router.pauseMs, ended)
  }

  /** What the caller learns of a failure, or `undefined` when the operation is to be tried again. */
  private refused(endpoint: Endpoint, operation: Op, failure: NodeFailure): PipelineError | undefined {
    switch (failure._tag) {
      case "Indeterminate":
        operation.markAmbiguous()
        return this.mayRepeat ? undefined : failure
      case "Fatal":
        this.router.failed(endpoint, failure.message, "answered")
        operation.markAmbiguous()
        return this.mayRepeat ? undefined : new Indeterminate({ reason: failure.message })
      case "NotLeader": {
        const hint = failure.leaderEndpoint === undefined
          ? undefined
          : Effect.runSyncExit(parseEndpoint(failure.leaderEndpoint))
        const leader = hint !== undefined && Exit.isSuccess(hint) ? hint.value : undefined
        this.router.followLeader(endpoint, leader, failure.message)
        return undefined
      }
      case "Unavailable":
        this.router.failed(endpoint, failure.message, "answered")
        return undefined
      case "Overloaded":
        operation.lastFailure = failure
        return undefined
      case "Unauthenticated":
        // What the connection showed holds no more. Another one shows what the client has now, or fails for good.
        operation.lastFailure = failure
        return undefined
      case "Unauthorized":
      case "InvalidArgument": // By its own settings and release; one that may have carried it out has others.
        return this.outcomeOf(operation, failure)
    }
  }

  /** What a caller learns when nothing is gained by trying again. */
  private outcomeOf(operation: Op, error: WrongCluster | AccessError | InvalidArgument): PipelineError {
    return operation.isAmbiguous && this.options.kind !== "read" ? new Indeterminate({ reason: error.message }) : error
  }

  /**
   * Whether an operation is to be sent again because of what the store said of its session. Answers it if it cannot be.
   */
  private refusedBySession(session: ClientSession, operation: Op, reply: Uint8Array): boolean {
    // An answer to an earlier attempt may have come first.
    if (operation.settled) return false
    switch (refusalOf(reply)) {
      // The other one cannot happen to a session that this client opened; a new one is the way out nevertheless.
      case "session-expired":
      case "wrong-secret":
        session.ended(operation.place?.session ?? 0)
        if (!operation.isAmbiguous) return true
        operation.settle(new SessionExpired({ session: operation.place?.session ?? 0 }))
        return false
      case "already-answered":
        operation.settle(new Indeterminate({ reason: "the store has forgotten the answer" }))
        return false
      case "overloaded": {
        const refused = decodeReply(reply)
        if (refused._tag !== "RefusedReply" || !replyLimits.has(refused.field)) return false
        // Not carried out. It says again how far the client has its answers, so that the store can forget some.
        operation.stale = true
        const { current, field, maximum } = refused
        operation.lastFailure = new Overloaded({ limit: field, current, maximum })
        return true
      }
      default:
        return false
    }
  }

  /** Nothing of the batch was received. */
  private unreachable(
    endpoint: Endpoint,
    batch: ReadonlyArray<Op>,
    cause: Cause.Cause<ConnectFailure | WrongCluster>,
    ended: Ended
  ): void {
    this.router.failed(endpoint, reasonOf(cause), endpointStateOf(Cause.squash(cause)))
    const { wrongCluster } = this.router
    const error = Option.getOrUndefined(Cause.findErrorOption(cause))
    if (error?._tag === "Unauthenticated") this.hopeless(batch, error, ended)
    else if (wrongCluster !== undefined) this.hopeless(batch, wrongCluster, ended)
    else if (this.isRefused) this.refusedEverywhere(batch, ended)
    else this.repeat(batch, this.router.pauseMs, ended)
  }

  /** No node of the client's cluster is there any more, or knows it: nothing is gained by waiting for the deadline. */
  private hopeless(batch: ReadonlyArray<Op>, error: WrongCluster | AccessError, ended: Ended): void {
    for (const operation of batch) operation.settle(this.outcomeOf(operation, error))
    ended()
  }

  /** Whether all endpoints have refused connections for as long as the client is to bear it. */
  private get isRefused(): boolean {
    const { refusedTimeoutMs } = this.options.client
    const forMs = this.router.refusedForMs(this.options.nowMs())
    return refusedTimeoutMs !== undefined && forMs !== undefined && forMs >= refusedTimeoutMs
  }

  private refusedEverywhere(batch: ReadonlyArray<Op>, ended: Ended): void {
    const reason = `no node can be reached; ${this.router.describe()}`
    for (const operation of batch) {
      const lost = operation.isAmbiguous && this.options.kind !== "read"
      operation.settle(lost ? new Indeterminate({ reason }) : new Unavailable({ reason }))
    }
    ended()
  }

  /** Has what is still waited for wait for a call again, after a pause. */
  private repeat(batch: ReadonlyArray<Op>, pauseMs: number, ended: Ended): void {
    for (const operation of batch) operation.refuse()
    const offer = () => {
      const { session } = this.options
      for (const operation of batch) {
        if (operation.settled) continue
        const lane = session?.has(operation) === true ? this.repeats : this.laneOf(operation)
        if (!lane.offer(operation)) operation.settle(this.full(operation))
      }
      ended()
    }
    if (pauseMs === 0) offer()
    else this.options.fork(Effect.andThen(Effect.sleep(pauseMs), Effect.sync(offer)))
  }

  /** What is known of an operation that is given up: at its deadline, or because the client closes. */
  outOfTime(operation: Op): PipelineError {
    const why = this.closed ? clientClosed : "the deadline passed"
    if (operation.fate !== "waiting" && this.options.kind !== "read") {
      return new Indeterminate({ reason: `${why} before ${formatEndpoint(this.router.target)} answered` })
    }
    return operation.lastFailure ?? new Unavailable({ reason: `${why}; ${this.router.describe()}` })
  }

  private full(operation: Op): Overloaded | Indeterminate {
    if (operation.isAmbiguous) return new Indeterminate({ reason: "too many operations wait to send it again" })
    const maximum = this.options.client.maxPendingOperations
    return new Overloaded({ limit: "maxPendingOperations", current: maximum, maximum })
  }
}

const reasonOf = (cause: Cause.Cause<unknown>): string => errorText(Cause.squash(cause))
