/**
 * Where an import keeps its state, in FlareDB beside what it copied, so that it goes on from any machine.
 *
 * ```
 * flaredb-import/etcd/<cluster>/<place>/position        how far it is, as JSON
 * flaredb-import/etcd/<cluster>/<place>/lease/<id>      the lease of FlareDB for a lease of etcd, in digits
 * ```
 *
 * `<cluster>` is the id of etcd's cluster, `<place>` the beginning of a hash of both prefixes. The row of a lease is
 * attached to the lease, and goes with it.
 */
import { createHash } from "node:crypto"
import { prefixRange, successor } from "../../bytes/KeyRange.ts"
import { compareBytes } from "../../bytes/Bytes.ts"
import { statePrefix } from "./Rules.ts"

const encoder = new TextEncoder()

export const stateRange = prefixRange(encoder.encode(statePrefix))

export interface ImportKeys {
  readonly position: string
  /** What the rows of leases begin with. */
  readonly leases: string
}

export const keysOf = (cluster: string, prefix: Uint8Array, toPrefix: Uint8Array): ImportKeys => {
  const size = new DataView(new ArrayBuffer(4))
  size.setUint32(0, prefix.byteLength)
  const hash = createHash("sha256").update(new Uint8Array(size.buffer)).update(prefix).update(toPrefix).digest("hex")
  const base = `${statePrefix}etcd/${cluster}/${hash.slice(0, 16)}/`
  return { position: `${base}position`, leases: `${base}lease/` }
}

/** How a prefix of etcd becomes one of FlareDB. */
export class Renaming {
  private readonly from: Uint8Array
  private readonly to: Uint8Array
  private readonly same: boolean

  constructor(prefix: Uint8Array, toPrefix: Uint8Array) {
    this.from = prefix
    this.to = toPrefix
    this.same = compareBytes(prefix, toPrefix) === 0
  }

  /** The key in FlareDB of a key in etcd. It keeps the order of keys. */
  keyOf(key: Uint8Array): Uint8Array {
    if (this.same) return key
    const renamed = new Uint8Array(this.to.byteLength + key.byteLength - this.from.byteLength)
    renamed.set(this.to)
    renamed.set(key.subarray(this.from.byteLength), this.to.byteLength)
    return renamed
  }
  /** The first key of etcd behind the one that became `key`. */
  behind(key: Uint8Array): Uint8Array {
    const renamed = new Uint8Array(this.from.byteLength + key.byteLength - this.to.byteLength)
    renamed.set(this.from)
    renamed.set(key.subarray(this.to.byteLength), this.from.byteLength)
    return successor(renamed)
  }
}
