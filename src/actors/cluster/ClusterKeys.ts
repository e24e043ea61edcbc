/**
 * Where a cluster of runners keeps its rows, below `<prefix>c/<cluster>/`:
 *
 * ```
 * L/<shard>        lock: who holds the shard. Its create revision is the fencing token.
 * R/<address>      a runner
 * I/<machine>      the machine id's address, 0000 to 1023
 *
 * M/<id>           request: its envelope and shard. Never changed; its create revision is its place in the queue.
 * X/<id>           exit of a request
 * C/<id>           there are chunks
 * C/<id>/<reply>   chunk of a request's replies
 * K/<id>           id of the last chunk that was acknowledged
 * Q/<shard>/<id>/  a request that has no exit:
 *     r              it waits, with a small envelope itself
 *     a, i           last acknowledgement, interrupt: their envelopes
 *     u, k           id of the chunk that is not acknowledged, and of the last one that is
 * P/<primary key>  request of a primary key, for deduplication
 * A/<type>/<entity>/<id>   request of an entity, for `clearAddress`
 * T/<hour>/<id>    request whose exit was stored in that hour, for retention
 * S/<type>/<entity>/<name>   state of an entity (`DurableState`)
 * ```
 *
 * An id is a Snowflake as a number of 20 digits, moved so that it is never negative.
 *
 * Each part is encoded, so that it holds no slash: the keys of one cluster, shard or address never lie within those of
 * another.
 */
import { Context } from "effect"
import { defaultPrefix, encodeName, encodeOwnPart } from "../persistence/Keys.ts"

export interface ClusterName {
  /** Before every key. Default `fx/`. */
  readonly prefix?: string | undefined
  /** Runners of one name share shards and messages; those of two names know nothing of each other. Default `default`. */
  readonly cluster?: string | undefined
}

/** The cluster that entities of this process belong to, for what they keep themselves. The layers of `Actors` set it. */
export const CurrentCluster = Context.Reference<ClusterName>("flaredb/actors/CurrentCluster", {
  defaultValue: () => ({})
})

/** What is kept of a request that has no exit. */
export type QueuePart = "r" | "a" | "i" | "u" | "k"

const hourDigits = 10
const idDigits = 20

/** Under a test's clock Snowflakes are negative. */
const bias = 2n ** 63n

const idPart = (id: string): string => (BigInt(id) + bias).toString().padStart(idDigits, "0")
const idOf = (part: string): string => (BigInt(part) - bias).toString()

export class ClusterKeys {
  private readonly root: string

  constructor({ cluster = "default", prefix = defaultPrefix }: ClusterName) {
    this.root = `${prefix}c/${encodeName(cluster)}/`
  }

  request(id: string): string {
    return `${this.root}M/${idPart(id)}`
  }

  exit(id: string): string {
    return `${this.root}X/${idPart(id)}`
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
    return `${this.queues}${encodeName(shard)}/`
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

  primaryKey(key: string): string {
    return `${this.root}P/${encodeOwnPart(key)}`
  }

  entity(type: string, entity: string): string {
    return `${this.root}A/${encodeName(type)}/${encodeOwnPart(entity)}/`
  }

  ofEntity(type: string, entity: string, id: string): string {
    return `${this.entity(type, entity)}${idPart(id)}`
  }

  state(type: string, entity: string, name: string): string {
    return `${this.root}S/${encodeName(type)}/${encodeOwnPart(entity)}/${encodeOwnPart(name)}`
  }

  /** The request of a key under {@link entity}, or under {@link finished}. */
  lastIdOf(key: string): string {
    return idOf(key.slice(-idDigits))
  }

  get finished(): string {
    return `${this.root}T/`
  }

  finishedIn(hour: number, id: string): string {
    return `${this.finished}${String(hour).padStart(hourDigits, "0")}/${idPart(id)}`
  }

  /** The hour of a key under {@link finished}. */
  hourOf(key: string): number {
    return Number(key.slice(this.finished.length, this.finished.length + hourDigits))
  }

  lock(shard: string): string {
    return `${this.root}L/${encodeName(shard)}`
  }

  get runners(): string {
    return `${this.root}R/`
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
