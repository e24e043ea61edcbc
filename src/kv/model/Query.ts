/**
 * What reads the state.
 *
 * ```
 * version u8 (3) · tag u8 · body
 *   Get         key u16+
 *   Scan        flags u8 · limit u32 · gte u16+ · lt u16+
 *   Count       gte u16+ · lt u16+
 *   Transact    as in Transaction.ts
 *   Leases
 *   LeaseKeys   lease u64
 *   Sessions    after u64 · limit u32
 *   Roles       after u16+ · limit u32, and the same for Users
 * ```
 *
 * Flags: 1 keys only, 2 reverse.
 */
import { Reader, Writer } from "../../bytes/Binary.ts"
import type { KeyRange } from "../../bytes/KeyRange.ts"
import { maxAccessPage } from "./access/AccessLimits.ts"
import { rangeProblem } from "./KeyRange.ts"
import type { Problem } from "./Limits.ts"
import { countProblem, keyProblem, limitProblem, maxSessionPage, ownerProblem, problem } from "./Limits.ts"
import type { Transaction } from "./Transaction.ts"
import {
  onlyReads,
  readTransaction,
  transactionProblem,
  transactionSizeProblem,
  writeTransaction
} from "./Transaction.ts"

/** The version written, and the only one read. */
export const queryVersion = 3

/** One key. */
export interface Get {
  readonly _tag: "Get"
  readonly key: Uint8Array
}

/** A page of a range, in byte order. */
export interface Scan {
  readonly _tag: "Scan"
  readonly range: KeyRange
  /** Most rows of the page. */
  readonly limit: number
  /** Leave the values out. */
  readonly keysOnly: boolean
  /** From the last key to the first. */
  readonly reverse: boolean
}

/** How many keys a range has. */
export interface Count {
  readonly _tag: "Count"
  readonly range: KeyRange
}

/** A transaction that only reads: several keys and ranges at one revision. */
export interface ReadTransaction {
  readonly _tag: "Transact"
  readonly transaction: Transaction
}

/** Every lease. */
export interface ListLeases {
  readonly _tag: "Leases"
}

/** One lease with the keys attached to it. */
export interface LeaseKeys {
  readonly _tag: "LeaseKeys"
  readonly lease: number
}

/** A page of the sessions, in the order in which they were opened. */
export interface ListSessions {
  readonly _tag: "Sessions"
  /** Only sessions with larger ids. */
  readonly after: number
  readonly limit: number
}

/** A page of the roles, in the order of their names. */
export interface ListRoles {
  readonly _tag: "Roles"
  /** Only roles whose names are behind this one; empty for the first page. */
  readonly after: string
  readonly limit: number
}

/** A page of the users, in the order of their names. */
export interface ListUsers {
  readonly _tag: "Users"
  /** Only users whose names are behind this one; empty for the first page. */
  readonly after: string
  readonly limit: number
}

export type Query = Get | Scan | Count | ReadTransaction | ListLeases | LeaseKeys | ListSessions | ListRoles | ListUsers

const tags = {
  Get: 1,
  Scan: 2,
  Count: 3,
  Transact: 4,
  Leases: 5,
  LeaseKeys: 6,
  Sessions: 7,
  Roles: 8,
  Users: 9
} as const
const keysOnlyFlag = 1
const reverseFlag = 2

/** What is wrong with a query's arguments, if anything. */
export const queryProblem = (query: Query): Problem | undefined => {
  switch (query._tag) {
    case "Get":
      return keyProblem(query.key.byteLength)
    case "Scan":
      return rangeProblem(query.range) ?? limitProblem(query.limit)
    case "Count":
      return rangeProblem(query.range)
    case "Transact":
      return onlyReads(query.transaction)
        ? transactionProblem(query.transaction)
        : problem("transaction", "writes; send it as a command")
    case "Leases":
      return undefined
    case "LeaseKeys":
      return countProblem(query.lease, "lease")
    case "Sessions":
      return countProblem(query.after, "after") ??
        limitProblem(query.limit, "limit", maxSessionPage)
    case "Roles":
    case "Users":
      return ownerProblem(query.after, "after") ??
        limitProblem(query.limit, "limit", maxAccessPage)
  }
}

