/**
 * The bytes of replies.
 *
 * ```
 * version u8 (3) · tag u8 · revision u64 · body
 *   Put           create revision u64 · key's version u64
 *   Delete        deleted u8
 *   Transaction   succeeded u8 · count u16 · results
 *     result      tag u8 · Put: create revision u64 · version u64 | Delete: deleted u32 | Get: found u8 · [record u32+]
 *                 | Range: rows
 *   Lease         id u64 · ttl u64 · remaining u64
 *   Revoked       deleted keys u32
 *   Session       id u64 · ttl u64
 *   Done
 *   Refused       reason u8 · current u64 · maximum u64 · field u16+ · text u16+
 *   Get           found u8 · [record, to the end]
 *   Scan          rows
 *   Count         keys u64
 *   Leases        count u32 · { id u64 · ttl u64 · remaining u64 · keys u32 · caller u16+ }
 *   LeaseKeys     id u64 · ttl u64 · remaining u64 · count u32 · { key u16+ }
 *   Digest        succeeded u8 · results u16 · bytes u32
 *   Sessions      more u8 · count u32 · { id u64 · age u64 · ttl u64 · remaining u64 · last sequence u64 · replies u32
 *                 · their bytes u64 · owner u16+ · caller u16+ }
 *   Token         id u64
 *   Roles, Users  as in access/AccessReply.ts
 * rows            more u8 · count u32 · { key u16+ · record u32+ }
 * ```
 *
 * A record is as in `KeyRecord.ts`. Replies of commands are part of the replicated state: the same on every node.
 */
import { Reader, Writer } from "../../bytes/Binary.ts"
import type { RolesReply, UsersReply } from "./access/AccessReply.ts"
import { readRoles, readUsers, writeRoles, writeUsers } from "./access/AccessReply.ts"
import { decodeRecord, encodeRecord } from "./KeyRecord.ts"
import type { Problem } from "./Limits.ts"
import { problem } from "./Limits.ts"
import type {
  CommandReply,
  CountReply,
  LeaseKeysReply,
  LeaseRow,
  LeasesReply,
  OperationResult,
  Refusal,
  Reply,
  Row,
  SessionRow,
  SessionsReply
} from "./Reply.ts"

/** The version written, and the only one read. */
export const replyVersion = 3

const tags = {
  PutReply: 1,
  DeleteReply: 2,
  GetReply: 3,
  ScanReply: 4,
  TransactionReply: 5,
  LeaseReply: 6,
  RevokedReply: 7,
  SessionReply: 8,
  DoneReply: 9,
  RefusedReply: 10,
  CountReply: 11,
  LeasesReply: 12,
  LeaseKeysReply: 13,
  DigestReply: 14,
  SessionsReply: 15,
  TokenReply: 16,
  RolesReply: 17,
  UsersReply: 18
} as const

/** 5 was used before the first version, and is not used again. */
const refusalTags: { readonly [Reason in Refusal]: number } = {
  "session-expired": 0,
  "already-answered": 1,
  "lease-not-found": 2,
  invalid: 3,
  overloaded: 4,
  "wrong-secret": 6
}

const refusals = new Map(Object.entries(refusalTags).map(([reason, tag]) => [tag, reason as Refusal]))

const resultTags = { Put: 1, Delete: 2, Get: 3, Range: 4 } as const

const text = (value: string): Uint8Array => new TextEncoder().encode(value)

const header = (tag: keyof typeof tags, revision: number, bodyBytes: number): Writer =>
  new Writer(10 + bodyBytes).u8(replyVersion).u8(tags[tag]).u64(revision)

