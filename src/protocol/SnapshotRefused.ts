import { Schema } from "effect"

/** The other side does not take the snapshot, or no more of it. */
export class SnapshotRefused extends Schema.TaggedError<SnapshotRefused>()("SnapshotRefused", {
  reason: Schema.String,
  /** Because it has applied everything in it already. */
  covered: Schema.Boolean
}) {
  override get message() {
    return this.reason
  }
}
