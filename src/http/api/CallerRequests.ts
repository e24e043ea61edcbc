/**
 * The requests of one caller, through the client of this process. Commands leave this node under the node's own name,
 * whichever node leads, so what the caller may do is asked here: by what the node has applied, once that is everything
 * that was acknowledged before.
 */
import { Effect, Exit, Result } from "effect"
import type { AccessError } from "../../FlareDbError.ts"
import { Indeterminate, Unavailable } from "../../FlareDbError.ts"
import type {
  Answer,
  OperationOptions,
  ReadOptions,
  RequestPort,
  Requests,
  WriteFailure
} from "../../client/session/Requests.ts"
import type { Command } from "../../kv/model/Command.ts"
import { encodeCommand } from "../../kv/model/Command.ts"
import type { KeyRanges } from "../../kv/model/KeyRanges.ts"
import type { Query } from "../../kv/model/Query.ts"
import { encodeQuery } from "../../kv/model/Query.ts"
import type { Caller } from "../../machine/Caller.ts"
import type { RaftNode } from "../../node/RaftNode.ts"
import { formatRanges } from "../../server/AuditedRanges.ts"
import type { Guarded, Refusal } from "../../server/OperationGuard.ts"
import { upToDate } from "../../node/UpToDate.ts"
import { unlessRefused } from "../../server/UnlessRefused.ts"
import type { RequestCallers } from "../RequestCallers.ts"

export interface CallerRequestsOptions {
  /** Those of the client of this process. */
  readonly requests: RequestPort & Pick<Requests, "readOwn">
  readonly node: Pick<RaftNode["Service"], "access" | "readBarrier">
  /** Absent where every caller may do everything, and nothing is written down. */
  readonly callers?: RequestCallers | undefined
  /** The number of the HTTP request among `callers`. */
  readonly request: number
}

/** Stands for a result whose bytes do not matter. */
const carriedOut = new Uint8Array(0)

/** A failure as the audit log tells it: one that leaves the outcome open is no refusal. */
const outcomeOf = (error: WriteFailure): unknown => {
  if (error._tag === "SessionExpired") return new Indeterminate({ reason: error.message })
  return error._tag === "ResultsNotKept" ? carriedOut : error
}

export class CallerRequests implements RequestPort {
  readonly requestTimeoutMs: number
  private readonly options: CallerRequestsOptions

  constructor(options: CallerRequestsOptions) {
    this.options = options
    this.requestTimeoutMs = options.requests.requestTimeoutMs
  }

  /** Who asks; `undefined` where callers are not asked. */
  get caller(): Caller | undefined {
    const { callers, request } = this.options
    return callers?.callers.of(request)
  }

  write(command: Command, options: OperationOptions | undefined): Effect.Effect<Answer, WriteFailure> {
    return this.carryOut(command, this.options.requests.write(this.named(command), options))
  }

  writeRepeatable(command: Command, options: OperationOptions | undefined): Effect.Effect<Answer, WriteFailure> {
    return this.carryOut(command, this.options.requests.writeRepeatable(command, options))
  }

  /** Asks whether the caller may have `command` carried out, and has `work` do so, which may do it in its own way. */
  carryOut<A, E extends { readonly _tag: string }>(
    command: Command,
    work: Effect.Effect<A, WriteFailure | E>
  ): Effect.Effect<A, WriteFailure | E> {
    const { callers, request } = this.options
    if (callers === undefined) return work
    return Effect.flatMap(this.untilJudged(command), (operation) =>
      Effect.suspend(() => {
        const guarded = callers.guard.commands(request, [operation])
        return this.settle(guarded, work, (error) => outcomeOf(error as WriteFailure))
      }))
  }

  /** Whether the caller still may have `command` carried out, by the newest roles and tokens. */
  stillAllowed(command: Command): Effect.Effect<void, AccessError | Unavailable> {
    const { callers: all, request } = this.options
    if (all === undefined || !this.isJudged) return Effect.void
    const { callers } = all
    return Effect.andThen(
      this.proof,
      Effect.suspend((): Effect.Effect<void, AccessError | Unavailable> => {
        const [ended, caller] = [callers.ended(request), this.caller]
        if (ended !== undefined) return Effect.fail(ended)
        const judged = caller === undefined ? undefined : callers.access.command(caller, encodeCommand(command))
        if (judged === undefined || judged instanceof Uint8Array) return Effect.void
        if (judged._tag === "Unauthorized") callers.count(judged)
        return Effect.fail(refusalOf(judged))
      })
    )
  }

