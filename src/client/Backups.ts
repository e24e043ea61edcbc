/** Backups of a cluster, and the comparison of its nodes' states. */
import { Cause, Context, Effect, Exit, Layer, Schedule, Scope, Stream } from "effect"
import type { InvalidConfig } from "../config/ConfigProblem.ts"
import type { WrongCluster } from "../FlareDbError.ts"
import { Unavailable } from "../FlareDbError.ts"
import type { ClientOptions } from "./ClientOptions.ts"
import { connectionOptions, resolve } from "./ClientOptions.ts"
import { ClusterAdmin } from "./ClusterAdmin.ts"
import type { CommandFailure } from "./Commands.ts"
import { Commands } from "./Commands.ts"
import type { ConnectionLost } from "./connection/Connection.ts"
import type { Endpoint } from "./connection/Endpoint.ts"
import { formatEndpoint } from "./connection/Endpoint.ts"
import { KnownCluster } from "./connection/KnownCluster.ts"
import type { HashedNodes, NodeHash, VerifyOptions } from "./connection/NodeHashes.ts"
import { nodeHashes } from "./connection/NodeHashes.ts"
import { expectedCluster } from "./RemoteClient.ts"
import * as RemoteCommands from "./RemoteCommands.ts"
import * as StateConnection from "./connection/StateConnection.ts"
import type { StateError } from "../protocol/StateRpcs.ts"

/** How a backup fails. */
export type BackupFailure = StateError | ConnectionLost | WrongCluster

/**
 * Backups of a running cluster, and the comparison of its nodes.
 *
 * **When to use**
 *
 * To keep backups where the command line cannot: in a bucket, in another program. `flaredb backup` and `flaredb
 * verify` are made of it.
 *
 * **Details**
 *
 * A backup is one consistent snapshot of a running cluster; writes go on meanwhile. `hashes` compares all nodes at one
 * entry of the log.
 *
 * **Gotchas**
 *
 * Only a stream that ended without an error is a whole backup. It holds every value: keep it as you keep the data.
 */
export class Backups extends Context.Service<Backups, {
  /**
   * The bytes of a backup of the cluster, header first, as `protocol/BackupFile.ts` has them: everything that was
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

/** Pause before all nodes are asked for a backup once more, in milliseconds. */
const beginPauseMs = 200

/** During an election no node can tell what is acknowledged: the nodes are asked again. */
const isElection = ({ _tag }: BackupFailure): boolean => _tag === "NotLeader" || _tag === "Unavailable"

/** What was received of a backup is of no use when its node is lost: another one cannot go on with it. */
const brokenOff = (error: BackupFailure): BackupFailure =>
  error._tag === "ConnectionLost"
    ? new Unavailable({ reason: `${error.message} in the middle of the backup, which is not whole. Take it again` })
    : error

export const make = (
  { connect, endpoints, requestTimeoutMs }: HashedNodes,
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
    return Stream.concat(Stream.fromIterable(first), Stream.fromPull(Effect.succeed(pull))).pipe(
      Stream.mapError(brokenOff)
    )
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

  return Backups.of({
    download: Stream.unwrap(begin),
    hashes: (options) => Effect.scoped(nodeHashes({ connect, endpoints, requestTimeoutMs }, commands, options))
  })
}

/**
 * The service for the cluster at `endpoints`, over the network.
 *
 * **When to use**
 *
 * With a client that was put together by hand; `layer` has it already.
 */
export const layer = (options: ClientOptions): Layer.Layer<Backups, InvalidConfig> => {
  const client = resolve(options)
  const { endpoints, requestTimeoutMs } = client
  return Layer.unwrap(
    Effect.map(expectedCluster(client), (expected) => {
      const cluster = new KnownCluster(expected)
      const connect = StateConnection.make({ ...connectionOptions(client), cluster })
      return Layer.effect(
        Backups,
        Effect.gen(function*() {
          return make(
            { endpoints, connect, requestTimeoutMs },
            yield* Commands,
            yield* ClusterAdmin
          )
        })
      ).pipe(Layer.provide(RemoteCommands.layerBeside(options, cluster)))
    })
  )
}