/** The bytes of a command's reply. */
export const encodeReply = (
  reply: CommandReply | CountReply | LeasesReply | LeaseKeysReply | SessionsReply | RolesReply | UsersReply
): Uint8Array => {
  const { _tag: tag, revision } = reply
  switch (tag) {
    case "PutReply":
      return header(tag, revision, 16).u64(reply.createRevision).u64(reply.version).bytes
    case "DeleteReply":
      return header(tag, revision, 1).u8(reply.deleted ? 1 : 0).bytes
    case "TransactionReply": {
      const { results } = reply
      // Most operations write, and what they are answered has at most so many bytes.
      const writer = header(tag, revision, 3 + putResultBytes * results.length)
        .u8(reply.succeeded ? 1 : 0).u16(results.length)
      for (let i = 0; i < results.length; i++) writeResult(writer, results[i] as OperationResult)
      return writer.bytes
    }
    case "DigestReply":
      return header(tag, revision, 7).u8(reply.succeeded ? 1 : 0).u16(reply.results).u32(reply.bytes).bytes
    case "SessionsReply": {
      const writer = header(tag, revision, 5 + 70 * reply.sessions.length)
        .u8(reply.more ? 1 : 0).u32(reply.sessions.length)
      for (const row of reply.sessions) {
        writer.u64(row.session).u64(row.ageMs).u64(row.ttlMs).u64(row.remainingMs)
          .u64(row.lastSequence).u32(row.replies).u64(row.keptBytes).short(text(row.owner)).short(text(row.caller))
      }
      return writer.bytes
    }
    case "LeaseReply":
      return header(tag, revision, 24).u64(reply.lease).u64(reply.ttlMs).u64(reply.remainingMs).bytes
    case "RevokedReply":
      return header(tag, revision, 4).u32(reply.deleted).bytes
    case "SessionReply":
      return header(tag, revision, 16).u64(reply.session).u64(reply.ttlMs).bytes
    case "TokenReply":
      return header(tag, revision, 8).u64(reply.token).bytes
    case "RolesReply":
      return writeRoles(header(tag, revision, 512), reply).bytes
    case "UsersReply":
      return writeUsers(header(tag, revision, 512), reply).bytes
    case "DoneReply":
      return header(tag, revision, 0).bytes
    case "RefusedReply":
      return header(tag, revision, 64)
        .u8(refusalTags[reply.reason]).u64(reply.current).u64(reply.maximum)
        .short(text(reply.field)).short(text(reply.text)).bytes
    case "CountReply":
      return header(tag, revision, 8).u64(reply.count).bytes
    case "LeasesReply": {
      const writer = header(tag, revision, 4 + 28 * reply.leases.length).u32(reply.leases.length)
      for (const row of reply.leases) {
        writer.u64(row.lease).u64(row.ttlMs).u64(row.remainingMs).u32(row.keys).short(text(row.caller))
      }
      return writer.bytes
    }
    case "LeaseKeysReply": {
      const writer = header(tag, revision, 64).u64(reply.lease).u64(reply.ttlMs).u64(reply.remainingMs)
      writer.u32(reply.keys.length)
      for (const key of reply.keys) writer.short(key)
      return writer.bytes
    }
  }
}

/** Bytes of what a put of a transaction is answered. */
const putResultBytes = 17

const writeResult = (writer: Writer, result: OperationResult): void => {
  writer.u8(resultTags[result._tag])
  switch (result._tag) {
    case "Put":
      writer.u64(result.createRevision).u64(result.version)
      return
    case "Delete":
      writer.u32(result.deleted)
      return
    case "Get":
      writer.u8(result.record === undefined ? 0 : 1)
      if (result.record !== undefined) writer.long(encodeRecord(result.record))
      return
    case "Range":
      writer.u8(result.more ? 1 : 0).u32(result.rows.length)
      for (const { key, record } of result.rows) writer.short(key).long(encodeRecord(record))
  }
}

/** The reply to a get, whose record is passed on as it lies in the store. */
export const encodeGetReply = (revision: number, record: Uint8Array | undefined): Uint8Array => {
  const writer = header("GetReply", revision, 1 + (record?.byteLength ?? 0))
  return (record === undefined ? writer.u8(0) : writer.u8(1).raw(record)).bytes
}

