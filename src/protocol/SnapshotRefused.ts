import { Schema } from "effect"

/** The other side does not take the snapshot, or no more of it. */
export class SnapshotRefused extends Schema.TaggedError<SnapshotRefused>()("SnapshotRefused", {
  reason: Schema.String,
  /** Because it has applied everything in it already. */
  upToDate: Schema.Boolean
}) {
  override get message() {
    return this.reason
  }
}

/** The same as nodes exchange it: the field has the name that the first version gave it. */
export const SnapshotRefusedOnWire = SnapshotRefused.pipe(Schema.encodeKeys({ upToDate: "covered" }))
