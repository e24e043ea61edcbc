/**
 * Many byte strings as one: `length u32 · bytes`, repeated. A request or answer with hundreds of operations is
 * then one value to its schema, one copy for its consumer.
 */
import { CodecError } from "../bytes/CodecError.ts"

/** The parts behind one another, each behind its length. */
export const encodeBatch = (parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  let size = 0
  for (const part of parts) size += 4 + part.byteLength
  const batch = new Uint8Array(size)
  const view = new DataView(batch.buffer)
  let offset = 0
  for (const part of parts) {
    view.setUint32(offset, part.byteLength)
    batch.set(part, offset + 4)
    offset += 4 + part.byteLength
  }
  return batch
}

/** The parts of a batch, as views of it; more than `maxParts` are refused before anything is allocated for them. */
export const decodeBatch = (batch: Uint8Array, maxParts: number): ReadonlyArray<Uint8Array> | CodecError => {
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength)
  const parts: Array<Uint8Array> = []
  let offset = 0
  while (offset < batch.byteLength) {
    if (parts.length === maxParts) return new CodecError(`a batch has more than ${maxParts} parts`)
    if (offset + 4 > batch.byteLength) return new CodecError(`a batch is cut short at byte ${offset}`)
    const end = offset + 4 + view.getUint32(offset)
    if (end > batch.byteLength) return new CodecError(`a part of a batch ends at byte ${end} of ${batch.byteLength}`)
    parts.push(batch.subarray(offset + 4, end))
    offset = end
  }
  return parts
}