/** The bytes of a query that {@link queryProblem} has nothing against. */
export const encodeQuery = (query: Query): Uint8Array => {
  const writer = (bodyBytes: number) => new Writer(2 + bodyBytes).u8(queryVersion).u8(tags[query._tag])
  switch (query._tag) {
    case "Get":
      return writer(2 + query.key.byteLength).short(query.key).bytes
    case "Scan":
      return writer(9 + query.range.gte.byteLength + query.range.lt.byteLength)
        .u8((query.keysOnly ? keysOnlyFlag : 0) | (query.reverse ? reverseFlag : 0))
        .u32(query.limit).short(query.range.gte).short(query.range.lt).bytes
    case "Count":
      return writer(4 + query.range.gte.byteLength + query.range.lt.byteLength)
        .short(query.range.gte).short(query.range.lt).bytes
    case "Transact":
      return writeTransaction(writer, query.transaction).bytes
    case "Leases":
      return writer(0).bytes
    case "LeaseKeys":
      return writer(8).u64(query.lease).bytes
    case "Sessions":
      return writer(12).u64(query.after).u32(query.limit).bytes
    case "Roles":
    case "Users":
      return writer(6 + query.after.length).short(new TextEncoder().encode(query.after)).u32(query.limit).bytes
  }
}

/** The query in `bytes`, whose fields are views of them, or what is wrong. */
export const decodeQuery = (bytes: Uint8Array): Query | Problem => {
  const reader = new Reader(bytes)
  const version = reader.u8()
  const tag = reader.u8()
  if (!reader.failed && version !== queryVersion) {
    return problem(
      "query",
      `has version ${version}, and this node reads version ${queryVersion}: upgrade the older side`
    )
  }
  if (tag === tags.Transact) {
    const tooLarge = transactionSizeProblem(bytes.byteLength)
    if (tooLarge !== undefined) return tooLarge
  }
  const query = readBody(tag, reader)
  if (reader.failed) return problem("query", `is cut short at ${bytes.byteLength} bytes`)
  if (query === undefined) return problem("query", `has the unknown tag ${tag}, or a part that makes no sense`)
  if (!reader.complete) return problem("query", "has bytes behind its end")
  return queryProblem(query) ?? query
}

const readBody = (tag: number, reader: Reader): Query | undefined => {
  switch (tag) {
    case tags.Get:
      return { _tag: "Get", key: reader.short() }
    case tags.Scan: {
      const flags = reader.u8()
      const limit = reader.u32()
      return {
        _tag: "Scan",
        range: { gte: reader.short(), lt: reader.short() },
        limit,
        keysOnly: (flags & keysOnlyFlag) !== 0,
        reverse: (flags & reverseFlag) !== 0
      }
    }
    case tags.Count:
      return { _tag: "Count", range: { gte: reader.short(), lt: reader.short() } }
    case tags.Transact: {
      const transaction = readTransaction(reader)
      return transaction === undefined ? undefined : { _tag: "Transact", transaction }
    }
    case tags.Leases:
      return { _tag: "Leases" }
    case tags.LeaseKeys:
      return { _tag: "LeaseKeys", lease: reader.u64() }
    case tags.Sessions:
      return { _tag: "Sessions", after: reader.u64(), limit: reader.u32() }
    case tags.Roles:
      return { _tag: "Roles", after: new TextDecoder().decode(reader.short()), limit: reader.u32() }
    case tags.Users:
      return { _tag: "Users", after: new TextDecoder().decode(reader.short()), limit: reader.u32() }
    default:
      return undefined
  }
}
