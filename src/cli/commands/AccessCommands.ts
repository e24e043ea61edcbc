/** The commands on who may do what: roles, users, tokens, and who one is. */
import { Effect, Option, Redacted } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { Access, maxTokenDays } from "../../client/Access.ts"
import { clientFlags, withClient, withWriter } from "../input/ClientFlags.ts"
import { durationFlag, parseDuration } from "../input/Duration.ts"
import { wrongUsage } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"
import { role } from "./AccessRoles.ts"
import { user } from "./AccessUsers.ts"

const userArgument = Argument.String("name").pipe(Argument.withDescription("the user"))

const create = Command.make("create", {
  ...clientFlags,
  expires: durationFlag("expires").pipe(
    Flag.withDescription("how long from now it is valid, such as 90d; default for ever"),
    Flag.optional
  ),
  name: userArgument
}, (flags) =>
  Effect.gen(function*() {
    const { name } = flags
    const expiresInMs = Option.getOrUndefined(flags.expires)
    if (expiresInMs !== undefined && expiresInMs < 1) {
      return yield* wrongUsage("--expires is not above 0: the token would have ended at once")
    }
    if (expiresInMs !== undefined && expiresInMs > parseDuration(`${maxTokenDays}d`)) {
      return yield* wrongUsage(`--expires is more than ${maxTokenDays}d; leave it out for a token that does not end`)
    }
    const { expiresMs, id, token } = yield* withWriter(
      flags,
      Access.use((access) => access.createToken(name, { expiresInMs }))
    )
    const text = Redacted.value(token)
    if (flags.json) {
      return yield* Output.json({ user: name, id, token: text, ...expiresMs === undefined ? {} : { expiresMs } })
    }
    yield* Output.problem(
      `token ${id} of ${name}${expiresMs === undefined ? "" : `, until ${new Date(expiresMs).toISOString()}`}; it is ` +
        "shown this once"
    )
    // Alone, so that it can go to a file.
    yield* Output.line(text)
  })).pipe(
    Command.withDescription("Add a token to a user, and print it. Nothing can print it again."),
    Command.withExamples([
      {
        command: "(umask 077; flaredb access token create shop --expires 90d > shop.token)",
        description: "A token in a file that no other user of the machine may read"
      },
      {
        command: "flaredb access token create admin",
        description: "The administrator's first, see --bootstrap-token-file"
      }
    ])
  )

const remove = Command.make("remove", {
  ...clientFlags,
  name: userArgument,
  id: Argument.Int("id").pipe(Argument.withDescription("the token, as create or user list printed it"))
}, (flags) =>
  Effect.gen(function*() {
    const { id, name } = flags
    if (id < 1) return yield* wrongUsage(`${id} is no number of a token`)
    yield* withWriter(flags, Access.use((access) => access.removeToken(name, id)))
    yield* flags.json
      ? Output.json({ user: name, id, removed: true })
      : Output.line(`token ${id} of ${name} is removed, and the connections that it opened are closed`)
  })).pipe(
    Command.withDescription("Remove a token of a user. It counts at once, on open connections too."),
    Command.withExamples([{ command: "flaredb access token remove shop 1234", description: "Remove token 1234" }])
  )

const token = Command.make("token").pipe(
  Command.withDescription("Tokens: what users without a certificate show."),
  Command.withSubcommands([create, remove]),
  Command.withExamples([{ command: "flaredb access token create shop", description: "A token that does not end" }])
)

const whoami = Command.make("whoami", clientFlags, (flags) =>
  Effect.gen(function*() {
    const name = yield* withClient(flags, Access.use((access) => access.whoami))
    if (flags.json) return yield* Output.json({ name: name ?? null })
    yield* name === undefined
      ? Output.problem("the cluster does not ask its callers who they are (--client-auth none)")
      : Output.line(name)
  })).pipe(
    Command.withDescription("Print the name that the cluster takes this caller for."),
    Command.withExamples([{
      command: "flaredb access whoami --token-file shop.token",
      description: "Whose token it is"
    }])
  )

export const access = Command.make("access").pipe(
  Command.withDescription("Who may do what: roles, users and tokens."),
  Command.withSubcommands([role, user, token, whoami]),
  Command.withExamples([{ command: "flaredb access whoami", description: "Who the cluster takes me for" }])
)
