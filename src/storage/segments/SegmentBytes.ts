/** How large a segment of the log is. */
import { Context } from "effect"

/** Room is given back by whole segments, and one that is full costs the next write a file of its own. */
const segmentBytes = 16_777_216

/** Bytes of a segment. */
export const SegmentBytes: Context.Reference<number> = Context.Reference<number>("flaredb/storage/SegmentBytes", {
  defaultValue: () => segmentBytes
})
