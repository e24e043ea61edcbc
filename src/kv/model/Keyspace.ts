/**
 * Where everything lies in the state store. Numbers are u64, big-endian, so that byte order is their order.
 *
 * | first byte | key                        | value                                                              |
 * | ---------- | -------------------------- | ------------------------------------------------------------------ |
 * | `00`       |                            | the store's own: the applied point                                 |
 * | `01`       | `01 "cluster"`             | the identity of the cluster, which is the node's                   |
 * |            | `01 "figures"`             | revision, compaction, log time, history bytes (`StoreMetadata.ts`) |
 * | `10`       | `10 KEY`                   | a user's key (`KeyRecord.ts`)                                      |
 * | `20`       | `20 REVISION`              | what that revision and some after it changed (`HistoryBlock.ts`)   |
 * | `30`       | `30 LEASE`                 | a lease (`Lease.ts`)                                               |
 * | `31`       | `31 LEASE KEY`             | nothing: the key is attached to the lease                          |
 * | `40`       | `40 SESSION`               | a session (`Session.ts`)                                           |
 * | `41`       | `41 SESSION SEQUENCE`      | a large reply to one of its commands, with its place in the log    |
 * | `42`       | `42 SESSION BLOCK`         | the other replies to a block of its commands                       |
 * | `50`       | `50 NAME`                  | a role (`access/Role.ts`)                                          |
 * | `51`       | `51 NAME`                  | a user (`access/User.ts`)                                          |
 *
 * All else is free for later formats; those that begin with `4` are about sessions, and are left out of what is
 * restored from a backup.
 */
import { Reader, Writer } from "../../bytes/Binary.ts"
import type { KeyRange } from "../../bytes/KeyRange.ts"

const keyByte = 0x10
const historyByte = 0x20
const leaseByte = 0x30
const leaseKeyByte = 0x31
const sessionByte = 0x40
const replyByte = 0x41
const replyBlockByte = 0x42
const roleByte = 0x50
const userByte = 0x51

/** A range of stored keys; the end is not included. */
export interface StoredRange {
  readonly gte: Uint8Array
  readonly lt: Uint8Array
}

/**
 * Holds the metadata of the store. On disk the row keeps the name that format 1 gave it; absent before the first
 * command.
 */
export const metadataKey: Uint8Array = Uint8Array.of(0x01, ...new TextEncoder().encode("figures"))

/** Where the record of a user's key lies. */
export const recordKey = (key: Uint8Array): Uint8Array => new Writer(1 + key.byteLength).u8(keyByte).raw(key).bytes

/** The user's key of a stored one; a view. */
export const userKey = (stored: Uint8Array): Uint8Array => stored.subarray(1)

/** Where the records of a range of users' keys lie. */
export const recordRange = ({ gte, lt }: KeyRange): StoredRange => ({
  gte: recordKey(gte),
  lt: lt.byteLength === 0 ? Uint8Array.of(keyByte + 1) : recordKey(lt)
})

/** Where the block of history that begins with a revision lies. */
export const historyKey = (first: number): Uint8Array => new Writer(9).u8(historyByte).u64(first).bytes

/** The first revision of a stored block of history. */
export const firstRevisionOf = (stored: Uint8Array): number => new Reader(stored.subarray(1)).u64()

/** Where the blocks of history that begin with one of the revisions `from..through` lie. */
export const historyRange = (from: number, through: number): StoredRange => ({
  gte: historyKey(from),
  lt: historyKey(through + 1)
})

export const leaseKey = (lease: number): Uint8Array => new Writer(9).u8(leaseByte).u64(lease).bytes

/** Every lease. */
export const leaseRange: StoredRange = { gte: Uint8Array.of(leaseByte), lt: Uint8Array.of(leaseByte + 1) }

/** Says that a user's key is attached to a lease. */
export const leaseKeyKey = (lease: number, key: Uint8Array): Uint8Array =>
  new Writer(9 + key.byteLength).u8(leaseKeyByte).u64(lease).raw(key).bytes

/** The attached user's key; a view. */
export const attachedKey = (stored: Uint8Array): Uint8Array => stored.subarray(9)

/** Everything attached to a lease. */
export const leaseKeysRange = (lease: number): StoredRange => ({
  gte: new Writer(9).u8(leaseKeyByte).u64(lease).bytes,
  lt: new Writer(9).u8(leaseKeyByte).u64(lease + 1).bytes
})

export const sessionKey = (session: number): Uint8Array => new Writer(9).u8(sessionByte).u64(session).bytes

/** Every session. */
export const sessionRange: StoredRange = { gte: Uint8Array.of(sessionByte), lt: Uint8Array.of(sessionByte + 1) }

export const replyKey = (session: number, sequence: number): Uint8Array =>
  new Writer(17).u8(replyByte).u64(session).u64(sequence).bytes

/** Every large reply. */
export const replyRange: StoredRange = { gte: Uint8Array.of(replyByte), lt: Uint8Array.of(replyByte + 1) }

export const replyBlockKey = (session: number, block: number): Uint8Array =>
  new Writer(17).u8(replyBlockByte).u64(session).u64(block).bytes

/** Every block of replies. */
export const replyBlockRange: StoredRange = {
  gte: Uint8Array.of(replyBlockByte),
  lt: Uint8Array.of(replyBlockByte + 1)
}

const nameKey = (byte: number, name: string): Uint8Array =>
  new Writer(1 + name.length).u8(byte).raw(new TextEncoder().encode(name)).bytes

export const roleKey = (name: string): Uint8Array => nameKey(roleByte, name)

/** Every role. */
export const roleRange: StoredRange = { gte: Uint8Array.of(roleByte), lt: Uint8Array.of(roleByte + 1) }

export const userRowKey = (name: string): Uint8Array => nameKey(userByte, name)

/** Every user. */
export const userRange: StoredRange = { gte: Uint8Array.of(userByte), lt: Uint8Array.of(userByte + 1) }

/** The name behind the first byte of a stored key: a role's, a user's. */
export const nameOf = (stored: Uint8Array): string => new TextDecoder().decode(stored.subarray(1))

/** The number behind the first byte of a stored key: a lease's, a session's. */
export const idOf = (stored: Uint8Array): number => new Reader(stored.subarray(1)).u64()

/** The sequence number of a stored reply's key, or the number of a block's. */
export const sequenceOf = (stored: Uint8Array): number => new Reader(stored.subarray(9)).u64()

/** Whether a stored key is of a session or of its replies, of today's formats or later ones. */
export const isSessionRow = (stored: Uint8Array): boolean => (stored[0] ?? 0) >> 4 === sessionByte >> 4
