/** The changes of a prefix as they happen, for the page: keys and the beginning of their values. */
import { Stream } from "effect"
import type { WatchFailure } from "../../client/Watch.ts"
import type { Watch } from "../../client/Watch.ts"
import type { KeyValueEntry } from "../../client/Entry.ts"
import type { WatchEvent, WatchNotice } from "../../client/WatchNotice.ts"
import type { SentEvent } from "../api/EventStreams.ts"
import { valueBytes } from "../api/EventStreams.ts"
import { base64 } from "./KeyBytes.ts"

/** Bytes of a value that are sent, and changes of one revision. */
const maxValueBytes = 4_096
const maxChanges = 500

/** Watches of all pages at a time. */
export const maxWatching = 32

const valueOf = ({ modRevision, value, version }: KeyValueEntry) => ({
  value: base64(value.subarray(0, maxValueBytes)),
  bytes: value.byteLength,
  revision: modRevision,
  version
})

const changeOf = (event: WatchEvent) => {
  const change = {
    type: event._tag === "Put" ? "put" : "delete",
    key: base64(event.key),
    previous: event.previous === undefined ? null : valueOf(event.previous)
  }
  return event._tag === "Put" ? Object.assign(change, valueOf(event.entry)) : change
}

const sentOf = (notice: WatchNotice): SentEvent => {
  if (notice._tag === "Began") return { event: "began", data: { revision: notice.revision } }
  if (notice._tag === "Progress") return { comment: "alive" }
  const { events, logTimeMs, revision } = notice
  return {
    event: "changes",
    bytes: valueBytes(events),
    data: {
      revision,
      atMs: logTimeMs,
      left: Math.max(0, events.length - maxChanges),
      changes: events.slice(0, maxChanges).map(changeOf)
    }
  }
}

export const watchEvents = (
  watch: Watch["Service"],
  prefix: Uint8Array
): Stream.Stream<SentEvent, WatchFailure> =>
  // One part waits at a time: a page that reads slowly is served slowly, and costs nothing more.
  Stream.map(watch.notices({ prefix }, { previous: true, buffer: 1 }), sentOf)
