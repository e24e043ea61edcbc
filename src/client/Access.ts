/**
 * Who may do what with a cluster: roles, users and their tokens. All of it is for administrators, but for `whoami`.
 *
 * A caller without a certificate shows a token. What it may do follows from its name: a user of that name has roles,
 * and a role says which keys may be read and written. A name without a user is let in and may do nothing.
 */
import type { Redacted } from "effect"
import { Clock, Context, Effect } from "effect"
import type { Unauthenticated, Unavailable as UnavailableError, WrongCluster } from "../FlareDbError.ts"
import { InvalidArgument, Unavailable } from "../FlareDbError.ts"
import { defaultUserLeases, defaultUserSessions, maxAccessPage, nameProblem } from "../kv/model/access/AccessLimits.ts"
import type { UserRow } from "../kv/model/access/AccessReply.ts"
import type { Role } from "../kv/model/access/Role.ts"
import type { Command } from "../kv/model/Command.ts"
import type { Reply } from "../kv/model/Reply.ts"
import { makeToken } from "../kv/TokenSecret.ts"
import type { ResolvedClientOptions } from "./ClientOptions.ts"
import type { ConnectionPool } from "./connection/ConnectionPool.ts"
import type { Data } from "./Entry.ts"
import { bytesOf } from "./Entry.ts"
import type { OperationOptions, ReadFailure, ReadOptions, Requests, WriteFailure } from "./session/Requests.ts"
import { invalid, unexpected } from "./session/Requests.ts"

/** What a role allows. It takes nothing away that another role of the same user allows. */
export interface RoleOptions {
  /** Users may read every key that begins with one of these; the empty prefix is every key. Default none. */
  readonly read?: ReadonlyArray<Data> | undefined
  /** Users may write every key that begins with one of these. That alone does not let them read it. Default none. */
  readonly write?: ReadonlyArray<Data> | undefined
  /** Users may do everything, to keys and to the cluster. Default false. */
  readonly admin?: boolean | undefined
}

/** What a user may do, and how much of it. */
export interface UserOptions {
  /** The names of its roles, each of which exists. `admin` is built in. */
  readonly roles: ReadonlyArray<string>
  /** Most leases that it may have at a time. Default 1,000. */
  readonly maxLeases?: number | undefined
  /** Most sessions that it may have at a time: each client that writes has one. Default 1,000. */
  readonly maxSessions?: number | undefined
}

const dayMs = 86_400_000

/** The most days for which a token can be valid, unless it is for ever. */
export const maxTokenDays = 36_500

/** How long a token is valid. */
export interface TokenOptions extends OperationOptions {
  /**
   * Milliseconds from now after which it ends, by the clock of this process, at most {@link maxTokenDays} days. By
   * default it does not end.
   */
  readonly expiresInMs?: number | undefined
}

/** A token as it was made: the only time that its secret is known. */
export interface CreatedToken {
  /** Its number, by which it is removed. */
  readonly id: number
  /** What its user shows. Nothing can tell it again. */
  readonly token: Redacted.Redacted
  /** When it ends, in milliseconds since 1970; `undefined` for never. */
  readonly expiresMs: number | undefined
}

/** Which page of roles or users to read. */
export interface AccessListOptions extends ReadOptions {
  /** Only names behind this one: the last one of the page before. */
  readonly after?: string | undefined
  /** Most rows of the page, 1 to 200. Default 200. */
  readonly limit?: number | undefined
}

/** A page of roles or users. */
export interface AccessPage<Row> {
  /** In the order of their names. */
  readonly rows: ReadonlyArray<Row>
  /** Whether there are more behind the last one. */
  readonly more: boolean
}

/**
 * Who may do what: roles, users and their tokens.
 *
 * **When to use**
 *
 * To manage callers from a program; `flaredb access` is the same on a command line. `docs/security.md` has the
 * whole of it.
 *
 * **Details**
 *
 * A role says by prefix what may be read and written, a user has roles and tokens. Changes hold on open
 * connections as soon as their node has applied them. Lists come in pages of at most 200 rows.
 *
 * **Gotchas**
 *
 * It takes an administrator. The secret of a token is shown once, when it is made: the cluster keeps a hash of it.
 */
export class Access extends Context.Service<Access, {
  /** Makes a role, or replaces what it allows: on open connections too, as soon as their node has applied it. */
  readonly putRole: (name: string, role: RoleOptions, options?: OperationOptions) => Effect.Effect<void, WriteFailure>

  /** Fails with `InvalidArgument` when there is no such role, or a user still has it. */
  readonly deleteRole: (name: string, options?: OperationOptions) => Effect.Effect<void, WriteFailure>

  /** One page of the roles. The built-in one, `admin`, is not among them. */
  readonly roles: (options?: AccessListOptions) => Effect.Effect<AccessPage<Role>, ReadFailure>

  /** Makes a user, or replaces its roles and limits. Its tokens stay. An unknown role is an `InvalidArgument`. */
  readonly putUser: (name: string, user: UserOptions, options?: OperationOptions) => Effect.Effect<void, WriteFailure>

