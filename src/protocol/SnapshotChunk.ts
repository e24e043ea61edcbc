/**
 * The whole applied state as a sequence of chunks: what travels to a follower that is too far behind, and what a backup
 * file holds.
 *
 * The rows, in the order of their keys, are one stream of bytes: `key length u32 · value length u32 · key · value`,
 * repeated. The stream is cut wherever a chunk is full, also in the middle of a row, so that a chunk has at most 256
 * KiB however large a row is. The last chunk ends the sequence: how many rows and bytes there were, and the SHA-256 of
 * the stream. The stream depends on nothing but the state, so two nodes with the same state have the same digest.
 *
 * ```
 * offset  size  field of a chunk
 *      0     4  CRC-32 of everything after it, big-endian like all numbers here
 *      4     1  format version (1)
 *      5     1  kind (0 rows, 1 end)
 *      6     2  zero
 *      8     4  number of the chunk, from 0
 *     12     4  bytes of the payload
 *     16     n  payload: a piece of the stream; or, at the end, rows u64 · bytes u64 · SHA-256
 * ```
 *
 * Decoding never throws: it answers with a {@link CodecError}, and allocates for a row no more than has arrived of it.
 */
import { otherFormat } from "../Version.ts"
import { createHash } from "node:crypto"
import { crc32 } from "node:zlib"
import { CodecError } from "../bytes/CodecError.ts"
import { readU64, writeU64 } from "../bytes/U64.ts"
import type { StateRow } from "./StateRows.ts"
import { isStateKey, sizeProblem } from "./StateRows.ts"

/** The version this code writes and the only one it reads. */
const snapshotFormatVersion = 1

/** Bytes of a chunk before its payload. */
export const chunkHeaderBytes = 16

/** Bytes of the largest chunk, header included. */
export const maxChunkBytes = 256 * 1024

const maxPayloadBytes = maxChunkBytes - chunkHeaderBytes
const rowHeaderBytes = 8
const digestBytes = 32
const endBytes = 16 + digestBytes
const kinds = { rows: 0, end: 1 } as const

/** What a finished sequence held. */
export interface SnapshotTotals {
  readonly rows: number
  /** Bytes of the stream of rows. */
  readonly bytes: number
  /** The SHA-256 of the stream, in lower-case hexadecimal. */
  readonly digest: string
}

/** The length of a chunk, from its first {@link chunkHeaderBytes} bytes: for readers of a file. */
export const chunkLength = (header: Uint8Array): number | CodecError => {
  if (header.byteLength < chunkHeaderBytes) return new CodecError(`a chunk ends inside its header`)
  const length = new DataView(header.buffer, header.byteOffset, header.byteLength).getUint32(12)
  return length > maxPayloadBytes
    ? new CodecError(`a chunk announces ${length} bytes; chunks have at most ${maxPayloadBytes}`)
    : chunkHeaderBytes + length
}

/** Turns rows into chunks. */
export class SnapshotEncoder {
  private readonly hash = createHash("sha256")
  private chunk = Buffer.allocUnsafeSlow(maxChunkBytes)
  private used = chunkHeaderBytes
  private sequence = 0
  private rows = 0
  private bytes = 0

  /**
   * Adds a row and answers with the chunks that are full now, often none. Keys must ascend.
   *
   * @throws RangeError when the row is none a state may hold: the store accepts no such row.
   */
  add({ key, value }: StateRow): ReadonlyArray<Uint8Array> {
    const problem = sizeProblem(key.byteLength, value.byteLength)
    if (problem !== undefined) throw new RangeError(problem.message)
    const header = Buffer.allocUnsafe(rowHeaderBytes)
    header.writeUInt32BE(key.byteLength, 0)
    header.writeUInt32BE(value.byteLength, 4)
    const full: Array<Uint8Array> = []
    this.append(header, full)
    this.append(key, full)
    this.append(value, full)
    this.rows += 1
    return full
  }

  /** What had been encoded so far, for progress. */
  get encodedBytes(): number {
    return this.bytes
  }