/** The reply to a scan, whose records are passed on as they lie in the store. */
export const encodeScanReply = (
  revision: number,
  rows: ReadonlyArray<{ readonly key: Uint8Array; readonly record: Uint8Array }>,
  more: boolean
): Uint8Array => {
  const size = rows.reduce((sum, row) => sum + 6 + row.key.byteLength + row.record.byteLength, 5)
  const writer = header("ScanReply", revision, size).u8(more ? 1 : 0).u32(rows.length)
  for (const { key, record } of rows) writer.short(key).long(record)
  return writer.bytes
}

/** The reply in `bytes`, whose keys and values are views of them, or what is wrong. */
export const decodeReply = (bytes: Uint8Array): Reply | Problem => {
  const reader = new Reader(bytes)
  const version = reader.u8()
  const tag = reader.u8()
  if (!reader.failed && version !== replyVersion) {
    return problem(
      "reply",
      `has version ${version}, and this client reads version ${replyVersion}: upgrade the older side`
    )
  }
  const reply = read(tag, reader.u64(), reader)
  return reply !== undefined && reader.complete ? reply : problem("reply", `of tag ${tag} is malformed`)
}

const read = (tag: number, revision: number, reader: Reader): Reply | undefined => {
  switch (tag) {
    case tags.PutReply:
      return { _tag: "PutReply", revision, createRevision: reader.u64(), version: reader.u64() }
    case tags.DeleteReply:
      return { _tag: "DeleteReply", revision, deleted: reader.u8() === 1 }
    case tags.GetReply: {
      if (reader.u8() === 0) return { _tag: "GetReply", revision, record: undefined }
      const record = decodeRecord(reader.rest())
      return record === undefined ? undefined : { _tag: "GetReply", revision, record }
    }
    case tags.ScanReply: {
      const rows = readRows(reader)
      return rows === undefined ? undefined : { _tag: "ScanReply", revision, ...rows }
    }
    case tags.TransactionReply: {
      const succeeded = reader.u8() === 1
      const results = readMany(reader, reader.u16(), readResult)
      return results === undefined ? undefined : { _tag: "TransactionReply", revision, succeeded, results }
    }
    case tags.LeaseReply:
      return { _tag: "LeaseReply", revision, lease: reader.u64(), ttlMs: reader.u64(), remainingMs: reader.u64() }
    case tags.RevokedReply:
      return { _tag: "RevokedReply", revision, deleted: reader.u32() }
    case tags.SessionReply:
      return { _tag: "SessionReply", revision, session: reader.u64(), ttlMs: reader.u64() }
    case tags.DoneReply:
      return { _tag: "DoneReply", revision }
    case tags.RefusedReply: {
      const reason = refusals.get(reader.u8())
      const current = reader.u64()
      const maximum = reader.u64()
      const field = readText(reader)
      return reason === undefined
        ? undefined
        : { _tag: "RefusedReply", revision, reason, current, maximum, field, text: readText(reader) }
    }
    case tags.CountReply:
      return { _tag: "CountReply", revision, count: reader.u64() }
    case tags.LeasesReply: {
      const leases = readMany(reader, reader.u32(), (from): LeaseRow => ({
        lease: from.u64(),
        ttlMs: from.u64(),
        remainingMs: from.u64(),
        keys: from.u32(),
        caller: readText(from)
      }))
      return leases === undefined ? undefined : { _tag: "LeasesReply", revision, leases }
    }
    case tags.LeaseKeysReply: {
      const lease = reader.u64()
      const ttlMs = reader.u64()
      const remainingMs = reader.u64()
      const keys = readMany(reader, reader.u32(), (from) => from.short())
      return keys === undefined ? undefined : { _tag: "LeaseKeysReply", revision, lease, ttlMs, remainingMs, keys }
    }
    case tags.DigestReply: {
      const succeeded = reader.u8() === 1
      return { _tag: "DigestReply", revision, succeeded, results: reader.u16(), bytes: reader.u32() }
    }
    case tags.SessionsReply: {
      const more = reader.u8() === 1
      const sessions = readMany(reader, reader.u32(), readSession)
      return sessions === undefined ? undefined : { _tag: "SessionsReply", revision, more, sessions }
    }
    case tags.TokenReply:
      return { _tag: "TokenReply", revision, token: reader.u64() }
    case tags.RolesReply: {
      const roles = readRoles(reader)
      return roles === undefined ? undefined : { _tag: "RolesReply", revision, ...roles }
    }
    case tags.UsersReply: {
      const users = readUsers(reader)
      return users === undefined ? undefined : { _tag: "UsersReply", revision, ...users }
    }
    default:
      return undefined
  }
}

