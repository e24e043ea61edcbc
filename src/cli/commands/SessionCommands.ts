/** The commands on sessions: list, end. They need no session themselves, so they work when the table is full. */
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import type { SessionRow } from "../../client/index.ts"
import { ClusterAdmin } from "../../client/ClusterAdmin.ts"
import { clientFlags, withClient } from "../input/ClientFlags.ts"
import { formatDuration } from "../../DurationText.ts"
import { checkLimit } from "../input/Limit.ts"
import { wrongUsage } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"
import { table } from "../output/Table.ts"

/** Most sessions of one page. */
const pageSize = 1_000

/** The sessions behind one, up to `limit` of them, from as many pages as it takes; and whether there are more. */
const sessionsAfter = Effect.fnUntraced(function*(after: number | undefined, limit: number) {
  const admin = yield* ClusterAdmin
  const found: Array<SessionRow> = []
  let more = true
  while (more && found.length < limit) {
    const last = found[found.length - 1]?.session ?? after
    const page = yield* admin.sessions({ after: last, limit: Math.min(pageSize, limit - found.length) })
    found.push(...page.sessions)
    more = page.more
  }
  return { sessions: found, more }
})

const row = ({ ageMs, caller, keptBytes, lastSequence, owner, remainingMs, replies, session }: SessionRow) => [
  String(session),
  owner === "" ? "-" : owner,
  formatDuration(ageMs),
  formatDuration(remainingMs),
  String(lastSequence),
  String(replies),
  String(keptBytes),
  caller === "" ? "-" : caller
]

const list = Command.make("list", {
  ...clientFlags,
  after: Flag.Int("after").pipe(
    Flag.withMetavar("ID"),
    Flag.withDescription("only sessions behind this one; default all"),
    Flag.optional
  ),
  limit: Flag.Int("limit").pipe(
    Flag.withMetavar("N"),
    Flag.withDescription("most sessions to print; default all"),
    Flag.optional
  )
}, (flags) =>
  Effect.gen(function*() {
    const limit = Option.getOrElse(flags.limit, () => Number.MAX_SAFE_INTEGER)
    yield* checkLimit(limit)
    const { more, sessions } = yield* withClient(flags, sessionsAfter(Option.getOrUndefined(flags.after), limit))
    if (flags.json) yield* Effect.forEach(sessions, Output.json, { discard: true })
    else {
      const head = ["SESSION", "OWNER", "AGE", "LEFT", "LAST NUMBER", "REPLIES", "REPLY BYTES", "CALLER"]
      yield* Output.lines(table([head, ...sessions.map(row)]))
    }
    const last = sessions[sessions.length - 1]
    if (!more || last === undefined) return
    if (flags.json) yield* Output.json({ more: true, after: last.session })
    yield* Output.problem(`there are more; go on with --after ${last.session}`)
  })).pipe(
    Command.withDescription("Print the sessions of clients in the order in which they were opened."),
    Command.withExamples([
      { command: "flaredb session list", description: "All of them" },
      {
        command: "flaredb session list --limit 100 --after 1234 --json",
        description: "A hundred behind session 1234, one JSON object for each"
      }
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
