/** Backups of a cluster, and the comparison of its nodes' states. */
import { Cause, Context, Deferred, Effect, Exit, Fiber, Layer, Option, Random, Schedule, Scope, Stream } from "effect"
import type { InvalidConfig } from "../FlareDbConfig.ts"
import type { WrongCluster } from "../FlareDbError.ts"
import { Unavailable } from "../FlareDbError.ts"
import { encodeCommand } from "../kv/Command.ts"
import type { ClientOptions } from "./ClientOptions.ts"
import { resolve } from "./ClientOptions.ts"
import { ClusterAdmin } from "./ClusterAdmin.ts"
import type { CommandFailure } from "./Commands.ts"
import { Commands } from "./Commands.ts"
import { ConnectionLost } from "./Connection.ts"
import type { Endpoint } from "./Endpoint.ts"
import { formatEndpoint } from "./Endpoint.ts"
import { KnownCluster } from "./KnownCluster.ts"
import { expectedCluster } from "./RemoteClient.ts"
import * as RemoteCommands from "./RemoteCommands.ts"
import type { ConnectState } from "./StateConnection.ts"
import * as StateConnection from "./StateConnection.ts"
import type { HashStep, StateError } from "./StateRpcs.ts"
import { timeoutProblem } from "./Timeout.ts"

/** How a backup fails. */
export type BackupFailure = StateError | ConnectionLost | WrongCluster

/** The hash of a node's state, or why there is none. */
export interface NodeHash {
  readonly endpoint: string
  readonly hash: Extract<HashStep, { readonly _tag: "Hashed" }> | undefined
  /** Why there is no hash, in one line. */
  readonly problem: string | undefined
}

export interface VerifyOptions {
  /**
   * A command that changes nothing, as the moment at which all nodes are compared. A `Checkpoint` of the key-value
   * store unless given; a state machine of one's own needs one of its own.
   */
  readonly marker?: Uint8Array | undefined
  /** Milliseconds that a node may take from that moment on. Default 300,000. */
  readonly timeoutMs?: number | undefined
  /** Told how far each node has come. */
  readonly onStep?: (endpoint: string, step: HashStep) => Effect.Effect<void>
}

export class Backups extends Context.Service<Backups, {
  /**
   * The bytes of a backup of the cluster, header first, as `codec/BackupFile.ts` has them: everything that was
   * acknowledged before it began, and nothing half. One node serves all of it, a follower if there is one; when that
   * node is lost in the middle the stream fails. The node sends no faster than the bytes are taken, and gives up when
   * they are not taken for a minute.
   */
  readonly download: Stream.Stream<Uint8Array, BackupFailure>

  /**
   * Has every node hash its whole state right behind the same command. Nodes that do not answer are in the result with
   * the reason. Fails only when that command could not be committed.
   */
  readonly hashes: (options?: VerifyOptions) => Effect.Effect<ReadonlyArray<NodeHash>, CommandFailure>
}>()("flaredb/client/Backups") {}

export interface BackupsOptions {
  readonly endpoints: ReadonlyArray<Endpoint>
  readonly connect: ConnectState
  /** Milliseconds until a node has to be ready for the moment of a comparison. */
  readonly attemptTimeoutMs: number
  /** Milliseconds until a node has to begin a backup. */
  readonly requestTimeoutMs: number
}

/** Pause before all nodes are asked for a backup once more, in milliseconds. */
const beginPauseMs = 200

/** During an election no node can tell what is acknowledged: the nodes are asked again. */
const isElection = ({ _tag }: BackupFailure): boolean => _tag === "NotLeader" || _tag === "Unavailable"

/** A random number that no other comparison has. */
const newToken = Random.nextIntBetween(1, Number.MAX_SAFE_INTEGER)

