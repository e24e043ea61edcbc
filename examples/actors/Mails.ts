/**
 * A queue of mails, worked off by any number of workers. A mail that fails is tried again later, and after the last
 * attempt it lies in a second queue, the dead letters, where somebody looks at it.
 *
 * A worker that dies loses its claim and the mail is another's: it may be sent twice, so the mailer gets its id.
 */
import { Context, Effect, Schedule, Schema } from "effect"
import { PersistedQueue } from "effect/persistence"

export const Mail = Schema.Struct({ to: Schema.String, text: Schema.String })
export type Mail = typeof Mail.Type

export class Undeliverable extends Schema.TaggedError<Undeliverable>()("Undeliverable", { reason: Schema.String }) {}

export const DeadLetter = Schema.Struct({ mail: Mail, reason: Schema.String, attempts: Schema.Int })

export class Mailer extends Context.Service<Mailer, {
  readonly send: (id: string, mail: Mail) => Effect.Effect<void, Undeliverable>
}>()("example/Mailer") {}

const maxAttempts = 3

export const mails = PersistedQueue.make({
  name: "mails",
  schema: Mail,
  maxAttempts,
  retrySchedule: Schedule.exponential("100 millis")
})

export const deadLetters = PersistedQueue.make({ name: "mails/dead", schema: DeadLetter })

/** Puts a mail into the queue. The same id twice is one mail, for as long as finished ones are kept. */
export const enqueue = Effect.fnUntraced(function*(id: string, mail: Mail) {
  yield* (yield* mails).offer(mail, { id })
})

/** Works mails off until it is interrupted. */
export const worker = Effect.gen(function*() {
  const queue = yield* mails
  const dead = yield* deadLetters
  const mailer = yield* Mailer
  const one = queue.take((mail, { attempts, id }) =>
    Effect.tapError(
      mailer.send(id, mail),
      ({ reason }) => attempts < maxAttempts ? Effect.void : dead.offer({ mail, reason, attempts }, { id })
    )
  )
  // A mail that failed is back in its queue, or dead: the worker goes on with the next one.
  return yield* one.pipe(
    Effect.catchTag("Undeliverable", ({ reason }) => Effect.logDebug(`a mail was not delivered: ${reason}`)),
    Effect.forever
  )
})
