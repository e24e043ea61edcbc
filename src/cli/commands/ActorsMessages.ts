/** `flaredb actors entities`, `messages` and `workflows`: what waits, and for what. */
import { Clock, Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import type { EntityView } from "../../actors/overview/index.ts"
import { actorsFlags, ago, limitFlag, limitOf, printList, until, withOverview } from "../input/ActorsFlags.ts"
import { named } from "../input/Named.ts"
import { withDefault } from "../input/DefaultValue.ts"
import { durationFlag } from "../input/Duration.ts"
import { wrongUsage } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"
import { table } from "../output/Table.ts"

/** Entities that are printed unless it is said otherwise, and at most: they are sorted in memory. */
const defaultEntities = 100
const maxEntities = 10_000

const entityRow = (nowMs: number) => (entity: EntityView) => [
  entity.type,
  entity.id,
  entity.shard,
  entity.owner ?? "none",
  String(entity.waiting),
  String(entity.delayed),
  ago(nowMs, entity.oldestMs),
  until(nowMs, entity.nextDueMs)
]

export const entities = Command.make("entities", {
  ...actorsFlags,
  type: Flag.String("type").pipe(
    Flag.withMetavar("TYPE"),
    Flag.withDescription("only entities of this type; all when left out"),
    Flag.optional
  ),
  olderThan: durationFlag("older-than").pipe(
    Flag.withDescription("only entities whose oldest message waits longer; all when left out"),
    Flag.optional
  ),
  limit: Flag.Int("limit").pipe(
    Flag.withMetavar("N"),
    withDefault(`most entities to print, at most ${maxEntities}`, defaultEntities)
  )
}, (flags) =>
  Effect.gen(function*() {
    const { json, limit } = flags
    if (limit < 1 || limit > maxEntities) {
      return yield* wrongUsage(`--limit ${limit} is not from 1 to ${maxEntities}`)
    }
    const type = Option.isNone(flags.type) ? undefined : yield* named("type", flags.type.value)
    const found = yield* withOverview(flags, (overview) =>
      overview.entities({ type, limit, olderThanMs: Option.getOrUndefined(flags.olderThan) }))
    if (json) {
      yield* Output.jsonLines(found.entities)
    } else {
      const nowMs = yield* Clock.currentTimeMillis
      const head = ["TYPE", "ENTITY", "SHARD", "OWNER", "WAITING", "DELAYED", "OLDEST", "NEXT DUE"]
      yield* Output.lines(table([head, ...found.entities.map(entityRow(nowMs))]))
    }
    const { left, unreadable, untold } = found
    if (left.entities > 0) {
      if (json) {
        yield* Output.json({ more: true, ...left })
      }
      yield* Output.problem(
        `${left.entities} more entities have ${left.messages} messages; --limit prints more of them`
      )
    }
    if (untold > 0) {
      yield* Output.problem(`${untold} messages are of further entities, too many to tell apart; --type narrows them`)
    }
    if (unreadable > 0) {
      yield* Output.problem(`${unreadable} messages cannot be read; another version or another program wrote them`)
    }
  })).pipe(
    Command.withDescription(
      "Print the entities that have messages without a reply, those first whose oldest one waits longest. A message " +
        "that waits may be being handled: only its runner knows."
    ),
    Command.withExamples([
      { command: "flaredb actors entities --older-than 5m", description: "What is stuck" },
      {
        command: "flaredb actors entities --type Account --limit 10",
        description: "The ten accounts that wait longest"
      }
    ])
  )

const typeArgument = Argument.String("type").pipe(Argument.withDescription("the type of the entity"))
const idArgument = Argument.String("id").pipe(Argument.withDescription("the id of the entity"))

export const messages = Command.make("messages", {
  ...actorsFlags,
  limit: limitFlag("messages"),
  type: typeArgument,
  id: idArgument
}, (flags) =>
  Effect.gen(function*() {
    const limit = yield* limitOf(flags.limit)
    const type = yield* named("type", flags.type)
    const id = yield* named("id", flags.id)
    const nowMs = yield* Clock.currentTimeMillis
    yield* withOverview(flags, (overview) =>
      printList(overview.messages(type, id), {
        json: flags.json,
        limit,
        head: ["MESSAGE", "RPC", "STATE", "SENT", "DUE IN", "INTERRUPTED"],
        row: (message) => [
          message.id,
          message.tag ?? "unreadable",
          message.state,
          ago(nowMs, message.sentMs),
          until(nowMs, message.dueMs),
          message.interrupted ? "yes" : "no"
        ]
      }))
  })).pipe(
    Command.withDescription(
      "Print the messages of an entity that have no reply. no owner: no runner holds the shard. unacknowledged: the " +
        "caller has a part of the reply and has not said that it got it. waiting: it waits or is being handled."
    ),
    Command.withExamples([
      { command: "flaredb actors messages Account 4711", description: "What the account has yet to handle" }
    ])
  )

export const workflows = Command.make("workflows", {
  ...actorsFlags,
  name: Flag.String("name").pipe(
    Flag.withMetavar("NAME"),
    Flag.withDescription("only executions of this workflow; all when left out"),
    Flag.optional
  ),
  limit: limitFlag("executions")
}, (flags) =>
  Effect.gen(function*() {
    const limit = yield* limitOf(flags.limit)
    const name = Option.isNone(flags.name) ? undefined : yield* named("name", flags.name.value)
    const nowMs = yield* Clock.currentTimeMillis
    yield* withOverview(flags, (overview) =>
      printList(overview.workflows({ name }), {
        json: flags.json,
        limit,
        head: ["WORKFLOW", "EXECUTION", "STATE", "STARTED", "WAKES IN", "ACTIVITIES", "REASON"],
        row: (one) => [
          one.name,
          one.execution,
          one.interrupting && one.state !== "interrupted" ? `${one.state}, interrupting` : one.state,
          ago(nowMs, one.startedMs),
          until(nowMs, one.wakesMs),
          String(one.activities),
          one.reason ?? "-"
        ]
      }))
  })).pipe(
    Command.withDescription(
      "Print the executions of workflows. suspended: it waits for a deferred, a child or a resume; which one is not " +
        "in the store. stopped: it failed and waits to be resumed. A sleep that the engine keeps in memory shows as " +
        "running."
    ),
    Command.withExamples([
      { command: "flaredb actors workflows --name Order", description: "All orders that are kept" }
    ])
  )
