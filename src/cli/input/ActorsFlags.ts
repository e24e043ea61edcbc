/** What every `flaredb actors` command takes, and the overview that it gets from it. */
import { Effect, Layer, Option, Stream } from "effect"
import { Flag } from "effect/cli"
import type { Overview } from "../../actors/overview/index.ts"
import type { ClientServices } from "../../client/RemoteClient.ts"
import { clientFlags, withClient, withWriter } from "./ClientFlags.ts"
import type { ClientFlags } from "./ClientFlags.ts"
import { withDefault } from "./DefaultValue.ts"
import { formatDuration } from "../../DurationText.ts"
import type { Failure } from "../output/Failure.ts"
import { wrongUsage } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"
import { table } from "../output/Table.ts"

export const actorsFlags = {
  ...clientFlags,
  prefix: Flag.String("prefix").pipe(
    Flag.withMetavar("PREFIX"),
    withDefault("what the keys of the actors begin with, as the layers' option prefix", "fx/")
  ),
  cluster: Flag.String("cluster").pipe(
    Flag.withMetavar("NAME"),
    withDefault("the name that the runners share, as the layers' option cluster", "default")
  )
}

export interface ActorsFlags extends ClientFlags {
  readonly prefix: string
  readonly cluster: string
}

type Service = Overview["Service"]

type Run = <A, E>(
  flags: ClientFlags,
  command: Effect.Effect<A, E, ClientServices>
) => Effect.Effect<A, Failure>

const withOverviewBy = (run: Run) => <A, E>(flags: ActorsFlags, use: (overview: Service) => Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    if (flags.cluster === "") return yield* wrongUsage("--cluster is empty; leave it out for the name default")
    // Effect's cluster is loaded here, because the other commands do not need it.
    const { Overview } = yield* Effect.promise(() => import("../../actors/overview/index.ts"))
    const { cluster, prefix } = flags
    return yield* run(
      flags,
      Effect.provide(Effect.flatMap(Overview, use), Layer.fresh(Overview.layer({ cluster, prefix })))
    )
  })

/** Runs a command that reads. */
export const withOverview = withOverviewBy(withClient)

/** Runs a command that changes something. */
export const withChanges = withOverviewBy(withWriter)

export const limitFlag = (things: string) =>
  Flag.Int("limit").pipe(
    Flag.withMetavar("N"),
    Flag.withDescription(`most ${things} to print; all when left out`),
    Flag.optional
  )

/** The number that a limit means; fails for one below 1. */
export const limitOf = (limit: Option.Option<number>): Effect.Effect<number, Failure> =>
  Option.isNone(limit)
    ? Effect.succeed(Infinity)
    : limit.value < 1
    ? Effect.fail(wrongUsage(`--limit ${limit.value} is less than 1`))
    : Effect.succeed(limit.value)

/** How long ago a time was, or how long it is until then; `-` for none. */
export const ago = (nowMs: number, ms: number | undefined): string =>
  ms === undefined ? "-" : formatDuration(Math.max(0, nowMs - ms))
export const until = (nowMs: number, ms: number | undefined): string =>
  ms === undefined ? "-" : formatDuration(Math.max(0, ms - nowMs))
export const span = (ms: number | undefined): string => ms === undefined ? "-" : formatDuration(ms)

/** Rows of one page of a long list. */
const pageRows = 500

export interface ListOptions<A> {
  readonly json: boolean
  readonly limit: number
  readonly head: ReadonlyArray<string>
  readonly row: (one: A) => ReadonlyArray<string>
}

/**
 * Prints a list as it comes, a page at a time, each page as a table: a list of any length takes the memory of a page.
 * Says when there was more than `limit`.
 */
export const printList = Effect.fnUntraced(function*<A, E>(
  list: Stream.Stream<A, E>,
  { head, json, limit, row }: ListOptions<A>
) {
  let printed = 0
  let more = false
  const page = (rows: ReadonlyArray<A>) =>
    Effect.suspend(() => {
      const shown = rows.slice(0, limit - printed)
      more = shown.length < rows.length
      const first = printed === 0
      printed += shown.length
      return json
        ? Output.jsonLines(shown)
        : Output.lines(table([...first ? [head] : [], ...shown.map(row)]))
    })
  yield* list.pipe(
    Stream.take(limit + 1),
    Stream.grouped(pageRows),
    Stream.runForEach((rows) => printed >= limit ? Effect.sync(() => more = true) : page(rows))
  )
  if (printed === 0 && !json) yield* Output.lines(table([head]))
  if (!more) return
  if (json) yield* Output.json({ more: true })
  yield* Output.problem("there are more; give a larger --limit, or leave it out")
})
