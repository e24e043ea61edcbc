/** What the state machine keeps in memory between batches; all of it is in the store as well. */
import type { StoreMetadata } from "./StoreMetadata.ts"
import { noMetadata } from "./StoreMetadata.ts"
import type { HistoryBlock } from "./HistoryBlock.ts"
import { Leases } from "./Lease.ts"
import { maxKeptReplyBytes, maxSessions } from "./Limits.ts"
import { KeptReplies } from "./KeptReplies.ts"
import { AccessTable } from "./access/AccessTable.ts"
import { Sessions } from "./Sessions.ts"

export class State {
  metadata: StoreMetadata = noMetadata
  /** The block with the last revision, where the next one goes while it has room; `undefined` before the first one. */
  lastBlock: HistoryBlock | undefined
  readonly leases = new Leases()
  /** Who may do what. */
  readonly access = new AccessTable()
  readonly sessions: Sessions
  /**
   * Most sessions at a time. Only tests give other limits than those of `Limits.ts`, which are the same on all nodes.
   */
  readonly maxSessions: number

  constructor(options: { readonly maxSessions?: number; readonly maxKeptReplyBytes?: number } = {}) {
    this.maxSessions = options.maxSessions ?? maxSessions
    this.sessions = new Sessions(new KeptReplies(options.maxKeptReplyBytes ?? maxKeptReplyBytes, this.maxSessions))
  }
}