export const make = (
  { attemptTimeoutMs, connect, endpoints, requestTimeoutMs }: BackupsOptions,
  commands: Commands["Service"],
  admin: ClusterAdmin["Service"]
): Backups["Service"] => {
  /** Followers first: the leader has enough to do. */
  const byLoad = Effect.map(admin.status, (answers) => {
    const rank = (endpoint: Endpoint): number => {
      const report = answers.find((answer) => answer.endpoint === formatEndpoint(endpoint))?.report
      return report === undefined ? 2 : report.role === "leader" ? 1 : 0
    }
    return [...endpoints].sort((a, b) => rank(a) - rank(b))
  })

  /** A backup from one node, once it has sent its first piece. */
  const beginAt = Effect.fnUntraced(function*(endpoint: Endpoint) {
    const scope = yield* Scope.fork(yield* Effect.scope)
    const opened = Effect.gen(function*() {
      const pull = yield* Stream.toPull((yield* connect(endpoint)).backup)
      return { pull, first: yield* pull }
    })
    const { first, pull } = yield* Scope.provide(opened, scope).pipe(
      Effect.mapError((error): BackupFailure =>
        // Even an empty one has a header.
        Cause.isDone(error) ? new Unavailable({ reason: `${formatEndpoint(endpoint)} sent nothing` }) : error
      ),
      Effect.onExit((exit) => Exit.isSuccess(exit) ? Effect.void : Scope.close(scope, exit))
    )
    return Stream.concat(Stream.fromIterable(first), Stream.fromPull(Effect.succeed(pull)))
  })

  /** A backup from the first node that serves one. What every node said is in the error when none can be reached. */
  const beginAnywhere = Effect.fnUntraced(function*(candidates: ReadonlyArray<Endpoint>) {
    const failures: Array<BackupFailure> = []
    for (const endpoint of candidates) {
      const begun = yield* Effect.result(beginAt(endpoint))
      if (begun._tag === "Success") return begun.success
      failures.push(begun.failure)
    }
    const error = failures.find(isElection) ?? failures.find(({ _tag }) => _tag !== "ConnectionLost")
    const everyone = failures.map(({ message }) => message).join("; ")
    return yield* Effect.fail(
      error === undefined
        ? { again: false, error: new Unavailable({ reason: `no node can be reached; ${everyone}` }) }
        : { again: isElection(error), error }
    )
  })

  const begin = Effect.flatMap(byLoad, beginAnywhere).pipe(
    Effect.retry({
      schedule: Schedule.spaced(beginPauseMs).pipe(Schedule.upTo({ duration: requestTimeoutMs })),
      while: ({ again }) => again
    }),
    Effect.mapError(({ error }) => error)
  )

  const hashOf = (
    endpoint: Endpoint,
    marker: Uint8Array,
    armed: Deferred.Deferred<void>,
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
              if (step._tag === "Armed") Deferred.doneUnsafe(armed, Exit.void)
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
      Effect.ensuring(Effect.sync(() => Deferred.doneUnsafe(armed, Exit.void)))
    )
  }

  const hashes = Effect.fnUntraced(function*(options: VerifyOptions = {}) {
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
        const armed = yield* Deferred.make<void>()
        return { endpoint, armed, fiber: yield* Effect.forkScoped(hashOf(endpoint, marker, armed, onStep)) }
      }))
    const ready = yield* Effect.forEach(
      nodes,
      ({ armed }) => Effect.map(Effect.timeoutOption(Deferred.await(armed), attemptTimeoutMs), Option.isSome),
      { concurrency: "unbounded" }
    )
    yield* commands.write(marker, { repeatable: true })
    return yield* Effect.forEach(nodes, ({ endpoint, fiber }, i) =>
      ready[i] !== true
        ? Effect.succeed(missing(endpoint, `not ready within ${attemptTimeoutMs} ms`))
        : Effect.timeoutOrElse(Fiber.join(fiber), {
          duration: timeoutMs,
          orElse: () => Effect.succeed(missing(endpoint, `no hash within ${timeoutMs} ms; is it far behind?`))
        }), { concurrency: "unbounded" })
  })

  return Backups.of({
    download: Stream.unwrap(begin),
    hashes: (options) => Effect.scoped(hashes(options))
  })
}

/** The service for the cluster at `endpoints`, over the network. */
export const layer = (options: ClientOptions): Layer.Layer<Backups, InvalidConfig> => {
  const { attemptTimeoutMs, connectTimeoutMs, endpoints, requestTimeoutMs } = resolve(options)
  return Layer.unwrap(
    Effect.map(expectedCluster(resolve(options)), (expected) => {
      const cluster = new KnownCluster(expected)
      const connect = StateConnection.make({ connectTimeoutMs, cluster })
      return Layer.effect(
        Backups,
        Effect.gen(function*() {
          return make(
            { endpoints, connect, attemptTimeoutMs, requestTimeoutMs },
            yield* Commands,
            yield* ClusterAdmin
          )
        })
      ).pipe(Layer.provide(RemoteCommands.layer(options, cluster)))
    })
  )
}