  /** Takes a user away with its tokens, which ends the connections that these opened. Its leases live on. */
  readonly deleteUser: (name: string, options?: OperationOptions) => Effect.Effect<void, WriteFailure>

  /** One page of the users, with their tokens but for the secrets, and how many leases and sessions each has. */
  readonly users: (options?: AccessListOptions) => Effect.Effect<AccessPage<UserRow>, ReadFailure>

  /**
   * Adds a token to a user. Its secret is made here and never sent: the cluster keeps a hash of it, and the token in
   * the result is the only copy. A user has up to 16, so that one can take the place of another without a gap.
   */
  readonly createToken: (user: string, options?: TokenOptions) => Effect.Effect<CreatedToken, WriteFailure>

  /** Ends a token, and with it the connections that it opened. */
  readonly removeToken: (user: string, id: number, options?: OperationOptions) => Effect.Effect<void, WriteFailure>

  /** Who the cluster takes this client for; `undefined` where callers are not asked who they are. */
  readonly whoami: Effect.Effect<string | undefined, Unauthenticated | UnavailableError | WrongCluster>
}>()("flaredb/client/Access") {}

/** Who the first node that answers takes the client for. */
const askWho = (client: ResolvedClientOptions, pool: ConnectionPool): Access["Service"]["whoami"] =>
  Effect.gen(function*() {
    const problems: Array<string> = []
    for (const endpoint of client.endpoints) {
      const found = yield* Effect.result(pool.reach(endpoint))
      if (found._tag === "Success") return found.success.caller
      if (found.failure._tag !== "ConnectionLost") return yield* found.failure
      problems.push(found.failure.message)
    }
    return yield* new Unavailable({ reason: `no node can be reached; ${problems.join("; ")}` })
  })

const pageOf = (options: AccessListOptions | undefined) => ({
  after: options?.after ?? "",
  limit: options?.limit ?? maxAccessPage
})

export const make = (
  client: ResolvedClientOptions,
  pool: ConnectionPool,
  requests: Requests
): Access["Service"] => {
  const write = (command: Command, options: OperationOptions | undefined): Effect.Effect<void, WriteFailure> =>
    Effect.asVoid(requests.write(command, options))

  const list = <Row>(
    _tag: "Roles" | "Users",
    options: AccessListOptions | undefined,
    rowsOf: (reply: Reply) => AccessPage<Row> | undefined
  ): Effect.Effect<AccessPage<Row>, ReadFailure> =>
    Effect.map(
      // It names no lease.
      Effect.catchTag(requests.read({ _tag, ...pageOf(options) }, options), "LeaseNotFound", (error) =>
        Effect.die(error)),
      (reply) => {
        const page = rowsOf(reply)
        if (page === undefined) {
          throw unexpected(reply)
        }
        return page
      }
    )

  const createToken: Access["Service"]["createToken"] = Effect.fnUntraced(function*(user, options) {
    const found = nameProblem(user, "user")
    if (found !== undefined) return yield* invalid(found)
    const { expiresInMs } = options ?? {}
    if (expiresInMs !== undefined && !(Number.isSafeInteger(expiresInMs) && expiresInMs > 0)) {
      return yield* new InvalidArgument({
        field: "expiresInMs",
        problem: `${expiresInMs} is not a whole number of milliseconds above 0`
      })
    }
    if (expiresInMs !== undefined && expiresInMs > maxTokenDays * dayMs) {
      return yield* new InvalidArgument({
        field: "expiresInMs",
        problem: `${expiresInMs} is more than ${maxTokenDays} days; leave it out for a token that does not end`
      })
    }
    const expiresMs = expiresInMs === undefined ? undefined : (yield* Clock.currentTimeMillis) + expiresInMs
    const { hash, token } = makeToken(user)
    const reply = yield* requests.write({ _tag: "AddToken", user, hash, expiresMs: expiresMs ?? 0 }, options)
    if (reply._tag !== "TokenReply") throw unexpected(reply)
    return { id: reply.token, token, expiresMs }
  })

  return Access.of({
    putRole: (name, { admin = false, read = [], write: written = [] }, options) =>
      write({ _tag: "PutRole", role: { name, read: read.map(bytesOf), write: written.map(bytesOf), admin } }, options),
    deleteRole: (name, options) => write({ _tag: "DeleteRole", name }, options),
    roles: (options) =>
      list(
        "Roles",
        options,
        (reply) => reply._tag === "RolesReply" ? { rows: reply.roles, more: reply.more } : undefined
      ),
    putUser: (name, { maxLeases = defaultUserLeases, maxSessions = defaultUserSessions, roles }, options) =>
      write({ _tag: "PutUser", name, roles, maxLeases, maxSessions }, options),
    deleteUser: (name, options) => write({ _tag: "DeleteUser", name }, options),
    users: (options) =>
      list(
        "Users",
        options,
        (reply) => reply._tag === "UsersReply" ? { rows: reply.users, more: reply.more } : undefined
      ),
    createToken,
    removeToken: (user, token, options) => write({ _tag: "RemoveToken", user, token }, options),
    whoami: askWho(client, pool)
  })
}
