/**
 * Gives back the room of deleted ranges. What was deleted still takes room until RocksDB compacts it, and a log file
 * lives as long as any family has a write in it that is in no table yet. So, in the background and one round at a time,
 * all families are flushed and the ranges are compacted.
 */
import { Effect, Queue } from "effect"
import type { FirstFailure } from "../FirstFailure.ts"
import { compactionOptions } from "./BlobFiles.ts"
import type { Sessions } from "./Database.ts"
import { bound } from "./KeyBounds.ts"
import type { Family } from "./Operation.ts"
import { checkRange, families } from "./Operation.ts"
import type { Promised } from "../DiskWork.ts"

/**
 * Least time between two rounds: each writes what is in memory to the disk, and holds a thread meanwhile.
 */
const pause = "5 seconds"

export class Reclaimer {
  /** Deleted ranges whose room is to be given back, the latest of each family. */
  private readonly deleted = new Map<Family, { readonly start: Uint8Array; readonly end: Uint8Array }>()
  private readonly sessions: Sessions
  private readonly promised: Promised
  private readonly asked: Queue.Queue<void>

  private constructor(sessions: Sessions, promised: Promised, asked: Queue.Queue<void>) {
    this.sessions = sessions
    this.promised = promised
    this.asked = asked
  }

  /** Runs within the scope; its failure is one of the database. */
  static readonly make = Effect.fnUntraced(function*(sessions: Sessions, promised: Promised, failure: FirstFailure) {
    const reclaimer = new Reclaimer(sessions, promised, yield* Queue.sliding<void>(1))
    yield* Queue.take(reclaimer.asked).pipe(
      Effect.andThen(reclaimer.round),
      Effect.andThen(Effect.sleep(pause)),
      Effect.forever,
      (rounds) => failure.inBackground("reclaim", rounds)
    )
    return reclaimer
  })

  reclaimUnsafe(family: Family, start: Uint8Array, end: Uint8Array): void {
    checkRange(start, end)
    this.deleted.set(family, { start, end })
    Queue.offerUnsafe(this.asked, undefined)
  }

  private readonly round = Effect.suspend(() => {
    const ranges = [...this.deleted]
    this.deleted.clear()
    return this.promised("reclaim", async () => {
      for (const family of families) await this.sessions[family].flush()
      for (const [family, { end, start }] of ranges) {
        await this.sessions[family].compactRange(bound(start), bound(end), compactionOptions)
      }
    })
  })
}
