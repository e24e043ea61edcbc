/**
 * Where a cluster of runners keeps its rows, below `<prefix>c/<cluster>/`:
 *
 * ```
 * L/<shard>        lock: who holds the shard. Its create revision is the fencing token.
 * R/<address>      a runner
 * I/<machine>      the machine id's address, 0000 to 1023
 *
 * N                number of shards of each group, see `ShardCount.ts`
 *
 * M/<id>           message: its shard while it waits, and then its request and exit. Its create revision is its place
 *                  in the queue.
 * E/<id>           large envelope of a request, or the envelope of one whose exit is large
 * C/<id>           there are chunks
 * C/<id>/<reply>   chunk of a request's replies
 * K/<id>           id of the last chunk that was acknowledged
 * Q/<shard>/<id>/  a request that has no exit:
 *     r              the request, with a small envelope itself
 *     a, i           last acknowledgement, interrupt: their envelopes
 *     u, k           id of the chunk that is not acknowledged, and of the last one that is
 * A/<type>/<entity>/=<rest of the primary key>   request of an entity and of a primary key, for deduplication and
 *                  `clearAddress`; #<hash> for a long key, and <id> for a request without one
 * P/<primary key>  request of a primary key that does not begin with its entity
 * S/<type>/<entity>/<name>   state of an entity, see `state/DurableState.ts`
 * T                how far messages were looked at that are kept no longer, see `Retention.ts`
 * V                version of this layout, see `LayoutVersion.ts`
 * ```
 *
 * A request with a primary key and its exit change five rows: `M`, `Q` and `A` are put, then `M` is put again and `Q`
 * is deleted. What has an id is found by it, what waits by its shard, and what has a key by it.
 * The request of a workflow's activity is put with its exit, as `M` and `A` alone, see `UnsavedRequests.ts`.
 *
 * An id is a Snowflake as a number of 20 digits, moved so that it is never negative.
 *
 * Each part is encoded, so that it holds no slash: the keys of one cluster, shard or address never lie within those of
 * another.
 */
import { createHash } from "node:crypto"
import { decodeName, decodeOwnPart, defaultPrefix, encodeName, encodeOwnPart } from "../persistence/Keys.ts"

/** Which keys of the store belong to a cluster of runners. */
export interface ClusterName {
  /** Before every key. Default `fx/`. */
  readonly prefix?: string | undefined
  /**
   * Runners of one name share shards and messages; those of two names know nothing of each other. Default `default`.
   */
  readonly cluster?: string | undefined
}

/** What is kept of a request that has no exit. */
export type QueuePart = "r" | "a" | "i" | "u" | "k"

/** Longest primary key of which no hash is kept, in characters. */
const maxPlainPrimaryKey = 255

const isDigest = /^[0-9a-f]{64}$/

const idDigits = 20

/** Under a test's clock Snowflakes are negative. */
const bias = 2n ** 63n

/** The id that was converted last: the keys of one request are made one after the other. */
let last = { id: "", part: "" }

const idPart = (id: string): string => {
  if (last.id !== id) last = { id, part: (BigInt(id) + bias).toString().padStart(idDigits, "0") }
  return last.part
}

const idOf = (part: string): string => (BigInt(part) - bias).toString()

/** Shards whose queues' prefixes are remembered. There are as many as the configuration says. */
const maxRememberedShards = 4_096

/** What is kept of a long primary key, or of a hash in place of one. */
const digestOf = (key: string): string | undefined =>
  isDigest.test(key)
    ? `#${key}`
    : key.length > maxPlainPrimaryKey && key.isWellFormed()
    ? `#${createHash("sha256").update(key).digest("hex")}`
    : undefined

export class ClusterKeys {
  private readonly root: string
  /** The prefixes of queues, by shard. */
  private readonly queuePrefixes = new Map<string, string>()
  /** What the processes of a prefix write to read the time of the log. */
  readonly clock: string

  constructor({ cluster = "default", prefix = defaultPrefix }: ClusterName) {
    this.clock = `${prefix}clock`
    this.root = `${ClusterKeys.all(prefix)}${encodeName(cluster)}/`
  }

  /** All clusters of a prefix. */
  static all(prefix: string): string {
    return `${prefix}c/`
  }

  /** The cluster that a key under {@link all} belongs to. */
  static clusterOf(prefix: string, key: string): string {
    return decodeName(key.slice(ClusterKeys.all(prefix).length).split("/", 1)[0] as string)
  }

  /** Behind every key of the cluster, and before those of the next one. */
  get behind(): string {
    return `${this.root.slice(0, -1)}0`
  }

  /** All requests. */
  get requests(): string {
    return `${this.root}M/`
  }

  request(id: string): string {
    return `${this.requests}${idPart(id)}`
  }

  /** The request of a key under {@link requests}. */
  requestOf(key: string): string {
    return idOf(key.slice(this.requests.length))
  }

  envelope(id: string): string {
    return `${this.root}E/${idPart(id)}`
  }

  get layoutVersion(): string {
    return `${this.root}V`
  }

  /** A row that is there when there are chunks: looking for chunks costs more than reading a row. */
  hasChunks(id: string): string {
    return `${this.root}C/${idPart(id)}`
  }

