/** How far the log is synced, and the durable floor that follows it in its file: see `DurableFloor.ts`. */
import { Effect, Semaphore } from "effect"
import type { HardState, LogPoint } from "../../raft/Types.ts"
import { LogIndex } from "../../raft/Types.ts"
import type { DurableFloor, Vote } from "../DurableFloor.ts"
import { writeFloor } from "../DurableFloor.ts"
import type { LogWrite, RecoveredLog } from "../LogStore.ts"
import type { StorageError } from "../StorageError.ts"

const voteOf = ({ term, votedFor }: HardState): Vote => ({ term, votedFor })

export class LogFloor {
  private readonly path: string
  /** What the file says; `undefined` while there is none. */
  private floor: DurableFloor | undefined
  /** The last point that is synced. */
  private durable: LogPoint
  /** The last vote that is synced. */
  private vote: Vote | undefined

  /**
   * Raising the floor and removing a part of the log exclude each other: a slow raise could land above a removed tail,
   * and a compaction could take the beginning of the log back to before a reset.
   */
  readonly lock = Semaphore.makeUnsafe(1)

  /** `floor` is what the file in the folder `path` says, about the log as the start left it. */
  constructor(
    path: string,
    floor: DurableFloor | undefined,
    { compacted, hardState, lastIndex, termRuns }: RecoveredLog
  ) {
    this.path = path
    this.floor = floor
    this.durable = { index: lastIndex, term: termRuns[termRuns.length - 1]?.term ?? compacted.term }
    this.vote = hardState.term === 0 ? undefined : voteOf(hardState)
  }

  /** The floor follows the log lazily; only here does it rise. Waits for the lock. */
  readonly raise: Effect.Effect<void, StorageError> = Semaphore.withPermit(
    this.lock,
    Effect.suspend(() => this.isBehind ? this.moveTo(this.durable) : Effect.void)
  )

  /**
   * Before a tail that the floor covers is removed, the floor goes below it, durably. `pointAt` gives the point of an
   * entry that stays. For a caller who holds the lock.
   */
  lower(
    writes: ReadonlyArray<LogWrite>,
    pointAt: (index: LogIndex) => Effect.Effect<LogPoint, StorageError>
  ): Effect.Effect<void, StorageError> {
    if (this.floor === undefined) return Effect.void
    let lowest = this.floor.index
    for (const { truncateFrom } of writes) {
      if (truncateFrom !== undefined && truncateFrom <= lowest) lowest = LogIndex(truncateFrom - 1)
    }
    if (lowest === this.floor.index) return Effect.void
    return Effect.flatMap(pointAt(lowest), (point) => this.moveTo(point))
  }

  /** A write is synced. */
  wrote({ entries, hardState }: LogWrite): void {
    if (hardState !== undefined) this.vote = voteOf(hardState)
    const last = entries[entries.length - 1]
    if (last !== undefined) this.durable = { index: last.index, term: last.term }
  }

  /**
   * A removal that fails may have happened all the same: from before it on, the tail is not known to be durable.
   * `compacted` is where the log begins.
   */
  forgetTail(writes: ReadonlyArray<LogWrite>, compacted: LogPoint): void {
    for (const { truncateFrom } of writes) {
      if (truncateFrom !== undefined && truncateFrom <= this.durable.index) this.durable = this.floor ?? compacted
    }
  }

  /** The last vote that is synced. */
  get durableVote(): Vote | undefined {
    return this.vote
  }

  /** The log restarted after `point`, and before that the file was written with `floor`. */
  restartedAfter(point: LogPoint, floor: DurableFloor): void {
    this.floor = floor
    this.durable = point
  }

  private get isBehind(): boolean {
    const { durable, floor, vote } = this
    return floor === undefined || floor.index !== durable.index || floor.term !== durable.term ||
      floor.vote?.term !== vote?.term || floor.vote?.votedFor !== vote?.votedFor
  }

  private moveTo({ index, term }: LogPoint): Effect.Effect<void, StorageError> {
    return Effect.suspend(() => {
      const next: DurableFloor = this.vote === undefined ? { index, term } : { index, term, vote: this.vote }
      return Effect.map(writeFloor(this.path, next), () => {
        this.floor = next
      })
    })
  }
}
