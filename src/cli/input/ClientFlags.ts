/** What every command that talks to a cluster takes, and the client it gets from it. */
import { Config, Effect, Option, Scope } from "effect"
import { Flag } from "effect/cli"
import type { ClientOptions } from "../../client/ClientOptions.ts"
import { formatEndpoint, localEndpoints, parseEndpoints } from "../../client/connection/Endpoint.ts"
import type { ClientServices } from "../../client/RemoteClient.ts"
import * as RemoteClient from "../../client/RemoteClient.ts"
import { Overloaded } from "../../FlareDbError.ts"
import type { IdentityFlags } from "./IdentityFlags.ts"
import { identityFiles, identityFlags, identityOptions } from "./IdentityFlags.ts"
import { withVariable } from "./DefaultValue.ts"
import { durationFlag } from "./Duration.ts"
import { formatDuration } from "../../DurationText.ts"
import type { Failure } from "../output/Failure.ts"
import { failureOf, wrongUsage } from "../output/Failure.ts"
import { makeSwitch } from "./Switch.ts"

/** Milliseconds until a command gives up, unless it is said otherwise. */
export const defaultTimeoutMs = 5_000

const defaultEndpoints = localEndpoints.map(formatEndpoint).join(",")

export const clientFlags = {
  endpoints: Flag.String("endpoints").pipe(
    Flag.withAlias("e"),
    Flag.withMetavar("HOST:PORT,…"),
    withVariable(
      "client endpoints of the nodes",
      { name: "FLAREDB_ENDPOINTS", config: Config.String },
      defaultEndpoints
    )
  ),
  clusterIdentity: Flag.String("cluster-identity").pipe(
    Flag.withMetavar("IDENTITY"),
    Flag.withDescription(
      "fail unless the cluster has this identity, as flaredb status shows it; default any. A script that keeps " +
        "revisions or leases keeps it beside them (FLAREDB_CLUSTER_IDENTITY)"
    ),
    Flag.withFallbackConfig(Config.String("FLAREDB_CLUSTER_IDENTITY")),
    Flag.optional
  ),
  timeout: durationFlag("timeout").pipe(
    withVariable(
      "how long until the command gives up, at most 1h",
      { name: "FLAREDB_TIMEOUT_MS", config: Config.Int },
      defaultTimeoutMs,
      formatDuration(defaultTimeoutMs)
    )
  ),
  json: makeSwitch("json").pipe(Flag.withDescription("print one JSON object per line"), Flag.withDefault(false)),
  ...identityFlags
}

export interface ClientFlags extends IdentityFlags {
  readonly endpoints: string
  readonly clusterIdentity: Option.Option<string>
  readonly timeout: number
  readonly json: boolean
}

/**
 * Milliseconds for which a command tries again while every endpoint refuses connections. Long enough for a few
 * attempts, and short enough that a wrong endpoint is known within a second.
 */
export const refusedTimeoutMs = 300

/** An hour: longer waits are mistyped. */
const maxTimeoutMs = 3_600_000

/** The settings of the client that the flags describe. Its certificates are followed within the scope. */
export const clientOptions = (flags: ClientFlags): Effect.Effect<ClientOptions, Failure, Scope.Scope> =>
  Effect.gen(function*() {
    if (flags.timeout < 1 || flags.timeout > maxTimeoutMs) {
      return yield* wrongUsage(
        `--timeout ${formatDuration(flags.timeout)} is not from 1ms to ${formatDuration(maxTimeoutMs)}`
      )
    }
    // Effect takes an empty variable for none. A script whose variable is empty would speak to another cluster.
    if (process.env["FLAREDB_ENDPOINTS"] === "" && flags.endpoints === defaultEndpoints) {
      return yield* wrongUsage("the variable FLAREDB_ENDPOINTS is set and empty; unset it, or give endpoints")
    }
    return {
      endpoints: yield* parseEndpoints(flags.endpoints),
      clusterIdentity: Option.getOrUndefined(flags.clusterIdentity),
      requestTimeoutMs: flags.timeout,
      refusedTimeoutMs: Math.ceil(Math.min(refusedTimeoutMs, flags.timeout / 2)),
      connectTimeoutMs: Math.min(1_000, flags.timeout),
      name: "flaredb",
      ...yield* identityOptions(yield* identityFiles(flags))
    }
  }).pipe(Effect.mapError(failureOf))

/** How opening a session fails while the cluster, or the connection, may have no more of them. */
const isWithoutSession = (error: unknown): boolean =>
  error instanceof Overloaded && /^max(?:Connection)?Sessions\b/.test(error.limit)

/** The certificates are followed for as long as the command runs, and the command has the scope that it had. */
const withOptions = <A, R>(
  flags: ClientFlags,
  use: (options: ClientOptions) => Effect.Effect<A, Failure, R>
): Effect.Effect<A, Failure, R> =>
  Effect.acquireUseRelease(
    Scope.make(),
    (scope) => Effect.flatMap(Scope.provide(clientOptions(flags), scope), use),
    (scope, exit) => Scope.close(scope, exit)
  )

/**
 * {@link withClient} for a command that makes one write. While the cluster has no place for another session the write
 * is done without one: what failed was the opening, and nothing else was sent. Without a session a write whose answer
 * is lost is not repeated, and the command says that its outcome is unknown.
 */
export const withWriter = <A, E, R>(
  flags: ClientFlags,
  command: Effect.Effect<A, E, R | ClientServices>
): Effect.Effect<A, Failure, Exclude<R, ClientServices>> =>
  withOptions(flags, (options) => {
    const carryOut = (sessions: boolean) => Effect.provide(command, RemoteClient.layer({ ...options, sessions }))
    return carryOut(true).pipe(
      Effect.catchIf(isWithoutSession, () => carryOut(false)),
      Effect.mapError(failureOf)
    )
  })

/** Runs a command with a client of the cluster its flags name. */
export const withClient = <A, E, R>(
  flags: ClientFlags,
  command: Effect.Effect<A, E, R | ClientServices>
): Effect.Effect<A, Failure, Exclude<R, ClientServices>> =>
  withOptions(
    flags,
    (options) => Effect.mapError(Effect.provide(command, RemoteClient.layer(options)), failureOf)
  )
