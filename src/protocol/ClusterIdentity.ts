/**
 * The identity of a cluster: which history its revisions, sessions and leases belong to. It is random, made once when
 * the cluster is created, and part of the replicated state, so it is the same on every node and survives restarts and
 * snapshots. The cluster's name is given by people and may be used again; the identity is not.
 *
 * The first leader of a cluster proposes an identity as a log entry. The first such entry that is applied wins, and
 * every later one changes nothing. The entry is the node's own: no state machine sees it, and no client may propose
 * one.
 *
 * | where        | what                                                        |
 * | ------------ | ----------------------------------------------------------- |
 * | log entry    | a command: {@link entryMagic}, then the identity as text    |
 * | state family | the row `01 "cluster"`, with the identity as text           |
 * | wire, files  | the text: 16 bytes as a UUID of version 4, in lower case    |
 */
import { Result } from "effect"
import { CodecError } from "../bytes/CodecError.ts"

/** A cluster's identity as text, for example `2f1c9a9e-6f5b-4c0e-9d0a-3b7e0c1d2e4f`. */
export type ClusterIdentity = string & { readonly ClusterIdentity: unique symbol }

/** Characters of an identity. */
const textLength = 36

const shape = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

/** The identity in a text that may come from anywhere. */
export const parseIdentity = (text: string): Result.Result<ClusterIdentity, CodecError> =>
  shape.test(text)
    ? Result.succeed(text as ClusterIdentity)
    : Result.fail(
      new CodecError(`${JSON.stringify(text.slice(0, 80))} is not a cluster identity, which is a UUID in lower case`)
    )

/** The identity made of 16 random bytes. */
export const identityOfBytes = (random: Uint8Array): ClusterIdentity => {
  if (random.byteLength !== 16) throw new RangeError(`an identity is made of 16 bytes, not ${random.byteLength}`)
  const bytes = Buffer.from(random)
  bytes.writeUInt8(bytes.readUInt8(6) & 0x0f | 0x40, 6)
  bytes.writeUInt8(bytes.readUInt8(8) & 0x3f | 0x80, 8)
  const hex = bytes.toString("hex")
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join(
    "-"
  ) as ClusterIdentity
}

/** The row that holds the identity, among the rows of the state machine so that snapshots and backups carry it. */
export const identityRowKey: Uint8Array = Uint8Array.of(0x01, ...new TextEncoder().encode("cluster"))

/** Whether a stored key is that of the identity. */
export const isIdentityRow = (key: Uint8Array): boolean =>
  key.byteLength === identityRowKey.byteLength && Buffer.compare(key, identityRowKey) === 0

export const encodeIdentityRow = (identity: ClusterIdentity): Uint8Array => new TextEncoder().encode(identity)

export const decodeIdentityRow = (value: Uint8Array): Result.Result<ClusterIdentity, CodecError> =>
  parseIdentity(Buffer.from(value).toString("latin1"))

/** How the payload of an identity entry begins. A command of a client that looks like one is refused. */
const entryMagic = Buffer.from("\0flaredb cluster identity\0", "latin1")

const entryBytes = entryMagic.byteLength + textLength

export const encodeIdentityEntry = (identity: ClusterIdentity): Uint8Array =>
  new Uint8Array(Buffer.concat([entryMagic, Buffer.from(identity, "latin1")]))

/** The identity that a command proposes; `undefined` for every other command. */
export const decodeIdentityEntry = (payload: Uint8Array): ClusterIdentity | undefined => {
  if (payload.byteLength !== entryBytes) return undefined
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  if (!bytes.subarray(0, entryMagic.byteLength).equals(entryMagic)) return undefined
  return Result.getOrUndefined(parseIdentity(bytes.toString("latin1", entryMagic.byteLength)))
}
