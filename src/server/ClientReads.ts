/** Reads of clients: batches of queries, answered from the state of this node. */
import { Effect, Semaphore } from "effect"
import type { InvalidArgument, ReadError } from "../FlareDbError.ts"
import { Overloaded } from "../FlareDbError.ts"
import { maxPageBytes } from "../kv/model/Limits.ts"
import type { RaftNode } from "../node/RaftNode.ts"
import type { Consistency, ReadFrom } from "../protocol/ReadMode.ts"
import type { Trace } from "../protocol/Trace.ts"
import type { AnswerBudget, CallRoom } from "./AnswerBudget.ts"
import type { Answers, BatchCall } from "./BatchAnswers.ts"
import { bytesOf, pack } from "./BatchAnswers.ts"
import type { CountOperations } from "./OperationMetrics.ts"
import type { OperationCount } from "./OperationCount.ts"
import { begun } from "./OperationCount.ts"
import { guardedQueries } from "./GuardedOperations.ts"
import type { OperationGuard } from "./OperationGuard.ts"
import { tracesOf } from "./OperationGuard.ts"

/** Answers from this many bytes on are large. */
const largeBytes = 256 * 1024

/** Bytes of a query and of its answer, as far as they are known before they are looked at. */
const queryBytes = 64
const answerBytes = 64 * 1024

type ReadAnswers = Answers<ReadError>

export interface ReadRequest {
  readonly consistency: Consistency
  readonly from: ReadFrom
  /** A batch of queries. */
  readonly queries: Uint8Array
  readonly traces?: ReadonlyArray<Trace>
}

export interface ClientReadsOptions {
  readonly node: RaftNode["Service"]
  readonly operations: OperationCount
  readonly answers: AnswerBudget
  readonly count: CountOperations
  /** Absent where every query may be answered, and none is written down. */
  readonly guard?: OperationGuard | undefined
}

export class ClientReads {
  private readonly options: ClientReadsOptions
  private readonly turns = Semaphore.makeUnsafe(1)
  /** Large answers are packed and encoded one in a turn of the event loop: heartbeats and others go between. */
  private readonly turn = Effect.map(this.turns.take(1), () => {
    setImmediate(() => Effect.runFork(this.turns.release(1)))
  })

  constructor(options: ClientReadsOptions) {
    this.options = options
  }

  /** The answer to a call. */
  read(
    request: ReadRequest,
    call: BatchCall<ReadError>
  ): Effect.Effect<ReadAnswers, InvalidArgument | Overloaded> {
    const room = this.options.answers.roomOf(call)
    // Room comes first: a call that waits for it is neither unpacked nor copied.
    const expected = Math.min(Math.ceil(request.queries.byteLength / queryBytes) * answerBytes, maxPageBytes)
    return Effect.flatMap(
      room.reserve(expected),
      (refusal) => refusal === undefined ? this.answer(request, room) : Effect.fail(refusal)
    )
  }

  private answer(
    { consistency, from, queries, traces }: ReadRequest,
    room: CallRoom
  ): Effect.Effect<ReadAnswers, InvalidArgument | Overloaded> {
    const { guard, node, operations } = this.options
    const parts = operations.begin("queries", queries)
    if (!begun(parts)) return Effect.fail(parts)
    const found = guard === undefined
      ? node.query(parts, consistency, from, room, traces)
      : guardedQueries(
        guard,
        node,
        room.clientId,
        parts,
        (allowed) => node.query(allowed, consistency, from, room, tracesOf(parts, allowed, traces))
      )
    const answered = Effect.flatMap(found, (results) => {
      this.options.count("read", results)
      const bytes = bytesOf(results)
      room.trim(bytes)
      if (bytes > largeBytes) return Effect.map(this.turn, () => pack(results))
      const [first] = results
      // One refusal for all is a short answer; thousands would be a long one.
      return first instanceof Overloaded && results.every((result) => result === first)
        ? Effect.fail(first)
        : Effect.succeed(pack(results))
    })
    return Effect.ensuring(answered, Effect.sync(() => operations.ended(parts)))
  }
}
