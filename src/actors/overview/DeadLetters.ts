/**
 * Dead letters: elements of persisted queues that failed for good. They are listed, tried again, and dropped, beside
 * consumers that run: each change is one transaction on the condition that the element is still the dead letter that
 * was seen.
 */
import { Data, Effect, Option, Stream } from "effect"
import type { KeyValueEntry, ReadFailure, WriteFailure } from "../../client/KeyValue.ts"
import type { Ops } from "../../client/Txn.ts"
import { Compare, Op } from "../../client/Txn.ts"
import type { LogTime, LogTimeFailure } from "../LogTime.ts"
import { outcomeOf } from "../Outcome.ts"
import { encodeName } from "../persistence/Keys.ts"
import {
  copyOf,
  decodeElement,
  encodePending,
  encodeQueueRow,
  failedPrefix,
  finishedOf,
  QueueKeys
} from "../persistence/queue/Layout.ts"
import type { PlaceSequence } from "../persistence/queue/Places.ts"
import type { OtherQueueLayout } from "../persistence/queue/QueueLayout.ts"
import type { Reader } from "./Reader.ts"
import { utf8Text } from "../../bytes/Utf8.ts"

/** An element of a queue that failed for good. */
export interface DeadLetter {
  readonly id: string
  /** When it failed for good, by the cluster's clock, in milliseconds since 1970. */
  readonly failedMs: number
  /** How often it was tried. */
  readonly attempts: number
  /** Why, as the last attempt ended; at most 4,096 characters. */
  readonly reason: string
  /** The element as JSON. */
  readonly element: string
  /** What it is at in the store. */
  readonly at: {
    readonly element: string
    readonly mark: string
    readonly elementRevision: number
    readonly markRevision: number
  }
}

/** There is no dead letter of this id in the queue: it was never one, was retried or dropped, or cleanup removed it. */
export class DeadLetterNotFound extends Data.TaggedError("DeadLetterNotFound")<{
  readonly queue: string
  readonly id: string
}> {
  override get message() {
    return `the queue ${JSON.stringify(this.queue)} has no dead letter ${JSON.stringify(this.id)}; ` +
      "it may have been retried, dropped or cleaned up"
  }
}

/** Elements read at once: each may have 960 KiB. */
const concurrency = 8

/** Times that a change is repeated whose answer was lost. */
const repeats = 5

const encoder = new TextEncoder()

const letterOf = Effect.fnUntraced(function*(reader: Reader, mark: KeyValueEntry) {
  const found = finishedOf(reader.prefix, failedPrefix(reader.prefix), mark.keyText)
  if (found?.element === undefined) return undefined
  const entry = yield* reader.get(found.element)
  const state = entry._tag === "Some" ? decodeElement(entry.value.value) : undefined
  if (entry._tag === "None" || state?._tag !== "Failed") return undefined
  const { attempts, id, reason } = state.facts
  return {
    id,
    failedMs: found.ms,
    attempts,
    reason,
    element: utf8Text(state.json),
    at: {
      element: found.element,
      mark: mark.keyText,
      elementRevision: entry.value.modRevision,
      markRevision: mark.modRevision
    }
  } satisfies DeadLetter
})

/** The dead letters of a queue, the oldest first. It goes through those of all queues, which lie in order of time. */
export const deadLetters = (reader: Reader, queue: string): Stream.Stream<DeadLetter, ReadFailure> => {
  const kind = failedPrefix(reader.prefix)
  const part = encodeName(queue)
  return reader.rows(kind, true).pipe(
    Stream.filter(({ keyText }) => finishedOf(reader.prefix, kind, keyText)?.queue === part),
    Stream.mapEffect((mark) => letterOf(reader, mark), { concurrency }),
    Stream.filter((letter) => letter !== undefined)
  )
}

/** The dead letter of an id. */
export const deadLetter = Effect.fnUntraced(function*(reader: Reader, queue: string, id: string) {
  const kind = failedPrefix(reader.prefix)
  const element = new QueueKeys(reader.prefix, queue).element(id)
  const found = yield* reader.rows(kind, true).pipe(
    Stream.filter(({ keyText }) => finishedOf(reader.prefix, kind, keyText)?.element === element),
    Stream.mapEffect((mark) => letterOf(reader, mark)),
    Stream.filter((letter) => letter !== undefined),
    Stream.take(1),
    Stream.runCollect
  )
  return found[0] ?? (yield* new DeadLetterNotFound({ queue, id }))
})

/**
 * Changes a dead letter, and says whether it was still there. After an answer that was lost, a second attempt may find
 * it changed by the first one, or by somebody else: then `proof` tells. Without one it stays unknown, as the client
 * said.
 */
