/**
 * Cuts the bytes of one connection into the frames of the binary serialization: `length, 7 bits in each byte with the
 * lowest first · that many bytes`. A length that is too large is refused before any byte of its frame is kept. A frame
 * that comes whole is a view of what came; one that comes in parts is copied as it comes.
 */
export class FrameReader {
  /** Frames that have begun. */
  begun = 0
  /** Bytes that have come of a frame that has not ended; 0 between frames. */
  unfinishedBytes = 0
  private readonly maxFrameBytes: number
  /** The length as far as it has been read, and what the next seven bits of it count. */
  private length = 0
  private scale = 1
  /** Bytes of the frame still to come, once its length is known. */
  private left = 0
  /** What has come of a frame in earlier chunks, and room for more. */
  private kept = noBytes
  private keptBytes = 0
  private whole: Array<Uint8Array> = []

  constructor(maxFrameBytes: number) {
    this.maxFrameBytes = maxFrameBytes
  }

  /** Takes the next bytes; says what is wrong with a frame's length. Nothing may follow then. */
  take(chunk: Uint8Array): string | undefined {
    let offset = 0
    /** Where the part of the frame begins that is in this chunk. */
    let start = 0
    while (offset < chunk.byteLength) {
      if (this.left > 0) {
        const taken = Math.min(this.left, chunk.byteLength - offset)
        this.left -= taken
        this.unfinishedBytes += taken
        offset += taken
        if (this.left > 0) break
        this.end(chunk.subarray(start, offset))
        start = offset
        continue
      }
      const byte = chunk[offset++] as number
      if (this.unfinishedBytes++ === 0) this.begun++
      this.length += (byte & 0x7f) * this.scale
      if (this.length > this.maxFrameBytes) {
        return `a frame of at least ${this.length} bytes; frames here have at most ${this.maxFrameBytes}`
      }
      if (byte >= 0x80) {
        this.scale *= 128
        if (this.unfinishedBytes > maxLengthBytes) return "the length of a frame does not end"
        continue
      }
      if (this.length === 0) return "a frame of no bytes"
      this.left = this.length
      this.length = 0
      this.scale = 1
    }
    if (start < chunk.byteLength) this.keep(chunk.subarray(start))
    return undefined
  }

  /** The frames that have come whole since this was last called, each with its length. */
  frames(): ReadonlyArray<Uint8Array> {
    const { whole } = this
    if (whole.length > 0) this.whole = []
    return whole
  }

  private end(last: Uint8Array): void {
    this.unfinishedBytes = 0
    if (this.keptBytes === 0) {
      this.whole.push(last)
      return
    }
    this.keep(last)
    this.whole.push(this.kept.subarray(0, this.keptBytes))
    this.kept = noBytes
    this.keptBytes = 0
  }

  private keep(part: Uint8Array): void {
    const needed = this.keptBytes + part.byteLength
    if (needed > this.kept.byteLength) {
      const room = new Uint8Array(Math.max(needed, 2 * this.kept.byteLength, 256))
      room.set(this.kept.subarray(0, this.keptBytes))
      this.kept = room
    }
    this.kept.set(part, this.keptBytes)
    this.keptBytes = needed
  }
}

const noBytes = new Uint8Array(0)

/** Bytes of a length: enough for all that are allowed, with room for one that is written longer than it needs. */
const maxLengthBytes = 6
