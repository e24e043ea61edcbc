/**
 * Carries operations of one kind to the node that can serve them. Whatever was asked for while the calls in flight
 * were under way travels together in the next one; what is safe to repeat (reads, and writes of a session) is repeated,
 * at the node that leads, until its deadline; what is not says so.
 */
import type { Fiber } from "effect"
import { Cause, Clock, Effect, Exit, Option, Queue } from "effect"
import type { Scope } from "effect"
import { monotonicMsOf } from "../Monotonic.ts"
import type { ReadError, WriteError } from "../FlareDbError.ts"
import type { WrongCluster } from "../FlareDbError.ts"
import { Indeterminate, Overloaded, SessionExpired, Unavailable } from "../FlareDbError.ts"
import { decodeReply, refusalOf } from "../kv/Reply.ts"
import { CallSizes } from "./CallSizes.ts"
import { maxBatchOperations } from "./ClientRpcs.ts"
import type { ResolvedClientOptions } from "./ClientOptions.ts"
import type { ClientSession } from "./ClientSession.ts"
import type { Connection, ConnectionLost } from "./Connection.ts"
import type { ConnectionPool } from "./ConnectionPool.ts"
import type { Limited } from "./Deadlines.ts"
import { Deadlines } from "./Deadlines.ts"
import type { Endpoint } from "./Endpoint.ts"
import { formatEndpoint, parseEndpoint } from "./Endpoint.ts"
import { Operation } from "./Operation.ts"
import { Lane } from "./Lane.ts"
import type { Router } from "./Router.ts"
import { standingOf } from "./Router.ts"
import { timeoutProblem } from "./Timeout.ts"

/**
 * Calls in flight with operations of a session that are sent again. They have a way of their own, because new
 * operations wait for them once there are too many without an answer.
 */
const repeatCalls = 2

/** Calls in flight whose answers are expected to be large. Every node carries out what such writes read. */
const heavyCalls = { read: 2, write: 1, "repeatable write": 1 } as const

/** The limits on kept replies. Whoever is refused by them says how far it has its answers, and asks again. */
const replyLimits: ReadonlySet<string> = new Set(["maxSessionReplies", "maxSessionReplyBytes", "maxKeptReplyBytes"])

/** Pause after a node was overloaded, in milliseconds. */
const overloadedPauseMs = 20

/** How a node may fail an operation. */
type NodeFailure = ReadError | WriteError

/** What a caller may learn. */
export type PipelineError =
  | Exclude<WriteError, { readonly _tag: "NotLeader" | "Fatal" }>
  | SessionExpired
  | WrongCluster

export interface PipelineOptions {
  readonly client: ResolvedClientOptions
  readonly pool: ConnectionPool
  /** Which node to ask. Pipelines that ask the same node share it. */
  readonly router: Router
  /** The clock of deadlines. */
  readonly nowMs: () => number
  /**
   * Whether an operation may be repeated although it may have been carried out, and what it means when it is given up.
   */
  readonly kind: "read" | "write" | "repeatable write"
  /** Numbers the operations, which makes each of them repeatable for as long as the session lives. */
  readonly session?: ClientSession | undefined
  readonly call: (
    connection: Connection,
    operations: ReadonlyArray<Uint8Array>
  ) => Effect.Effect<ReadonlyArray<Uint8Array | NodeFailure>, ConnectionLost>
}

type Op = Operation<PipelineError>

/** One call to a node that is waited for. */
interface Attempt extends Limited {
  readonly expire: () => void
}

export class Pipeline {
  private readonly options: PipelineOptions
  private readonly router: Router
  private readonly usual: Lane<PipelineError>
  private readonly heavy: Lane<PipelineError>
  /** Operations that are numbered in the session and to be sent again: no more than it lets be unanswered. */
  private readonly repeats: Queue.Queue<Op>
  private readonly sizes: CallSizes
  private readonly deadlines: Deadlines<Op>
  private readonly attempts = new Deadlines<Attempt>(({ expire }) => expire())
  private readonly scope: Scope.Scope
  private closed = false

  private constructor(
    options: PipelineOptions,
    usual: Lane<PipelineError>,
    heavy: Lane<PipelineError>,
    repeats: Queue.Queue<Op>,
    scope: Scope.Scope
  ) {
    this.options = options
    this.router = options.router
    this.usual = usual
    this.heavy = heavy
    this.repeats = repeats
    this.scope = scope
    this.sizes = new CallSizes(options.session?.maxCallOperations ?? maxBatchOperations, options.kind === "read")
    this.deadlines = new Deadlines((operation) => operation.settle(this.outOfTime(operation)))
  }