  read(query: Query, options: ReadOptions | undefined): ReturnType<RequestPort["read"]> {
    const { callers, node, request, requests } = this.options
    if (callers === undefined) return requests.read(query, options)
    // What another node answers may be newer than the roles that this one knows.
    const isOwn = options?.consistency === "stale" && options.readFrom !== "leader" && this.isJudged
    const work = isOwn ? requests.readOwn(query, options) : requests.read(query, options)
    const operation = encodeQuery(query)
    const judge = (unproven?: Unavailable) => callers.guard.queries(request, [operation], unproven)
    const judged = Effect.suspend(() => {
      const guarded = judge()
      if (!guarded.isRefusing) return this.settle(guarded, work, (error) => error)
      // A node that is behind may not know of a role that was given to the caller.
      guarded.discard()
      return Effect.flatMap(
        Effect.result(upToDate(node, "what its caller may do")),
        (proof) => this.settle(judge(Result.isFailure(proof) ? proof.failure : undefined), work, (error) => error)
      )
    })
    // Another node may answer, for which this one asks what the caller may see.
    return isOwn || !this.isJudged ? judged : Effect.andThen(this.proof, judged)
  }

  /** Whether the caller may watch these keys, or go on watching them. `operation` names it for the audit log. */
  mayWatch(watched: KeyRanges, operation: "Watch" | "Changes"): Effect.Effect<void, AccessError | Unavailable> {
    return Effect.suspend((): Effect.Effect<void, AccessError | Unavailable> => {
      const { callers: all, node, request } = this.options
      if (all === undefined) return Effect.void
      const { callers } = all
      const ended = callers.ended(request, operation, watched)
      if (ended !== undefined) return Effect.fail(ended)
      const { caller } = this
      return caller === undefined ? Effect.void : unlessRefused(
        node,
        () => callers.access.ranges(caller, watched),
        (refused) => callers.refused(request, operation, formatRanges(watched), refused)
      )
    })
  }

  /** Whether the caller may begin to watch these keys; writes it down when reads are. */
  beginWatch(watched: KeyRanges): Effect.Effect<void, AccessError | Unavailable> {
    const { callers: all, request } = this.options
    if (all === undefined) return Effect.void
    const { callers } = all
    const begin = Effect.suspend((): Effect.Effect<void, Unavailable> => {
      if (callers.audit?.events !== "all") return Effect.void
      const unaudited = callers.audit.reserve(1)
      if (unaudited !== undefined) return Effect.fail(unaudited)
      callers.audit.write(callers.record(request, "Watch", formatRanges(watched), "ok"))
      return Effect.void
    })
    // Another node may have the changes, for which this one asks what the caller may see.
    const proof = this.isJudged ? this.proof : Effect.void
    return proof.pipe(Effect.andThen(this.mayWatch(watched, "Watch")), Effect.andThen(begin))
  }

  /** Whether what the caller may do hangs on roles. */
  private get isJudged(): boolean {
    const { caller } = this
    return caller !== undefined && !caller.isNode && this.options.node.access !== undefined
  }

  /** Succeeds once this node has applied every role that was given or taken away before. */
  private get proof(): Effect.Effect<void, Unavailable> {
    return upToDate(this.options.node, "what its caller may do")
  }

  /** What a caller makes bears its name. Nodes and callers that are not asked make what has none. */
  private named(command: Command): Command {
    const { caller } = this
    return command._tag === "GrantLease" && caller !== undefined && !caller.isNode
      ? { ...command, caller: caller.name }
      : command
  }

  /**
   * The bytes of a command, once this node has applied everything that was acknowledged before. One that leads may not
   * know that it does no more: what it allows would be done by the next leader, which does not ask for the caller.
   */
  private untilJudged(command: Command): Effect.Effect<Uint8Array, Unavailable> {
    return Effect.suspend(() => {
      const operation = encodeCommand(command)
      return this.isJudged ? Effect.as(this.proof, operation) : Effect.succeed(operation)
    })
  }

  /** Has `work` done if it may be, and writes down what became of it. */
  private settle<A, E extends { readonly _tag: string }>(
    guarded: Guarded,
    work: Effect.Effect<A, E>,
    outcome: (error: E) => unknown
  ): Effect.Effect<A, E | AccessError | Unavailable> {
    const refusalIn = (results: ReadonlyArray<unknown>): Effect.Effect<void, AccessError | Unavailable> => {
      const [result] = results
      return isRefusal(result) ? Effect.fail(refusalOf(result)) : Effect.void
    }
    if (guarded.allowed.length === 0) {
      return Effect.andThen(refusalIn(guarded.finish([])), Effect.die(new Error("nothing was refused or allowed")))
    }
    return Effect.flatMap(
      Effect.onInterrupt(Effect.exit(work), () => Effect.sync(guarded.abandoned)),
      (exit): Effect.Effect<A, E | AccessError | Unavailable> => {
        if (Exit.isSuccess(exit)) return Effect.as(refusalIn(guarded.finish<unknown>([carriedOut])), exit.value)
        const error = Exit.findErrorOption(exit)
        if (error._tag === "None") guarded.abandoned()
        else guarded.finish<unknown>([outcome(error.value)])
        return exit
      }
    )
  }
}

const isRefusal = (result: unknown): result is Refusal =>
  !(result instanceof Uint8Array) && typeof result === "object" && result !== null && "_tag" in result

/** Behind the proof of {@link CallerRequests} no node says that another one leads. */
const refusalOf = (refusal: Refusal): AccessError | Unavailable =>
  refusal._tag === "NotLeader" ? new Unavailable({ reason: refusal.message }) : refusal
