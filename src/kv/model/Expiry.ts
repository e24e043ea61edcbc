/** The end of leases and sessions, by the clock of the log or because a client asks for it. */
import { compareBytes } from "../../bytes/Bytes.ts"
import type { Batch } from "./Batch.ts"
import { recordOf } from "./WriteSet.ts"
import { successor } from "../../bytes/KeyRange.ts"
import { attachedKey, leaseKeysRange, recordKey, userKey } from "./Keyspace.ts"
import type { Loading } from "./Loading.ts"

/** Ends those of the leases and sessions whose time has passed: a keep-alive may have come first. */
export function* expire(
  batch: Batch,
  leaseIds: ReadonlyArray<number>,
  sessionIds: ReadonlyArray<number>
): Loading<void> {
  const { leases, sessions } = batch.state
  const { logTimeMs } = batch.metadata
  for (const id of leaseIds) {
    const lease = leases.get(id)
    if (lease !== undefined && lease.deadlineMs <= logTimeMs) yield* revoke(batch, id)
  }
  for (const id of sessionIds) {
    const session = sessions.get(id)
    if (session !== undefined && session.heardMs + session.ttlMs <= logTimeMs) batch.closeSession(session)
  }
}

/** Keys of a lease that are looked up at once; each may have a value of the largest size. */
const revokeKeys = 32

/** Bytes of values of a lease's keys that watches get as replaced records. Beyond it the keys are deleted without. */
const maxRevokedBytes = 32 * 1024 * 1024

/** Ends a lease and deletes what is attached to it, all in one revision. Answers with how many keys that were. */
export function* revoke(batch: Batch, lease: number): Loading<number> {
  const { writeSet } = batch
  const { gte, lt } = leaseKeysRange(lease)
  let from = gte
  let bytes = 0
  for (;;) {
    const attached = yield {
      _tag: "LoadRange",
      range: { gte: from, lt },
      limit: revokeKeys,
      maxBytes: Number.MAX_SAFE_INTEGER,
      reverse: false
    }
    const keys = attached.map((row) => attachedKey(row.key)).filter((key) => !writeSet.isLoaded(key))
    if (keys.length > 0) {
      for (const row of yield { _tag: "LoadKeys", keys: keys.map(recordKey) }) {
        const key = userKey(row.key)
        const record = recordOf(row)
        bytes += record.value.byteLength
        // What a lease holds may be more than fits into memory; beyond a bound the values stay where they are.
        if (bytes > maxRevokedBytes) writeSet.loadForDelete(key, record)
        else writeSet.load(key, record)
      }
    }
    const last = attached[attached.length - 1]
    if (attached.length < revokeKeys || last === undefined) break
    from = successor(last.key)
  }
  // In the order of their keys, because the order of loading depends on how commands are grouped into batches.
  const entries = [...writeSet.all]
    .filter(({ record }) => record?.lease === lease)
    .sort((a, b) => compareBytes(a.key, b.key))
  batch.beginRevision()
  for (const entry of entries) batch.deleteKey(entry)
  batch.endRevision()
  batch.deleteLease(lease)
  return entries.length
}
