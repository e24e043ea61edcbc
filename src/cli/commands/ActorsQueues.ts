/** `flaredb actors queues`, `dead-letters`, `retry` and `drop`: the persisted queues. */
import { Clock, Effect, Option, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import type { Changed, DeadLetter as Letter, Overview, QueueView } from "../../actors/overview/index.ts"
import {
  actorsFlags,
  ago,
  limitFlag,
  limitOf,
  printList,
  span,
  withChanges,
  withOverview
} from "../input/ActorsFlags.ts"
import { named } from "../input/Named.ts"
import type { ActorsFlags } from "../input/ActorsFlags.ts"
import { amended, failed, wrongUsage } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"
import { makeSwitch } from "../input/Switch.ts"
import { table } from "../output/Table.ts"

const figure = (queue: QueueView, name: "elements" | "failed" | "done", count: number): string =>
  `${count}${queue.atLeast.includes(name) ? "+" : ""}`

export const queues = Command.make(
  "queues",
  actorsFlags,
  (flags) =>
    withOverview(flags, (overview) =>
      Effect.gen(function*() {
        const found = yield* overview.queues()
        if (flags.json) return yield* Output.jsonLines(found)
        const head = [
          "QUEUE",
          "WAITING",
          "DELAYED",
          "CLAIMED",
          "ABANDONED",
          "CONSUMERS",
          "DEAD LETTERS",
          "DONE",
          "OLDEST"
        ]
        yield* Output.lines(table([
          head,
          ...found.map((queue) => [
            queue.name,
            figure(queue, "elements", queue.waiting),
            String(queue.delayed),
            String(queue.claimed),
            String(queue.abandoned),
            String(queue.consumers),
            figure(queue, "failed", queue.failed),
            figure(queue, "done", queue.done),
            span(queue.oldestWaitMs)
          ])
        ]))
      }))
).pipe(
  Command.withDescription(
    "Print the persisted queues. abandoned: the consumer that had it is gone, and the next one takes it. done: ids " +
      "that are kept until cleanup, so that they are not offered again. 100000+ is at least so many."
  ),
  Command.withExamples([{ command: "flaredb actors queues", description: "How long each queue is" }])
)

const queueArgument = Argument.String("queue").pipe(Argument.withDescription("the name of the queue"))

/** What of a dead letter is for others: not where it is. */
const shown = ({ attempts, element, failedMs, id, reason }: Letter) => ({ id, failedMs, attempts, reason, element })

/** The first line of a reason; the whole of it is in the JSON. */
const firstLine = (reason: string): string => reason.split("\n", 1)[0] ?? ""

export const deadLetters = Command.make("dead-letters", {
  ...actorsFlags,
  limit: limitFlag("dead letters"),
  queue: queueArgument
}, (flags) =>
  Effect.gen(function*() {
    const limit = yield* limitOf(flags.limit)
    const queue = yield* named("queue", flags.queue)
    const nowMs = yield* Clock.currentTimeMillis
    yield* withOverview(flags, (overview) =>
      printList(Stream.map(overview.deadLetters(queue), shown), {
        json: flags.json,
        limit,
        head: ["ID", "FAILED", "ATTEMPTS", "REASON"],
        row: ({ attempts, failedMs, id, reason }) => [id, ago(nowMs, failedMs), String(attempts), firstLine(reason)]
      }))
  })).pipe(
    Command.withDescription(
      "Print the elements of a queue that failed for good, the oldest first, each with the reason. --json has the " +
        "element and the whole reason."
    ),
    Command.withExamples([{
      command: "flaredb actors dead-letters mails",
      description: "Mails that could not be sent"
    }])
  )

const letterFlags = {
  ...actorsFlags,
  all: makeSwitch("all").pipe(
    Flag.withDescription("every dead letter that the queue has when the command begins"),
    Flag.withDefault(false)
  ),
  queue: queueArgument,
  id: Argument.String("id").pipe(
    Argument.withDescription("the id of the element, as dead-letters prints it; left out with --all"),
    Argument.optional
  )
}

interface LetterFlags extends ActorsFlags {
  readonly all: boolean
  readonly queue: string
  readonly id: Option.Option<string>
}

type Service = Overview["Service"]

/** What is done to dead letters, one or all. */
interface Action {
  readonly verb: "retry" | "drop"
  /** The same as something that is done. */
  readonly done: "retried" | "dropped"
  readonly one: (overview: Service, queue: string, letter: Letter) => Effect.Effect<boolean, unknown>
  readonly all: (
    overview: Service,
    queue: string,
    progress: (so: Changed) => void
  ) => Effect.Effect<Changed, unknown>
}

const letters = (count: number): string => `${count} dead letter${count === 1 ? "" : "s"}`

const carryOut = ({ all, done, one, verb }: Action) =>
  Effect.fnUntraced(function*(flags: LetterFlags) {
    const queue = yield* named("queue", flags.queue)
    if (flags.all && Option.isSome(flags.id)) return yield* wrongUsage(`--all is every dead letter: name none`)
    if (!flags.all && Option.isNone(flags.id)) {
      return yield* wrongUsage(`name a dead letter, or add --all to ${verb} every one of them`)
    }
    if (Option.isSome(flags.id)) {
      const id = yield* named("id", flags.id.value)
      const changed = yield* withChanges(flags, (overview) =>
        Effect.flatMap(overview.deadLetter(queue, id), (letter) => one(overview, queue, letter)))
      if (!changed) {
        return yield* failed(`another one has changed ${JSON.stringify(id)} meanwhile; nothing was changed here`)
      }
      return yield* flags.json
        ? Output.json({ queue, id, [done]: true })
        : Output.line(`${done} ${id}`)
    }
    let so: Changed = { changed: 0, skipped: 0 }
    yield* withChanges(flags, (overview) =>
      all(overview, queue, (now) => {
        so = now
      })).pipe(
        Effect.mapError((error) =>
          amended(error, (line) =>
            so.changed === 0
              ? line
              : `${line}; ${letters(so.changed)} ${done} before; repeat the command for the others`)
        )
      )
    yield* flags.json
      ? Output.json({ queue, [done]: so.changed, skipped: so.skipped })
      : Output.line(`${letters(so.changed)} ${done}`)
    if (so.skipped > 0) {
      yield* Output.problem(`${letters(so.skipped)} skipped: others changed them meanwhile`)
    }
  })

export const retry = Command.make(
  "retry",
  letterFlags,
  carryOut({
    verb: "retry",
    done: "retried",
    one: (overview, queue, letter) => overview.retry(queue, letter),
    all: (overview, queue, progress) => overview.retryAll(queue, progress)
  })
).pipe(
  Command.withDescription(
    "Put dead letters back into their queue: consumers may take them at once, with all attempts again. Their ids " +
      "stay " +
      "taken. Safe beside consumers and other such commands: of those that act on one element, one does."
  ),
  Command.withExamples([
    { command: "flaredb actors retry mails welcome/ada", description: "Try one mail again" },
    { command: "flaredb actors retry mails --all", description: "Try all of them again" }
  ])
)

export const drop = Command.make(
  "drop",
  letterFlags,
  carryOut({
    verb: "drop",
    done: "dropped",
    one: (overview, _, letter) => overview.drop(letter),
    all: (overview, queue, progress) => overview.dropAll(queue, progress)
  })
).pipe(
  Command.withDescription(
    "Remove dead letters for good, with their ids, as the queue's cleanup does: such an id may be offered again."
  ),
  Command.withExamples([
    { command: "flaredb actors drop mails welcome/ada", description: "Give one mail up" },
    { command: "flaredb actors drop mails --all", description: "Give all of them up" }
  ])
)
