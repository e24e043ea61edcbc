/**
 * Commands and queries of the key-value store, and the pipelines that carry them: checked before they are sent, and
 * what the store refused becomes an error.
 */
import { Clock, Context, Effect } from "effect"
import type {
  AccessError,
  Indeterminate,
  ResultsNotKept,
  SessionExpired,
  Unavailable,
  WrongCluster
} from "../../FlareDbError.ts"
import { InvalidArgument, LeaseNotFound, Overloaded } from "../../FlareDbError.ts"
import type { Command } from "../../kv/model/Command.ts"
import { commandProblem, encodeCommand } from "../../kv/model/Command.ts"
import type { Problem } from "../../kv/model/Limits.ts"
import { maxPageBytesOf } from "../../kv/model/Limits.ts"
import type { Query } from "../../kv/model/Query.ts"
import { encodeQuery, queryProblem } from "../../kv/model/Query.ts"
import type { RefusedReply, Reply } from "../../kv/model/Reply.ts"
import { decodeReply } from "../../kv/model/ReplyCodec.ts"
import type { Operation, Transaction } from "../../kv/model/Transaction.ts"
import { maxAnswerBytes, transactionSizeProblem, writes } from "../../kv/model/Transaction.ts"
import { monotonicMsOf } from "../../Monotonic.ts"
import type { Consistency, ReadFrom } from "../../protocol/ReadMode.ts"
import type { Pipeline } from "./Pipeline.ts"
import type { Pipelines } from "./Pipelines.ts"
import { timeLeft } from "./Timeout.ts"
import { fieldOf } from "../Txn.ts"

/**
 * How a write fails. `Indeterminate` and `SessionExpired` leave open whether it took effect, `ResultsNotKept`, which is
 * for transactions, says that it did, and the others that it did not. `LeaseNotFound` is for writes that name a lease.
 */
export type WriteFailure =
  | InvalidArgument
  | Overloaded
  | Unavailable
  | Indeterminate
  | SessionExpired
  | ResultsNotKept
  | LeaseNotFound
  | WrongCluster
  | AccessError

/** How a read fails. */
export type ReadFailure = InvalidArgument | Overloaded | Unavailable | WrongCluster | AccessError

/** A transaction that only reads is answered like any read, and fails as one does. */
export const asRead = <A>(transacted: Effect.Effect<A, WriteFailure>): Effect.Effect<A, ReadFailure> =>
  Effect.catchTag(transacted, ["Indeterminate", "LeaseNotFound", "ResultsNotKept", "SessionExpired"], Effect.die)

/** How long an operation may take. */
export interface OperationOptions {
  /** Milliseconds until the operation is given up; the client's `requestTimeoutMs` when absent. */
  readonly timeoutMs?: number | undefined
}

/** How recent a read has to be, and who may answer it. */
export interface ReadOptions extends OperationOptions {
  /**
   * `linearizable` sees every write that was acknowledged before the read began. `stale` answers from whatever a node
   * has applied: cheaper, and arbitrarily old when that node is cut off. The client's `consistency` when absent.
   */
  readonly consistency?: Consistency | undefined
  /**
   * `leader`: only the node that leads answers. `any`: whichever node the client reaches first, in the order of its
   * endpoints; a follower asks the leader how far it has to be, waits until it is, and answers itself. The client's
   * `readFrom` when absent.
   */
  readonly readFrom?: ReadFrom | undefined
}

/** A reply that is no refusal. */
export type Answer = Exclude<Reply, RefusedReply>

/** What the services of a client are made of: {@link Requests}, or something that stands before them. */
export type RequestPort = Pick<Requests, "read" | "requestTimeoutMs" | "write" | "writeRepeatable">

/**
 * The requests of the client of a process that runs a node, for what serves others through it: they say as whom they
 * ask.
 *
 * **When to use**
 *
 * Not in programs, which have the services. Its name is public because layers of a client provide it.
 */
export class ClientRequests extends Context.Service<ClientRequests, Requests>()("flaredb/client/ClientRequests") {}

export class Requests {
  /** The client's limit on an operation, in milliseconds. */
  readonly requestTimeoutMs: number
  private readonly pipelines: Pipelines

  constructor(pipelines: Pipelines) {
    this.pipelines = pipelines
    this.requestTimeoutMs = pipelines.requestTimeoutMs
  }

  /** Has a command carried out. */
  write(command: Command, options: OperationOptions | undefined): Effect.Effect<Answer, WriteFailure> {
    if (command._tag === "Transact") {
      const { failure, success } = command.transaction
      if (onlyReads(success) || onlyReads(failure)) return this.transact(command, options)
    }
    return this.send(this.pipelines.writes, command, options)
  }

  /** Has a command carried out that it does no harm to carry out more than once. It belongs to no session. */
  writeRepeatable(command: Command, options: OperationOptions | undefined): Effect.Effect<Answer, WriteFailure> {
    return this.send(this.pipelines.repeatable, command, options)
  }