const readSession = (reader: Reader): SessionRow => ({
  session: reader.u64(),
  ageMs: reader.u64(),
  ttlMs: reader.u64(),
  remainingMs: reader.u64(),
  lastSequence: reader.u64(),
  replies: reader.u32(),
  keptBytes: reader.u64(),
  owner: readText(reader),
  caller: readText(reader)
})

/** Whether a reply is one that a digest can take the place of. Looks at one byte. */
export const isDigestible = (bytes: Uint8Array): boolean => bytes[1] === tags.TransactionReply

/** What is kept in the place of a transaction's reply. */
export const digestOf = (bytes: Uint8Array): Uint8Array => {
  const reader = new Reader(bytes.subarray(2))
  const revision = reader.u64()
  const succeeded = reader.u8() === 1
  return encodeReply({ _tag: "DigestReply", revision, succeeded, results: reader.u16(), bytes: bytes.byteLength })
}

/** The id of the session or lease that a reply tells of; `undefined` when it tells of none. */
export const grantedId = (bytes: Uint8Array): number | undefined =>
  bytes[1] === tags.SessionReply || bytes[1] === tags.LeaseReply ? new Reader(bytes.subarray(10)).u64() : undefined

/** Why a command was refused, from its reply's bytes; `undefined` when it was not. Looks at two of them. */
export const refusalOf = (bytes: Uint8Array): Refusal | undefined =>
  bytes[1] === tags.RefusedReply ? refusals.get(bytes[10] as number) : undefined

const readText = (reader: Reader): string => new TextDecoder().decode(reader.short())

const readMany = <A>(reader: Reader, count: number, one: (reader: Reader) => A | undefined): Array<A> | undefined => {
  const many: Array<A> = []
  for (let i = 0; i < count; i++) {
    const element = one(reader)
    if (element === undefined || reader.failed) return undefined
    many.push(element)
  }
  return many
}

const readRows = (reader: Reader): { readonly more: boolean; readonly rows: ReadonlyArray<Row> } | undefined => {
  const more = reader.u8() === 1
  const rows = readMany(reader, reader.u32(), (from) => {
    const key = from.short()
    const record = decodeRecord(from.long())
    return record === undefined ? undefined : { key, record }
  })
  return rows === undefined ? undefined : { more, rows }
}

const readResult = (reader: Reader): OperationResult | undefined => {
  switch (reader.u8()) {
    case resultTags.Put:
      return { _tag: "Put", createRevision: reader.u64(), version: reader.u64() }
    case resultTags.Delete:
      return { _tag: "Delete", deleted: reader.u32() }
    case resultTags.Get: {
      if (reader.u8() === 0) return { _tag: "Get", record: undefined }
      const record = decodeRecord(reader.long())
      return record === undefined ? undefined : { _tag: "Get", record }
    }
    case resultTags.Range: {
      const rows = readRows(reader)
      return rows === undefined ? undefined : { _tag: "Range", ...rows }
    }
    default:
      return undefined
  }
}
