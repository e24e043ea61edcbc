/**
 * Feeds committed entries to the state machine, in order and in batches, beside the owner fiber, so that heartbeats
 * never wait for an apply. The core has one batch outstanding; entries that already left its memory are read
 * back from the log store.
 *
 * A snapshot takes the place of entries that would have been applied. Applying pauses for that, and what had been
 * handed over and is covered now is dropped: the core hands over again what follows.
 */
import { Effect, Queue, Semaphore } from "effect"
import type { StateMachine } from "../machine/StateMachine.ts"
import type { Apply } from "../raft/Output.ts"
import type { Entry, LogIndex } from "../raft/Types.ts"
import { addIndex } from "../raft/Types.ts"
import type { LogStore } from "../storage/LogStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { StorageCorruption } from "../storage/StorageError.ts"
import type { Input } from "./Input.ts"
import { post } from "./Input.ts"
import type { Moments } from "./Moments.ts"

export interface Applier {
  /** Hands over one apply output. Synchronous; at most one is outstanding. */
  readonly applyUnsafe: (apply: Apply) => void
  /** The last entry that was applied, or that a snapshot covers. */
  readonly applied: () => LogIndex
  /** Runs `work` while nothing is being applied. */
  readonly whilePaused: <A, E>(work: Effect.Effect<A, E>) => Effect.Effect<A, E>
  /** The state covers everything through `index` now. Only while paused. */
  readonly skipUnsafe: (index: LogIndex) => void
  /** The loop. Ends only by failing. */
  readonly run: Effect.Effect<never, StorageError>
}

/** Bytes read from the log store at a time when entries have left the core's memory. */
const readBackBytes = 512 * 1024

export const make = Effect.fnUntraced(function*(
  log: LogStore["Service"],
  machine: StateMachine["Service"],
  moments: Moments,
  inbox: Queue.Enqueue<Input>
) {
  const queue = yield* Queue.unbounded<Apply>()
  const turn = yield* Semaphore.make(1)
  let applied = machine.recovered.index

  const applyInTurn = (entries: ReadonlyArray<Entry>): Effect.Effect<void, StorageError> => {
    if (entries[0]?.index !== applied + 1) return Effect.void
    const moment = moments.find(entries)
    return moment < 0 ? applyAll(entries) : applyAround(entries, moment)
  }

  /** Hands entries to the machine until it has applied all of them, and reports each part. */
  const applyAll = (entries: ReadonlyArray<Entry>): Effect.Effect<void, StorageError> =>
    Effect.flatMap(machine.apply(entries), (replies) => {
      const last = entries[replies.length - 1]
      if (last === undefined) {
        return Effect.die(new Error("the state machine applied nothing, or more than it was given"))
      }
      applied = last.index
      if (replies.length === entries.length) return post(inbox, { _tag: "AppliedBatch", entries, replies })
      return Effect.andThen(
        post(inbox, { _tag: "AppliedBatch", entries: entries.slice(0, replies.length), replies }),
        Effect.suspend(() => applyAll(entries.slice(replies.length)))
      )
    })

  /** Somebody wants the state as it is behind one of the entries. Nothing else is applied meanwhile. */
  const applyAround = Effect.fnUntraced(function*(entries: ReadonlyArray<Entry>, moment: number) {
    const through = entries.slice(0, moment + 1)
    yield* applyAll(through)
    yield* moments.take(through[moment] as Entry)
    yield* applyInTurn(entries.slice(moment + 1))
  })

  const applyEntries = (entries: ReadonlyArray<Entry>): Effect.Effect<void, StorageError> =>
    Semaphore.withPermit(turn, Effect.suspend(() => applyInTurn(entries)))

  /** Each part is reported as it is applied; the core hears of the batch's end with the last one. */
  const applyFromDisk = Effect.fnUntraced(function*(apply: Apply) {
    let next = apply.from
    while (next <= apply.through) {
      const entries = yield* log.read(next, apply.through, readBackBytes)
      // A snapshot came in between, and the log behind it may be gone.
      if (applied >= next) return
      const last = entries[entries.length - 1]
      if (last === undefined) {
        return yield* new StorageCorruption({
          path: "raft_log",
          detail: `committed entry ${next} is missing from the log`,
          safe: `everything applied so far, up to ${next - 1}`
        })
      }
      yield* applyEntries(entries)
      next = addIndex(last.index, 1)
    }
  })

  const applier: Applier = {
    applyUnsafe: (apply) => {
      Queue.offerUnsafe(queue, apply)
    },
    applied: () => applied,
    whilePaused: (work) => Semaphore.withPermit(turn, work),
    skipUnsafe: (index) => {
      applied = index
      moments.skipped()
    },
    run: Effect.forever(
      Effect.flatMap(
        Queue.take(queue),
        (apply) => apply.entries === undefined ? applyFromDisk(apply) : applyEntries(apply.entries)
      ),
      { disableYield: true }
    )
  }
  return applier
})