const change = Effect.fnUntraced(function*(
  reader: Reader,
  { at }: DeadLetter,
  operations: Ops,
  proof: Effect.Effect<boolean, ReadFailure>
): Effect.fn.Return<boolean, ReadFailure | WriteFailure | OtherQueueLayout> {
  yield* reader.queueLayout.before(Effect.void)
  const txn = reader.kv.transact({
    if: [
      Compare.modRevision(at.element).equals(at.elementRevision),
      Compare.modRevision(at.mark).equals(at.markRevision)
    ],
    do: [Op.delete(at.mark), ...operations]
  })
  let lost: WriteFailure | undefined
  for (let attempt = 0;; attempt++) {
    const sent = yield* Effect.result(txn)
    if (sent._tag === "Success") {
      if (sent.success.succeeded || lost === undefined) return sent.success.succeeded
      return (yield* proof) || (yield* lost)
    }
    lost = sent.failure
    const outcome = outcomeOf(sent.failure)
    if (outcome === "done") return true
    if (outcome !== "unknown" || attempt >= repeats) return yield* sent.failure
  }
})

/**
 * Gives letters their places in a queue. The time is the cluster's, as that of all places is: by a clock that is ahead,
 * a letter would come behind elements that are offered much later.
 */
export interface Placing {
  readonly now: LogTime["Service"]["now"]
  readonly places: PlaceSequence
}

/**
 * Puts a dead letter back into its queue, where it may be taken at once, with no attempts counted. Its id stays taken
 * all the time. `false` when another one has changed it meanwhile: of several that retry it at once, one gets `true`.
 */
export const retryDeadLetter = Effect.fnUntraced(function*(
  reader: Reader,
  { now, places }: Placing,
  queue: string,
  letter: DeadLetter
): Effect.fn.Return<boolean, ReadFailure | WriteFailure | OtherQueueLayout | LogTimeFailure> {
  const keys = new QueueKeys(reader.prefix, queue)
  const nowMs = yield* now
  const row = { id: letter.id, attempts: 0, delayed: false, claim: undefined, copy: copyOf(letter.element) }
  const place = keys.row(places.next(nowMs))
  return yield* change(reader, letter, [
    Op.put(letter.at.element, encodePending(encoder.encode(letter.element))),
    Op.put(place, encodeQueueRow(row))
  ], Effect.map(reader.get(place), Option.isSome))
})

/**
 * Removes a dead letter with its id, as `cleanup` does: the id may be offered again. `false` when another one has
 * changed it meanwhile.
 */
export const dropDeadLetter = (
  reader: Reader,
  letter: DeadLetter
): Effect.Effect<boolean, ReadFailure | WriteFailure | OtherQueueLayout> =>
  // An element that is offered later under its id is created then.
  change(
    reader,
    letter,
    [Op.delete(letter.at.element)],
    Effect.map(
      reader.get(letter.at.element),
      Option.match({ onNone: () => true, onSome: ({ createRevision }) => createRevision > letter.at.elementRevision })
    )
  )

/** What became of the dead letters of a queue. */
export interface Changed {
  readonly changed: number
  /** Those that another one changed meanwhile. */
  readonly skipped: number
}

/**
 * Changes the dead letters of a queue that there are when it begins. One that fails again meanwhile is a new one, so
 * that this ends however fast the consumers are. `progress` is called after each.
 */
const changeAll = Effect.fnUntraced(function*<E>(
  reader: Reader,
  queue: string,
  one: (letter: DeadLetter) => Effect.Effect<boolean, E>,
  progress: (so: Changed) => void
) {
  const { revision } = yield* reader.kv.scan(failedPrefix(reader.prefix), { keysOnly: true, limit: 1 })
  let so: Changed = { changed: 0, skipped: 0 }
  yield* deadLetters(reader, queue).pipe(
    Stream.filter(({ at }) => at.markRevision <= revision),
    Stream.mapEffect(one, { concurrency }),
    Stream.runForEach((done) =>
      Effect.sync(() => {
        so = done ? { ...so, changed: so.changed + 1 } : { ...so, skipped: so.skipped + 1 }
        progress(so)
      })
    )
  )
  return so
})

export const retryDeadLetters = (
  reader: Reader,
  placing: Placing,
  queue: string,
  progress: (so: Changed) => void = () => undefined
) => changeAll(reader, queue, (letter) => retryDeadLetter(reader, placing, queue, letter), progress)

export const dropDeadLetters = (reader: Reader, queue: string, progress: (so: Changed) => void = () => undefined) =>
  changeAll(reader, queue, (letter) => dropDeadLetter(reader, letter), progress)