  /** The chunks that are left, the last of which ends the sequence. Nothing may be added any more. */
  end(): { readonly chunks: ReadonlyArray<Uint8Array>; readonly totals: SnapshotTotals } {
    const chunks: Array<Uint8Array> = []
    if (this.used > chunkHeaderBytes) chunks.push(this.seal(kinds.rows))
    const { bytes, rows } = this
    const digest = this.hash.digest()
    writeU64(this.chunk, rows, this.used)
    writeU64(this.chunk, bytes, this.used + 8)
    digest.copy(this.chunk, this.used + 16)
    this.used += endBytes
    chunks.push(this.seal(kinds.end))
    return { chunks, totals: { rows, bytes, digest: digest.toString("hex") } }
  }

  private append(part: Uint8Array, full: Array<Uint8Array>): void {
    let offset = 0
    while (offset < part.byteLength) {
      const taken = Math.min(part.byteLength - offset, maxChunkBytes - this.used)
      this.chunk.set(part.subarray(offset, offset + taken), this.used)
      offset += taken
      this.used += taken
      if (this.used === maxChunkBytes) full.push(this.seal(kinds.rows))
    }
    this.bytes += part.byteLength
  }

  /** Closes the chunk that is being filled and begins the next one. */
  private seal(kind: number): Uint8Array {
    const chunk = this.chunk.subarray(0, this.used)
    chunk.writeUInt8(snapshotFormatVersion, 4)
    chunk.writeUInt8(kind, 5)
    chunk.writeUInt16BE(0, 6)
    chunk.writeUInt32BE(this.sequence, 8)
    chunk.writeUInt32BE(chunk.byteLength - chunkHeaderBytes, 12)
    chunk.writeUInt32BE(crc32(chunk.subarray(4)), 0)
    if (kind === kinds.rows) this.hash.update(chunk.subarray(chunkHeaderBytes))
    this.sequence += 1
    this.chunk = Buffer.allocUnsafeSlow(maxChunkBytes)
    this.used = chunkHeaderBytes
    return chunk
  }
}

/** What a chunk brought: rows, or the end of the sequence. */
export type SnapshotPart =
  | { readonly _tag: "Rows"; readonly rows: ReadonlyArray<StateRow> }
  | { readonly _tag: "End"; readonly totals: SnapshotTotals }

/** Turns chunks back into rows, and holds them to their checksums, their order and the totals at the end. */
export class SnapshotDecoder {
  private readonly hash = createHash("sha256")
  private sequence = 0
  private rows = 0
  private bytes = 0
  private ended = false
  private lastKey: Uint8Array | undefined
  /** The beginning of a row whose rest is in the chunks to come. */
  private pieces: Array<Uint8Array> = []
  private piecesBytes = 0
  /** Bytes of that row, once its header is known. */
  private wanted = rowHeaderBytes

  /** Bytes of the stream so far, for progress. */
  get decodedBytes(): number {
    return this.bytes
  }

  /**
   * Takes the next chunk. The rows are views of it where they lie within it, so its bytes must not change. After a
   * {@link CodecError} the sequence is of no use.
   */
  take(chunk: Uint8Array): SnapshotPart | CodecError {
    if (this.ended) return new CodecError("a chunk follows the last one")
    const length = chunkLength(chunk)
    if (length instanceof CodecError) return length
    if (length !== chunk.byteLength) {
      return new CodecError(`a chunk of ${chunk.byteLength} bytes says that it has ${length}`)
    }
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    if (bytes.readUInt32BE(0) !== crc32(bytes.subarray(4))) {
      return new CodecError(`the checksum of chunk ${this.sequence} does not match`)
    }
    const format = bytes.readUInt8(4)
    if (format !== snapshotFormatVersion) {
      return new CodecError(`a snapshot of ${otherFormat(format, snapshotFormatVersion)}`)
    }
    if (bytes.readUInt32BE(8) !== this.sequence) {
      return new CodecError(`chunk ${bytes.readUInt32BE(8)} came in the place of chunk ${this.sequence}`)
    }
    this.sequence += 1
    const payload = bytes.subarray(chunkHeaderBytes)
    switch (bytes.readUInt8(5)) {
      case kinds.rows:
        this.hash.update(payload)
        this.bytes += payload.byteLength
        return this.takeRows(payload)
      case kinds.end:
        return this.takeEnd(payload)
      default:
        return new CodecError(`chunk kind ${bytes.readUInt8(5)} is unknown`)
    }
  }

