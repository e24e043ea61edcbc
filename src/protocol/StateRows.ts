/**
 * What a row of the applied state may be, wherever rows are stored, sent or written to a file.
 *
 * Keys that begin with 0x00 belong to the store, 0xff is kept free as the end of every range; all others are the state
 * machine's.
 */
import { CodecError } from "../bytes/CodecError.ts"

/** One row of the applied state. */
export interface StateRow {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** The first key a state machine may use. */
export const firstStateKey: Uint8Array = Uint8Array.of(0x01)

/** Past every key a state machine may use. */
export const stateEnd: Uint8Array = Uint8Array.of(0xff)

/** Bytes of the longest key. The keys of `kv/` have at most a few bytes more than a user's. */
export const maxStateKeyBytes = 64 * 1024

/** Bytes of the largest value. The largest of `kv/` is the history of one transaction. */
export const maxStateValueBytes = 64 * 1024 * 1024

/** Whether a key may be a state machine's. */
export const isStateKey = (key: Uint8Array): boolean => {
  const first = key[0]
  return first !== undefined && first !== 0x00 && first !== 0xff && key.byteLength <= maxStateKeyBytes
}

/** What is wrong with the sizes of a row, known before its bytes are. */
export const sizeProblem = (keyBytes: number, valueBytes: number): CodecError | undefined => {
  if (keyBytes < 1 || keyBytes > maxStateKeyBytes) {
    return new CodecError(`a key of ${keyBytes} bytes; keys have 1 to ${maxStateKeyBytes}`)
  }
  return valueBytes > maxStateValueBytes
    ? new CodecError(`a value of ${valueBytes} bytes; values have at most ${maxStateValueBytes}`)
    : undefined
}
