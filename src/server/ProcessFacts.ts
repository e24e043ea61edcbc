/**
 * What a node says of its process and of the disk under it: at `/status`, in metrics, and to consoles. Operators hold
 * clocks, memory and room of the nodes against each other with it (`flaredb doctor`, `flaredb top`).
 */
import { Clock, Context, Effect, Result } from "effect"
import { getHeapStatistics } from "node:v8"
import type { Room } from "../storage/DirectoryRoom.ts"
import { bytesBelow, roomAt } from "../storage/DirectoryRoom.ts"

/** Where this node keeps its data; `undefined` for one in memory. */
export const DataDirectory = Context.Reference<string | undefined>("flaredb/server/DataDirectory", {
  defaultValue: () => undefined
})

/** How long a reading of the room is kept, in milliseconds. */
const roomMs = 1_000

/** How long what the data takes is kept, in milliseconds: each file is looked at for it. */
const dataMs = 5_000

export interface Memory {
  /** All that the system gave: heap, buffers, and RocksDB's own. */
  readonly residentBytes: number
  readonly heapBytes: number
  /** What the heap may grow to. */
  readonly heapLimitBytes: number
  /** What JavaScript objects hold outside of the heap. */
  readonly externalBytes: number
}

export const memory = (): Memory => {
  const { external, heapUsed, rss } = process.memoryUsage()
  return {
    residentBytes: rss,
    heapBytes: heapUsed,
    heapLimitBytes: getHeapStatistics().heap_size_limit,
    externalBytes: external
  }
}

export interface ProcessFacts {
  /** The node's clock, in milliseconds since the epoch. */
  readonly timeMs: number
  readonly uptimeMs: number
  readonly memory: Memory
  /** Absent for a node in memory, and while the file system does not answer: the storage notices by itself. */
  readonly room: Room | undefined
}

/** Asks `read` again when its last answer is older than `keptMs`, also by a clock that was set back. */
const keep = <A>(keptMs: number, read: (directory: string) => Promise<A>) =>
  Effect.map(DataDirectory, (directory) => {
    let kept: A | undefined
    let readMs = -Infinity
    return Effect.gen(function*() {
      const nowMs = yield* Clock.currentTimeMillis
      if (directory !== undefined && Math.abs(nowMs - readMs) > keptMs) {
        readMs = nowMs
        kept = Result.getOrUndefined(yield* Effect.result(Effect.tryPromise(() => read(directory))))
      }
      return kept
    })
  })

/** Reads the facts each time the result is run. */
export const make: Effect.Effect<Effect.Effect<ProcessFacts>> = Effect.map(
  keep(roomMs, roomAt),
  (readRoom) =>
    Effect.gen(function*() {
      const room = yield* readRoom
      return {
        timeMs: yield* Clock.currentTimeMillis,
        uptimeMs: Math.round(process.uptime() * 1_000),
        memory: memory(),
        room
      }
    })
)

/** The bytes that the node's data takes; `undefined` where there is no directory, or it cannot be read. */
export const makeDataBytes: Effect.Effect<Effect.Effect<number | undefined>> = keep(dataMs, bytesBelow)
