/** Writes of clients: batches of commands, answered once all of them are committed and applied. */
import { Effect, Exit } from "effect"
import type { InvalidArgument, Overloaded, WriteError } from "../FlareDbError.ts"
import type { RaftNode } from "../node/RaftNode.ts"
import type { Trace } from "../protocol/Trace.ts"
import type { AnswerBudget } from "./AnswerBudget.ts"
import type { Answers, BatchCall } from "./BatchAnswers.ts"
import { bytesOf, pack } from "./BatchAnswers.ts"
import type { ConnectionQuota, ConnectionQuotas } from "./ConnectionQuotas.ts"
import { guardedCommands } from "./GuardedOperations.ts"
import type { Guarded, OperationGuard } from "./OperationGuard.ts"
import { tracesOf } from "./OperationGuard.ts"
import type { CountOperations } from "./OperationMetrics.ts"
import type { OperationCount, Operations } from "./OperationCount.ts"
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
  readonly count: CountOperations
  /** Absent where every command may be carried out, and none is written down. */
  readonly guard?: OperationGuard | undefined
}

/** No caller of this port was asked who it is, so that none may use a name. */
const unnamed = ({ access }: Pick<RaftNode["Service"], "access">, parts: Operations): Operations =>
  access === undefined ? parts : parts.map(access.unnamed)

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
    const { answers, guard, node, operations } = this.options
    const excess = answers.excess(call.clientId)
    if (excess !== undefined) return Effect.fail(excess)
    const parts = operations.begin("commands", commands)
    if (!begun(parts)) return Effect.fail(parts)
    const guarded = guard?.commands(call.clientId, parts)
    const allowed = guarded?.allowed ?? unnamed(node, parts)
    if (guarded !== undefined && allowed.length === 0 && !guarded.isRefusing) {
      operations.ended(parts)
      return Effect.succeed(this.answer(guarded.finish<Uint8Array | WriteError>([]), call))
    }
    const quota = this.quotaOf(call.clientId)
    if (guard !== undefined && guarded?.isRefusing === true) {
      return this.writeProven(guard, parts, guarded, quota, call)
    }
    if (quota?.counts(allowed) === true) {
      const written = quota.write(allowed, node.propose).pipe(
        Effect.map((results) => this.answer(guarded?.finish<Uint8Array | WriteError>(results) ?? results, call)),
        Effect.ensuring(Effect.sync(() => operations.ended(parts)))
      )
      return guarded === undefined ? written : Effect.onError(written, () => Effect.sync(guarded.abandoned))
    }
    call.onAbandoned = () => {
      operations.ended(parts)
      guarded?.abandoned()
    }
    node.proposeUnsafe(allowed, "client", (results) => {
      if (call.isOver) return
      operations.ended(parts)
      call.respondWith(() =>
        Exit.succeed(this.answer(guarded?.finish<Uint8Array | WriteError>(results) ?? results, call))
      )
    }, guarded === undefined ? traces : tracesOf(parts, allowed, traces))
    return undefined
  }

  /** Carries out a call of which this node would refuse something, once it knows whether it may. */
  private writeProven(
    guard: OperationGuard,
    parts: Operations,
    guarded: Guarded,
    quota: ConnectionQuota | undefined,
    call: WriteCall
  ): Effect.Effect<WriteAnswers, InvalidArgument | Overloaded> {
    const { node, operations } = this.options
    const propose = (allowed: Operations) =>
      quota === undefined ? node.propose(allowed) : quota.write(allowed, node.propose)
    return guardedCommands(guard, node, call.clientId, parts, propose, guarded).pipe(
      Effect.map((results) => this.answer(results, call)),
      Effect.ensuring(Effect.sync(() => operations.ended(parts)))
    )
  }

  /** The connection has ended. */
  forget(clientId: number): void {
    this.quotas.delete(clientId)
  }

  /** What was committed is answered, however large. It counts against what this client may read meanwhile. */
  private answer(results: ReadonlyArray<Uint8Array | WriteError>, call: WriteCall): WriteAnswers {
    this.options.count("write", results)
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
