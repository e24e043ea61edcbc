/** The replies to commands that change nothing. */
import type { Batch } from "./Batch.ts"
import type { WriteSetEntry } from "./WriteSet.ts"
import { maxLeaseKeys } from "./Limits.ts"
import type { CommandReply, Refusal, RefusedReply } from "./Reply.ts"

export const done = (batch: Batch): CommandReply => ({ _tag: "DoneReply", revision: batch.revision })

export const refused = (batch: Batch, reason: Refusal, field: string, text: string): RefusedReply => ({
  _tag: "RefusedReply",
  revision: batch.revision,
  reason,
  field,
  text,
  current: 0,
  maximum: 0
})

/** The lease it is about stands in `current`. */
export const noLease = (batch: Batch, lease: number): RefusedReply => ({
  ...refused(batch, "lease-not-found", "lease", `${lease} has ended, or never was`),
  current: lease
})

export const overloaded = (batch: Batch, limit: string, current: number, maximum: number): RefusedReply => ({
  ...refused(batch, "overloaded", limit, "is reached"),
  current,
  maximum
})

/** Why a key cannot be attached to a lease, if there is a reason. */
export const leaseProblem = (batch: Batch, entry: WriteSetEntry, id: number): RefusedReply | undefined => {
  const lease = batch.state.leases.get(id)
  if (lease === undefined) return noLease(batch, id)
  return entry.record?.lease !== id && lease.keys >= maxLeaseKeys
    ? overloaded(batch, "maxLeaseKeys", lease.keys, maxLeaseKeys)
    : undefined
}
