/** The comparison of the nodes' states: each hashes its own, right behind the same command of the log. */
import { Deferred, Effect, Exit, Fiber, Option, Random, Stream } from "effect"
import { encodeCommand } from "../../kv/model/Command.ts"
import type { Commands } from "../Commands.ts"
import { ConnectionLost } from "./Connection.ts"
import type { Endpoint } from "./Endpoint.ts"
import { formatEndpoint } from "./Endpoint.ts"
import type { ConnectState } from "./StateConnection.ts"
import type { HashStep } from "../../protocol/StateRpcs.ts"
import { timeoutProblem } from "../session/Timeout.ts"

/** The hash of a node's state, or why there is none. */
export interface NodeHash {
  readonly endpoint: string
  readonly hash: Extract<HashStep, { readonly _tag: "Hashed" }> | undefined
  /** Why there is no hash, in one line. */
  readonly problem: string | undefined
}

/** How nodes are compared, and how long each may take. */
export interface VerifyOptions {
  /**
   * A command that changes nothing, whose entry of the log is where all nodes are compared. A `Checkpoint` of the
   * key-value store unless given; a state machine of one's own needs one of its own.
   */
  readonly marker?: Uint8Array | undefined
  /** Milliseconds that a node may take from that entry on. Default 300,000. */
  readonly timeoutMs?: number | undefined
  /** Told how far each node has come. */
  readonly onStep?: (endpoint: string, step: HashStep) => Effect.Effect<void>
}

/** The nodes that are compared. */
export interface HashedNodes {
  readonly endpoints: ReadonlyArray<Endpoint>
  readonly connect: ConnectState
  /** Milliseconds until a node has to begin a backup, or to be ready for a comparison. */
  readonly requestTimeoutMs: number
}

/** A random number that no other comparison has. */
const newToken = Random.nextIntBetween(1, Number.MAX_SAFE_INTEGER)

/** Has a node hash its state right behind `marker`, and opens `ready` once it is ready for that. */
const hashOf = (
  connect: ConnectState,
  endpoint: Endpoint,
  marker: Uint8Array,
  ready: Deferred.Deferred<void>,
  onStep: VerifyOptions["onStep"]
): Effect.Effect<NodeHash> => {
  const name = formatEndpoint(endpoint)
  let hash: NodeHash["hash"]
  const run = Effect.scoped(
    Effect.flatMap(
      connect(endpoint),
      (connection) =>
        Stream.runForEach(connection.hashState(marker), (step) =>
          Effect.suspend(() => {
            if (step._tag === "Armed") Deferred.doneUnsafe(ready, Exit.void)
            if (step._tag === "Hashed") hash = step
            return onStep === undefined ? Effect.void : onStep(name, step)
          }))
    )
  )
  return Effect.matchEffect(run, {
    onSuccess: () =>
      Effect.succeed<NodeHash>({ endpoint: name, hash, problem: hash === undefined ? "it sent no hash" : undefined }),
    onFailure: (error) =>
      Effect.succeed<NodeHash>({
        endpoint: name,
        hash: undefined,
        problem: error instanceof ConnectionLost ? error.reason : error.message
      })
  }).pipe(
    // However it ends, the comparison does not wait for it any more.
    Effect.ensuring(Effect.sync(() => Deferred.doneUnsafe(ready, Exit.void)))
  )
}

/** Has every node hash its whole state right behind the same command. */
export const nodeHashes = Effect.fnUntraced(function*(
  { connect, endpoints, requestTimeoutMs }: HashedNodes,
  commands: Commands["Service"],
  options: VerifyOptions = {}
) {
  const { onStep, timeoutMs = 300_000 } = options
  const problem = timeoutProblem(timeoutMs)
  if (problem !== undefined) return yield* Effect.fail(problem)
  const marker = options.marker ?? encodeCommand({ _tag: "Checkpoint", token: yield* newToken })
  const missing = (endpoint: Endpoint, problem: string): NodeHash => ({
    endpoint: formatEndpoint(endpoint),
    hash: undefined,
    problem
  })
  const nodes = yield* Effect.forEach(endpoints, (endpoint) =>
    Effect.gen(function*() {
      const ready = yield* Deferred.make<void>()
      return { endpoint, ready, fiber: yield* Effect.forkScoped(hashOf(connect, endpoint, marker, ready, onStep)) }
    }))
  const ready = yield* Effect.forEach(
    nodes,
    ({ ready }) => Effect.map(Effect.timeoutOption(Deferred.await(ready), requestTimeoutMs), Option.isSome),
    { concurrency: "unbounded" }
  )
  yield* commands.write(marker, { repeatable: true })
  return yield* Effect.forEach(nodes, ({ endpoint, fiber }, i) =>
    ready[i] !== true
      ? Effect.succeed(missing(endpoint, `not ready within ${requestTimeoutMs} ms`))
      : Effect.timeoutOrElse(Fiber.join(fiber), {
        duration: timeoutMs,
        orElse: () => Effect.succeed(missing(endpoint, `no hash within ${timeoutMs} ms; is it far behind?`))
      }), { concurrency: "unbounded" })
})
