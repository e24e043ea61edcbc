/**
 * What a command or a query touches: the one place that says which rights it takes. It is asked before the log, and
 * covers whatever the operation may read or write, whichever way it goes and whatever the state is.
 *
 * A write needs the right to write its keys and no other: its reply says whether the key was there, and how often it
 * was written, and never a value. The keys of a lease are not named here: its owner attached them, and its end deletes
 * them whatever the owner may do by then.
 */
import type { KeyRange } from "../../../bytes/KeyRange.ts"
import { singleKey } from "../../../bytes/KeyRange.ts"
import type { Command } from "../Command.ts"
import type { Query } from "../Query.ts"
import type { Operation, Transaction } from "../Transaction.ts"

export interface Touches {
  /** Keys whose contents, or whose presence, the reply may depend on. */
  readonly reads: ReadonlyArray<KeyRange>
  /** Keys that it may put or delete. */
  readonly writes: ReadonlyArray<KeyRange>
  /** Leases that it uses: they must be the caller's. */
  readonly leases: ReadonlyArray<number>
  /** Only for administrators. */
  readonly admin: boolean
}

const none: ReadonlyArray<never> = []

const nothing: Touches = { reads: none, writes: none, leases: none, admin: false }

const administration: Touches = { ...nothing, admin: true }

const ofLeases = (...leases: ReadonlyArray<number>): Touches => ({ ...nothing, leases })

const ofReading = (range: KeyRange): Touches => ({ ...nothing, reads: [range] })

/** What an operation touches. Total: a new command or query does not compile before it has a line here. */
export const touches = (operation: Command | Query): Touches => {
  switch (operation._tag) {
    case "Put":
      return {
        reads: none,
        writes: [singleKey(operation.key)],
        leases: operation.lease === 0 ? none : [operation.lease],
        admin: false
      }
    case "Delete":
      return { ...nothing, writes: [singleKey(operation.key)] }
    case "Transact":
      return ofTransaction(operation.transaction)
    case "Get":
      return ofReading(singleKey(operation.key))
    case "Scan":
    case "Count":
      return ofReading(operation.range)
    case "KeepAlive":
    case "RevokeLease":
    case "LeaseKeys":
      return ofLeases(operation.lease)
    // Any user may have leases and sessions, as many as its limits say. They end only what they began.
    case "GrantLease":
    case "OpenSession":
    case "CloseSession":
      return nothing
    // Lists show what others have. A command for nodes is refused for another reason, and is no less than this.
    case "Compact":
    case "EndSession":
    case "Checkpoint":
    case "Leases":
    case "Sessions":
    case "Roles":
    case "Users":
    case "PutRole":
    case "DeleteRole":
    case "PutUser":
    case "DeleteUser":
    case "AddToken":
    case "RemoveToken":
      return administration
    case "Expire":
      return { ...administration, leases: operation.leases }
  }
}

/** The keys of every compare, and what both lists name: the answer tells which of them was carried out. */
const ofTransaction = ({ compares, failure, success }: Transaction): Touches => {
  const reads: Array<KeyRange> = compares.map(({ key }) => singleKey(key))
  const writes: Array<KeyRange> = []
  const leases: Array<number> = []
  for (const operations of [success, failure]) {
    for (const operation of operations) addOperation(operation, reads, writes, leases)
  }
  return { reads, writes, leases, admin: false }
}

const addOperation = (
  operation: Operation,
  reads: Array<KeyRange>,
  writes: Array<KeyRange>,
  leases: Array<number>
): void => {
  switch (operation._tag) {
    case "Put":
      writes.push(singleKey(operation.key))
      if (operation.lease !== 0) leases.push(operation.lease)
      return
    case "Delete":
      writes.push(singleKey(operation.key))
      return
    case "DeleteRange":
      writes.push(operation.range)
      return
    case "Get":
      reads.push(singleKey(operation.key))
      return
    case "Range":
      reads.push(operation.range)
  }
}
