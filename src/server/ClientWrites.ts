/** Writes of clients: batches of commands, answered once all of them are committed and applied. */
import { Effect, Exit } from "effect"
import type { InvalidArgument, Overloaded, WriteError } from "../FlareDbError.ts"
import type { RaftNode } from "../node/RaftNode.ts"
import type { Trace } from "../protocol/Trace.ts"
import type { AnswerBudget } from "./AnswerBudget.ts"
import type { Answers, BatchCall } from "./BatchAnswers.ts"
import { bytesOf, pack } from "./BatchAnswers.ts"
import type { ConnectionQuota, ConnectionQuotas } from "./ConnectionQuotas.ts"
import type { OperationCount } from "./OperationCount.ts"
import { begun } from "./OperationCount.ts"

/** Answers up to this many bytes are not counted. */
const smallBytes = 64 * 1024

type WriteAnswers = Answers<WriteError>
type WriteCall = BatchCall<WriteError>

export interface WriteRequest {
  /** A batch of commands. */
  readonly commands: Uint8Array
  readonly traces?: ReadonlyArray<Trace>
}

export interface ClientWritesOptions {
  readonly node: RaftNode["Service"]
  readonly operations: OperationCount
  readonly answers: AnswerBudget
  readonly newQuota: ConnectionQuotas
}

export class ClientWrites {
  private readonly options: ClientWritesOptions
  private readonly quotas = new Map<number, ConnectionQuota>()

  constructor(options: ClientWritesOptions) {
    this.options = options
  }

  /** Carries a call out: returns its answer, or `undefined` when the node answers the call itself. */
  write(
    { commands, traces }: WriteRequest,
    call: WriteCall
  ): Effect.Effect<WriteAnswers, InvalidArgument | Overloaded> | undefined {
    const { answers, node, operations } = this.options
    const excess = answers.excess(call.clientId)
    if (excess !== undefined) return Effect.fail(excess)
    const parts = operations.begin("commands", commands)
    if (!begun(parts)) return Effect.fail(parts)
    const quota = this.quotaOf(call.clientId)
    if (quota?.counts(parts) === true) {
      const written = Effect.map(quota.write(parts, node.propose), (results) => this.answer(results, call))
      return Effect.ensuring(written, Effect.sync(() => operations.ended(parts)))
    }
    call.onAbandoned = () => operations.ended(parts)
    node.proposeUnsafe(parts, "client", (results) => {
      if (call.isOver) return
      operations.ended(parts)
      call.respondWith(() => Exit.succeed(this.answer(results, call)))
    }, traces)
    return undefined
  }

  /** The connection has ended. */
  forget(clientId: number): void {
    this.quotas.delete(clientId)
  }

  /** What was committed is answered, however large. It counts against what this client may read meanwhile. */
  private answer(results: ReadonlyArray<Uint8Array | WriteError>, call: WriteCall): WriteAnswers {
    const bytes = bytesOf(results)
    if (bytes > smallBytes) this.options.answers.roomOf(call).trim(bytes)
    return pack(results)
  }

  private quotaOf(clientId: number): ConnectionQuota | undefined {
    const known = this.quotas.get(clientId)
    if (known !== undefined) return known
    const quota = this.options.newQuota()
    if (quota !== undefined) this.quotas.set(clientId, quota)
    return quota
  }
}
