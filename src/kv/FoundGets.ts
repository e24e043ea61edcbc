/** What the gets of one call find, read in as few trips as there is room for. */
import { Effect } from "effect"
import type { Overloaded } from "../FlareDbError.ts"
import { metadataKey, recordKey } from "./model/Keyspace.ts"
import { maxPageBytes } from "./model/Limits.ts"
import type { Get } from "./model/Query.ts"
import type { StateView } from "../storage/StateStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import type { AnswerRoom } from "../machine/AnswerRoom.ts"
import type { FoundLately } from "./FoundLately.ts"
import { atOnce, getBytes, getChunk } from "./FoundLately.ts"

/** Bytes after which a call is given no more answers; what is left of it is asked for again. */
export const maxAnswerBytes = maxPageBytes

/** Gets of the first read of a call with more than {@link getChunk} of them: little is known of what it asks for. */
const firstChunk = 16

export interface FoundGets {
  /** The metadata, then what each get found. Shorter than the gets when not all of them were read. */
  readonly found: ReadonlyArray<Uint8Array | undefined>
  readonly bytes: number
  /** Why not all gets were read, when it was for want of room. */
  readonly refusal: Overloaded | undefined
}

/** The metadata, and what the gets find, until that is as much as one call is answered. Mostly one read. */
export const getSome = Effect.fnUntraced(function*(
  view: StateView,
  gets: ReadonlyArray<Get>,
  lately: FoundLately,
  room: AnswerRoom | undefined
): Effect.fn.Return<FoundGets, StorageError> {
  const found: Array<Uint8Array | undefined> = []
  let bytes = 0
  let refusal: Overloaded | undefined
  for (let from = 0; from < gets.length && bytes < maxAnswerBytes;) {
    const fitting = from === 0 && gets.length > getChunk ? Math.min(firstChunk, atOnce(lately)) : atOnce(lately)
    const keys = gets.slice(from, from + fitting).map((get) => recordKey(get.key))
    const count = keys.length
    if (room !== undefined) {
      refusal = yield* room.reserve(bytes + count * Math.max(getBytes, lately.bytesPerGet))
      if (refusal !== undefined) break
    }
    if (from === 0) keys.unshift(metadataKey)
    let chunkBytes = 0
    for (const value of yield* view.getMany(keys)) {
      chunkBytes += value?.byteLength ?? 0
      found.push(value)
    }
    bytes += chunkBytes
    from += count
    // Up at once, down by and by: somebody else's small values say little about the next large ones.
    lately.bytesPerGet = Math.max(1, chunkBytes / count, lately.bytesPerGet * 0.95)
    room?.trim(bytes)
  }
  return { found, bytes, refusal }
})
