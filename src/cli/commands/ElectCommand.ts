/** `flaredb elect NAME [VALUE]`: leads an election until it is stopped, or shows who leads. */
import { Effect, Option, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { hostname } from "node:os"
import type { Leader } from "../../client/Election.ts"
import { Elections } from "../../client/Election.ts"
import { clientFlags, withClient } from "../input/ClientFlags.ts"
import { withDefault } from "../input/DefaultValue.ts"
import type { Encoding } from "../input/Encoding.ts"
import { encodings, jsonField, read, shown } from "../input/Encoding.ts"
import { makeSwitch } from "../input/Switch.ts"
import { checkTtl, ttlFlag } from "../input/TtlFlag.ts"
import { checkLimit } from "../input/Limit.ts"
import { failureOf, wrongUsage } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"

/** How leaders are printed. */
interface Printing {
  readonly election: string
  readonly json: boolean
  readonly raw: boolean
  readonly encoding: Encoding
}

/** Printed in place of a revision and a value while no process leads. */
const noLeader: ReadonlyArray<Output.Cell> = ["-", "no leader"]

const print = (
  { election, encoding, json, raw }: Printing,
  leader: Pick<Leader, "lease" | "revision" | "value"> | undefined
): Effect.Effect<void> => {
  if (!json) {
    return Output.row(leader === undefined ? noLeader : [String(leader.revision), shown(leader.value, encoding)], raw)
  }
  return Output.jsonLines([
    leader === undefined ? { election, leader: null } : {
      election,
      leader: {
        revision: leader.revision,
        lease: leader.lease,
        ...jsonField("value", leader.value, encoding)
      }
    }
  ])
}

/** Leads until this process is stopped or the leadership is lost. Waiting is not silent. */
const campaign = (printing: Printing, value: Uint8Array, ttlMs: number) =>
  Effect.scoped(Effect.gen(function*() {
    const elections = yield* Elections
    const { election, encoding } = printing
    // Why it cannot be read is said by the campaign, which fails for the same reason.
    const before = yield* Effect.catch(elections.leader(election), () => Effect.succeed(Option.none<Leader>()))
    if (Option.isSome(before)) {
      const cell = shown(before.value.value, encoding)
      const who = typeof cell === "string" ? JSON.stringify(cell) : "another process"
      yield* Output.problem(`flaredb: waiting for the election ${JSON.stringify(election)}; ${who} leads`)
    }
    const leadership = yield* elections.campaign(election, value, { ttlMs })
    yield* print(printing, { value, revision: leadership.revision, lease: leadership.lease })
    return yield* leadership.lost
  }))

/** Every leader that there is from now on, at most `limit`. */
const listen = (printing: Printing, limit: number | undefined) =>
  Effect.flatMap(Elections, ({ observe }) => {
    const leaders = observe(printing.election)
    return (limit === undefined ? leaders : Stream.take(leaders, limit)).pipe(
      Stream.mapEffect((leader) => print(printing, Option.getOrUndefined(leader))),
      Stream.runDrain
    )
  })

export const elect = Command.make("elect", {
  ...clientFlags,
  raw: Output.rawFlag,
  encoding: Flag.Literals("encoding", encodings).pipe(
    withDefault<Encoding>("how values are written, in the argument and in the output", "text")
  ),
  listen: makeSwitch("listen").pipe(
    Flag.withDescription("print who leads, and then every change of that, instead of leading; default no"),
    Flag.withDefault(false)
  ),
  limit: Flag.Int("limit").pipe(
    Flag.withMetavar("N"),
    Flag.withDescription("with --listen: end after so many lines; default never"),
    Flag.optional
  ),
  ttl: ttlFlag("leadership"),
  name: Argument.String("name").pipe(Argument.withDescription("the election")),
  value: Argument.String("value").pipe(
    Argument.withDescription("what this process proclaims while it leads; its id and its host when it is left out"),
    Argument.optional
  )
}, (flags) =>
  Effect.gen(function*() {
    const { encoding, json, raw } = flags
    const limit = Option.getOrUndefined(flags.limit)
    const printing: Printing = { election: flags.name, encoding, json, raw }
    yield* checkLimit(limit)
    if (limit !== undefined && !flags.listen) return yield* wrongUsage("--limit goes with --listen")
    if (flags.listen && Option.isSome(flags.value)) {
      return yield* wrongUsage("--listen only looks on: leave the value out")
    }
    yield* checkTtl("--ttl", flags.ttl)
    const value = Option.isSome(flags.value)
      ? yield* read("value", flags.value.value, encoding)
      : new TextEncoder().encode(`process ${process.pid} on ${hostname()}`)
    const work: Effect.Effect<void, unknown, Elections> = flags.listen
      ? listen(printing, limit)
      : campaign(printing, value, flags.ttl)
    yield* withClient(flags, Effect.mapError(work, failureOf))
  }).pipe(Effect.mapError(failureOf))).pipe(
    Command.withDescription(
      "Wait until this process leads an election, print its fencing revision and its value, and lead until it is " +
        "stopped: exit code 0 then, 1 when the leadership was lost. Those who wait come to lead in the order in " +
        "which they began. To run a command on one machine at a time, see flaredb help lock."
    ),
    Command.withExamples([
      { command: "flaredb elect web web-1:8080", description: "Lead, and say where this process can be reached" },
      { command: "flaredb elect web --listen", description: "Until Ctrl-C: a line for each leader" }
    ])
  )
