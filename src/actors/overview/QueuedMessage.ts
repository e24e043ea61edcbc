/** The row of a request that waits, as the overview reads it. */
import type { KeyValueEntry } from "../../client/KeyValue.ts"
import type { EntityRow, RequestRow } from "../cluster/MessageRows.ts"
import { addressOf } from "../cluster/MessageRows.ts"

/** A request that waits. */
export interface QueuedMessage {
  readonly type: string
  readonly entity: string
  readonly deliverAt: number | undefined
  /** The name of its RPC; absent for a large one, whose envelope is in a row of its own. */
  readonly tag: string | undefined
}

/** `undefined` for what this version's storage of messages did not write. */
export const queuedMessageOf = (entry: KeyValueEntry): QueuedMessage | undefined => {
  try {
    const row = JSON.parse(entry.text) as RequestRow
    const { entityId: entity, entityType: type } = addressOf(row)
    if (typeof type !== "string" || typeof entity !== "string") return undefined
    return { type, entity, deliverAt: row.deliverAt, tag: "envelope" in row ? row.envelope.tag : undefined }
  } catch {
    return undefined
  }
}

/** The row of a request by its entity; `undefined` for what this version's storage of messages did not write. */
export const entityRowOf = (entry: KeyValueEntry): EntityRow | undefined => {
  try {
    const row = JSON.parse(entry.text) as Partial<EntityRow> | null
    return typeof row?.id === "string" && typeof row.shard === "string" ? row as EntityRow : undefined
  } catch {
    return undefined
  }
}