  chunks(id: string): string {
    return `${this.hasChunks(id)}/`
  }

  chunk(id: string, reply: string): string {
    return `${this.chunks(id)}${idPart(reply)}`
  }

  acknowledged(id: string): string {
    return `${this.root}K/${idPart(id)}`
  }

  /** All queues. */
  get queues(): string {
    return `${this.root}Q/`
  }

  queue(shard: string): string {
    const known = this.queuePrefixes.get(shard)
    if (known !== undefined) return known
    const prefix = `${this.queues}${encodeName(shard)}/`
    if (this.queuePrefixes.size >= maxRememberedShards) this.queuePrefixes.clear()
    this.queuePrefixes.set(shard, prefix)
    return prefix
  }

  waiting(shard: string, id: string): string {
    return `${this.queue(shard)}${idPart(id)}/`
  }

  part(shard: string, id: string, part: QueuePart): string {
    return `${this.waiting(shard, id)}${part}`
  }

  /** The request and the part of a key under {@link queue}. */
  partOf(queue: string, key: string): readonly [id: string, part: QueuePart] {
    return [idOf(key.slice(queue.length, queue.length + idDigits)), key.slice(queue.length + idDigits + 1) as QueuePart]
  }

  /**
   * The request of a primary key, which begins with its entity. Of a long key its SHA-256 is kept, as in Effect's SQL
   * tables. So a row that is copied from there, where only the hash is known, is found by the key itself. A hash is no
   * other key: those have slashes. `undefined` for a key that does not begin with its entity.
   */
  keyed(type: string, entity: string, primaryKey: string): string | undefined {
    const digest = digestOf(primaryKey)
    if (digest !== undefined) return `${this.entity(type, entity)}${digest}`
    const before = `${type}/${entity}/`
    return primaryKey.startsWith(before)
      ? `${this.entity(type, entity)}${encodeOwnPart(primaryKey.slice(before.length))}`
      : undefined
  }

  /** Whether a primary key has a row of its own, because it does not begin with its entity. */
  isOther(type: string, entity: string, primaryKey: string | undefined): boolean {
    return primaryKey !== undefined && this.keyed(type, entity, primaryKey) === undefined
  }

  /** The request of any other primary key. */
  primaryKey(key: string): string {
    return `${this.root}P/${digestOf(key) ?? encodeOwnPart(key)}`
  }

  /** The key of a request's row under {@link entities}: that of its primary key, or of its id. */
  ofRequest(type: string, entity: string, id: string, primaryKey: string | undefined): string {
    return (primaryKey === undefined ? undefined : this.keyed(type, entity, primaryKey)) ??
      `${this.entity(type, entity)}${idPart(id)}`
  }

  entity(type: string, entity: string): string {
    return `${this.entitiesOf(type)}${encodeOwnPart(entity)}/`
  }

  /** Whether a key under {@link entity} says the whole primary key of its request. */
  saysPrimaryKey(key: string): boolean {
    const end = key.lastIndexOf("/")
    return key.charAt(end + 1) === "=" && key.charAt(key.lastIndexOf("/", end - 1) + 1) === "="
  }

  /** What a key under {@link entity} says behind the entity of a request's primary key; `undefined` of others. */
  restOf(key: string): string | undefined {
    return decodeOwnPart(key.slice(key.lastIndexOf("/") + 1))
  }

  state(type: string, entity: string, name: string): string {
    return `${this.root}S/${encodeName(type)}/${encodeOwnPart(entity)}/${encodeName(name)}`
  }

  get sweep(): string {
    return `${this.root}T`
  }

  /** All locks. */
  get locks(): string {
    return `${this.root}L/`
  }

  lock(shard: string): string {
    return `${this.locks}${encodeName(shard)}`
  }

  /** The shard of a key under {@link locks}. */
  shardOfLock(key: string): string {
    return decodeName(key.slice(this.locks.length))
  }

  /** The shard, the request and the part of a key under {@link queues}. */
  queuedOf(key: string): readonly [shard: string, id: string, part: QueuePart] {
    const end = key.indexOf("/", this.queues.length) + 1
    return [decodeName(key.slice(this.queues.length, end - 1)), ...this.partOf(key.slice(0, end), key)]
  }

  /** The address of a key under {@link runners}. */
  addressOf(key: string): string {
    return decodeName(key.slice(this.runners.length))
  }

  /** All requests by their entities. */
  get entities(): string {
    return `${this.root}A/`
  }

  /** All requests of entities of a type. */
  entitiesOf(type: string): string {
    return `${this.entities}${encodeName(type)}/`
  }

  get runners(): string {
    return `${this.root}R/`
  }

  get shardCount(): string {
    return `${this.root}N`
  }

  runner(address: string): string {
    return `${this.runners}${encodeName(address)}`
  }

  get machines(): string {
    return `${this.root}I/`
  }

  machine(id: number): string {
    return `${this.machines}${String(id).padStart(4, "0")}`
  }

  /** The machine id of a key under {@link machines}. */
  machineOf(key: string): number {
    return Number(key.slice(this.machines.length))
  }
}
