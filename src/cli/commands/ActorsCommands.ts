/** `flaredb actors`: what runs on the cluster, what waits there, and what is stuck; and how to change that by hand. */
import { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { actorsFlags, withChanges } from "../input/ActorsFlags.ts"
import { named } from "../input/Named.ts"
import { migrate } from "./ActorsMigrate.ts"
import { entities, messages, workflows } from "./ActorsMessages.ts"
import { deadLetters, drop, queues, retry } from "./ActorsQueues.ts"
import { runners, shards, singletons } from "./ActorsRunners.ts"
import { wrongUsage } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"
import { makeSwitch } from "../input/Switch.ts"

/** Ids of messages are numbers of 64 bits. */
const messageId = /^-?\d{1,19}$/

const interruptMessage = Command.make("message", {
  ...actorsFlags,
  id: Argument.String("id").pipe(Argument.withDescription("the message, as flaredb actors messages prints it"))
}, (flags) =>
  Effect.gen(function*() {
    if (!messageId.test(flags.id)) {
      return yield* wrongUsage(`${JSON.stringify(flags.id)} is no id of a message; flaredb actors messages prints them`)
    }
    yield* withChanges(flags, (overview) => overview.interruptMessage(flags.id))
    yield* flags.json
      ? Output.json({ message: flags.id, interrupted: true })
      : Output.line(`message ${flags.id} is interrupted as soon as it is due and its runner reads it`)
  })).pipe(
    Command.withDescription(
      "Have a message interrupted that waits or is being handled. A delayed one ends when it is due. It does nothing " +
        "to a handler that is uninterruptible, nor while no runner holds the shard."
    ),
    Command.withExamples([
      { command: "flaredb actors interrupt message 125829120000000001", description: "End what hangs" }
    ])
  )

const interruptWorkflow = Command.make("workflow", {
  ...actorsFlags,
  name: Argument.String("name").pipe(Argument.withDescription("the name of the workflow")),
  execution: Argument.String("execution").pipe(
    Argument.withDescription("the execution, as flaredb actors workflows prints it")
  )
}, (flags) =>
  Effect.gen(function*() {
    const name = yield* named("name", flags.name)
    const execution = yield* named("execution", flags.execution)
    yield* withChanges(flags, (overview) => overview.interruptWorkflow(name, execution))
    yield* flags.json
      ? Output.json({ workflow: name, execution, interrupted: true })
      : Output.line(`${name} ${execution} is interrupted as soon as its runner reads it`)
  })).pipe(
    Command.withDescription("Have an execution of a workflow interrupted, with its compensations."),
    Command.withExamples([
      {
        command: "flaredb actors interrupt workflow Order df7ca1fb4fedceb9f36a077ab69112b2",
        description: "Give an order up, and undo what it did"
      }
    ])
  )

const interrupt = Command.make("interrupt").pipe(
  Command.withDescription("Interrupt a message or a workflow."),
  Command.withSubcommands([interruptMessage, interruptWorkflow])
)

const count = (number: number): string => `${number} message${number === 1 ? "" : "s"}`

const clear = Command.make("clear", {
  ...actorsFlags,
  yes: makeSwitch("yes").pipe(
    Flag.withDescription("do it; without it the command says what it would do"),
    Flag.withDefault(false)
  ),
  type: Argument.String("type").pipe(Argument.withDescription("the type of the entity; Workflow/NAME for a workflow")),
  id: Argument.String("id").pipe(Argument.withDescription("the id of the entity; the execution of a workflow"))
}, (flags) =>
  Effect.gen(function*() {
    const type = yield* named("type", flags.type)
    const id = yield* named("id", flags.id)
    const contents = yield* withChanges(flags, (overview) =>
      Effect.tap(overview.contents(type, id), () => flags.yes ? overview.clear(type, id) : Effect.void))
    const what = `${count(contents.messages)} of ${type} ${id}, ${contents.waiting} of them without a reply`
    if (!flags.yes) {
      return yield* wrongUsage(
        `this would forget ${what}, and their primary keys could be used again; add --yes to do it`
      )
    }
    yield* flags.json ? Output.json({ type, id, ...contents, cleared: true }) : Output.line(`forgot ${what}`)
  })).pipe(
    Command.withDescription(
      "Forget all messages of an entity, their replies and their primary keys: who sends such a message again has it " +
        "handled again. What is being handled goes on, and its reply is dropped. Interrupt a workflow before."
    ),
    Command.withExamples([
      { command: "flaredb actors clear Account 4711 --yes", description: "Forget what the account was sent" }
    ])
  )

export const actors = Command.make("actors").pipe(
  Command.withDescription("Actors: runners, shards, entities, queues, workflows, and what is stuck."),
  Command.withSubcommands([
    runners,
    shards,
    entities,
    messages,
    queues,
    deadLetters,
    retry,
    drop,
    workflows,
    singletons,
    interrupt,
    clear,
    migrate
  ]),
  Command.withExamples([
    { command: "flaredb actors entities --older-than 5m", description: "What waits for longer than it should" }
  ])
)
