/**
 * Feeds committed entries to the state machine, in order and in batches. The core has one batch outstanding, of bounded
 * size; what a machine can answer from memory is applied at the end of the owner's turn, and the owner does not wait
 * for more. Entries that already left the core's memory are read back from the log store.
 *
 * A snapshot takes the place of entries that would have been applied. Applying pauses for that, and what had been
 * handed over and is covered now is dropped: the core hands over again what follows.
 */
import { Effect, Semaphore } from "effect"
import type { StateMachine } from "../machine/StateMachine.ts"
import type { Apply } from "../raft/Output.ts"
import type { Entry, LogIndex } from "../raft/Types.ts"
import { addIndex, minIndex } from "../raft/Types.ts"
import type { LogStore } from "../storage/LogStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { StorageCorruption } from "../storage/StorageError.ts"
import type { Inbox } from "./Inbox.ts"
import type { Markers } from "./Markers.ts"
import { SerialWork } from "./SerialWork.ts"
import type { Stopwatch } from "./Stopwatch.ts"

export interface Applier {
  /** Takes what the core puts out; at most one is outstanding. */
  readonly work: SerialWork<Apply, StorageError>
  /** The last entry that was applied, or that a snapshot covers. */
  readonly applied: () => LogIndex
  /** Runs `work` while nothing is being applied. */
  readonly whilePaused: <A, E>(work: Effect.Effect<A, E>) => Effect.Effect<A, E>
  /** The state covers everything through `index` now. Only while paused. */
  readonly skipUnsafe: (index: LogIndex) => void
}

/**
 * What is read from the log store at a time when entries have left the core's memory; as much again is read ahead.
 * Small, because garbage that lives as long as a large batch is dear to collect.
 */
const readBackBytes = 512 * 1024
const readBackEntries = 512

const readBack = (
  log: LogStore["Service"],
  from: LogIndex,
  through: LogIndex
): Effect.Effect<ReadonlyArray<Entry>, StorageError> =>
  from > through
    ? Effect.succeed([])
    : log.read(from, minIndex(through, addIndex(from, readBackEntries - 1)), readBackBytes)

const missing = (index: LogIndex): StorageCorruption =>
  new StorageCorruption({
    path: "the log",
    detail: `committed entry ${index} is missing from the log`,
    safe: `everything applied so far, up to ${index - 1}`
  })

export const make = Effect.fnUntraced(function*(
  log: LogStore["Service"],
  machine: StateMachine["Service"],
  markers: Markers,
  inbox: Inbox,
  stopwatch: Stopwatch
) {
  const turn = yield* Semaphore.make(1)
  let applied = machine.recovered.index

  const applyInTurn = (entries: ReadonlyArray<Entry>): Effect.Effect<void, StorageError> => {
    if (entries[0]?.index !== applied + 1) return Effect.void
    const marker = markers.find(entries)
    return marker < 0 ? applyAll(entries) : applyAround(entries, marker)
  }

  /** Hands entries to the machine until it has applied all of them, and reports each part. */
  const applyAll = (entries: ReadonlyArray<Entry>): Effect.Effect<void, StorageError> => {
    const sinceMs = stopwatch.nowMs()
    return Effect.flatMap(machine.apply(entries), (replies): Effect.Effect<void, StorageError> => {
      const tookMs = stopwatch.nowMs() - sinceMs
      stopwatch.took(tookMs)
      const last = entries[replies.length - 1]
      if (last === undefined) {
        return Effect.die(new Error("the state machine applied nothing, or more than it was given"))
      }
      applied = last.index
      const whole = replies.length === entries.length
      const done = whole ? entries : entries.slice(0, replies.length)
      inbox.post({ _tag: "AppliedBatch", entries: done, replies, tookMs })
      return whole ? Effect.void : applyAll(entries.slice(replies.length))
    })
  }

  /** A caller waits for the state behind one of the entries. Nothing else is applied meanwhile. */
  const applyAround = Effect.fnUntraced(function*(entries: ReadonlyArray<Entry>, marker: number) {
    const through = entries.slice(0, marker + 1)
    yield* applyAll(through)
    yield* markers.take(through[marker] as Entry)
    yield* applyInTurn(entries.slice(marker + 1))
  })

  const applyEntries = (entries: ReadonlyArray<Entry>): Effect.Effect<void, StorageError> =>
    Semaphore.withPermit(turn, Effect.suspend(() => applyInTurn(entries)))

  /**
   * Each part is reported as it is applied; the core hears of the batch's end with the last one. The next part is read
   * while one is applied.
   */
  const applyFromDisk = Effect.fnUntraced(function*({ from, through }: Apply) {
    let next = from
    let entries = yield* readBack(log, next, through)
    while (next <= through) {
      // A snapshot came in between, and the log behind it may be gone.
      if (applied >= next) return
      const last = entries[entries.length - 1]
      if (last === undefined) return yield* missing(next)
      next = addIndex(last.index, 1)
      const [following] = yield* Effect.all([readBack(log, next, through), applyEntries(entries)], { concurrency: 2 })
      entries = following
    }
  })

  const applyOne = (apply: Apply): Effect.Effect<void, StorageError> =>
    apply.entries === undefined ? applyFromDisk(apply) : applyEntries(apply.entries)

  const applier: Applier = {
    work: new SerialWork((applies: ReadonlyArray<Apply>) => Effect.forEach(applies, applyOne, { discard: true })),
    applied: () => applied,
    whilePaused: (work) => Semaphore.withPermit(turn, work),
    skipUnsafe: (index) => {
      applied = index
      markers.skipped()
    }
  }
  return applier
})
