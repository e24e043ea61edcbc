/** The commands on users: put, delete, list. */
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { Access } from "../../client/Access.ts"
import type { TokenRow, UserRow } from "../../client/index.ts"
import { clientFlags, withClient, withWriter } from "../input/ClientFlags.ts"
import * as Output from "../output/Output.ts"
import { table } from "../output/Table.ts"
import { everyPage, namesIn } from "./AccessLists.ts"

const nameArgument = Argument.String("name").pipe(
  Argument.withDescription("the user: the name in a client's certificate or token")
)

const limitFlag = (name: string, what: string) =>
  Flag.Int(name).pipe(
    Flag.withMetavar("N"),
    Flag.withDescription(`most ${what} that it may have at a time; default 1000`),
    Flag.optional
  )

const put = Command.make("put", {
  ...clientFlags,
  role: Flag.String("role").pipe(
    Flag.withMetavar("ROLE,…"),
    Flag.withDescription("its roles, which exist, or admin, which may do everything; default none"),
    Flag.optional
  ),
  maxLeases: limitFlag("max-leases", "leases"),
  maxSessions: limitFlag("max-sessions", "sessions"),
  name: nameArgument
}, (flags) =>
  Effect.gen(function*() {
    const { name } = flags
    const user = {
      roles: yield* namesIn("role", flags.role),
      maxLeases: Option.getOrUndefined(flags.maxLeases),
      maxSessions: Option.getOrUndefined(flags.maxSessions)
    }
    yield* withWriter(flags, Access.use((access) => access.putUser(name, user)))
    yield* flags.json ? Output.json({ user: name, put: true }) : Output.line(`user ${name} is set`)
  })).pipe(
    Command.withDescription("Make a user, or replace its roles and limits. Its tokens stay."),
    Command.withExamples([{ command: "flaredb access user put shop --role orders", description: "A user with a role" }])
  )

const del = Command.make("delete", { ...clientFlags, name: nameArgument }, (flags) =>
  Effect.gen(function*() {
    yield* withWriter(flags, Access.use((access) => access.deleteUser(flags.name)))
    yield* flags.json
      ? Output.json({ user: flags.name, deleted: true })
      : Output.line(`the user ${flags.name} is deleted, and its tokens with it`)
  })).pipe(
    Command.withDescription("Delete a user with its tokens. A certificate of that name is let in and may do nothing."),
    Command.withExamples([{ command: "flaredb access user delete shop", description: "Delete a user" }])
  )

const timeText = (ms: number): string => ms === 0 ? "never" : new Date(ms).toISOString().replace(/\.\d+Z$/, "Z")

const tokenText = ({ expiresMs, token }: TokenRow): string =>
  expiresMs === 0 ? String(token) : `${token} until ${timeText(expiresMs)}`

const userJson = ({ leases, maxLeases, maxSessions, name, roles, sessions, tokens }: UserRow) => ({
  name,
  roles,
  maxLeases,
  maxSessions,
  leases,
  sessions,
  tokens: tokens.map(({ createdMs, expiresMs, token }) => ({
    id: token,
    createdMs,
    ...expiresMs === 0 ? {} : { expiresMs }
  }))
})

const list = Command.make("list", clientFlags, (flags) =>
  Effect.gen(function*() {
    const users = yield* withClient(flags, Access.use((access) => everyPage<UserRow, unknown, never>(access.users)))
    if (flags.json) return yield* Effect.forEach(users, (user) => Output.json(userJson(user)), { discard: true })
    yield* Output.lines(table([
      ["USER", "ROLES", "LEASES", "SESSIONS", "TOKENS"],
      ...users.map(({ leases, maxLeases, maxSessions, name, roles, sessions, tokens }) => [
        name,
        roles.length === 0 ? "-" : roles.join(","),
        `${leases} of ${maxLeases}`,
        `${sessions} of ${maxSessions}`,
        tokens.length === 0 ? "-" : tokens.map(tokenText).join(", ")
      ])
    ]))
  })).pipe(
    Command.withDescription("Print all users with their roles and the numbers of their tokens."),
    Command.withExamples([{ command: "flaredb access user list --json", description: "One JSON object for each" }])
  )

export const user = Command.make("user").pipe(
  Command.withDescription("Users: which roles the name in a certificate or token has."),
  Command.withSubcommands([put, del, list]),
  Command.withExamples([{ command: "flaredb access user list", description: "All users" }])
)
