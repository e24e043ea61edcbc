/**
 * Files that somebody names and that are read as a whole: certificates, tokens, passwords. A shell may have given a
 * pipe (`<(vault read …)`), and a wrong name may be a pipe that nothing comes from, or a device that has no end. Opened
 * as usual such a pipe would hold a thread, which a process waits for at its end: no signal would end it.
 */
import { constants } from "node:fs"
import type { FileHandle } from "node:fs/promises"
import { open } from "node:fs/promises"
import { setTimeout } from "node:timers/promises"
import { errorCode } from "./ErrorCode.ts"

/** Opened so that a pipe without another side, or with nothing in it, holds nothing up. Windows has no such pipes. */
export const withoutWaiting: number = process.platform === "win32" ? 0 : constants.O_NONBLOCK

/** Milliseconds that something may take to come from a pipe. */
const pipeMs = 5_000

/** Milliseconds between two looks. */
const lookMs = 10

const chunkBytes = 64 * 1024

/** What there is to read; `undefined` while there is nothing yet. */
const readSome = async (file: FileHandle): Promise<Uint8Array | undefined> => {
  try {
    const buffer = Buffer.allocUnsafeSlow(chunkBytes)
    return buffer.subarray(0, (await file.read(buffer, 0, chunkBytes, null)).bytesRead)
  } catch (error) {
    if (errorCode(error) === "EAGAIN") return undefined
    throw error
  }
}

/**
 * The text of a file of at most `maxBytes`. Throws what `tooLarge` makes of a larger one, of which no more is read,
 * and where nothing comes from a pipe for `withinMs`.
 */
export const readSmallFile = async (
  path: string,
  maxBytes: number,
  tooLarge: (bytes: number) => Error,
  withinMs = pipeMs
): Promise<string> => {
  const file = await open(path, constants.O_RDONLY | withoutWaiting)
  try {
    const isPipe = (await file.stat()).isFIFO()
    const chunks: Array<Uint8Array> = []
    let bytes = 0
    let heardMs = performance.now()
    for (;;) {
      const chunk = await readSome(file)
      // A pipe that has not been opened at its other side yet is at its end, too.
      const isEnd = chunk?.byteLength === 0 && !(isPipe && bytes === 0)
      if (isEnd) return Buffer.concat(chunks).toString("utf8")
      if (chunk === undefined || chunk.byteLength === 0) {
        if (performance.now() - heardMs > withinMs) throw new Error("it is a pipe, and nothing comes from it")
        await setTimeout(lookMs)
        continue
      }
      heardMs = performance.now()
      chunks.push(chunk)
      bytes += chunk.byteLength
      if (bytes > maxBytes) throw tooLarge(bytes)
    }
  } finally {
    await file.close()
  }
}
