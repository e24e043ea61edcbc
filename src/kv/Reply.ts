/**
 * What commands and queries are answered with.
 *
 * ```
 * Put      version u8 (1) · tag u8 (1) · revision u64 · create revision u64 · key's version u64
 * Delete   version u8 (1) · tag u8 (2) · revision u64 · deleted u8
 * Get      version u8 (1) · tag u8 (3) · revision u64 · found u8 · [record, to the end]
 * Scan     version u8 (1) · tag u8 (4) · revision u64 · more u8 · count u32 · rows
 *   row    key length u16 · key · record length u32 · record
 * ```
 *
 * A record is as in `KeyRecord.ts`. Replies of commands are part of the replicated state: the same on every node.
 */
import { Reader, Writer } from "./Binary.ts"
import type { KeyRecord } from "./KeyRecord.ts"
import { decodeRecord } from "./KeyRecord.ts"
import type { Problem } from "./Limits.ts"
import { problem } from "./Limits.ts"

/** The version written, and the only one read. */
export const replyVersion = 1

export interface PutReply {
  readonly _tag: "PutReply"
  /** The revision this write took. */
  readonly revision: number
  readonly createRevision: number
  /** 1 when the put created the key. */
  readonly version: number
}

export interface DeleteReply {
  readonly _tag: "DeleteReply"
  /** The revision this delete took; the store's revision when there was nothing to delete. */
  readonly revision: number
  readonly deleted: boolean
}

export interface GetReply {
  readonly _tag: "GetReply"
  /** The store's revision at the moment of the read. */
  readonly revision: number
  readonly record: KeyRecord | undefined
}

export interface ScanRow {
  readonly key: Uint8Array
  readonly record: KeyRecord
}

export interface ScanReply {
  readonly _tag: "ScanReply"
  /** The store's revision at the moment of the read. */
  readonly revision: number
  readonly rows: ReadonlyArray<ScanRow>
  /** Whether the page ended before the range did. */
  readonly more: boolean
}

export type Reply = PutReply | DeleteReply | GetReply | ScanReply

const putTag = 1
const deleteTag = 2
const getTag = 3
const scanTag = 4

export const encodePutReply = (reply: Omit<PutReply, "_tag">): Uint8Array =>
  new Writer(26).u8(replyVersion).u8(putTag).u64(reply.revision).u64(reply.createRevision).u64(reply.version).bytes

export const encodeDeleteReply = (reply: Omit<DeleteReply, "_tag">): Uint8Array =>
  new Writer(11).u8(replyVersion).u8(deleteTag).u64(reply.revision).u8(reply.deleted ? 1 : 0).bytes

/** The reply to a get, whose record is passed on as it lies in the store. */
export const encodeGetReply = (revision: number, record: Uint8Array | undefined): Uint8Array => {
  const writer = new Writer(11 + (record?.byteLength ?? 0)).u8(replyVersion).u8(getTag).u64(revision)
  return (record === undefined ? writer.u8(0) : writer.u8(1).raw(record)).bytes
}

/** The reply to a scan, whose records are passed on as they lie in the store. */
export const encodeScanReply = (
  revision: number,
  rows: ReadonlyArray<{ readonly key: Uint8Array; readonly record: Uint8Array }>,
  more: boolean
): Uint8Array => {
  const size = rows.reduce((sum, row) => sum + 6 + row.key.byteLength + row.record.byteLength, 15)
  const writer = new Writer(size).u8(replyVersion).u8(scanTag).u64(revision).u8(more ? 1 : 0).u32(rows.length)
  for (const { key, record } of rows) writer.u16(key.byteLength).raw(key).u32(record.byteLength).raw(record)
  return writer.bytes
}

/** The reply in `bytes`, whose keys and values are views of them, or what is wrong. */
export const decodeReply = (bytes: Uint8Array): Reply | Problem => {
  const reader = new Reader(bytes)
  const version = reader.u8()
  const tag = reader.u8()
  if (!reader.failed && version !== replyVersion) {
    return problem("reply", `has version ${version}; this client reads version ${replyVersion}`)
  }
  const reply = read(tag, reader)
  return reply !== undefined && reader.complete ? reply : problem("reply", `of tag ${tag} is malformed`)
}

const read = (tag: number, reader: Reader): Reply | undefined => {
  const revision = reader.u64()
  switch (tag) {
    case putTag:
      return { _tag: "PutReply", revision, createRevision: reader.u64(), version: reader.u64() }
    case deleteTag:
      return { _tag: "DeleteReply", revision, deleted: reader.u8() === 1 }
    case getTag: {
      if (reader.u8() === 0) return { _tag: "GetReply", revision, record: undefined }
      const record = decodeRecord(reader.rest())
      return record === undefined ? undefined : { _tag: "GetReply", revision, record }
    }
    case scanTag: {
      const more = reader.u8() === 1
      const count = reader.u32()
      const rows: Array<ScanRow> = []
      for (let i = 0; i < count && !reader.failed; i++) {
        const key = reader.raw(reader.u16())
        const record = decodeRecord(reader.raw(reader.u32()))
        if (record === undefined) return undefined
        rows.push({ key, record })
      }
      return { _tag: "ScanReply", revision, rows, more }
    }
    default:
      return undefined
  }
}
