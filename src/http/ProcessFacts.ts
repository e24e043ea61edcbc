/**
 * What a node says at `/status` of its process and of the disk under it. Operators hold clocks, memory and room of the
 * nodes against each other with it (`flaredb doctor`, `flaredb top`).
 */
import { Clock, Effect } from "effect"
import { statfs } from "node:fs/promises"

/** How long figures of the disk are kept before they are asked for again, in milliseconds. */
const keptMs = 1_000

interface Room {
  readonly diskBytes: number
  readonly diskFreeBytes: number
}

export interface ProcessFacts extends Partial<Room> {
  /** The node's clock, in milliseconds since the epoch. */
  readonly timeMs: number
  readonly uptimeMs: number
  readonly memoryBytes: number
  readonly node: string
  readonly platform: string
}

const roomOf = (path: string): Effect.Effect<Partial<Room>> =>
  Effect.promise(() =>
    statfs(path).then(
      ({ bavail, blocks, bsize }) => ({ diskBytes: blocks * bsize, diskFreeBytes: bavail * bsize }),
      // A file system that does not answer says nothing of its room; the storage finds out by itself.
      () => ({})
    )
  )

/** Reads the facts each time it is run. `dataDir` is absent for a node in memory. */
export const make = (dataDir: string | undefined): Effect.Effect<ProcessFacts> => {
  let room: Partial<Room> = {}
  let readMs = -Infinity
  return Effect.gen(function*() {
    const startedMs = yield* Clock.currentTimeMillis
    if (dataDir !== undefined && Math.abs(startedMs - readMs) > keptMs) {
      room = yield* roomOf(dataDir)
      readMs = startedMs
    }
    return {
      timeMs: yield* Clock.currentTimeMillis,
      uptimeMs: Math.round(process.uptime() * 1_000),
      memoryBytes: process.memoryUsage.rss(),
      node: process.version,
      platform: `${process.platform}-${process.arch}`,
      ...room
    }
  })
}
