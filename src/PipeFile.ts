/**
 * Pipes and devices that something is written into. A pipe that no process reads from, or not any more, must not hold
 * a thread: a process waits for its threads at its end, so that no signal would end it.
 */
import { Effect, Schedule } from "effect"
import { constants, statSync } from "node:fs"
import type { FileHandle } from "node:fs/promises"
import { open } from "node:fs/promises"
import { setTimeout } from "node:timers/promises"
import { errorCode } from "./ErrorCode.ts"
import { withoutWaiting } from "./SmallFile.ts"

/** Milliseconds for which a pipe may have no reader, or one that takes nothing: as long as nodes wait with a backup. */
const readerMs = 60_000

const isPipe = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFIFO() === true

const opened = (path: string, flags: number): Effect.Effect<FileHandle, unknown> =>
  Effect.uninterruptible(Effect.tryPromise({ try: () => open(path, flags), catch: (error) => error }))

/** Opens it, once a pipe has a reader. Fails with the system's error, or when no reader comes. */
export const openPipe = (path: string): Effect.Effect<FileHandle, unknown> =>
  opened(path, constants.O_WRONLY | withoutWaiting).pipe(
    Effect.retry({
      schedule: Schedule.spaced(50).pipe(Schedule.upTo({ duration: readerMs })),
      while: (error) => errorCode(error) === "ENXIO" && isPipe(path)
    }),
    Effect.mapError((error) => errorCode(error) === "ENXIO" && isPipe(path) ? unread : error)
  )

const unread = new Error("it is a pipe, and no process reads from it")

/** How much of it was taken: nothing while the reader has not taken what was written before. */
const writeSome = async (file: FileHandle, bytes: Uint8Array, offset: number): Promise<number> => {
  try {
    // A position of its own is nothing that a pipe has.
    return (await file.write(bytes, offset, bytes.byteLength - offset, null)).bytesWritten
  } catch (error) {
    if (errorCode(error) === "EAGAIN") return 0
    throw error
  }
}

/** Milliseconds between two tries: the first, and the most, for a reader that may never come back. */
const [firstPauseMs, lastPauseMs] = [1, 50]

/** Writes all of it. Throws the system's error, or when the reader takes nothing. `onTaken` gets how much was taken. */
export const writePipe = async (
  file: FileHandle,
  bytes: Uint8Array,
  withinMs = readerMs,
  onTaken: (bytes: number) => void = () => undefined
): Promise<void> => {
  let takenMs = performance.now()
  let pauseMs = firstPauseMs
  for (let offset = 0; offset < bytes.byteLength;) {
    const taken = await writeSome(file, bytes, offset)
    offset += taken
    onTaken(taken)
    if (taken > 0) {
      takenMs = performance.now()
      pauseMs = firstPauseMs
    } else if (performance.now() - takenMs > withinMs) throw unread
    else {
      await setTimeout(pauseMs)
      pauseMs = Math.min(2 * pauseMs, lastPauseMs)
    }
  }
}
