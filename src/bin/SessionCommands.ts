/** The commands on sessions: list, end. They need no session themselves, so they work when the table is full. */
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { ClusterAdmin } from "../client/ClusterAdmin.ts"
import { clientFlags, withClient } from "./ClientFlags.ts"
import { wrongUsage } from "./Failure.ts"
import * as Output from "./Output.ts"
import { table } from "./Table.ts"

const list = Command.make("list", {
  ...clientFlags,
  after: Flag.Int("after").pipe(
    Flag.withMetavar("ID"),
    Flag.withDescription("only sessions behind this one: the last one of the page before"),
    Flag.optional
  ),
  limit: Flag.Int("limit").pipe(
    Flag.withMetavar("N"),
    Flag.withDescription("most sessions to print, 1 to 1000"),
    Flag.withDefault(100)
  )
}, (flags) =>
  Effect.gen(function*() {
    const page = yield* withClient(
      flags,
      ClusterAdmin.use((admin) => admin.sessions({ after: Option.getOrUndefined(flags.after), limit: flags.limit }))
    )
    const { more, sessions } = page
    if (flags.json) yield* Effect.forEach(sessions, Output.json, { discard: true })
    else {
      yield* Output.lines(
        table([
          ["SESSION", "OWNER", "AGE MS", "LEFT MS", "LAST NUMBER", "REPLIES", "REPLY BYTES"],
          ...sessions.map(({ ageMs, keptBytes, lastSequence, owner, remainingMs, replies, session }) =>
            [session, owner === "" ? "-" : owner, ageMs, remainingMs, lastSequence, replies, keptBytes].map(String)
          )
        ])
      )
    }
    const last = sessions[sessions.length - 1]
    if (more && last !== undefined) yield* Output.problem(`there are more; go on with --after ${last.session}`)
  })).pipe(
    Command.withDescription("Print the sessions of clients, a page at a time, in the order in which they were opened."),
    Command.withExamples([
      { command: "flaredb session list", description: "The first hundred" },
      { command: "flaredb session list --after 1234 --json", description: "The next hundred, one JSON object for each" }
    ])
  )

const end = Command.make("end", {
  ...clientFlags,
  id: Argument.Int("id").pipe(Argument.withDescription("the session, as list printed it"))
}, (flags) =>
  Effect.gen(function*() {
    if (flags.id < 1) return yield* wrongUsage(`${flags.id} is no session id`)
    yield* withClient(flags, ClusterAdmin.use((admin) => admin.endSession(flags.id)))
    yield* flags.json ? Output.json({ session: flags.id, ended: true }) : Output.lines(`session ${flags.id} has ended`)
  })).pipe(
    Command.withDescription("End a session. Its client opens another one with its next write."),
    Command.withExamples([{ command: "flaredb session end 1234", description: "End session 1234" }])
  )

export const session = Command.make("session").pipe(
  Command.withDescription("Sessions: what makes each write of a client take effect once."),
  Command.withSubcommands([list, end]),
  Command.withExamples([{ command: "flaredb session list", description: "Who has sessions" }])
)
