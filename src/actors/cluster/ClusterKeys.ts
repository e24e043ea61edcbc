/**
 * Where a cluster of runners keeps its rows, below `<prefix>c/<cluster>/`:
 *
 * ```
 * L/<shard>        lock: who holds the shard. Its create revision is the fencing token.
 * R/<address>      a runner
 * I/<machine>      the machine id's address, 0000 to 1023
 * ```
 *
 * Each part is encoded, so that it holds no slash: the keys of one cluster, shard or address never lie within those of
 * another.
 */
import { defaultPrefix, encodeName } from "../persistence/Keys.ts"

export interface ClusterName {
  /** Before every key. Default `fx/`. */
  readonly prefix?: string | undefined
  /** Runners of one name share shards and messages; those of two names know nothing of each other. Default `default`. */
  readonly cluster?: string | undefined
}

export class ClusterKeys {
  private readonly root: string

  constructor({ cluster = "default", prefix = defaultPrefix }: ClusterName) {
    this.root = `${prefix}c/${encodeName(cluster)}/`
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
