/**
 * Operations of callers that may not do everything: those that are allowed are carried out, and the others refused. A
 * node that is behind may not know of a role that was given to the caller, and one that led may not know that it does
 * no more. So a node refuses nothing before it has heard from a majority; where it cannot, the caller is to ask another
 * node.
 */
import { Effect, Result } from "effect"
import type { ReadError, Unavailable, WriteError } from "../FlareDbError.ts"
import type { RaftNode } from "../node/RaftNode.ts"
import type { Operations } from "./OperationCount.ts"
import type { Guarded, OperationGuard } from "./OperationGuard.ts"
import type { Barrier } from "../node/UpToDate.ts"
import { upToDate } from "../node/UpToDate.ts"

/** Judges again, once this node knows what was acknowledged before, what it would refuse by what it knows now. */
const proven = (
  node: Barrier,
  guarded: Guarded,
  judge: (unproven: Unavailable | undefined) => Guarded
): Effect.Effect<Guarded> => {
  if (!guarded.isRefusing) return Effect.succeed(guarded)
  guarded.discard()
  return Effect.map(
    Effect.result(upToDate(node, "what its caller may do")),
    (proof) => judge(Result.isFailure(proof) ? proof.failure : undefined)
  )
}

/** The results of the operations that may be carried out, and the refusals of the others. */
const carriedOut = <E>(
  { abandoned, allowed, finish }: Guarded,
  work: (allowed: Operations) => Effect.Effect<ReadonlyArray<Uint8Array | E>>
) =>
  allowed.length === 0
    ? Effect.sync(() => finish<Uint8Array | E>([]))
    : work(allowed).pipe(
      Effect.map((results) => finish<Uint8Array | E>(results)),
      Effect.onError(() => Effect.sync(abandoned))
    )

/** Answers the queries of one call with `query`, as far as its caller may make them. */
export const guardedQueries = (
  guard: OperationGuard,
  node: Barrier,
  clientId: number,
  queries: Operations,
  query: (allowed: Operations) => ReturnType<RaftNode["Service"]["query"]>
): Effect.Effect<ReadonlyArray<Uint8Array | ReadError>> =>
  Effect.suspend(() => {
    const judge = (unproven?: Unavailable) => guard.queries(clientId, queries, unproven)
    return Effect.flatMap(proven(node, judge(), judge), (guarded) => carriedOut<ReadError>(guarded, query))
  })

/** Has the commands of one call carried out by `propose`, as far as its caller may. */
export const guardedCommands = (
  guard: OperationGuard,
  node: Barrier,
  clientId: number,
  commands: Operations,
  propose: (allowed: Operations) => ReturnType<RaftNode["Service"]["propose"]>,
  first = guard.commands(clientId, commands)
): Effect.Effect<ReadonlyArray<Uint8Array | WriteError>> =>
  Effect.flatMap(
    proven(node, first, (unproven) => guard.commands(clientId, commands, unproven)),
    (guarded) => carriedOut<WriteError>(guarded, propose)
  )
