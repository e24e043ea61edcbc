/** The first thing that a client says on a connection: which protocol it speaks, and who it is. */
import type { Redacted } from "effect"
import { Cause, Effect, Option, Redacted as Secret, Result } from "effect"
import { Unauthenticated } from "../../FlareDbError.ts"
import { within } from "../../net/Deadline.ts"
import { isLoopbackHost } from "../../net/Loopback.ts"
import type { Welcome } from "../../protocol/ClientRpcs.ts"
import { clientProtocols, maxTokenCharacters } from "../../protocol/ClientRpcs.ts"
import { parseIdentity } from "../../protocol/ClusterIdentity.ts"
import type { ClusterInfo, ConnectionLost } from "./Connection.ts"
import type { Endpoint } from "./Endpoint.ts"
import type { Losses } from "./Losses.ts"

/**
 * What a client shows instead of a certificate: a text, or what reads it. It is read for each connection, so that a
 * file whose token changes is followed.
 */
export type ClientToken = Redacted.Redacted | Effect.Effect<Redacted.Redacted, Unauthenticated>

/** What a client that was let in knows. */
export interface Welcomed {
  readonly cluster: ClusterInfo
  /** Who the node takes it for; `undefined` where it asks no caller. */
  readonly caller: string | undefined
  /** The version of the protocol that is spoken on the connection. */
  readonly protocol: number
}

/** The token for a node. None is sent where others could read it. */
export const tokenFor = (
  { host }: Endpoint,
  { tls, token }: { readonly tls?: unknown; readonly token?: ClientToken | undefined }
): Effect.Effect<Redacted.Redacted | undefined, Unauthenticated> => {
  if (token === undefined) return Effect.succeed(undefined)
  if (tls === undefined && !isLoopbackHost(host)) {
    return Effect.fail(
      new Unauthenticated({ reason: `no token is sent to ${host} without TLS, where others could read it; use TLS` })
    )
  }
  const read = Secret.isRedacted(token) ? Effect.succeed(token) : token
  return Effect.flatMap(read, (text) =>
    Secret.value(text).length <= maxTokenCharacters
      ? Effect.succeed(text)
      : Effect.fail(
        new Unauthenticated({ reason: `what is given as a token has more than ${maxTokenCharacters} characters` })
      ))
}

type Hello<Failure> = (request: {
  readonly protocolVersion: number
  readonly newest: number
  readonly token?: Redacted.Redacted
}) => Effect.Effect<typeof Welcome.Type, Failure>

/**
 * Says it, and hears who answers. Fails as `Unauthenticated` when the node knows that it does not know the caller, and
 * as lost in any other case.
 */
export const sayHello = <Failure>(
  hello: Hello<Failure>,
  token: Redacted.Redacted | undefined,
  timeoutMs: number,
  losses: Losses
): Effect.Effect<Welcomed, ConnectionLost | Unauthenticated> =>
  hello({
    protocolVersion: clientProtocols.oldest,
    newest: clientProtocols.newest,
    ...token === undefined ? {} : { token }
  }).pipe(
    Effect.catchCause((cause): Effect.Effect<never, ConnectionLost | Unauthenticated> => {
      const error = Option.getOrUndefined(Cause.findErrorOption(cause))
      return Effect.fail(error instanceof Unauthenticated ? error : losses.of(cause, false))
    }),
    within(timeoutMs, () => losses.lost(`no answer within ${timeoutMs} ms`, false)),
    Effect.flatMap((welcome) =>
      Effect.map(clusterOf(welcome, losses), (cluster) => ({
        cluster,
        caller: welcome.name ?? undefined,
        // A node that says none speaks one version only, and has compared it with what this client said.
        protocol: welcome.protocol ?? clientProtocols.oldest
      }))
    )
  )

/** Which cluster a node says it is of. */
const clusterOf = (
  { clusterId: name, identity }: typeof Welcome.Type,
  losses: Losses
): Effect.Effect<ClusterInfo, ConnectionLost> => {
  if (identity === null) return Effect.succeed({ name, identity: undefined })
  return Effect.fromResult(Result.mapBoth(parseIdentity(identity), {
    onFailure: ({ message }) => losses.lost(message, false),
    onSuccess: (parsed) => ({ name, identity: parsed })
  }))
}
