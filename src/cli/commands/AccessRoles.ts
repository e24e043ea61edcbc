/** The commands on roles: put, delete, list. */
import { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { Access } from "../../client/Access.ts"
import type { Role } from "../../client/index.ts"
import { clientFlags, withClient, withWriter } from "../input/ClientFlags.ts"
import type { Encoding } from "../input/Encoding.ts"
import { encodingsOf, jsonField, keyEncodingFlags } from "../input/Encoding.ts"
import { makeSwitch } from "../input/Switch.ts"
import { wrongUsage } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"
import { table } from "../output/Table.ts"
import { everyPage, prefixCell, prefixesIn } from "./AccessLists.ts"

const nameArgument = Argument.String("name").pipe(Argument.withDescription("the role"))

const prefixFlag = (name: "read" | "write") =>
  Flag.String(name).pipe(
    Flag.withMetavar("PREFIX,…"),
    Flag.withDescription(
      `users may ${name} the keys that begin with one of these; "" is every key. With --encoding hex a prefix may ` +
        "have commas in it; default none"
    ),
    Flag.optional
  )

const put = Command.make("put", {
  ...clientFlags,
  ...keyEncodingFlags,
  read: prefixFlag("read"),
  write: prefixFlag("write"),
  admin: makeSwitch("admin").pipe(
    Flag.withDescription("users may do everything, to keys and to the cluster; default no"),
    Flag.withDefault(false)
  ),
  name: nameArgument
}, (flags) =>
  Effect.gen(function*() {
    const { admin, name } = flags
    const encoding = encodingsOf(flags).key
    const read = yield* prefixesIn("read", flags.read, encoding)
    const write = yield* prefixesIn("write", flags.write, encoding)
    if (read.length + write.length === 0 && !admin) {
      return yield* wrongUsage("the role would allow nothing; give --read, --write or --admin")
    }
    yield* withWriter(flags, Access.use((access) => access.putRole(name, { read, write, admin })))
    yield* flags.json ? Output.json({ role: name, put: true }) : Output.line(`role ${name} is set`)
  })).pipe(
    Command.withDescription("Make a role, or replace what it allows. What is not given, it does not allow."),
    Command.withExamples([
      { command: "flaredb access role put orders --read orders/,prices/ --write orders/", description: "Two prefixes" },
      { command: "flaredb access role put reader --read \"\"", description: "Read everything" }
    ])
  )

const del = Command.make("delete", { ...clientFlags, name: nameArgument }, (flags) =>
  Effect.gen(function*() {
    yield* withWriter(flags, Access.use((access) => access.deleteRole(flags.name)))
    yield* flags.json
      ? Output.json({ role: flags.name, deleted: true })
      : Output.line(`the role ${flags.name} is deleted`)
  })).pipe(
    Command.withDescription("Delete a role that no user has."),
    Command.withExamples([{ command: "flaredb access role delete orders", description: "Delete a role" }])
  )

const prefixesJson = (prefixes: ReadonlyArray<Uint8Array>, encoding: Encoding) =>
  prefixes.map((prefix) => jsonField("prefix", prefix, encoding))

const list = Command.make("list", { ...clientFlags, ...keyEncodingFlags }, (flags) =>
  Effect.gen(function*() {
    const encoding = encodingsOf(flags).key
    const roles = yield* withClient(flags, Access.use((access) => everyPage<Role, unknown, never>(access.roles)))
    if (flags.json) {
      return yield* Effect.forEach(roles, ({ admin, name, read, write }) =>
        Output.json({ name, read: prefixesJson(read, encoding), write: prefixesJson(write, encoding), admin }), {
        discard: true
      })
    }
    yield* Output.lines(table([
      ["ROLE", "READ", "WRITE", "ADMIN"],
      ["admin", "(every key)", "(every key)", "yes"],
      ...roles.map(({ admin, name, read, write }) => [
        name,
        prefixCell(read, encoding),
        prefixCell(write, encoding),
        admin ? "yes" : "no"
      ])
    ]))
  })).pipe(
    Command.withDescription("Print all roles."),
    Command.withExamples([{ command: "flaredb access role list --json", description: "One JSON object for each" }])
  )

export const role = Command.make("role").pipe(
  Command.withDescription("Roles: what their users may do."),
  Command.withSubcommands([put, del, list]),
  Command.withExamples([{ command: "flaredb access role list", description: "All roles" }])
)
