/**
 * The client that carries out what a caller of the console asks for. Where callers are not asked who they are it is the
 * one of this process. Otherwise it connects to the client ports and shows the caller's own token there: roles, quotas
 * and the audit log hold as for any client, and a console can never do what its user may not.
 */
import type { Cause, Context, Redacted } from "effect"
import { Data, Effect, Layer, RcMap, Redacted as Secret } from "effect"
import type { Scope } from "effect"
import type { ClientServices } from "../../client/RemoteClient.ts"
import * as RemoteClient from "../../client/RemoteClient.ts"
import type { Endpoint } from "../../client/connection/Endpoint.ts"
import type { InvalidConfig } from "../../config/ConfigProblem.ts"
import { Overloaded, Unavailable } from "../../FlareDbError.ts"
import type { Credentials, DialTls } from "../../net/tls/Credentials.ts"
import { bearerToken } from "../HttpAccess.ts"
import { RequestCaller } from "../RequestCaller.ts"

/** A certificate opens the overview. What is done with keys is done with the token of a user. */
export class TokenNeeded extends Data.TaggedError("TokenNeeded")<{ readonly name: string }> {
  override get message() {
    return `${this.name} is known by a certificate, which cannot be passed on to the cluster; log in with a token ` +
      `(flaredb access token create ${this.name})`
  }
}

export interface CallerClientsOptions {
  /** The client ports of all nodes, with the ids of the nodes. */
  readonly endpoints: ReadonlyArray<Endpoint & { readonly id: number }>
  /** How nodes are dialled over TLS; plain without it. */
  readonly dial: DialTls | undefined
}

type Services = Context.Context<ClientServices>

type Clients = RcMap.RcMap<string, Services, InvalidConfig | Cause.ExceededCapacityError>

/** Callers that have a client at a time, and for how long one that is not used is kept. */
const maxClients = 64
const idleMs = 60_000

/** Trusts the same authorities, and shows no certificate: two names would be refused. */
const withoutOwn = ({ current, onChange }: Credentials): Credentials => ({
  current: () => ({ authorities: current().authorities }),
  onChange: (listener) => onChange(({ authorities }) => listener({ authorities }))
})

export class CallerClients {
  private readonly own: Services
  private readonly clients: Clients

  private constructor(own: Services, clients: Clients) {
    this.own = own
    this.clients = clients
  }

  static readonly make = Effect.fnUntraced(function*(
    { dial, endpoints }: CallerClientsOptions
  ): Effect.fn.Return<CallerClients, never, ClientServices | Scope.Scope> {
    const own = yield* Effect.context<ClientServices>()
    const tls = dial === undefined ? undefined : { ...dial, credentials: withoutOwn(dial.credentials) }
    const clients = yield* RcMap.make({
      lookup: (token: string) =>
        Layer.build(Layer.fresh(RemoteClient.layer({ endpoints, tls, token: Secret.make(token), name: "console" }))),
      idleTimeToLive: idleMs,
      capacity: maxClients
    })
    return new CallerClients(own, clients)
  })

  /** The services with which the caller of the request that is being answered acts, while the scope is open. */
  of(authorization: string | undefined): Effect.Effect<Services, TokenNeeded | Overloaded | Unavailable, Scope.Scope> {
    return Effect.flatMap(RequestCaller, ({ known: { caller } }): ReturnType<CallerClients["of"]> => {
      if (caller === undefined) return Effect.succeed(this.own)
      const token = bearerToken(authorization)
      if (token === undefined) return Effect.fail(new TokenNeeded({ name: caller.name }))
      return this.withToken(token)
    })
  }

  private withToken(token: Redacted.Redacted): Effect.Effect<Services, Overloaded | Unavailable, Scope.Scope> {
    return Effect.mapError(
      RcMap.get(this.clients, Secret.value(token)),
      (error) =>
        error._tag === "InvalidConfig"
          ? new Unavailable({ reason: `this node cannot pass a token on to the cluster: ${error.message}` })
          : new Overloaded({ limit: "maxConsoleClients", current: maxClients, maximum: maxClients })
    )
  }
}