  private takeRows(payload: Buffer): SnapshotPart | CodecError {
    const rows: Array<StateRow> = []
    let offset = 0
    while (offset < payload.byteLength) {
      const available = this.piecesBytes + payload.byteLength - offset
      if (this.wanted === rowHeaderBytes && available >= rowHeaderBytes) {
        const header = this.peekHeader(payload, offset)
        const problem = sizeProblem(header.keyBytes, header.valueBytes)
        if (problem !== undefined) return problem
        this.wanted = rowHeaderBytes + header.keyBytes + header.valueBytes
      }
      const taken = Math.min(this.wanted - this.piecesBytes, payload.byteLength - offset)
      this.pieces.push(payload.subarray(offset, offset + taken))
      this.piecesBytes += taken
      offset += taken
      if (this.piecesBytes < this.wanted || this.wanted === rowHeaderBytes) break
      const row = this.takeRow()
      if (row instanceof CodecError) return row
      rows.push(row)
    }
    return { _tag: "Rows", rows }
  }

  /** The lengths of a row, which may lie across chunks. */
  private peekHeader(payload: Buffer, offset: number): { readonly keyBytes: number; readonly valueBytes: number } {
    const header = this.piecesBytes === 0
      ? payload.subarray(offset, offset + rowHeaderBytes)
      : Buffer.concat([...this.pieces, payload.subarray(offset, offset + rowHeaderBytes)], rowHeaderBytes)
    return { keyBytes: header.readUInt32BE(0), valueBytes: header.readUInt32BE(4) }
  }

  /** The row that has arrived whole. */
  private takeRow(): StateRow | CodecError {
    const first = this.pieces[0] as Uint8Array
    const bytes = this.pieces.length === 1
      ? Buffer.from(first.buffer, first.byteOffset, first.byteLength)
      : Buffer.concat(this.pieces, this.piecesBytes)
    this.pieces = []
    this.piecesBytes = 0
    this.wanted = rowHeaderBytes
    const keyEnd = rowHeaderBytes + bytes.readUInt32BE(0)
    const row = { key: bytes.subarray(rowHeaderBytes, keyEnd), value: bytes.subarray(keyEnd) }
    const { key } = row
    if (!isStateKey(key)) return new CodecError(`the key ${hex(key)} is none of a state machine`)
    if (this.lastKey !== undefined && Buffer.compare(this.lastKey, key) >= 0) {
      return new CodecError(`the key ${hex(key)} does not come after ${hex(this.lastKey)}`)
    }
    this.lastKey = key
    this.rows += 1
    return row
  }

  private takeEnd(payload: Buffer): SnapshotPart | CodecError {
    if (payload.byteLength !== endBytes) return new CodecError(`an end of ${payload.byteLength} bytes`)
    if (this.piecesBytes > 0) return new CodecError("the sequence ends inside a row")
    const digest = this.hash.digest()
    const view = new DataView(payload.buffer, payload.byteOffset, endBytes)
    const totals = {
      rows: readU64(view, 0),
      bytes: readU64(view, 8),
      digest: payload.subarray(16).toString("hex")
    }
    this.ended = true
    if (totals.rows !== this.rows || totals.bytes !== this.bytes) {
      return new CodecError(
        `${this.rows} rows of ${this.bytes} bytes came where ${totals.rows} of ${totals.bytes} were sent`
      )
    }
    if (totals.digest !== digest.toString("hex")) return new CodecError("the digest of the rows does not match")
    return { _tag: "End", totals }
  }
}

const hex = (key: Uint8Array): string => {
  const text = Buffer.from(key.subarray(0, 32)).toString("hex")
  return key.byteLength > 32 ? `${text}…` : text
}
