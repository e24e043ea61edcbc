/**
 * Which activities a workflow has asked for. Only the runner that holds a workflow's shard asks for its activities, and
 * requests for them are stored on the condition that it does. So it may read what there is once, when the workflow is
 * activated, and add what it asks for itself.
 */
import { Effect } from "effect"
import type { Envelope } from "effect/cluster"
import type { KeyValue, KeyValueEntry, ReadFailure } from "../../client/KeyValue.ts"
import type { ClusterKeys } from "./ClusterKeys.ts"
import type { ShardTable } from "./HeldShards.ts"

/** Workflows of which they are known, and requests of each. The activities of others are looked for in the store. */
const maxWorkflows = 2_048
const maxKeys = 1_024

/** Most requests of a workflow that are read at once. */
const readRows = 256

const workflowPrefix = "Workflow/"

/** Whether a request asks for an activity. */
export const isActivity = ({ address, tag }: Pick<Envelope.PartialRequestEncoded, "address" | "tag">): boolean =>
  tag === "activity" && address.entityType.startsWith(workflowPrefix)

/** The requests of a workflow, by their keys, while its shard has this lock. */
interface Known {
  readonly lock: number
  readonly keys: Set<string>
  isRead: boolean
}

export class KnownActivities {
  private readonly keys: ClusterKeys
  private readonly kv: KeyValue["Service"]
  private readonly shards: ShardTable
  /** By the prefix of a workflow's requests; the one that was used last is the last. */
  private readonly workflows = new Map<string, Known>()

  constructor(keys: ClusterKeys, kv: KeyValue["Service"], shards: ShardTable) {
    this.keys = keys
    this.kv = kv
    this.shards = shards
  }

  /** Whether {@link read} is worth it: the requests of this workflow are not known. */
  areUnknown(type: string, entity: string, shard: string): boolean {
    const lock = this.shards.lockOf(shard)
    return lock !== undefined && type.startsWith(workflowPrefix) &&
      this.workflows.get(this.keys.entity(type, entity))?.lock !== lock
  }

  /** Reads the requests of a workflow, and gives the row of this key. There may be too many: then it is not known. */
  readonly read = Effect.fnUntraced({ self: this }, function*(
    this: KnownActivities,
    type: string,
    entity: string,
    shard: string,
    key: string
  ): Effect.fn.Return<KeyValueEntry | undefined | "unknown", ReadFailure> {
    const prefix = this.keys.entity(type, entity)
    const lock = this.shards.lockOf(shard)
    if (lock === undefined) return "unknown"
    // What this process asks for meanwhile is added.
    const known: Known = { lock, keys: new Set(), isRead: false }
    this.workflows.set(prefix, known)
    const { cursor, entries } = yield* Effect.onError(
      this.kv.scan(prefix, { limit: readRows, consistency: "linearizable" }),
      () => Effect.sync(() => this.forget(prefix))
    )
    for (const { keyText } of entries) known.keys.add(keyText)
    known.isRead = cursor === undefined
    if (!known.isRead) this.workflows.delete(prefix)
    for (const oldest of this.workflows.keys()) {
      if (this.workflows.size <= maxWorkflows) break
      this.workflows.delete(oldest)
    }
    return entries.find(({ keyText }) => keyText === key) ?? (cursor === undefined ? undefined : "unknown")
  })

  /** This process asks for an activity. Gives whether it is certain that it was not asked for before. */
  ask(prefix: string, key: string, lock: number | undefined): boolean {
    const known = this.workflows.get(prefix)
    if (known === undefined) return false
    const isNew = known.isRead && known.lock === lock && !known.keys.has(key)
    known.keys.add(key)
    this.workflows.delete(prefix)
    if (known.keys.size <= maxKeys) this.workflows.set(prefix, known)
    return isNew
  }

  forget(prefix: string): void {
    this.workflows.delete(prefix)
  }
}