  /** A pipeline that works for as long as the scope lives. */
  static readonly make = Effect.fnUntraced(function*(options: Omit<PipelineOptions, "nowMs">) {
    const clock = yield* Clock.Clock
    const { maxCallsInFlight, maxPendingOperations } = options.client
    const usual = yield* Lane.make<PipelineError>(maxPendingOperations, maxCallsInFlight)
    const heavy = yield* Lane.make<PipelineError>(maxPendingOperations, heavyCalls[options.kind])
    const repeats = yield* Queue.unbounded<Op>()
    const scope = yield* Effect.scope
    const pipeline = new Pipeline({ ...options, nowMs: () => monotonicMsOf(clock) }, usual, heavy, repeats, scope)
    // Whoever waits when the client closes is told what is known, instead of being left to wait.
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        pipeline.closed = true
        pipeline.deadlines.expireAll()
      })
    )
    yield* pipeline.deadlines.start
    yield* pipeline.attempts.start
    const { session } = options
    const send = (taken: ReadonlyArray<Op>) =>
      session === undefined ? pipeline.attempt(taken) : pipeline.attemptIn(session, taken)
    for (const lane of [usual, heavy]) yield* Effect.forkScoped(lane.dispatch(pipeline.sizes, session, send))
    if (session !== undefined) {
      for (let i = 0; i < repeatCalls; i++) yield* Effect.forkScoped(pipeline.repeater(session))
    }
    return pipeline
  })

  /**
   * Has an operation carried out, within `timeoutMs`. `maxAnswerBytes` says how large its answer may be, when it reads
   * values: how many of these share a call depends on what they are answered with (`CallSizes`).
   */
  submit(bytes: Uint8Array, timeoutMs: number, maxAnswerBytes = 0): Effect.Effect<Uint8Array, PipelineError> {
    const problem = timeoutProblem(timeoutMs)
    if (problem !== undefined) return Effect.fail(problem)
    return Effect.callback<Uint8Array, PipelineError>((resume) => {
      const operation: Op = new Operation(bytes, maxAnswerBytes, this.options.nowMs() + timeoutMs, (result) => {
        this.deadlines.remove(operation)
        this.options.session?.settled()
        resume(result instanceof Uint8Array ? Effect.succeed(result) : Effect.fail(result))
      })
      this.deadlines.add(operation)
      if (this.closed) operation.settle(this.outOfTime(operation))
      else if (!this.laneOf(operation).offer(operation)) operation.settle(this.full(operation))
      return Effect.sync(() => {
        this.deadlines.remove(operation)
        operation.forget()
        this.options.session?.settled()
      })
    })
  }

  private laneOf(operation: Op): Lane<PipelineError> {
    return this.sizes.isHeavy(operation) ? this.heavy : this.usual
  }

  private readonly repeater = (session: ClientSession): Effect.Effect<never> =>
    Effect.forever(
      Effect.flatMap(Queue.takeBetween(this.repeats, 1, session.maxCallOperations), (taken) => {
        const calls: Array<ReadonlyArray<Op>> = []
        for (let from = 0, end = 0; from < taken.length; from = end) {
          end = this.sizes.endOf(taken, from)
          calls.push(taken.slice(from, end))
        }
        return Effect.forEach(calls, (call) => this.attemptIn(session, call), { discard: true })
      })
    )

  /** Sends operations in a session, which is opened first when there is none. */
  private attemptIn(session: ClientSession, taken: ReadonlyArray<Op>): Effect.Effect<void> {
    if (session.isOpen) return this.attempt(taken)
    const open = taken.filter((operation) => !operation.settled)
    return open.length === 0
      ? Effect.void
      : Effect.matchEffect(session.open, {
        onSuccess: () => this.attempt(open),
        onFailure: (error) => {
          if (error._tag === "WrongCluster") return Effect.sync(() => this.misdirected(open, error))
          for (const operation of open) operation.lastFailure = error
          if (this.isRefused) return Effect.sync(() => this.refusedEverywhere(open))
          return this.repeat(open, Math.max(this.router.pauseMs, overloadedPauseMs))
        }
      })
  }

  private attempt(taken: ReadonlyArray<Op>): Effect.Effect<void> {
    const { pool } = this.options
    const open = taken.filter((operation) => !operation.settled)
    if (open.length === 0) return Effect.void
    const endpoint = this.router.target
    const connection = pool.current(endpoint)
    if (connection !== undefined) return this.send(endpoint, connection, open)
    return Effect.matchCauseEffect(pool.get(endpoint), {
      onSuccess: (opened) => this.send(endpoint, opened, open),
      onFailure: (cause) => this.unreachable(endpoint, open, cause)
    })
  }

  private send(endpoint: Endpoint, connection: Connection, open: ReadonlyArray<Op>): Effect.Effect<void> {
    const { call, session } = this.options
    // It may have ended while the connection was opened.
    if (session?.isOpen === false) return this.repeat(open, 0)
    // Nor is anything sent whose caller was told meanwhile that it was not.
    const batch = session === undefined ? open.filter((operation) => !operation.settled) : session.stamp(open)
    if (batch.length === 0) return Effect.void
    for (const operation of batch) operation.sent = true
    const answers = call(connection, batch.map((operation) => operation.bytes))
    // In the pipeline's scope: an answer that comes late is still an answer, when nobody waits for the call any more.
    return Effect.flatMap(
      Effect.forkIn(
        Effect.flatMap(Effect.exit(answers), (exit) => this.answered(endpoint, connection, batch, exit)),
        this.scope,
        { startImmediately: true }
      ),
      (fiber) =>
        Effect.flatMap(
          this.endsInTime(fiber),
          (inTime) => inTime ? Effect.void : this.late(endpoint, connection, batch)
        )
    )
  }

  /** Waits for an attempt, and says whether it ended before its time was over. */
  private endsInTime(attempt: Fiber.Fiber<void>): Effect.Effect<boolean> {
    return Effect.callback((resume) => {
      const waiting: Attempt = {
        deadlineMs: this.options.nowMs() + this.options.client.attemptTimeoutMs,
        expire: () => resume(Effect.succeed(false))
      }
      this.attempts.add(waiting)
      attempt.addObserver(() => {
        this.attempts.remove(waiting)
        resume(Effect.succeed(true))
      })
      return Effect.sync(() => this.attempts.remove(waiting))
    })
  }

  private late(endpoint: Endpoint, connection: Connection, batch: ReadonlyArray<Op>): Effect.Effect<void> {
    const { attemptTimeoutMs, requestTimeoutMs } = this.options.client
    this.router.failed(endpoint, `no answer within ${attemptTimeoutMs} ms`)
    const retire = this.options.pool.retire(endpoint, connection, requestTimeoutMs)
    return this.mayRepeat ? Effect.andThen(retire, this.repeat(this.doubt(batch), this.router.pauseMs)) : retire
  }

  /** Whether what may have been carried out is sent again. */
  private get mayRepeat(): boolean {
    return this.options.kind !== "write" || this.options.session !== undefined
  }

  /** No definite answer came to an attempt at these. */
  private doubt(batch: ReadonlyArray<Op>): ReadonlyArray<Op> {
    for (const operation of batch) operation.uncertain = true
    return batch
  }

  private answered(
    endpoint: Endpoint,
    connection: Connection,
    batch: ReadonlyArray<Op>,
    exit: Exit.Exit<ReadonlyArray<Uint8Array | NodeFailure>, ConnectionLost>
  ): Effect.Effect<void> {
    if (Exit.isFailure(exit)) {
      const error = Option.getOrUndefined(Exit.findErrorOption(exit))
      const reason = error?.message ?? reasonOf(exit.cause)
      const retire = this.options.pool.retire(endpoint, connection, 0)
      // The connection had ended before; the node may well be there, so it is asked again first.
      if (error?.sent === false) return Effect.andThen(retire, this.repeat(batch, this.router.pauseMs))
      this.router.failed(endpoint, reason)
      if (this.mayRepeat) return Effect.andThen(retire, this.repeat(this.doubt(batch), this.router.pauseMs))
      for (const operation of batch) {
        operation.settle(new Indeterminate({ reason: `the connection was lost before the answer came (${reason})` }))
      }
      return retire
    }
    const again: Array<Op> = []
    let pauseMs = 0
    let settled = false
    for (let slot = 0; slot < batch.length; slot++) {
      const operation = batch[slot] as Op
      const result = exit.value[slot]
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
      pauseMs = Math.max(pauseMs, result._tag === "Overloaded" ? overloadedPauseMs : this.router.pauseMs)
      again.push(operation)
    }
    if (settled) this.router.succeeded()
    return again.length === 0 ? Effect.void : this.repeat(again, pauseMs)
  }

  /** What the caller learns of a failure, or `undefined` when the operation is to be tried again. */
  private refused(endpoint: Endpoint, operation: Op, failure: NodeFailure): PipelineError | undefined {
    switch (failure._tag) {
      case "InvalidArgument":
        return failure
      case "Indeterminate":
        operation.uncertain = true
        return this.mayRepeat ? undefined : failure
      case "Fatal":
        this.router.failed(endpoint, failure.message, "answered")
        operation.uncertain = true
        return this.mayRepeat ? undefined : new Indeterminate({ reason: failure.message })
      case "NotLeader": {
        const hint = failure.leaderEndpoint === undefined
          ? undefined
          : Effect.runSyncExit(parseEndpoint(failure.leaderEndpoint))
        const leader = hint !== undefined && Exit.isSuccess(hint) ? hint.value : undefined
        this.router.redirected(endpoint, leader, failure.message)
        return undefined
      }
      case "Unavailable":
        this.router.failed(endpoint, failure.message, "answered")
        return undefined
      case "Overloaded":
        operation.lastFailure = failure
        return undefined
    }
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
        session.ended(operation.session)
        if (!operation.uncertain) return true
        operation.settle(new SessionExpired({ session: operation.session }))
        return false
      case "already-answered":
        operation.settle(new Indeterminate({ reason: "the store has forgotten the answer" }))
        return false
      case "overloaded": {
        const refused = decodeReply(reply)
        if (refused._tag !== "RefusedReply" || !replyLimits.has(refused.field)) return false
        // Not carried out. It says anew how far the client has its answers, so that the store can forget some.
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
    cause: Cause.Cause<ConnectionLost | WrongCluster>
  ): Effect.Effect<void> {
    return Effect.suspend(() => {
      const error = Cause.squash(cause)
      this.router.failed(endpoint, reasonOf(cause), standingOf(error))
      const { wrongCluster } = this.router
      if (wrongCluster === undefined) {
        return this.isRefused
          ? Effect.sync(() => this.refusedEverywhere(batch))
          : this.repeat(batch, this.router.pauseMs)
      }
      return Effect.sync(() => this.misdirected(batch, wrongCluster))
    })
  }

  /** No node of the client's cluster is there any more: nothing is gained by waiting for the deadline. */
  private misdirected(batch: ReadonlyArray<Op>, error: WrongCluster): void {
    for (const operation of batch) {
      const lost = operation.uncertain && this.options.kind !== "read"
      operation.settle(lost ? new Indeterminate({ reason: error.message }) : error)
    }
  }

  /** Whether all endpoints have refused connections for as long as the client is to bear it. */
  private get isRefused(): boolean {
    const { refusedTimeoutMs } = this.options.client
    const forMs = this.router.refusedForMs(this.options.nowMs())
    return refusedTimeoutMs !== undefined && forMs !== undefined && forMs >= refusedTimeoutMs
  }

  private refusedEverywhere(batch: ReadonlyArray<Op>): void {
    const reason = `no node can be reached; ${this.router.describe()}`
    for (const operation of batch) {
      const lost = operation.uncertain && this.options.kind !== "read"
      operation.settle(lost ? new Indeterminate({ reason }) : new Unavailable({ reason }))
    }
  }

  /** Puts what is still waited for back into the queue, after a pause. */
  private repeat(batch: ReadonlyArray<Op>, pauseMs: number): Effect.Effect<void> {
    for (const operation of batch) operation.sent = false
    const offer = Effect.sync(() => {
      const { session } = this.options
      for (const operation of batch) {
        if (operation.settled) continue
        const offered = session?.has(operation) === true
          ? Queue.offerUnsafe(this.repeats, operation)
          : this.laneOf(operation).offer(operation)
        if (!offered) operation.settle(this.full(operation))
      }
    })
    return pauseMs === 0 ? offer : Effect.andThen(Effect.sleep(pauseMs), offer)
  }

  /** What is known of an operation that is given up: at its deadline, or because the client closes. */
  private outOfTime(operation: Op): PipelineError {
    const why = this.closed ? "the client was closed" : "the deadline passed"
    if ((operation.sent || operation.uncertain) && this.options.kind !== "read") {
      return new Indeterminate({ reason: `${why} before ${formatEndpoint(this.router.target)} answered` })
    }
    return operation.lastFailure ?? new Unavailable({ reason: `${why}; ${this.router.describe()}` })
  }

  private full(operation: Op): Overloaded | Indeterminate {
    if (operation.uncertain) return new Indeterminate({ reason: "too many operations wait to send it again" })
    const maximum = this.options.client.maxPendingOperations
    return new Overloaded({ limit: "maxPendingOperations", current: maximum, maximum })
  }
}

const reasonOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return error instanceof Error ? error.message : String(error)
}
