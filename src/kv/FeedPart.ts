/** What a reader of the change feed asks for, and how much of it one answer holds. */
import type { Change, Revision } from "./model/History.ts"
import type { KeyRanges } from "./model/KeyRanges.ts"

/** What a reader of the feed wants. */
export interface FeedRequest {
  readonly ranges: KeyRanges
  /**
   * Whether the records that changes replaced are wanted. They are missing where compaction took them; when they are
   * not wanted they may be there or not.
   */
  readonly previous: boolean
  /** Only puts or only deletes are wanted; both when it is absent. */
  readonly only?: "puts" | "deletes" | undefined
}

/** The next part of the feed. */
export interface FeedPart {
  /** Revisions that changed something in the ranges, with those changes, in order. */
  readonly revisions: ReadonlyArray<Revision>
  /** Everything up to this revision was looked at; the next part begins behind it. */
  readonly through: number
  /** About how much memory the revisions take. */
  readonly bytes: number
}

/** Revisions looked at for one part. */
export const partRevisions = 1_024

/** A part ends with the revision that takes it past this many bytes. */
export const partBytes = 256 * 1024

/**
 * Bytes of replaced records that go with one revision. A transaction may replace a good deal more than it writes; what
 * is beyond this is left out, as if compaction had taken it.
 */
export const maxPreviousBytes = 4 * 1024 * 1024

const changeMemory = ({ key, previous, record }: Change): number =>
  64 + key.byteLength + (record?.value.byteLength ?? 0) + (previous?.value.byteLength ?? 0)

/** About how much memory a revision takes. */
export const revisionMemory = ({ changes }: Revision): number => {
  let bytes = 32
  for (let i = 0; i < changes.length; i++) bytes += changeMemory(changes[i] as Change)
  return bytes
}

/** What a revision did that is asked for; `undefined` when that is nothing. */
export const within = ({ only, ranges }: FeedRequest, revision: Revision): Revision | undefined => {
  const changes = revision.changes.filter(({ key, record }) =>
    ranges.contains(key) && (only === undefined || (only === "puts") === (record !== undefined))
  )
  return changes.length === 0 ? undefined : { ...revision, changes }
}

/** Leaves replaced records out where they are too many. */
export const boundPrevious = (revision: Revision): Revision => {
  let bytes = 0
  for (const { previous } of revision.changes) bytes += previous?.value.byteLength ?? 0
  if (bytes <= maxPreviousBytes) return revision
  bytes = 0
  const changes = revision.changes.map((change): Change => {
    bytes += change.previous?.value.byteLength ?? 0
    return bytes <= maxPreviousBytes ? change : { ...change, previous: undefined }
  })
  return { ...revision, changes }
}
