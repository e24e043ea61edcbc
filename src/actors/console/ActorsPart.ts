/**
 * The actors in a node's console: what `flaredb actors` prints, and what it can change. Each call runs with the client
 * of its caller, so that the console may no more than who looks.
 */
import { Effect, Layer, Schema, Stream } from "effect"
import type { KeyValue } from "../../client/KeyValue.ts"
import type { Leases } from "../../client/Lease.ts"
import type { Watch } from "../../client/Watch.ts"
import { Overview } from "../overview/index.ts"
import type { OverviewOptions } from "../overview/index.ts"

type Service = Overview["Service"]

interface Failure {
  readonly _tag: string
  readonly message: string
}

interface Call {
  readonly answer: (overview: Service, payload: unknown) => Effect.Effect<unknown, Failure>
}

const call = <Input, Encoded>(
  payload: Schema.Codec<Input, Encoded>,
  answer: (overview: Service, input: Input) => Effect.Effect<unknown, Failure>
): Call => ({
  answer: (overview, given) =>
    Effect.flatMap(
      Effect.mapError(
        Schema.decodeUnknownEffect(payload)(given),
        ({ message }): Failure => ({ _tag: "InvalidArgument", message })
      ),
      (input) => answer(overview, input)
    )
})

/** Rows of one list. A console that shows more is none that a person reads. */
const maxRows = 200

/** Elements and messages that are looked at for the lists of queues and shards. */
const maxRead = 20_000

const Nothing = Schema.Struct({})
const Name = Schema.String.check(Schema.isMinLength(1))
const Letter = Schema.Struct({ queue: Name, id: Name })
const Entity = Schema.Struct({ type: Name, id: Name })

/** The first rows of a list, and whether there are more. */
const first = <A, E>(rows: Stream.Stream<A, E>) =>
  Effect.map(Stream.runCollect(Stream.take(rows, maxRows + 1)), (found) => ({
    rows: found.slice(0, maxRows),
    more: found.length > maxRows
  }))

const listed = <A>(rows: ReadonlyArray<A>) => ({ rows: rows.slice(0, maxRows), more: rows.length > maxRows })

/** One dead letter is changed as it was seen; another one may have done so meanwhile. */
const changed = (done: boolean) => ({ done })

const calls: Readonly<Record<string, Call>> = {
  runners: call(Nothing, ({ runners }) => Effect.map(runners, listed)),
  shards: call(Nothing, ({ shards }) => Effect.map(shards({ budget: { left: maxRead } }), listed)),
  queues: call(
    Nothing,
    ({ queues }) => Effect.map(queues({ budget: { left: maxRead }, maxFinished: maxRead }), listed)
  ),
  entities: call(Nothing, ({ entities }) =>
    Effect.map(entities({ limit: maxRows }), (found) => ({
      rows: found.entities,
      more: found.left.entities > 0 || found.untold > 0
    }))),
  workflows: call(Nothing, ({ workflows }) => first(workflows())),
  messages: call(Entity, ({ messages }, { id, type }) => first(messages(type, id))),
  deadLetters: call(
    Schema.Struct({ queue: Name }),
    ({ deadLetters }, { queue }) =>
      first(Stream.map(deadLetters(queue), ({ attempts, element, failedMs, id, reason }) => ({
        id,
        failedMs,
        attempts,
        reason,
        element: element.slice(0, 4_096)
      })))
  ),
  retry: call(
    Letter,
    ({ deadLetter, retry }, { id, queue }) =>
      Effect.map(Effect.flatMap(deadLetter(queue, id), (letter) => retry(queue, letter)), changed)
  ),
  drop: call(
    Letter,
    ({ deadLetter, drop }, { id, queue }) => Effect.map(Effect.flatMap(deadLetter(queue, id), drop), changed)
  ),
  retryAll: call(Schema.Struct({ queue: Name }), ({ retryAll }, { queue }) => retryAll(queue)),
  dropAll: call(Schema.Struct({ queue: Name }), ({ dropAll }, { queue }) => dropAll(queue)),
  interruptMessage: call(
    Schema.Struct({ id: Schema.String.check(Schema.isPattern(/^-?\d{1,19}$/)) }),
    (overview, { id }) => Effect.as(overview.interruptMessage(id), changed(true))
  ),
  interruptWorkflow: call(
    Schema.Struct({ name: Name, execution: Name }),
    (overview, { execution, name }) => Effect.as(overview.interruptWorkflow(name, execution), changed(true))
  ),
  contents: call(Entity, ({ contents }, { id, type }) => contents(type, id)),
  clear: call(Entity, ({ clear }, { id, type }) => Effect.as(clear(type, id), changed(true)))
}

/** The part of a cluster of runners; give it to `ConsoleParts` of the node. */
export const actorsPart = (options: OverviewOptions = {}) => ({
  name: "actors",
  call: (
    name: string,
    payload: unknown
  ): Effect.Effect<unknown, Failure, KeyValue | Leases | Watch> | undefined => {
    const found = Object.hasOwn(calls, name) ? calls[name] : undefined
    if (found === undefined) return undefined
    return Effect.scoped(
      Effect.flatMap(
        Layer.build(Layer.fresh(Overview.layer(options))),
        (services) =>
          Effect.provideContext(Effect.flatMap(Overview, (overview) => found.answer(overview, payload)), services)
      )
    )
  }
})