  /**
   * A transaction with a list that only reads. Where that was carried out, its answer was lost and its results were not
   * kept, nothing has changed: it takes place again, and its caller gets results in place of `ResultsNotKept`.
   */
  private transact(
    command: Extract<Command, { readonly _tag: "Transact" }>,
    options: OperationOptions | undefined
  ): Effect.Effect<Answer, WriteFailure> {
    return Effect.flatMap(Clock.Clock, (clock) => {
      const deadlineMs = monotonicMsOf(clock) + this.timeout(options)
      const again = (reply: Answer): Effect.Effect<Answer, WriteFailure> =>
        hasLostReading(command.transaction, reply)
          ? attempt({ timeoutMs: timeLeft(deadlineMs, monotonicMsOf(clock)) })
          : Effect.succeed(reply)
      const attempt = (within: OperationOptions | undefined) =>
        Effect.flatMap(this.send(this.pipelines.writes, command, within), again)
      return attempt(options)
    })
  }

  private send(
    pipeline: Pipeline,
    command: Command,
    options: OperationOptions | undefined
  ): Effect.Effect<Answer, WriteFailure> {
    const problem = commandProblem(command)
    if (problem !== undefined) return Effect.fail(invalid(problem))
    const bytes = encodeCommand(command)
    const tooLarge = command._tag === "Transact" ? transactionSizeProblem(bytes.byteLength) : undefined
    if (tooLarge !== undefined) return Effect.fail(invalid(tooLarge))
    return pipeline.submit(bytes, this.timeout(options), answerOf, mostAnswered(command), spanName(command))
  }

  /** Has a query answered. */
  read(query: Query, options: ReadOptions | undefined): Effect.Effect<Answer, ReadFailure | LeaseNotFound> {
    return this.ask(this.pipelines.reads(options?.consistency, options?.readFrom), query, options)
  }

  /** Has a query answered by the node of this process and no other, from what it has applied. */
  readOwn(query: Query, options: OperationOptions | undefined): Effect.Effect<Answer, ReadFailure | LeaseNotFound> {
    return this.ask(this.pipelines.ownReads, query, options)
  }

  private ask(
    pipeline: Pipeline,
    query: Query,
    options: OperationOptions | undefined
  ): Effect.Effect<Answer, ReadFailure | LeaseNotFound> {
    const problem = queryProblem(query)
    if (problem !== undefined) return Effect.fail(invalid(problem))
    const bytes = encodeQuery(query)
    const tooLarge = query._tag === "Transact" ? transactionSizeProblem(bytes.byteLength) : undefined
    if (tooLarge !== undefined) return Effect.fail(invalid(tooLarge))
    return Effect.catchTag(
      pipeline.submit(bytes, this.timeout(options), answerOf, mostAnswered(query), spanName(query)),
      // Reads are repeated instead of being answered by "outcome unknown", and belong to no session.
      ["Indeterminate", "SessionExpired"],
      (error) => Effect.die(error)
    )
  }

  private timeout(options: OperationOptions | undefined): number {
    return options?.timeoutMs ?? this.requestTimeoutMs
  }
}

/** Whether a list gives results and changes nothing. */
const onlyReads = (operations: ReadonlyArray<Operation>): boolean => operations.length > 0 && !operations.some(writes)

/** Whether the results of a transaction were not kept, and the list of it that was carried out only reads. */
const hasLostReading = ({ failure, success }: Transaction, reply: Answer): boolean =>
  reply._tag === "DigestReply" && onlyReads(reply.succeeded ? success : failure)

const spanNames = new Map<string, string>()

/** What an operation is called in a span: `put` for a command `Put`. */
const spanName = ({ _tag: tag }: Command | Query): string => {
  let name = spanNames.get(tag)
  if (name === undefined) spanNames.set(tag, name = `${tag.slice(0, 1).toLowerCase()}${tag.slice(1)}`)
  return name
}

/**
 * Most bytes that something may be answered with, when that may be many; 0 for what is answered by little or by one
 * value.
 */
const mostAnswered = (asked: Command | Query): number => {
  switch (asked._tag) {
    case "Scan":
      return maxPageBytesOf(asked.limit, asked.keysOnly)
    case "Transact":
      return maxAnswerBytes(asked.transaction)
    default:
      return 0
  }
}

export const invalid = ({ field, problem }: Problem): InvalidArgument =>
  new InvalidArgument({ field: fieldOf(field), problem })

const answerOf = (bytes: Uint8Array): Effect.Effect<Answer, InvalidArgument | Overloaded | LeaseNotFound> => {
  const reply = decodeReply(bytes)
  if (reply._tag === "Problem") throw new Error(`${reply.field} ${reply.problem}`)
  return reply._tag === "RefusedReply" ? refusalOf(reply) : Effect.succeed(reply)
}

/** What a refusal means to the caller. Whatever it is, the command changed nothing. */
const refusalOf = (
  { current, field, maximum, reason, text }: RefusedReply
): Effect.Effect<never, InvalidArgument | Overloaded | LeaseNotFound> => {
  switch (reason) {
    case "invalid":
      return Effect.fail(new InvalidArgument({ field: fieldOf(field), problem: text }))
    case "overloaded":
      return Effect.fail(new Overloaded({ limit: field, current, maximum }))
    case "lease-not-found":
      return Effect.fail(new LeaseNotFound({ lease: current }))
    default:
      return Effect.die(new Error(`a ${reason} (${field} ${text}) is not for this client`))
  }
}

/** What a reply of the wrong kind means: a bug of a node, or of this client. */
export const unexpected = (reply: Reply): Error => new Error(`a ${reply._tag} answers another kind of question`)
