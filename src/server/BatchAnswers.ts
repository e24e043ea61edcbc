/** The answers of a batch of operations: replies in one batch, failures beside them. */
import { noBytes } from "../bytes/Binary.ts"
import type { AccessError, InvalidArgument, NoHello, Overloaded } from "../FlareDbError.ts"
import type { DirectCall } from "../net/DirectCalls.ts"
import { encodeBatch } from "../protocol/Batch.ts"

export interface Answers<Failure> {
  readonly replies: Uint8Array
  readonly failures: ReadonlyArray<{ readonly slot: number; readonly error: Failure }>
}

/** A call that is answered with a batch. */
export type BatchCall<Failure> = DirectCall<Answers<Failure>, InvalidArgument | Overloaded | NoHello | AccessError>

/** Bytes of the replies. */
export const bytesOf = (results: ReadonlyArray<unknown>): number => {
  let bytes = 0
  for (const result of results) if (result instanceof Uint8Array) bytes += result.byteLength
  return bytes
}

/** Replies in one batch, failures beside them by the index of their operation. */
export const pack = <Failure>(results: ReadonlyArray<Uint8Array | Failure>): Answers<Failure> => {
  const failures: Array<{ readonly slot: number; readonly error: Failure }> = []
  const replies = results.map((result, index) => {
    if (result instanceof Uint8Array) return result
    failures.push({ slot: index, error: result })
    return noBytes
  })
  return { replies: encodeBatch(replies), failures }
}
