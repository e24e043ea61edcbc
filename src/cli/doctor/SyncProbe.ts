/**
 * How long the disk under a folder takes to make a write durable, as a log writes: pieces of 8 KiB behind one another,
 * each followed by `fdatasync`. The file loses its name as soon as it is open: nothing is left of it however the
 * process ends, and a node that uses the folder never finds it.
 */
import { Effect } from "effect"
import type { FileHandle } from "node:fs/promises"
import { open, rm } from "node:fs/promises"
import { join } from "node:path"
import { performance } from "node:perf_hooks"
import { errorText } from "../../ErrorText.ts"

/** Bytes of a write: what a log writes for a batch of small commands. */
export const pieceBytes = 8 * 1024

/** Bounds of the probe: 4 MiB on the disk and three seconds of a busy one. */
export const maxSyncs = 512
const maxProbeMs = 3_000

/** Fewer say nothing about a 99th percentile. */
export const minSyncs = 50

export interface SyncTimes {
  readonly count: number
  /** In milliseconds. */
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/** Percentiles of times in milliseconds. */
export const timesOf = (values: ReadonlyArray<number>): SyncTimes => {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: sorted[sorted.length - 1] ?? 0 }
}

const measure = async (file: FileHandle, now: () => number): Promise<SyncTimes> => {
  const piece = Buffer.alloc(pieceBytes, 0x5a)
  const times: Array<number> = []
  const end = now() + maxProbeMs
  while (times.length < maxSyncs && (now() < end || times.length < minSyncs)) {
    const begin = now()
    await file.write(piece, 0, pieceBytes, null)
    await file.datasync()
    times.push(now() - begin)
    // A disk that takes a minute for fifty syncs has said enough.
    if (now() > end + 10_000) break
  }
  return timesOf(times)
}

/** Measures in `folder`. Fails with the system's words. */
export const probeSyncs = (folder: string): Effect.Effect<SyncTimes, string> =>
  Effect.acquireUseRelease(
    Effect.tryPromise({
      try: async () => {
        const path = join(folder, `flaredb-doctor-${process.pid}`)
        // A doctor of this process id that was killed may have left it: in a container ids are the same each time.
        await rm(path, { force: true })
        const file = await open(path, "wx", 0o600)
        await rm(path).catch(() => undefined)
        return { file, path }
      },
      catch: errorText
    }),
    ({ file }) => Effect.tryPromise({ try: () => measure(file, () => performance.now()), catch: errorText }),
    ({ file, path }) =>
      Effect.promise(async () => {
        await file.close().catch(() => undefined)
        // Only where a file in use keeps its name.
        await rm(path, { force: true }).catch(() => undefined)
      })
  )
