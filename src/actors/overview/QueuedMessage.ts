/** The row of a request that waits, as whoever looks from outside reads it. */
import type { KeyValueEntry } from "../../client/KeyValue.ts"
import type { WaitingRow } from "../cluster/MessageRows.ts"

/** `undefined` for what no storage of messages wrote. */
export const waitingOf = (entry: KeyValueEntry): WaitingRow | undefined => {
  try {
    const row = JSON.parse(entry.text) as Partial<WaitingRow> | null
    return typeof row?.type === "string" && typeof row.entity === "string" ? row as WaitingRow : undefined
  } catch {
    return undefined
  }
}
