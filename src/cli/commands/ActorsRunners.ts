/** `flaredb actors runners`, `shards` and `singletons`: who runs what. */
import { Clock, Config, Effect, Option, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import type { RunnerView, ShardView } from "../../actors/overview/index.ts"
import { actorsFlags, ago, span, until, withOverview } from "../input/ActorsFlags.ts"
import { wrongUsage } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"
import { makeSwitch } from "../input/Switch.ts"
import { table } from "../output/Table.ts"

const stateOf = ({ healthy, registered }: RunnerView): string => registered ? healthy ? "healthy" : "unhealthy" : "gone"

export const runners = Command.make(
  "runners",
  actorsFlags,
  (flags) =>
    withOverview(flags, (overview) =>
      Effect.gen(function*() {
        const found = yield* overview.runners
        if (flags.json) return yield* Output.jsonLines(found)
        const head = ["RUNNER", "STATE", "SHARDS", "GROUPS", "WEIGHT", "MACHINE", "REFRESHED", "ENDS IN"]
        yield* Output.lines(table([
          head,
          ...found.map((runner) => [
            runner.address,
            stateOf(runner),
            String(runner.shards),
            runner.groups.join(",") || "-",
            String(runner.weight ?? "-"),
            String(runner.machineId ?? "-"),
            span(runner.refreshedAgoMs),
            span(runner.endsInMs)
          ])
        ]))
      }))
).pipe(
  Command.withDescription(
    "Print the runners: how many shards each holds, when it last said that it is there, and when it counts as gone " +
      "unless it does so again. One that is gone may hold locks until they end."
  ),
  Command.withExamples([{ command: "flaredb actors runners", description: "The runners of the local cluster" }])
)

const shardRow = (nowMs: number) => (shard: ShardView) => [
  shard.shard,
  shard.owner ?? "none",
  String(shard.token ?? "-"),
  span(shard.refreshedAgoMs),
  span(shard.endsInMs),
  String(shard.messages),
  ago(nowMs, shard.oldestMs)
]

/** More shards than any program has, so that a typing error is no list of millions. */
const maxShardsPerGroup = 100_000

export const shards = Command.make("shards", {
  ...actorsFlags,
  shardsPerGroup: Flag.Int("shards-per-group").pipe(
    Flag.withMetavar("N"),
    Flag.withDescription(
      "how many shards each group has; when left out, shards that have neither an owner nor messages are not listed " +
        "(SHARDS_PER_GROUP)"
    ),
    Flag.withFallbackConfig(Config.Int("SHARDS_PER_GROUP")),
    Flag.optional
  ),
  withoutOwner: makeSwitch("without-owner").pipe(
    Flag.withDescription("only shards that no runner holds"),
    Flag.withDefault(false)
  )
}, (flags) =>
  Effect.gen(function*() {
    const shardsPerGroup = Option.getOrUndefined(flags.shardsPerGroup)
    if (shardsPerGroup !== undefined && (shardsPerGroup < 1 || shardsPerGroup > maxShardsPerGroup)) {
      return yield* wrongUsage(`--shards-per-group ${shardsPerGroup} is not from 1 to ${maxShardsPerGroup}`)
    }
    const all = yield* withOverview(flags, (overview) => overview.shards({ shardsPerGroup }))
    const without = all.filter(({ owner }) => owner === undefined)
    const shown = flags.withoutOwner ? without : all
    if (flags.json) return yield* Output.jsonLines(shown)
    const nowMs = yield* Clock.currentTimeMillis
    const head = ["SHARD", "OWNER", "TOKEN", "REFRESHED", "ENDS IN", "MESSAGES", "OLDEST"]
    yield* Output.lines(table([head, ...shown.map(shardRow(nowMs))]))
    yield* Output.line(`${all.length} shards, ${without.length} without owner`)
  })).pipe(
    Command.withDescription(
      "Print the shards: who holds each, the fencing token of its lock, when the lock was last refreshed and when it " +
        "ends, and the messages that have no reply. How long a runner has held a shard is not in the store."
    ),
    Command.withExamples([
      { command: "flaredb actors shards --without-owner", description: "Whose messages no runner handles" },
      {
        command: "flaredb actors shards --shards-per-group 300",
        description: "Also shards that no runner holds or uses"
      }
    ])
  )

export const singletons = Command.make(
  "singletons",
  actorsFlags,
  (flags) =>
    withOverview(flags, (overview) =>
      Effect.gen(function*() {
        const jobs = yield* Stream.runCollect(overview.cronJobs)
        if (flags.json) return yield* Output.jsonLines(jobs)
        const nowMs = yield* Clock.currentTimeMillis
        const head = ["CRON SINGLETON", "NEXT IN", "SHARD", "RUNNER", "LAST SCHEDULED"]
        yield* Output.lines(table([
          head,
          ...jobs.map(({ lastSentMs, name, nextMs, runner, shard }) => [
            name,
            until(nowMs, nextMs),
            shard ?? "-",
            runner ?? "none",
            ago(nowMs, lastSentMs)
          ])
        ]))
      }))
).pipe(
  Command.withDescription(
    "Print the cron singletons that have runs in the store: when the next one is due, and who holds its shard. " +
      "Singletons without a schedule keep nothing there, so they are not listed."
  ),
  Command.withExamples([{ command: "flaredb actors singletons", description: "When each cron job runs next" }])
)
