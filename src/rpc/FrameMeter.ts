/**
 * Follows the frames of the binary serialization through the bytes of one connection: `length, 7 bits in each byte with the
 * lowest first · that many bytes`. It keeps none of them. The parser has the same bytes and says what is in a frame; this
 * says whether one is too large before any of it is kept, and whether one has begun that has not ended.
 */
export class FrameMeter {
  /** Whether a whole frame has come. */
  spoken = false
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

  constructor(maxFrameBytes: number) {
    this.maxFrameBytes = maxFrameBytes
  }

  /** Follows the next bytes; says what is wrong with a frame's length. Nothing may follow then. */
  take(chunk: Uint8Array): string | undefined {
    let offset = 0
    while (offset < chunk.byteLength) {
      if (this.left > 0) {
        const taken = Math.min(this.left, chunk.byteLength - offset)
        this.left -= taken
        this.unfinishedBytes += taken
        offset += taken
        if (this.left > 0) return undefined
        this.spoken = true
        this.unfinishedBytes = 0
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
    return undefined
  }
}

/** Bytes of a length: enough for all that are allowed, with room for one that is written longer than it needs. */
const maxLengthBytes = 6
